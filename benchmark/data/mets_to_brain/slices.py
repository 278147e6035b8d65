"""Which axial slices of one brain show metastases and which show none, and as many of either at the same height.

Recipe, all lengths along the body's axis in slices: a slice is positive with at least 20 mm² of metastasis (labels 1 and
3: necrosis and enhancement; oedema, label 2, never counts alone) and negative where no voxel of any label lies within
five slices of it. Either needs brain on at least 40 % of the area of the case's largest slice. Every negative is paired
with a positive, so that neither their number nor their height tells the classes apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

METASTASIS = (1, 3)
LEAST_METASTASIS_MM2 = 20.0
LEAST_BRAIN = 0.40  # of the largest slice's area
DISTANCE = 5  # slices to either side of a negative that hold no label
APART = 3  # slices at least between two of one class: neighbours are nearly the same image
MOST = 3  # images of a class from one case


@dataclass(frozen=True)
class Slices:
    """What is on every axial slice of one case, from below: (Z,) each, areas in mm².

    repeated: the slice is equal to one further below, voxel for voxel.
    """

    brain: np.ndarray
    metastasis: np.ndarray
    labelled: np.ndarray
    repeated: np.ndarray

    @property
    def positive(self) -> np.ndarray:
        """(Z,) bool."""
        return self._usable & (self.metastasis >= LEAST_METASTASIS_MM2)

    @property
    def negative(self) -> np.ndarray:
        """(Z,) bool."""
        near = np.convolve(self.labelled > 0, np.ones(2 * DISTANCE + 1), "same")[: len(self.labelled)] > 0
        return self._usable & ~near

    @property
    def _usable(self) -> np.ndarray:
        return (self.brain > 0) & (self.brain >= LEAST_BRAIN * self.brain.max()) & ~self.repeated


def measure_slices(
    values: np.ndarray, brain: np.ndarray, labels: np.ndarray, spacing: Sequence[float]
) -> Slices:
    """Areas on every slice.

    Args:
        values, brain, labels: (X, Y, Z) image, bool mask, and whole numbers 0..3.
        spacing: along X and Y, mm; further ones are ignored.
    """
    area = float(spacing[0] * spacing[1])
    seen: set[bytes] = set()
    repeated = np.zeros(values.shape[2], bool)
    for k in np.flatnonzero(brain.any((0, 1))):
        digest = hashlib.sha256(np.ascontiguousarray(values[:, :, k]).tobytes()).digest()
        repeated[k] = digest in seen
        seen.add(digest)
    return Slices(
        brain=brain.sum((0, 1)) * area,
        metastasis=np.isin(labels, METASTASIS).sum((0, 1)) * area,
        labelled=(labels > 0).sum((0, 1)) * area,
        repeated=repeated,
    )


def choose_slices(slices: Slices, case: str) -> tuple[list[int], list[int]]:
    """Positive and negative slices, equally many of each, at most three; the same on every machine.

    Positives are taken in the order of a hash of case and slice. Each gets the free negative that brings the sum of
    all differences in height nearest to zero, and of those the nearest: where one lies below its positive, the next
    lies above, so that over cases height says nothing.
    """
    order = sorted(np.flatnonzero(slices.positive).tolist(), key=lambda k: _rank(case, k))
    free = sorted(np.flatnonzero(slices.negative).tolist(), key=lambda k: _rank(case, k))
    positives: list[int] = []
    negatives: list[int] = []
    drift = 0
    for k in order:
        candidates = [n for n in free if _apart(n, negatives)]
        if len(positives) == MOST or not candidates:
            break
        if not _apart(k, positives):
            continue
        partner = min(candidates, key=lambda n: (abs(drift + n - k), abs(n - k)))
        drift += partner - k
        positives.append(k)
        negatives.append(partner)
    return sorted(positives), sorted(negatives)


def _apart(k: int, chosen: Sequence[int]) -> bool:
    return all(abs(k - other) >= APART for other in chosen)


def _rank(case: str, k: int) -> bytes:
    return hashlib.sha256(f"{case}/{k}".encode()).digest()
