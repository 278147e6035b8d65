"""What a worker is at just now: one short file a block, read by the process that shows the progress bar."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmark.protocol import AttackSpec, Protocol

SECONDS = 0.3  # between two writings
FORWARD = 0.45  # of a forward and backward pass together, for most networks


def share_of(spec: AttackSpec, epsilons: int) -> float:
    """Roughly how many forward and backward passes an attack takes on one image: for time left, for nothing else."""
    told = spec.parameters
    steps = float(told.get("steps", told.get("draws", 1)))
    if spec.search == "survivors":
        return FORWARD * float(told.get("n_queries", 1000))
    if spec.search == "minimum":
        return (1 + 2 * FORWARD) * steps
    if spec.search == "bisection":
        return steps * (1.4 * spec.starts + 1)
    return (1.0 if spec.white_box else FORWARD) * steps * epsilons * spec.starts


class Reporter:
    """Writes what a block is at into `path`; whatever goes wrong with that is no matter."""

    def __init__(self, path: Path, protocol: Protocol) -> None:
        self.path, self.protocol, self.last = path, protocol, 0.0
        self.shares = [share_of(spec, len(protocol.epsilons)) for spec in protocol.attacks]

    def __call__(self, spec: AttackSpec, epsilon: str) -> None:
        """The block is at this attack and ε."""
        if time.monotonic() - self.last < SECONDS:
            return
        self.last = time.monotonic()
        at = next(i for i, each in enumerate(self.protocol.attacks) if each.name == spec.name)
        done = sum(self.shares[:at]) / max(sum(self.shares), 1e-9)
        with contextlib.suppress(OSError):
            self.path.write_text(f"{done:.3f} {spec.title} at ε = {epsilon}", "utf-8")

    def over(self) -> None:
        """The block is finished, or has failed."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def news_of(paths: Sequence[Path], images: Sequence[int]) -> Callable[[], tuple[str, float]]:
    """For a progress bar: what the blocks whose news lie at `paths` are at, and how many images that makes."""

    def read() -> tuple[str, float]:
        words, done = [], 0.0
        for path, count in zip(paths, images, strict=True):
            with contextlib.suppress(OSError, ValueError):
                share, _, told = path.read_text("utf-8").partition(" ")
                done += float(share) * count
                words.append(told)
        return " | ".join(words), done

    return read
