"""Error bars against an independent computation, and against the closed form."""

import random
import time

import numpy as np
import pytest
from board_of_equals import coverage
from scipy.special import ndtr, stdtrit
from scipy.stats import binomtest, bootstrap
from sklearn.metrics import balanced_accuracy_score
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.proportion import proportion_confint

from benchmark.statistics import (
    MINIMUM_PATIENTS,
    Estimate,
    accuracy_interval,
    accuracy_intervals,
    balanced_accuracy,
    paired_difference,
    share_interval,
    shares,
    wilson,
)
from benchmark.statistics import bootstrap as resamples
from benchmark.statistics.agreement import agreement, agreements
from benchmark.statistics.patients import Patients, clustered_share, clustered_shares


def clustered(patients=40, seed=0):
    """Images of patients who are easy or hard as a whole: correct, labels, patient ids."""
    draw = np.random.default_rng(seed)
    ids, correct, labels = [], [], []
    for patient in range(patients):
        size, ease = draw.integers(1, 7), draw.beta(1, 0.7)
        ids += [f"p{patient}"] * size
        correct += list(draw.random(size) < ease)
        labels += list(draw.integers(0, 2, size))
    return np.array(correct), np.array(labels), ids


def plain_bootstrap(scores, labels, patients, balanced, draws=3000):
    """The same interval with lists and loops."""
    groups = {}
    for score, label, patient in zip(scores, labels, patients, strict=True):
        groups.setdefault(patient, []).append((float(score), int(label)))
    chance, names, means = random.Random(1), sorted(groups), []
    for _ in range(draws):
        rows = [row for name in chance.choices(names, k=len(names)) for row in groups[name]]
        if balanced:
            each = [[score for score, label in rows if label == wanted] for wanted in (0, 1)]
            means.append(sum(sum(scores) / len(scores) for scores in each) / 2)
        else:
            means.append(sum(score for score, _ in rows) / len(rows))
    means.sort()
    return means[int(0.025 * draws)], means[int(0.975 * draws)]


@pytest.mark.parametrize("balanced", [False, True])
def test_the_interval_is_that_of_resampled_patients(balanced):
    correct, labels, patients = clustered()

    found = accuracy_interval(correct, labels, patients, balanced)

    low, high = plain_bootstrap(correct, labels, patients, balanced)
    assert found.low == pytest.approx(low, abs=0.012)
    assert found.high == pytest.approx(high, abs=0.012)
    assert found.low < found.value < found.high


@pytest.mark.parametrize("balanced", [False, True])
def test_the_interval_of_a_difference_is_that_of_resampled_patients(balanced):
    first, labels, patients = clustered(seed=1)
    second = first & (np.random.default_rng(3).random(len(first)) < 0.7)

    found = paired_difference(first, second, labels, patients, balanced)

    low, high = plain_bootstrap(first.astype(float) - second, labels, patients, balanced)
    assert (found.low, found.high) == (pytest.approx(low, abs=0.015), pytest.approx(high, abs=0.015))
    assert 0 < found.low < found.value < found.high


def test_for_many_independent_patients_the_interval_is_the_normal_one():
    n, rate = 1000, 0.8
    correct = np.arange(n) < rate * n

    found = accuracy_interval(correct, np.zeros(n, int), [str(i) for i in range(n)])

    half = 1.96 * (rate * (1 - rate) / n) ** 0.5
    assert found.value == rate
    assert (found.low, found.high) == (
        pytest.approx(rate - half, abs=0.003),
        pytest.approx(rate + half, abs=0.003),
    )


def test_copies_of_a_patient_s_image_add_no_certainty():
    correct, labels, patients = clustered(60)
    once = accuracy_interval(correct, labels, patients)

    often = accuracy_interval(np.repeat(correct, 5), np.repeat(labels, 5), np.repeat(patients, 5))

    assert often == once


