"""The area under the ROC curve where a patient has several images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, stdtrit

from benchmark.statistics.bootstrap import drawn, exact_kind, percentiles
from benchmark.statistics.estimate import MINIMUM_PATIENTS, Estimate
from benchmark.statistics.patients import Patients
from benchmark.statistics.shares import ENOUGH, wilson


@dataclass(frozen=True)
class AreaDifference:
    """AUROC of one set of scores minus that of another on the same images; z and p two-sided."""

    value: float
    standard_error: float
    z: float
    p: float


def auroc(scores: np.ndarray, labels: np.ndarray) -> float:
    """How often a diseased image has the higher score than a healthy one; a tie counts half (Mann & Whitney 1947).

    Args:
        scores: (N,), larger is more diseased. labels: (N,), 0 or 1, both there.

    >>> auroc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 0, 1, 1]))
    0.875
    """
    return float(_placements(np.asarray(scores, float), np.asarray(labels))[0].mean())


def auroc_interval(
    scores: np.ndarray, labels: np.ndarray, patients: Sequence[str] | np.ndarray
) -> Estimate | None:
    """AUROC with its 95 % interval from resampled patients; None where a class is not there.

    Close to 0 and 1, where resamples agree too much, it is Wilson's interval on as many pairs as give Obuchowski's
    variance; at 0 and 1 themselves on the patients of the rarer class.

    Args:
        scores: (N,), larger is more diseased. labels: (N,), 0 or 1. patients: N ids.
    """
    scores, labels, who = np.asarray(scores, float), np.asarray(labels), Patients.named(patients)
    diseased = labels == 1
    if diseased.all() or not diseased.any():
        return None
    value = auroc(scores, labels)
    if who.count < MINIMUM_PATIENTS:
        return Estimate(value)
    variance = auroc_variance(scores, labels, patients)
    rarer = min(len(np.unique(who.of_image[own])) for own in (diseased, ~diseased))
    effective = value * (1 - value) / variance if variance > 0 else float(rarer)
    if effective * min(value, 1 - value) < ENOUGH:
        return Estimate(value, *wilson(value, effective, float(stdtrit(max(rarer - 1, 1), 0.975))))
    low, high = percentiles(_resampled(scores, diseased, who), who.count)
    return Estimate(value, float(low), float(high))


def auroc_variance(scores: np.ndarray, labels: np.ndarray, patients: Sequence[str] | np.ndarray) -> float:
    """Of the AUROC, with what a patient's images have in common (Obuchowski 1997, Biometrics 53:567).

    With one image of each patient it is DeLong's (DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837).
    """
    of_diseased, of_healthy = _placements(np.asarray(scores, float), np.asarray(labels))
    return _variance(of_diseased, of_healthy, np.asarray(labels) == 1, Patients.named(patients))


def auroc_difference(
    first: np.ndarray, second: np.ndarray, labels: np.ndarray, patients: Sequence[str] | np.ndarray
) -> AreaDifference:
    """AUROC of `first` minus that of `second`, paired and clustered (DeLong 1988; Obuchowski 1997).

    Args:
        first, second: (N,) scores of the same images. labels: (N,), 0 or 1, both there. patients: N ids.
    """
    labels = np.asarray(labels)
    one, two = (_placements(np.asarray(scores, float), labels) for scores in (first, second))
    value = float(one[0].mean() - two[0].mean())
    variance = _variance(one[0] - two[0], one[1] - two[1], labels == 1, Patients.named(patients))
    error = math.sqrt(max(variance, 0.0))
    z = value / error if error > 0 else 0.0
    return AreaDifference(value, error, z, 2 * float(ndtr(-abs(z))))


def _placements(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each diseased image the share of healthy ones below it, for each healthy one of diseased ones above it."""
    diseased, healthy = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])

    def below(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
        return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / (
            2 * len(ordered)
        )

    return below(scores[labels == 1], healthy), 1 - below(scores[labels == 0], diseased)


def _variance(of_diseased: np.ndarray, of_healthy: np.ndarray, diseased: np.ndarray, who: Patients) -> float:
    pulls, owners = [], []
    for values, own in ((of_diseased, diseased), (of_healthy, ~diseased)):
        column = np.zeros(len(diseased))
        column[own] = (values - values.mean()) / len(values)
        pulls.append(who.sums(column))
        owners.append(len(np.unique(who.of_image[own])))
    (one, two), all_of_them = pulls, who.count
    sizes = [n / (n - 1) if n > 1 else 0.0 for n in owners]
    return float(
        sizes[0] * math.fsum(one**2)
        + sizes[1] * math.fsum(two**2)
        + 2 * all_of_them / (all_of_them - 1) * math.fsum(one * two)
    )


def _resampled(scores: np.ndarray, diseased: np.ndarray, who: Patients) -> np.ndarray:
    """AUROC of every resample of patients: (RESAMPLES,) float64, NaN where one lacks a class."""
    ordered = np.sort(scores[~diseased])
    order = np.argsort(scores[~diseased], kind="stable")
    # Which patients' healthy images lie below each diseased image: sums over patients, so that a resample is one product.
    won = np.zeros((who.count, who.count))
    rank = {side: np.searchsorted(ordered, scores[diseased], side) for side in ("left", "right")}
    owner = who.of_image[~diseased][order]
    below = np.zeros((len(ordered) + 1, who.count))
    np.cumsum(np.eye(who.count)[owner], axis=0, out=below[1:])
    np.add.at(won, who.of_image[diseased], (below[rank["left"]] + below[rank["right"]]) / 2)
    sizes = np.column_stack([who.sums(own.astype(float)) for own in (diseased, ~diseased)])
    found = []
    # A tie is a half: twice the sums are whole numbers, exact in the smaller kind of number too.
    won *= 2
    kind = exact_kind(won)
    told = won.astype(kind)
    with np.errstate(invalid="ignore"):
        for draws in drawn(who.count, kind):
            counts = draws.astype(float) @ sizes
            beaten = np.einsum("ij,ij->i", (draws @ told).astype(float), draws.astype(float)) / 2
            found.append(beaten / (counts[:, 0] * counts[:, 1]))
    return np.concatenate(found)
