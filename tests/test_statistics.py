"""Error bars against an independent computation, and against the closed form."""

import random

import numpy as np
import pytest

from benchmark.statistics import (
    MINIMUM_PATIENTS,
    Estimate,
    accuracy_interval,
    balanced_accuracy,
    paired_difference,
)


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