@pytest.mark.parametrize("balanced", [False, True])
def test_copies_add_no_certainty_to_a_difference_either(balanced):
    first, labels, patients = clustered(60)
    second = np.roll(first, 7)

    once, often = (
        paired_difference(*(np.repeat(told, times) for told in (first, second, labels, patients)), balanced)
        for times in (1, 5)
    )

    assert (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high))


def test_below_twenty_patients_there_is_no_interval():
    def interval(patients):
        return accuracy_interval(
            np.arange(100) % 3 > 0, np.arange(100) % 2, [str(i % patients) for i in range(100)]
        )

    assert interval(MINIMUM_PATIENTS - 1) == Estimate(0.66, None, None)
    assert interval(MINIMUM_PATIENTS).low is not None


def test_the_difference_of_the_same_results_is_zero_without_doubt():
    correct, labels, patients = clustered()

    assert paired_difference(correct, correct, labels, patients) == Estimate(0.0, 0.0, 0.0)


def test_a_difference_turned_round_changes_its_sign():
    first, labels, patients = clustered()
    second = np.roll(first, 3)

    there, back = (paired_difference(a, b, labels, patients) for a, b in ((first, second), (second, first)))

    assert there.value == pytest.approx(-back.value)
    assert (there.low, there.high) == (pytest.approx(-back.high), pytest.approx(-back.low))


def test_pairing_makes_the_interval_of_a_difference_narrow():
    first, labels, patients = clustered(100)
    second = first.copy()
    second[0] = not second[0]

    paired, alone = (
        paired_difference(first, second, labels, patients),
        accuracy_interval(first, labels, patients),
    )

    assert paired.high - paired.low < 0.2 * (alone.high - alone.low)


def test_balanced_accuracy_by_hand():
    correct, labels = np.array([1, 1, 1, 0, 1], bool), np.array([0, 0, 0, 0, 1])

    assert balanced_accuracy(correct, labels) == (3 / 4 + 1) / 2
    assert balanced_accuracy(correct[:4], labels[:4]) == 3 / 4


def test_one_class_alone_still_has_a_balanced_interval():
    correct, _, patients = clustered()
    labels = np.ones(len(correct), int)

    assert accuracy_interval(correct, labels, patients, balanced=True) == accuracy_interval(
        correct, labels, patients
    )


def test_the_interval_is_the_same_every_time_and_whatever_the_order():
    correct, labels, patients = clustered()
    order = np.random.default_rng(0).permutation(len(correct))

    first = accuracy_interval(correct, labels, patients)
    second = accuracy_interval(correct[order], labels[order], [patients[i] for i in order])

    assert (first.low, first.high) == (pytest.approx(second.low), pytest.approx(second.high))


@pytest.mark.parametrize(("right", "count"), [(0, 30), (1, 30), (17, 40), (99, 100), (60, 60)])
def test_wilson_s_interval_is_that_of_scipy_and_statsmodels(right, count):
    found = wilson(right / count, count)

    other = binomtest(right, count).proportion_ci(method="wilson")
    assert found == pytest.approx((other.low, other.high), abs=1e-6)
    assert found == pytest.approx(proportion_confint(right, count, method="wilson"), abs=1e-6)


def test_balanced_accuracy_is_scikit_learn_s():
    correct, labels, _ = clustered(seed=4)

    assert balanced_accuracy(correct, labels) == pytest.approx(
        balanced_accuracy_score(labels, np.where(correct, labels, 1 - labels))
    )


@pytest.mark.parametrize("balanced", [False, True])
def test_many_columns_at_once_are_each_column_alone(balanced):
    _, labels, ids = clustered(60)
    draw = np.random.default_rng(3)
    # Nearly all right is Wilson's, half right is resampled, and some columns come twice.
    columns = draw.random((len(labels), 6)) < [0.02, 0.3, 0.5, 0.7, 0.97, 1.0]
    columns = np.column_stack([columns, columns[:, ::-1], np.zeros(len(labels), bool)])

    found = accuracy_intervals(columns, labels, ids, balanced)

    assert found == [accuracy_interval(column, labels, ids, balanced) for column in columns.T]
    assert found[:6] == found[6:12][::-1]
    assert len(set(found)) == 7


