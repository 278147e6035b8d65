"""AUROC, Brier, calibration, thresholds and areas: against other people's code, and against cases by hand."""

import numpy as np
import pytest
from MLstatkit import Delong_test
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, roc_auc_score

from benchmark.statistics.confidence import (
    BINS,
    Threshold,
    calibration_error,
    confidence,
    scores,
    validation_threshold,
)
from benchmark.statistics.curve import area_under_curve, area_weights
from benchmark.statistics.roc import auroc, auroc_difference, auroc_interval, auroc_variance


def images(patients=60, each=4, seed=0, apart=1.0):
    """Scores, labels and owners; a patient's images have something in common. Rounded, so that some tie."""
    draw = np.random.default_rng(seed)
    owner = np.repeat(np.arange(patients), each)
    labels = draw.integers(0, 2, len(owner))
    found = draw.normal(size=patients)[owner] * 0.7 + draw.normal(size=len(owner)) + apart * labels
    return found.round(1), labels, owner.astype(str)


def margins_of(found, labels):
    return np.where(labels == 1, found, -found)


def test_auroc_is_scikit_learn_s():
    found, labels, _ = images()

    assert auroc(found, labels) == pytest.approx(roc_auc_score(labels, found))


def test_with_one_image_a_patient_a_difference_is_delong_s():
    (first, labels, _), (noise, *_) = images(seed=1), images(seed=2)
    second = (first + noise).round(1)
    each = np.arange(len(labels)).astype(str)

    found = auroc_difference(first, second, labels, each)

    z, p, *_, details = Delong_test(labels, expit(first), expit(second))
    assert abs(found.z) == pytest.approx(abs(z))
    assert found.p == pytest.approx(p)
    assert found.standard_error**2 == pytest.approx(details["var_diff"])
    assert found.value == pytest.approx(roc_auc_score(labels, first) - roc_auc_score(labels, second))


def test_copies_of_images_add_nothing_to_the_variance():
    found, labels, _ = images(200, 1)
    once = auroc_variance(found, labels, np.arange(200).astype(str))

    often = auroc_variance(
        np.repeat(found, 5), np.repeat(labels, 5), np.repeat(np.arange(200), 5).astype(str)
    )

    assert often == pytest.approx(once, rel=0.02)


def test_copies_of_images_make_no_difference_surer():
    found, labels, _ = images(200, 1)
    other = found + np.random.default_rng(8).normal(size=200)
    owner = np.arange(200).astype(str)

    once, often = (
        auroc_difference(*(np.repeat(told, times) for told in (found, other, labels, owner)))
        for times in (1, 5)
    )

    assert often.value == pytest.approx(once.value)
    assert often.standard_error == pytest.approx(once.standard_error, rel=0.02)


def test_the_variance_and_the_interval_are_those_of_resampled_patients():
    found, labels, owner = images(80, 4, apart=0.8)
    draw, areas = np.random.default_rng(0), []
    rows = [np.flatnonzero(owner == who) for who in np.unique(owner)]
    for _ in range(1500):
        chosen = np.concatenate([rows[i] for i in draw.integers(0, len(rows), len(rows))])
        areas.append(auroc(found[chosen], labels[chosen]))

    interval = auroc_interval(found, labels, owner)

    assert auroc_variance(found, labels, owner) == pytest.approx(np.var(areas), rel=0.15)
    low, high = np.percentile(areas, [2.5, 97.5])
    assert (interval.low, interval.high) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))


def test_a_perfect_order_is_not_certain():
    labels = np.arange(80) % 2

    best = auroc_interval(labels.astype(float), labels, np.arange(80).astype(str))
    worst = auroc_interval(-labels.astype(float), labels, np.arange(80).astype(str))

    assert (best.value, best.high) == (1, 1)
    assert 0.85 < best.low < 0.95
    assert (worst.low, worst.high) == pytest.approx((0, 1 - best.low))


