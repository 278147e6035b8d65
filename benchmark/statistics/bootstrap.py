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
TAIL = 1.5  # standard deviations from the mean, beyond which a fifteenth of a normal sample lies
SOME = 1_000  # resamples that tell what that is
KEPT = 200  # up to so many patients all of them stay in memory as floating numbers: 16 MB, of which there are four


def resampled_sums(sums: np.ndarray) -> np.ndarray:
    """Each resample's sums over its patients.

    Args:
        sums: (G,) or (G, C) float64, each patient's.

    Returns:
        (RESAMPLES,) or (RESAMPLES, C) float64, each column in one piece of memory.
    """
    kind = exact_kind(sums)
    # Few columns against many resamples: the product is faster, and its columns lie as who looks for their ends wants them.
    told = np.ascontiguousarray(sums.T, kind)
    if len(sums) <= KEPT:
        found = told @ _floating(len(sums), RESAMPLES, kind).T
    else:
        found = np.concatenate([told @ draws.T for draws in drawn(len(sums), kind)], axis=-1)
    return found.astype(np.float64, copy=False).T


def exact_kind(sums: np.ndarray) -> str:
    """float32 where sums over as many patients stay whole numbers below 2²⁴, which it holds exactly in half the time."""
    small = len(sums) * np.abs(sums).max(initial=0.0) < 2**24
    return "float32" if small and (sums == np.rint(sums)).all() else "float64"


def drawn(patients: int, kind: str = "float64") -> Iterator[np.ndarray]:
    """How often each patient is drawn, CHUNK resamples at a time: (CHUNK, patients) of `kind`."""
    small = patients <= KEPT
    counts = _floating(patients, RESAMPLES, kind) if small else _counts(patients, RESAMPLES)
    for start in range(0, len(counts), CHUNK):
        yield counts[start : start + CHUNK].astype(kind, copy=not small)


def percentiles(resamples: np.ndarray, patients: int) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile interval, widened for the number of patients.

    Percentiles of resamples are too narrow by √((n − 1)/n) and take no notice of t; the levels here mend both
    (expanded percentile interval: Hesterberg 2015, Am Stat 69:371).

    Args:
        resamples: (RESAMPLES,) or (RESAMPLES, C); NaN where a resample has no answer.
    """
    level = float(ndtr(-np.sqrt(patients / (patients - 1)) * stdtrit(patients - 1, 0.975)))
    ends = [100 * level, 100 * (1 - level)]
    if np.isnan(resamples).any():
        low, high = np.nanpercentile(np.ascontiguousarray(resamples.T), ends, axis=-1)
        return low, high
    columns = np.ascontiguousarray(resamples.T)
    low, high = (_percentile(columns, (len(resamples) - 1) * (end / 100)) for end in ends)
    return low, high


def _percentile(columns: np.ndarray, place: float) -> np.ndarray:
    """The number at a place between two of each row's ascending numbers: what np.percentile gives, to the last bit."""
    last = columns.shape[-1] - 1
    below = int(place)
    share = place - below
    above = min(below + 1, last)
    if 2 * below < last:
        ordered = _end(columns, above + 1, np.less, -TAIL)
    else:
        ordered = _end(columns, last - below + 1, np.greater, TAIL)
        below, above = below - last - 1, above - last - 1  # from the largest down
    first, second = ordered[..., below], ordered[..., above]
    step = second - first
    return first + step * share if share < 0.5 else second - step * (1 - share)


def _end(columns: np.ndarray, count: int, beyond: np.ufunc, deviations: float) -> np.ndarray:
    """Each row's `count` smallest (beyond: np.less) or largest numbers (np.greater), ascending: (…, count).

    Ends of an interval are few of many: what does not lie beyond a bound that leaves enough there need not be sorted, which
    is four times as fast as sorting all. Any bound will do, so a few of the numbers tell where it is.
    """
    some = columns[..., :SOME]
    bounds = some.mean(-1) + deviations * some.std(-1)
    own = slice(None, count) if deviations < 0 else slice(-count, None)
    found = np.empty((*columns.shape[:-1], count))
    for place in np.ndindex(columns.shape[:-1]):
        few = columns[place][beyond(columns[place], bounds[place])]
        found[place] = np.sort(few if len(few) >= count else columns[place])[own]
    return found


# Subsets of images bring numbers of patients of their own; 16 of 1,000 patients each are 320 MB.
@lru_cache(maxsize=16)
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


@lru_cache(maxsize=4)
def _floating(patients: int, resamples: int, kind: str) -> np.ndarray:
    """The same as numbers that a matrix product takes: (resamples, patients) of `kind`, a patient's in one piece."""
    counts = _counts(patients, resamples).astype(kind, order="F")
    counts.flags.writeable = False
    return counts
