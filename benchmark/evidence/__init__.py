"""What others did to the images that the battery left standing, in files of their own beside a record.

    <folder>/<submission>.second-opinion.json   AutoAttack by its authors, on the survivors at the headline ε
    <folder>/<submission>.external.json         adversarial images that third parties sent, checked and judged here
    <folder>/all.transfer.json                  each entry's adversarial images judged on every other entry
    <folder>/<submission>.runs.json             who made the record, and who evaluated it anew

Each names the record it is of by the checksum of its table; what is of another record is passed over, with a
sentence. What is broken lowers "best known", which stands beside the protocol's number and never moves a rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.record import Flag


@dataclass(frozen=True)
class Broken:
    """An image that fell: by which attack (empty for images that were sent), achieved ‖δ‖∞, judged margin."""

    image_id: str
    attack: str
    linf: float
    margin: float


@dataclass(frozen=True)
class SecondOpinion:
    """What an independent attack code did to a record's survivors.

    asked: how many images were given to it. passes: attack → {"forward", "backward"}, in images.
    warnings: what the code itself says of the model. apart: see `remembers`.
    """

    record_sha256: str
    code: str
    version: str
    attacks: tuple[Mapping[str, Any], ...]
    epsilon: str
    temperature: float
    seed: int
    device: str
    asked: int
    broken: tuple[Broken, ...]
    passes: Mapping[str, Mapping[str, int]]
    warnings: tuple[str, ...] = ()
    apart: float = 0.0

    @property
    def flag(self) -> Flag | None:
        """What our battery missed, if anything, as a notice."""
        if not self.broken:
            return None
        by = {spec["name"]: sum(b.attack == spec["name"] for b in self.broken) for spec in self.attacks}
        told = ", ".join(f"{name} {count}" for name, count in by.items() if count)
        return Flag(
            "battery-missed",
            "notice",
            len(self.broken) / self.asked,
            0.0,
            f"{self.code} {self.version} broke {len(self.broken)} of the {self.asked} images that the battery left "
            f"standing at ε = {self.epsilon} ({told})",
        )


@dataclass(frozen=True)
class ExternalImages:
    """One file of adversarial images: who sent it, how many images it held, and which of them broke the model.

    apart: see `remembers`.
    """

    record_sha256: str
    sha256: str
    file: str
    name: str
    link: str
    images: int
    broken: tuple[Broken, ...]
    apart: float = 0.0


def remembers(apart: float, what: str) -> Flag | None:
    """A doubt where a new worker judged the images of `what` otherwise than the first, whose verdicts do not stand.

    Args:
        apart: how far their logit gaps lie from each other, of T; 0 where rounding explains it, or no code is brought.
    """
    if not apart:
        return None
    told = (
        f"a new worker judged the images of {what} otherwise, by {apart:.2g} of the model's typical logit gap"
    )
    return Flag(
        "remembers", "doubt", apart, 0.0, f"{told}: its code keeps state; the new worker's verdicts stand"
    )


@dataclass(frozen=True)
class Run:
    """One evaluation of an entry from nothing: who ran it, on which day (UTC), on which kind of device.

    differing: how many verdicts (image × attack × ε, and clean) are other than the record's, of `verdicts`; both are 0
        for the run that made the record.
    """

    by: str
    date: str
    device: str
    differing: int = 0
    verdicts: int = 0


@dataclass(frozen=True)
class Runs:
    """Who made a record (None: not told), and who evaluated the entry anew, the first first."""

    record_sha256: str
    made: Run | None
    again: tuple[Run, ...] = ()