def test_shares_of_many_columns_are_those_of_each():
    draw = np.random.default_rng(0)
    sizes = draw.integers(0, 5, 50)
    counts = draw.binomial(sizes[:, None], [0.0, 0.1, 0.5, 1.0])

    for column, found in zip(counts.T, clustered_shares(counts, sizes), strict=True):
        alone = clustered_share(column, sizes)
        assert (found.value, found.effective, found.freedom) == (alone.value, alone.effective, alone.freedom)
        assert (found.residuals == alone.residuals).all()
        assert found.variance == alone.variance
        assert found.value == pytest.approx(column.sum() / sizes.sum())
        assert found.squares == pytest.approx(
            ((column - found.value * sizes)[sizes > 0] ** 2).sum() / sizes.sum() ** 2
        )


def test_a_patient_s_sums_are_the_same_bits_of_one_column_and_of_many():
    draw = np.random.default_rng(0)
    who, columns = Patients.named(draw.integers(0, 9, 70).astype(str)), draw.normal(size=(70, 5))

    assert who.sums(columns).shape == (9, 5)
    assert all((who.sums(columns)[:, k] == who.sums(columns[:, k])).all() for k in range(5))
    assert who.sums(columns[:, 0]) == pytest.approx([columns[who.of_image == g, 0].sum() for g in range(9)])


@pytest.mark.parametrize("many", [10_000, 999, 2])
def test_ends_of_resamples_are_numpy_s_percentiles_to_the_last_bit(many):
    draw = np.random.default_rng(many)
    even, far = (
        draw.normal(size=(many, 3)),
        draw.pareto(1, size=many),
    )  # of `far` hardly any lie far below the mean
    columns = np.column_stack([even, far, -far, draw.random(many) < 0.5, np.zeros(many)])

    for patients in (20, 33, 70, 500):
        level = float(ndtr(-np.sqrt(patients / (patients - 1)) * stdtrit(patients - 1, 0.975)))
        expected = np.percentile(columns, [100 * level, 100 * (1 - level)], axis=0)
        assert (np.array(resamples.percentiles(columns, patients)) == expected).all()


def test_many_means_at_once_are_those_of_each_alone(monkeypatch):
    monkeypatch.setattr(shares, "AT_ONCE", 2)
    draw = np.random.default_rng(0)
    values, labels, patients = draw.integers(-1, 2, (60, 5)), np.arange(60) % 2, np.arange(60) // 2

    for balanced in (False, True):
        found = shares.mean_intervals(values, labels, patients, balanced)
        assert found == [shares.mean_interval(each, labels, patients, balanced) for each in values.T]
        assert len(set(found)) == 5


def test_a_resampled_interval_is_a_little_wider_than_scipy_s_percentiles():
    values = np.random.default_rng(0).normal(size=40)
    other = bootstrap((values,), np.mean, method="percentile", n_resamples=10_000, rng=0).confidence_interval

    found = paired_difference(values, np.zeros(40), np.zeros(40), [str(i) for i in range(40)])

    # √(40/39) · t₃₉ / 1.96, of Hesterberg 2015
    wider = (found.high - found.low) / (other.high - other.low)
    assert wider == pytest.approx((40 / 39) ** 0.5 * 2.0227 / 1.96, abs=0.03)