def test_no_area_without_both_classes_and_no_interval_below_twenty_patients():
    found, labels, owner = images(19)

    assert auroc_interval(found, np.ones_like(labels), owner) is None
    assert auroc_interval(found, labels, owner).low is None


def test_brier_and_sure_errors():
    found, labels, owner = images()
    margins = margins_of(found, labels) * 3

    got = confidence(margins, labels, owner, None)

    assert got.brier.value == pytest.approx(brier_score_loss(labels, expit(3 * found)))
    wrong, sure = (3 * found > 0) != (labels == 1), np.maximum(expit(3 * found), expit(-3 * found))
    assert got.sure_errors.value == pytest.approx(np.mean(wrong & (sure > 0.9)))
    assert got.sure_errors.value > 0
    assert got.auroc.value == pytest.approx(roc_auc_score(labels, found))
    assert got.sensitivity is None


def test_a_saturated_margin_is_as_sure_as_can_be():
    labels = np.arange(40) % 2

    got = confidence(np.full(40, -1e6), labels, np.arange(40).astype(str), None)

    assert (got.brier.value, got.sure_errors.value, got.auroc.value) == (1, 1, 0)
    assert got.calibration_error.value == pytest.approx(1)


def test_the_calibration_error_is_that_of_the_bins():
    found, labels, owner = images()
    disease = expit(found * 2)

    got = calibration_error(disease, labels, owner)

    shares, means = calibration_curve(labels, disease, n_bins=BINS)
    counts = np.histogram(disease, np.linspace(0, 1, BINS + 1))[0]
    expected = np.sum(counts[counts > 0] * np.abs(shares - means)) / len(labels)
    assert got.value == pytest.approx(expected)
    assert 0 <= got.low <= got.high


def test_the_interval_of_the_calibration_error_takes_its_bias_away():
    # Perfectly calibrated: all of the figure is bias, and the interval must lie mostly below it.
    draw = np.random.default_rng(3)
    disease = draw.random(400)

    got = calibration_error(disease, (draw.random(400) < disease).astype(int), np.arange(400).astype(str))

    assert got.value > 0.03
    assert got.value - got.low > 3 * (got.high - got.value)


def test_scores_are_margins_seen_from_disease():
    assert scores(np.array([2.0, 3.0, -1.0]), np.array([1, 0, 0])).tolist() == [2, -3, 1]


def test_the_threshold_keeps_ninety_per_cent_of_the_healthy():
    healthy = np.array([-3.0, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 7])
    labels = np.concatenate([np.zeros(10, int), np.ones(3, int)])

    found = validation_threshold(np.concatenate([-healthy, [9, 9, -9]]), labels)

    assert found == Threshold(1.0, 0.9)
    assert validation_threshold(np.array([1.0]), np.array([1])) is None


def test_sensitivity_and_specificity_are_taken_at_the_threshold():
    found, labels, owner = images()

    got = confidence(margins_of(found, labels), labels, owner, Threshold(0.7, 0.9))

    assert got.sensitivity.value == pytest.approx(np.mean(found[labels == 1] > 0.7))
    assert got.specificity.value == pytest.approx(np.mean(found[labels == 0] <= 0.7))


def test_the_area_is_numpy_s_trapezoid():
    grid = ["0.001", "0.002", "0.01"]
    draw = np.random.default_rng(0)
    smallest = draw.uniform(0, 0.012, 200)
    right = np.column_stack([smallest > float(e) for e in ("0", *grid)])
    labels = np.arange(200) % 2

    found = area_under_curve(right, labels, np.arange(200).astype(str), grid)

    balanced = [np.mean([row[labels == c].mean() for c in (0, 1)]) for row in right.T]
    expected = np.trapezoid(balanced, [0, 0.001, 0.002, 0.01]) / 0.01
    assert found.value == pytest.approx(expected)
    assert found.low < found.value < found.high
    assert area_weights(grid).sum() == pytest.approx(1)
