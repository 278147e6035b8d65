"""Images that nobody has seen: a model that knows the test part by heart does worse on them.

They are drawn from a seed that hangs on the model's own weights, so that they cannot be prepared for, and in a
few parts, so that idle workers can take one each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol as Interface

import numpy as np
import torch
from torch import nn

from benchmark.data.split import Split
from benchmark.evaluation.judge import clean_gaps, one_thread
from benchmark.protocol import Protocol
from benchmark.record import Flag

FRESH = 1000  # images drawn anew
PARTS = 4  # as many as the standard protocol has blocks on the phantom
STANDARD_ERRORS = 3.0  # one honest model in 700 lies further off by chance


class ModelSource(Interface):
    """Where a worker gets the models from (see `benchmark.evaluation.blocks`)."""

    def models(self) -> tuple[nn.Module, nn.Module]:
        """The model to attack and the model that judges."""
        ...


@dataclass(frozen=True)
class Draw:
    """One part of the fresh images."""

    modality: str
    seed: int
    images: int
    micro_batch: int


@dataclass(frozen=True)
class FreshJob:
    """One part of the fresh images, with the model to be tried on it."""

    source: ModelSource
    draw: Draw
    device: str


@dataclass(frozen=True)
class FreshMargins:
    """What one part gave: margins (n,) float32, and whose image each is, (n,) int64."""

    margins: np.ndarray
    patients: np.ndarray


def fresh_draws(split: Split, protocol: Protocol, identity: str) -> list[Draw]:
    """The parts that an evaluation must draw; none off the phantom.

    Args:
        identity: of the model; with the split it seeds the images.
    """
    if split.track != "phantom":
        return []
    digest = hashlib.sha256(f"{identity}/{split.sha256}".encode()).digest()
    return [
        Draw(
            split.modality,
            int.from_bytes(digest[:7], "little") * PARTS + part,
            FRESH // PARTS,
            protocol.micro_batch(*split.image_size),
        )
        for part in range(PARTS)
    ]


def fresh_jobs(
    source: ModelSource, split: Split, protocol: Protocol, identity: str, device: str
) -> list[FreshJob]:
    """`fresh_draws` as jobs for worker processes, each a second or so; their results go, in order, into `Evidence`."""
    return [FreshJob(source, draw, device) for draw in fresh_draws(split, protocol, identity)]


def run_fresh_job(job: FreshJob) -> FreshMargins:
    """Draw one part and try the model that judges on it."""
    device = torch.device(job.device)
    _, judge = job.source.models()
    with one_thread():
        return draw_margins(judge.to(device), job.draw, device)


def draw_margins(judge: nn.Module, draw: Draw, device: torch.device) -> FreshMargins:
    """As `run_fresh_job`, with the model at hand."""
    from benchmark.data.phantom import draw_split

    fresh = draw_split(draw.modality, "fresh", draw.seed, draw.images)
    gaps = clean_gaps(judge, fresh, draw.micro_batch, device).numpy()
    _, patients = np.unique(fresh.patient_ids, return_inverse=True)
    return FreshMargins(np.where(fresh.labels == 1, gaps, -gaps), patients)


def memorised(
    clean: np.ndarray, fresh: Sequence[FreshMargins], of: str = "freshly drawn images"
) -> Iterator[Flag]:
    """Whether the public test part is known better than chance explains.

    The standard error is that of two shares with one common value, widened by what the images of one patient have in
    common (the design effect of Kish 1965, seen on the fresh images).

    Args:
        clean: (N,) margins on the test part. of: what the others are, for the sentence.
    """
    known, new, error = compared(clean > 0, fresh)
    count = sum(len(part.margins) for part in fresh)
    if known - new > STANDARD_ERRORS * error:
        yield Flag(
            "memorised",
            "doubt",
            (known - new) / error,
            STANDARD_ERRORS,
            f"clean accuracy is {known:.3f} on the public test part and {new:.3f} on {count} {of}: "
            "the test part seems to be known by heart",
        )


def compared(right: np.ndarray, fresh: Sequence[FreshMargins]) -> tuple[float, float, float]:
    """The share of (N,) bool, that of margins above 0 on other images, and the standard error of their difference."""
    others = np.concatenate([part.margins for part in fresh]) > 0
    known, new, count = float(right.mean()), float(others.mean()), len(others)
    pooled = (known * len(right) + new * count) / (len(right) + count)
    error = (pooled * (1 - pooled) * (1 / len(right) + 1 / count) * _design_effect(fresh, new)) ** 0.5
    return known, new, max(error, 1e-9)


def _design_effect(fresh: Sequence[FreshMargins], share: float) -> float:
    """How many times the variance of the share exceeds that of independent images; at least 1."""
    binomial = share * (1 - share) * sum(len(part.margins) for part in fresh)
    if not binomial:
        return 1.0
    sums = [np.bincount(part.patients, weights=(part.margins > 0) - share) for part in fresh]
    return max(1.0, float((np.concatenate(sums) ** 2).sum()) / binomial)