def test_independent_images_have_no_design_effect_and_copies_have_their_number():
    right = np.random.default_rng(0).random(2000) < 0.6
    one_each = Patients.named(np.arange(2000).astype(str))

    alone = clustered_share(one_each.sums(right.astype(float)), one_each.sums(np.ones(2000)))
    copies = clustered_share(5.0 * right, np.full(2000, 5.0))

    assert alone.effective == pytest.approx(2000, rel=0.001)
    assert copies.effective == pytest.approx(2000, rel=0.001)
    assert copies.design_effect == pytest.approx(5, rel=0.001)


def test_the_design_effect_is_kish_s():
    draw, likeness = np.random.default_rng(1), 0.4
    ease = draw.beta(0.6 * 1.5, 0.4 * 1.5, 4000)
    right = draw.binomial(3, ease).astype(float)

    found = clustered_share(right, np.full(4000, 3.0))

    assert found.design_effect == pytest.approx(1 + 2 * likeness, abs=0.1)


def test_the_variance_of_a_share_is_statsmodels_clustered_one():
    correct, _, patients = clustered(25, seed=6)
    groups = np.unique(patients, return_inverse=True)[1]
    who = Patients.named(patients)

    found = clustered_share(who.sums(correct.astype(float)), who.sums(np.ones(len(correct))))

    fit = OLS(correct.astype(float), np.ones(len(correct))).fit(
        cov_type="cluster", cov_kwds={"groups": groups}
    )
    assert found.variance == pytest.approx(fit.bse[0] ** 2)


def test_a_variance_that_rests_on_two_patients_has_few_degrees_of_freedom():
    counts = np.full(60, 3.0)
    counts[[4, 9]] = 0

    few, many = (
        clustered_share(counts, np.full(60, 3.0)),
        clustered_share(np.arange(60) % 4, np.full(60, 3.0)),
    )

    assert few.freedom < 5
    assert many.freedom > 50


