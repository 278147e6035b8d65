"""One number for a whole curve: the area under accuracy over ε."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.statistics.estimate import Estimate
from benchmark.statistics.shares import mean_interval


def area_weights(epsilons: Sequence[str]) -> np.ndarray:
    """How much each ε of 0, then the grid, weighs in the area from 0 to its end, by trapezoids: (1 + n,), sum 1.

    >>> area_weights(["0.1", "0.4"]).tolist()
    [0.125, 0.5, 0.375]
    """
    grid = np.array([0.0, *map(float, epsilons)])
    steps = np.diff(grid) / grid[-1]
    return (np.append(steps, 0.0) + np.insert(steps, 0, 0.0)) / 2


def area_under_curve(
    right: np.ndarray, labels: np.ndarray, patients: Sequence[str] | np.ndarray, epsilons: Sequence[str]
) -> Estimate:
    """Area under balanced accuracy over ε, as a share of what a model that never errs has; from resampled patients.

    The area is an image's mean as accuracy is, so the same resamples give its interval.

    Args:
        right: (N, 1 + n) bool, clean, then at each ε. labels: (N,), 0 or 1. patients: N ids. epsilons: n, ascending.
    """
    return mean_interval(
        np.asarray(right, float) @ area_weights(epsilons),
        labels,
        patients,
        balanced=len(np.unique(labels)) > 1,
    )
