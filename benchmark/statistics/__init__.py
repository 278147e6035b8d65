"""Everything that turns per-image results into numbers with error bars.

Patients, not images, are the unit: a patient's images are drawn together or not at
all (cluster bootstrap). Below 20 patients there is no interval and no rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

MINIMUM_PATIENTS = 20
RESAMPLES = 10_000
SEED = 1902


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; the bounds are None below 20 patients."""

    value: float
    low: float | None = None
    high: float | None = None


def balanced_accuracy(correct: np.ndarray, labels: np.ndarray) -> float:
    """Mean of the two classes' accuracies; the class there is when only one is.

    Args:
        correct: (N,) bool. labels: (N,), 0 or 1.

    >>> balanced_accuracy(np.array([True, True, True, False]), np.array([0, 0, 0, 1]))
    0.5
    """
    return float(np.mean([correct[labels == label].mean() for label in np.unique(labels)]))


def accuracy_interval(
    correct: np.ndarray, labels: np.ndarray, patients: Sequence[str], balanced: bool = False
) -> Estimate:
    """Accuracy with a 95 % percentile interval from resampled patients.

    Args:
        correct: (N,) bool. labels: (N,), 0 or 1. patients: N ids.
        balanced: mean of the two classes instead of all images alike.
    """
    value = balanced_accuracy(correct, labels) if balanced else float(np.mean(correct))
    count = len(set(patients))
    if value in (0.0, 1.0) and count >= MINIMUM_PATIENTS:
        return Estimate(value, *_wilson(value, count))  # resampling gives no width where all images agree
    return _with_interval(value, np.asarray(correct, float), labels, patients, balanced)


def paired_difference(
    first: np.ndarray, second: np.ndarray, labels: np.ndarray, patients: Sequence[str], balanced: bool = False
) -> Estimate:
    """Accuracy of `first` minus that of `second` on the same images, with its interval.

    Both are judged on the same resampled patients, so what makes an image hard for both cancels.
    """
    gain = np.asarray(first, float) - np.asarray(second, float)
    value = balanced_accuracy(gain, labels) if balanced else float(gain.mean())
    return _with_interval(value, gain, labels, patients, balanced)


def _wilson(share: float, count: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % interval of a proportion of `count` independent units (Wilson 1927)."""
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5 / (1 + z * z / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def _with_interval(
    value: float, scores: np.ndarray, labels: np.ndarray, patients: Sequence[str], balanced: bool
) -> Estimate:
    names, patient_of = np.unique(np.asarray(patients), return_inverse=True)
    if len(names) < MINIMUM_PATIENTS:
        return Estimate(value)
    groups = [labels == 0, labels == 1] if balanced else [np.ones(len(scores), bool)]
    groups = [group for group in groups if group.any()]
    draws = _patient_counts(len(names))
    means = []
    for group in groups:
        total = np.bincount(patient_of, weights=scores * group, minlength=len(names))
        count = np.bincount(patient_of, weights=group, minlength=len(names))
        with np.errstate(invalid="ignore"):
            means.append((draws @ total) / (draws @ count))
    low, high = np.nanpercentile(np.mean(means, axis=0), [2.5, 97.5])
    return Estimate(value, float(low), float(high))


@lru_cache(maxsize=8)
def _patient_counts(patients: int) -> np.ndarray:
    """How often each patient is drawn in each resample: (RESAMPLES, patients) float64, the same every time."""
    generator = np.random.default_rng([SEED, patients])
    return generator.multinomial(patients, np.full(patients, 1 / patients), size=RESAMPLES).astype(float)
