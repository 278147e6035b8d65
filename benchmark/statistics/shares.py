"""Shares of images with their intervals: resampled patients, and Wilson's interval where resampling knows too little."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from benchmark.statistics.bootstrap import percentiles, resampled_sums
from benchmark.statistics.estimate import MINIMUM_PATIENTS, Estimate
from benchmark.statistics.patients import ClusteredShare, Patients, clustered_shares

ENOUGH = 30  # effective images of the rarer answer from which on resampling covers what it should
LEAST_FREEDOM = 10.0  # below it the estimate of the degrees of freedom is itself noise
NORMAL = 1.959964
AT_ONCE = 100  # columns of means that are resampled together: 24 MB of resamples


def balanced_accuracy(correct: np.ndarray, labels: np.ndarray) -> float:
    """Mean of the two classes' accuracies; the class there when only one is.

    Args:
        correct: (N,) bool. labels: (N,), 0 or 1.

    >>> balanced_accuracy(np.array([True, True, True, False]), np.array([0, 0, 0, 1]))
    0.5
    """
    return float(np.mean([correct[labels == label].mean() for label in np.unique(labels)]))


def accuracy_interval(
    correct: np.ndarray, labels: np.ndarray, patients: Sequence[str] | np.ndarray, balanced: bool = False
) -> Estimate:
    """Accuracy with a 95 % interval from patients.

    Args:
        correct: (N,) bool. labels: (N,), 0 or 1. patients: N ids.
        balanced: mean of the two classes instead of all images alike.
    """
    return accuracy_intervals(np.asarray(correct, bool)[:, None], labels, patients, balanced)[0]


def accuracy_intervals(
    correct: np.ndarray, labels: np.ndarray, patients: Sequence[str] | np.ndarray, balanced: bool = False
) -> list[Estimate]:
    """Accuracies of many columns of verdicts on the same images, all from the same resampled patients.

    Where a class has fewer than 30 effective images of its rarer answer, resampled shares cover too little (80 to 93 %
    instead of 95 near 0 and 1); there it is Wilson's interval (Wilson 1927) with the effective number of images and
    Student's t, and the two classes' intervals are put together as Zou & Donner 2008 (Stat Med 27:1693) do.

    Args:
        correct: (N, C) bool. labels: (N,), 0 or 1. patients: N ids.
        balanced: mean of the two classes instead of all images alike.
    """
    # Many an attack changes nothing, so columns repeat; bytes are told apart fifty times as fast as by np.unique.
    columns = np.ascontiguousarray(np.asarray(correct, bool).T)
    kinds = {column.tobytes(): place for place, column in enumerate(columns)}
    different = columns[list(kinds.values())].T
    found = dict(zip(kinds, _accuracies(different, labels, Patients.named(patients), balanced), strict=True))
    return [found[column.tobytes()] for column in columns]


def _accuracies(correct: np.ndarray, labels: np.ndarray, who: Patients, balanced: bool) -> list[Estimate]:
    right, classes = correct.astype(float), _classes(labels, balanced)
    sizes = [who.sums(own.astype(float)) for own in classes]
    counts = [who.sums(right * own[:, None]) for own in classes]
    values = np.mean([c.sum(0) / s.sum() for c, s in zip(counts, sizes, strict=True)], axis=0)
    if who.count < MINIMUM_PATIENTS:
        return [Estimate(float(value)) for value in values]
    bounds: dict[int, tuple[float, float]] = {}
    by_class = [clustered_shares(c, s) for c, s in zip(counts, sizes, strict=True)]
    for column, shares in enumerate(zip(*by_class, strict=True)):
        if any(share.effective * min(share.value, 1 - share.value) < ENOUGH for share in shares):
            bounds[column] = _put_together(shares, sizes)
    # What Wilson's interval answers is not resampled: on small splits that is nearly everything.
    rest = [column for column in range(len(values)) if column not in bounds]
    if rest:
        low, high = _resampled([c[:, rest] for c in counts], sizes, who.count)
        bounds |= zip(rest, zip(low.tolist(), high.tolist(), strict=True), strict=True)
    return [Estimate(float(value), *bounds[column]) for column, value in enumerate(values)]


def share_interval(
    counts: np.ndarray, labels: np.ndarray, patients: Sequence[str] | np.ndarray
) -> Estimate | None:
    """The share of some images with its interval; None where there is no image.

    Args:
        counts, labels, patients: of those images alone, as in `accuracy_interval`.
    """
    return accuracy_interval(counts, labels, patients) if len(counts) else None


def paired_difference(
    first: np.ndarray,
    second: np.ndarray,
    labels: np.ndarray,
    patients: Sequence[str] | np.ndarray,
    balanced: bool = False,
) -> Estimate:
    """Accuracy of `first` minus that of `second` on the same images, with its 95 % interval from resampled patients.

    Both are judged on the same resampled patients, so what makes an image hard for both cancels. It stands by itself;
    for a whole board see `benchmark.statistics.comparison`.
    """
    return mean_interval(np.asarray(first, float) - np.asarray(second, float), labels, patients, balanced)


def mean_interval(
    values: np.ndarray, labels: np.ndarray, patients: Sequence[str] | np.ndarray, balanced: bool = False
) -> Estimate:
    """The mean of numbers of images with its 95 % interval from resampled patients.

    Args:
        values: (N,) of any size and sign. labels, patients, balanced: as in `accuracy_interval`.
    """
    return mean_intervals(np.asarray(values, float)[:, None], labels, patients, balanced)[0]


def mean_intervals(
    values: np.ndarray, labels: np.ndarray, patients: Sequence[str] | np.ndarray, balanced: bool = False
) -> list[Estimate]:
    """Means of many columns of numbers of the same images, all from the same resampled patients.

    Args:
        values: (N, C) of any size and sign. labels, patients, balanced: as in `accuracy_interval`.
    """
    who, classes = Patients.named(patients), _classes(labels, balanced)
    means = [balanced_accuracy(each, labels) if balanced else float(each.mean()) for each in values.T.copy()]
    if who.count < MINIMUM_PATIENTS:
        return [Estimate(mean) for mean in means]
    sizes = [who.sums(own.astype(float)) for own in classes]
    found: list[Estimate] = []
    for start in range(0, len(means), AT_ONCE):
        part = values[:, start : start + AT_ONCE]
        low, high = _resampled([who.sums(part * own[:, None]) for own in classes], sizes, who.count)
        ends = zip(low.tolist(), high.tolist(), strict=True)
        found += [Estimate(mean, *each) for mean, each in zip(means[start:], ends, strict=False)]
    return found


def wilson(share: float, count: float, z: float = NORMAL) -> tuple[float, float]:
    """Interval of a proportion of `count` independent units (Wilson 1927, J Am Stat Assoc 22:209).

    >>> [round(bound, 4) for bound in wilson(0.0, 100)]
    [0.0, 0.037]
    """
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5 / (1 + z * z / count)
    # The ends are exact where the share is at one: rounding must not leave a bound on the wrong side of it.
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def clustered_wilson(share: ClusteredShare) -> tuple[float, float]:
    """Wilson's interval of a share of patients' images.

    With the effective number of images (recommended for small proportions of clustered samples by Franco et al. 2019,
    J Surv Stat Methodol 7:334) and Student's t on the degrees of freedom that its variance has.
    """
    return wilson(share.value, share.effective, float(stdtrit(max(share.freedom, LEAST_FREEDOM), 0.975)))


def _put_together(shares: Sequence[ClusteredShare], sizes: Sequence[np.ndarray]) -> tuple[float, float]:
    """The interval of the mean of shares from theirs, allowing for what patients of both classes have in common."""
    if len(shares) == 1:
        return clustered_wilson(shares[0])
    one, two = shares
    (low_1, high_1), (low_2, high_2) = clustered_wilson(one), clustered_wilson(two)
    first, second = sizes[0] > 0, sizes[1] > 0
    common = math.fsum((one.residuals[second[first]] * two.residuals[first[second]]).tolist())
    alone = math.sqrt(one.squares * two.squares)
    together = common / alone if alone > 0 else 0.0
    value = (one.value + two.value) / 2
    below = _length(one.value - low_1, two.value - low_2, together) / 2
    above = _length(high_1 - one.value, high_2 - two.value, together) / 2
    return max(0.0, value - below), min(1.0, value + above)


def _length(first: float, second: float, together: float) -> float:
    return math.sqrt(max(0.0, first * first + second * second + 2 * together * first * second))


def _classes(labels: np.ndarray, balanced: bool) -> list[np.ndarray]:
    labels = np.asarray(labels)
    if not balanced:
        return [np.ones(len(labels), bool)]
    return [own for own in (labels == 0, labels == 1) if own.any()]


def _resampled(
    sums: Sequence[np.ndarray], sizes: Sequence[np.ndarray], patients: int
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile intervals of the mean over classes of the columns' shares: two (C,)."""
    # One drawing for all classes: their sums first, then their sizes.
    drawn = resampled_sums(np.column_stack([*sums, *sizes]))
    columns, classes = sums[0].shape[1], len(sums)
    with np.errstate(invalid="ignore"):
        mean = sum(
            drawn[:, columns * k : columns * (k + 1)] / drawn[:, [columns * classes + k]]
            for k in range(classes)
        )
        return percentiles(np.asarray(mean) / classes, patients)
