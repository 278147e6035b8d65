"""Patients drawn with replacement: the same resamples for whatever is asked of the same number of patients.

A patient's images are drawn together or not at all (cluster bootstrap; Field & Welsh 2007, J R Stat Soc B 69:369).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, stdtrit

RESAMPLES = 10_000
SEED = 1902
CHUNK = 500  # resamples in memory at a time as floating numbers


def resampled_sums(sums: np.ndarray) -> np.ndarray:
    """Each resample's sums over its patients.

    Args:
        sums: (G,) or (G, C) float64, each patient's.

    Returns:
        (RESAMPLES,) or (RESAMPLES, C) float64.
    """
    return np.concatenate([draws @ sums for draws in drawn(len(sums))])


def drawn(patients: int) -> Iterator[np.ndarray]:
    """How often each patient is drawn, CHUNK resamples at a time: (CHUNK, patients) float64."""
    counts = _counts(patients, RESAMPLES)
    for start in range(0, len(counts), CHUNK):
        yield counts[start : start + CHUNK].astype(float)


def percentiles(resamples: np.ndarray, patients: int) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile interval, widened for the number of patients.

    Percentiles of resamples are too narrow by √((n − 1)/n) and take no notice of t; the levels here mend both
    (expanded percentile interval: Hesterberg 2015, Am Stat 69:371).

    Args:
        resamples: (RESAMPLES,) or (RESAMPLES, C); NaN where a resample has no answer.
    """
    level = float(ndtr(-np.sqrt(patients / (patients - 1)) * stdtrit(patients - 1, 0.975)))
    ends = [100 * level, 100 * (1 - level)]
    pick = np.nanpercentile if np.isnan(resamples).any() else np.percentile
    low, high = pick(resamples, ends, axis=0)
    return low, high


@lru_cache(maxsize=4)
def _counts(patients: int, resamples: int) -> np.ndarray:
    """How often each patient is drawn in each resample: (resamples, patients) uint16, the same every time."""
    generator = np.random.default_rng([SEED, patients])
    counts = np.empty((resamples, patients), np.uint16)
    for start in range(0, resamples, CHUNK):
        rows = min(CHUNK, resamples - start)
        chosen = generator.integers(0, patients, (rows, patients)) + patients * np.arange(rows)[:, None]
        counts[start : start + rows] = np.bincount(chosen.ravel(), minlength=rows * patients).reshape(
            rows, -1
        )
    counts.flags.writeable = False
    return counts