def test_where_all_images_agree_each_patient_counts_once():
    labels = np.arange(120) % 2
    found = accuracy_interval(np.ones(120, bool), labels, [str(i // 3) for i in range(120)])

    # Student's t of 39 degrees of freedom for the normal's 1.96
    assert (found.low, found.high) == (pytest.approx(wilson(1, 40, 2.0227)[0], abs=1e-4), 1)


@pytest.mark.parametrize(("healthy", "t"), [(60, 2.001), (300, 1.968)])
def test_one_class_at_its_end_still_has_a_width(healthy, t):
    # All diseased images right: resampling alone would take that for certain, however much it knows of the others.
    labels = np.repeat([0, 1], [healthy, 60])
    correct = np.concatenate([np.arange(healthy) % 2 == 0, np.ones(60, bool)])

    found = accuracy_interval(correct, labels, np.arange(healthy + 60).astype(str), balanced=True)

    low = wilson(0.5, healthy, t)[0], wilson(1, 60, 2.001)[0]
    expected = 0.75 - ((0.5 - low[0]) ** 2 + (1 - low[1]) ** 2) ** 0.5 / 2
    assert found.low == pytest.approx(expected, abs=2e-3)
    assert found.value < found.high <= 1


def test_what_a_patient_s_classes_have_in_common_widens_the_interval():
    # The same patients are easy or hard in both classes, or hard in one where they are easy in the other.
    ease = np.random.default_rng(2).random(50) < 0.5
    owner = np.tile(np.arange(50), 2).astype(str)
    labels = np.repeat([0, 1], 50)

    alike = accuracy_interval(np.concatenate([ease, ease]), labels, owner, balanced=True)
    opposed = accuracy_interval(np.concatenate([ease, ~ease]), labels, owner, balanced=True)

    assert alike.high - alike.low > 0.2
    assert opposed.high - opposed.low < 0.05


@pytest.mark.parametrize("balanced", [False, True])
def test_many_columns_have_the_intervals_of_each(balanced):
    columns = np.column_stack(
        [clustered(seed=0)[0], ~clustered(seed=0)[0], np.ones(len(clustered()[0]), bool)]
    )
    _, labels, patients = clustered()

    found = accuracy_intervals(columns, labels, patients, balanced)

    assert found == [accuracy_interval(column, labels, patients, balanced) for column in columns.T]


@pytest.mark.parametrize("balanced", [False, True])
def test_columns_that_are_resampled_and_columns_that_are_not_keep_their_places(balanced):
    draw = np.random.default_rng(5)
    columns = draw.random((600, 6)) < np.array([0.99, 0.5, 1.0, 0.7, 0.0, 0.35])
    labels, patients = draw.integers(0, 2, 600), np.repeat(np.arange(300), 2)

    found = accuracy_intervals(columns, labels, patients, balanced)

    assert found == [accuracy_interval(column, labels, patients, balanced) for column in columns.T]
    for interval in found:
        assert interval.low <= interval.value <= interval.high


def test_no_images_have_no_share():
    assert share_interval(np.zeros(0, bool), np.zeros(0), []) is None


@pytest.mark.parametrize(
    ("share", "patients", "likeness"),
    [(0.05, 60, 0.5), (0.05, 200, 0.0), (0.25, 60, 0.3), (0.65, 200, 0.5), (0.95, 60, 0.0), (0.95, 200, 0.3)],
)
def test_the_interval_holds_the_truth_as_often_as_it_says(share, patients, likeness):
    # Between 93 and 97 %, and three standard errors of so few samples; resampling alone is at 87 to 92 near 0 and 1.
    samples = 250
    doubt = 3 * (0.95 * 0.05 / samples) ** 0.5

    assert 0.93 - doubt <= coverage(share, patients, likeness, samples) <= 0.97 + doubt


def test_ten_thousand_resamples_of_a_thousand_images_and_fifty_columns_take_two_seconds():
    draw = np.random.default_rng(0)
    columns, labels = draw.random((1000, 50)) < 0.7, draw.integers(0, 2, 1000)
    resamples._counts.cache_clear()
    started = time.process_time()

    accuracy_intervals(columns, labels, np.arange(1000).astype(str), balanced=True)

    assert resamples.RESAMPLES == 10_000
    assert time.process_time() - started <= 2


def test_whole_numbers_are_summed_exactly_whatever_holds_them():
    sums = np.random.default_rng(0).integers(0, 40, (70, 3)).astype(float)
    thirds = np.column_stack([sums, sums[:, 0] / 3])

    assert resamples.exact_kind(sums) == "float32"
    assert resamples.exact_kind(thirds) == "float64"
    drawn = np.concatenate(list(resamples.drawn(70))).astype(int)
    assert len(drawn) == resamples.RESAMPLES
    assert (drawn.sum(1) == 70).all()
    assert (resamples.resampled_sums(sums) == drawn @ sums.astype(int)).all()
    # Each fits into the smaller kind, or has the sign that fits; a resample's sum of them does not.
    for column in (1e6 * sums[:, 0], -1e6 * sums[:, 0], 2**20 + sums[:, 0]):
        assert (
            resamples.resampled_sums(np.column_stack([sums, column]))[:, 3] == drawn @ column.astype(int)
        ).all()


def test_many_pairs_agree_as_each_does_alone():
    draw = np.random.default_rng(0)
    right = draw.random((90, 12)) < np.linspace(0, 1, 12)
    pairs = [(i, j) for i in range(12) for j in range(12)]

    assert agreements(right, pairs) == [agreement(right[:, i], right[:, j]) for i, j in pairs]
    for (i, j), found in zip(pairs, agreements(right, pairs), strict=True):
        one, two = right[:, i], right[:, j]
        told = (found.both, found.first_alone, found.second_alone, found.neither)
        assert told == ((one & two).sum(), (one & ~two).sum(), (~one & two).sum(), (~one & ~two).sum())
        apart = found.first_alone + found.second_alone
        expected = binomtest(found.first_alone, apart).pvalue if apart else 1.0
        assert found.p == pytest.approx(expected, abs=1e-12)
