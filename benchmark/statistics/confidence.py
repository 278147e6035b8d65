"""How far a model's confidence can be trusted: Brier, calibration, a threshold kept from validation, sure mistakes.

Margins are the true logit minus the other, as a record holds them. Under attack these figures mean something only if
the attack was never stopped: a stopped one leaves each image just across the boundary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from benchmark.statistics.bootstrap import percentiles, resampled_sums
from benchmark.statistics.estimate import MINIMUM_PATIENTS, Estimate
from benchmark.statistics.patients import Patients
from benchmark.statistics.roc import auroc_interval
from benchmark.statistics.shares import accuracy_interval, mean_interval, share_interval

BINS = 15
SPECIFICITY = 0.9  # on the validation part, where the threshold is chosen
SURE = 0.9  # from this probability of the answer given on, a model is called confident


@dataclass(frozen=True)
class Confidence:
    """What confidence is worth on one set of images, clean or attacked.

    auroc: None where a class is not there. sensitivity, specificity: at the validation part's threshold; None where there
    is no validation part, or no image of the class. sure_errors: share of all images answered wrongly at a confidence
    above 0.9.
    """

    auroc: Estimate | None
    brier: Estimate
    calibration_error: Estimate
    sensitivity: Estimate | None
    specificity: Estimate | None
    sure_errors: Estimate


@dataclass(frozen=True)
class Threshold:
    """From which score on an image is called diseased, and the specificity that this had on the validation part."""

    score: float
    specificity: float


def scores(margins: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) float64: the logit of disease minus the other, from margins of the true class."""
    return np.where(np.asarray(labels) == 1, 1.0, -1.0) * np.asarray(margins, float)


def validation_threshold(margins: np.ndarray, labels: np.ndarray) -> Threshold | None:
    """The lowest threshold at which at least 90 % of healthy validation images lie at or below it; None without any.

    A threshold belongs to the clean validation part: chosen on the test part or under attack it would be the answer
    sheet (CLAIM 2024; TRIPOD+AI, BMJ 2024;385:e078378).
    """
    healthy = np.sort(scores(margins, labels)[np.asarray(labels) == 0])
    if not len(healthy):
        return None
    score = float(healthy[math.ceil(SPECIFICITY * len(healthy)) - 1])
    return Threshold(score, float((healthy <= score).mean()))


def confidence(
    margins: np.ndarray, labels: np.ndarray, patients: Sequence[str] | np.ndarray, threshold: Threshold | None
) -> Confidence:
    """Every figure on confidence of one set of margins.

    Args:
        margins: (N,), true logit minus the other, all finite. labels: (N,), 0 or 1. patients: N ids.
        threshold: from the validation part.
    """
    labels, found = np.asarray(labels), scores(margins, labels)
    disease, who = expit(found), np.asarray(patients)
    sensitivity = specificity = None
    if threshold is not None:
        positive = found > threshold.score
        sensitivity, specificity = (
            share_interval(
                (positive == (label == 1))[labels == label], labels[labels == label], who[labels == label]
            )
            for label in (1, 0)
        )
    return Confidence(
        auroc_interval(found, labels, patients),
        mean_interval((disease - labels) ** 2, labels, patients),
        calibration_error(disease, labels, patients),
        sensitivity,
        specificity,
        # The wrong answer's probability is expit(−margin).
        accuracy_interval(expit(-np.asarray(margins, float)) > SURE, labels, patients),
    )


def calibration_error(
    disease: np.ndarray, labels: np.ndarray, patients: Sequence[str] | np.ndarray
) -> Estimate:
    """Expected calibration error of the probability of disease, in 15 bins of equal width (Naeini et al. 2015, AAAI).

    It is too large on few images, and its resamples are so once more; the interval is turned round the estimate to take
    that away (basic bootstrap: Davison & Hinkley 1997, §5.2), so it can lie below the figure.

    Args:
        disease: (N,), probabilities of disease. labels: (N,), 0 or 1. patients: N ids.
    """
    disease, labels, who = np.asarray(disease, float), np.asarray(labels), Patients.named(patients)
    inside = np.minimum((disease * BINS).astype(int), BINS - 1)
    off = np.zeros((len(labels), BINS + 1))
    off[np.arange(len(labels)), inside] = labels - disease
    off[:, BINS] = 1
    sums = who.sums(off)
    value = float(np.abs(sums[:, :BINS].sum(0)).sum() / len(labels))
    if who.count < MINIMUM_PATIENTS:
        return Estimate(value)
    drawn = resampled_sums(sums)
    # A resample's bins side by side, so that they are added in one order however they were drawn.
    apart = np.abs(drawn[:, :BINS], order="C").sum(1)
    low, high = percentiles(apart / drawn[:, BINS], who.count)
    return Estimate(value, max(0.0, 2 * value - float(high)), max(0.0, 2 * value - float(low)))
