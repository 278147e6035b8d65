"""Two entries image by image: how often they disagree, and McNemar's exact test as a check of the clustered one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr


@dataclass(frozen=True)
class Agreement:
    """How many images both, one or neither answer rightly.

    p: McNemar's exact, two-sided. It takes images for independent, so it is too small where patients have several.
    """

    both: int
    first_alone: int
    second_alone: int
    neither: int
    p: float

    @property
    def discordance(self) -> float:
        """Share of images that one answers rightly and the other does not."""
        return (self.first_alone + self.second_alone) / (
            self.both + self.first_alone + self.second_alone + self.neither
        )


def agreement(first: np.ndarray, second: np.ndarray) -> Agreement:
    """Of (N,) bool and (N,) bool on the same images (McNemar 1947, Psychometrika 12:153)."""
    (found,) = agreements(np.column_stack([first, second]), [(0, 1)])
    return found


def agreements(correct: np.ndarray, pairs: Sequence[tuple[int, int]]) -> list[Agreement]:
    """The same of many pairs of columns at once, by one product: a board of 200 entries has 19,900.

    Args:
        correct: (N, C) bool. pairs: (first, second) columns.
    """
    right = np.asarray(correct, bool).astype(float)
    together, sums = right.T @ right, right.sum(0)
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    both = together[first, second]
    alone, other = sums[first] - both, sums[second] - both
    told = alone + other
    p = np.where(
        told > 0, np.minimum(1.0, 2 * bdtr(np.minimum(alone, other), told.astype(np.int64), 0.5)), 1.0
    )
    neither = len(right) - both - told
    counts = np.column_stack([both, alone, other, neither]).astype(int).tolist()
    return [
        Agreement(both, one, two, none, value)
        for (both, one, two, none), value in zip(counts, p.tolist(), strict=True)
    ]
