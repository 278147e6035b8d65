"""Accuracy over coverage, and its area, against what the definitions give by brute force."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.selective import risk_coverage

ANSWERS = st.lists(
    st.tuples(st.sampled_from([0.1, 0.2, 0.5, np.inf]), st.booleans()), min_size=1, max_size=30
)


def split(pairs):
    confidence, correct = zip(*pairs, strict=True)
    return np.array(confidence, float), np.array(correct)


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=6))
def test_ties_count_as_the_mean_of_every_order(pairs):
    confidence, correct = split(pairs)

    orders = [o for o in permutations(range(len(pairs))) if (np.diff(confidence[list(o)]) <= 0).all()]
    curves = [np.cumsum(correct[list(o)]) / np.arange(1, len(o) + 1) for o in orders]

    assert risk_coverage(confidence, correct).accuracy == pytest.approx(np.mean(curves, axis=0))
    assert risk_coverage(confidence, correct).area == pytest.approx(1 - np.mean(curves))


@given(ANSWERS)
def test_the_area_lies_above_the_smallest_and_chance_is_the_error(pairs):
    confidence, correct = split(pairs)

    curve = risk_coverage(confidence, correct)

    assert curve.smallest_area <= curve.area + 1e-12
    assert curve.smallest_area == pytest.approx(risk_coverage(correct.astype(float), correct).area)
    assert curve.area_by_chance == pytest.approx(1 - correct.mean())
    assert risk_coverage(np.zeros(len(correct)), correct).area == pytest.approx(curve.area_by_chance)


@given(ANSWERS, st.randoms())
def test_the_order_of_the_rows_does_not_matter(pairs, random):
    shuffled = random.sample(pairs, len(pairs))

    assert risk_coverage(*split(shuffled)).accuracy == pytest.approx(risk_coverage(*split(pairs)).accuracy)


def test_accuracy_at_a_coverage():
    confidence, correct = np.arange(10)[::-1], np.array([1, 1, 1, 1, 1, 1, 1, 0, 0, 0])

    curve = risk_coverage(confidence, correct)

    assert curve.at(1) == 0.7
    assert curve.at(0.8) == 7 / 8
    assert curve.at(0.7) == 1
    assert curve.at(0) == 1  # one image at least is answered
    assert curve.coverage[-1] == 1
