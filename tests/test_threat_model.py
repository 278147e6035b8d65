"""Inside the ball means inside, in exact arithmetic."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import ProtocolError
from benchmark.threat_model import ThreatModel, achieved, parse_epsilon

PIXEL = st.floats(0, 1, width=32) | st.integers(0, 65535).map(
    lambda level: float(np.float32(level) / np.float32(65535))
)
PROPOSED = st.floats(width=32) | st.floats(-0.125, 1.125, width=32)
EPSILON = st.decimals(0, 1, places=5) | st.sampled_from(["0.0005", "0.002", "0.004", "0.02", "0", "1"]).map(
    Decimal
)
PAIRS = st.lists(st.tuples(PIXEL, PROPOSED), min_size=1, max_size=30)


def tensors(pairs):
    columns = torch.tensor(pairs, dtype=torch.float32)
    return columns[:, 0].view(1, 1, 1, -1), columns[:, 1].view(1, 1, 1, -1)


@given(PAIRS, EPSILON)
def test_a_projected_image_is_in_the_ball_exactly_and_in_the_range(pairs, epsilon):
    images, proposed = tensors(pairs)

    allowed = ThreatModel(epsilon).project(images, proposed)

    limit = Fraction(float(epsilon))
    for pixel, moved in zip(images.flatten().tolist(), allowed.flatten().tolist(), strict=True):
        assert 0 <= moved <= 1
        assert abs(Fraction(moved) - Fraction(pixel)) <= limit
    assert achieved(images, allowed).item() <= float(epsilon)


@given(PAIRS, EPSILON)
def test_projecting_twice_is_projecting_once(pairs, epsilon):
    images, proposed = tensors(pairs)
    threat = ThreatModel(epsilon)

    once = threat.project(images, proposed)

    assert torch.equal(threat.project(images, once), once)
    assert threat.check(images, once).all()


@given(PAIRS, EPSILON)
def test_what_is_allowed_already_is_left_alone(pairs, epsilon):
    images, proposed = tensors(pairs)
    threat = ThreatModel(epsilon)

    allowed = threat.project(images, proposed)

    assert bool(threat.check(images, proposed)) == torch.equal(allowed, proposed)


@given(PAIRS, EPSILON)
def test_a_projected_pixel_is_the_nearest_allowed_one(pairs, epsilon):
    images, proposed = tensors(
        [(pixel, value) for pixel, value in pairs if np.isfinite(value)] or [(0.5, 0.5)]
    )

    allowed = ThreatModel(epsilon).project(images, proposed)

    step = torch.nextafter(allowed, proposed)
    closer = [not torch.equal(a, b) for a, b in zip(allowed.flatten(), proposed.flatten(), strict=True)]
    for nearer, pixel in zip(step.flatten()[closer].tolist(), images.flatten()[closer].tolist(), strict=True):
        inside = abs(Fraction(nearer) - Fraction(pixel)) <= Fraction(float(epsilon))
        assert not (inside and 0 <= nearer <= 1)


@given(PAIRS)
def test_at_epsilon_zero_nothing_moves(pairs):
    images, proposed = tensors(pairs)

    assert torch.equal(ThreatModel("0").project(images, proposed), images)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_no_number_becomes_the_original_pixel(value):
    images = torch.full((1, 1, 1, 2), 0.5)
    proposed = torch.tensor([value, 0.502]).view(1, 1, 1, 2)

    allowed = ThreatModel("0.004").project(images, proposed)

    assert allowed.flatten().tolist() == [0.5, pytest.approx(0.502)]


def test_images_are_checked_one_by_one():
    images = torch.full((3, 1, 1, 1), 0.5)
    proposed = torch.tensor([0.504, 0.5041, torch.nan]).view(3, 1, 1, 1)

    assert ThreatModel("0.00401").check(images, proposed).tolist() == [True, False, False]


def test_achieved_is_the_largest_change_of_each_image():
    images = torch.tensor([[0.5, 0.5], [0.25, 1.0]]).view(2, 1, 1, 2)
    moved = torch.tensor([[0.5, 0.75], [0.125, 1.0]]).view(2, 1, 1, 2)

    assert achieved(images, moved).tolist() == [0.25, 0.125]


@pytest.mark.parametrize("same", ["0.004", "0.0040", 0.004, Decimal("0.004"), "4e-3"])
def test_the_same_epsilon_however_it_is_written(same):
    assert parse_epsilon(same) == Decimal("0.004")
    assert ThreatModel(same) == ThreatModel("0.004")
    assert str(ThreatModel(same).epsilon) == "0.004"


@pytest.mark.parametrize("wrong", ["-0.001", "1.0001", "abc", "", None, 8, "inf", "nan", float("nan")])
def test_an_epsilon_that_is_none_is_refused(wrong):
    with pytest.raises(ProtocolError, match="epsilon"):
        ThreatModel(wrong)
