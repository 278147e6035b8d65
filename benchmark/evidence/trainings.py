"""The same recipe from other seeds: how much of an entry's accuracy is the luck of one training.

    <folder>/<submission>.trainings.json   which weights, under which protocol, engine and split; flags; a summary
    <folder>/<submission>.trainings.csv    one row per training and image: true label, clean margin, smallest ‖δ‖∞
                                           that broke it, whether it stands at the headline ε

Seed 0 is the entry's record and alone is ranked. What was evaluated beside another record is passed over, with a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.record import Flag, Record
from benchmark.statistics import balanced_accuracy
from benchmark.threat_model import parse_epsilon


@dataclass(frozen=True)
class FurtherTraining:
    """One further training, evaluated like the entry itself.

    identity: as in a record's provenance. weights_sha256: of its files. temperature: T of its own clean gaps.
    provenance: command, device, layout, versions, passes.
    clean_margins: (N,) float32. minimal_epsilon: (N,) float64, 0 where wrong clean, inf where nothing broke it.
    """

    training_seed: int
    identity: str
    weights_sha256: tuple[str, ...]
    temperature: float
    provenance: Mapping[str, Any]
    flags: tuple[Flag, ...]
    clean_margins: np.ndarray
    minimal_epsilon: np.ndarray

    @property
    def clean_correct(self) -> np.ndarray:
        """(N,) bool; a tie is wrong."""
        return self.clean_margins > 0

    @property
    def in_doubt(self) -> bool:
        """Whether some health check says not to believe its number."""
        return any(flag.severity == "doubt" for flag in self.flags)

    def robust(self, epsilon: str) -> np.ndarray:
        """(N,) bool: which images stay right within ε in the worst case, as `Record.robust`."""
        return self.clean_correct & (self.minimal_epsilon > float(parse_epsilon(epsilon)))


@dataclass(frozen=True)
class Trainings:
    """The further trainings of an entry, on the images of its record.

    reference: identity of the entry's own weights, those of seed 0.
    labels: (N,) int64. image_ids, patient_ids: N names. trained: by seed, ascending.
    """

    submission: str
    modality: str
    track: str
    protocol: str
    protocol_sha256: str
    headline: str
    engine: int
    split_sha256: str
    reference: str
    image_ids: Sequence[str]
    patient_ids: Sequence[str]
    labels: np.ndarray
    trained: tuple[FurtherTraining, ...]

    def foreign(self, record: Record) -> tuple[str, ...]:
        """In what they are not of this record, in words; empty where they are."""
        pairs = {
            "weights": (self.reference, record.provenance["identity"]),
            "images": (
                (self.split_sha256, tuple(self.image_ids), tuple(self.patient_ids), self.labels.tolist()),
                (
                    record.split["sha256"],
                    tuple(record.image_ids),
                    tuple(record.patient_ids),
                    record.labels.tolist(),
                ),
            ),
            "protocol": (
                (self.protocol, self.protocol_sha256),
                (record.protocol["name"], record.protocol.get("sha256")),
            ),
            "engine": (self.engine, record.provenance.get("engine")),
        }
        return tuple(name for name, (own, its) in pairs.items() if own != its)


@dataclass(frozen=True)
class Spread:
    """One figure for each training, that of seed 0 first; shares in [0, 1]."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over the trainings."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float:
        """Standard deviation of a sample (n − 1); two trainings at least."""
        return float(np.std(self.values, ddof=1))


@dataclass(frozen=True)
class Spreads:
    """What the trainings of an entry come to, its own first.

    clean, balanced: of all images clean, and of both classes in the worst case at the headline ε.
    robust: ε as written → of all images in the worst case.
    doubts: seeds whose evaluation is in doubt. warning: why nothing is shown; then there are no seeds.
    """

    seeds: tuple[int, ...]
    clean: Spread
    balanced: Spread
    robust: Mapping[str, Spread]
    doubts: tuple[int, ...] = ()
    warning: str = ""


def spreads(record: Record, trainings: Trainings) -> Spreads:
    """Every figure from the rows of the images, or a warning where the trainings are not of this record."""
    other = trainings.foreign(record)
    if other:
        return Spreads((), Spread(()), Spread(()), {}, (), outdated(record, other))
    labels, headline, trained = record.labels, record.headline, trainings.trained
    worst = [record.robust(headline), *(each.robust(headline) for each in trained)]
    doubts = [0] * record.in_doubt + [each.training_seed for each in trained if each.in_doubt]
    return Spreads(
        seeds=(0, *(each.training_seed for each in trained)),
        clean=_shares([record.clean_correct, *(each.clean_correct for each in trained)]),
        balanced=Spread(tuple(balanced_accuracy(answers, labels) for answers in worst)),
        robust={
            epsilon: _shares([record.robust(epsilon), *(each.robust(epsilon) for each in trained)])
            for epsilon in record.epsilons
        },
        doubts=tuple(doubts),
    )


def outdated(record: Record, other: Sequence[str]) -> str:
    """The sentence about trainings of another record."""
    return (
        f"the further trainings of {record.submission} on {record.modality} were evaluated beside a record of other "
        f"{' and '.join(other)} and are not shown; evaluate them again: {again(record)}"
    )


def again(record: Record) -> str:
    """The command that evaluates them."""
    track = "" if record.track == "phantom" else " --track TRACK"
    name = record.protocol["name"]
    protocol = "" if name == "standard" else f" --protocol {name}"
    return f"oncorobust trainings {record.submission} --modality {record.modality}{track}{protocol}"


def _shares(answers: Sequence[np.ndarray]) -> Spread:
    return Spread(tuple(float(each.mean()) for each in answers))
