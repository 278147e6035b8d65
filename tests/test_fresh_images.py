"""How entries do on fresh images, against arithmetic: of a linear model the accuracy under attack is known."""

from __future__ import annotations

import re

from click.testing import CliRunner
from test_closed_form import worst_margins

from benchmark import load_split
from benchmark.training import fresh_images


def told_of(*names: str) -> list[list[float]]:
    result = CliRunner().invoke(fresh_images.main, names, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return [[float(x) for x in re.findall(r"[-+]?0\.\d{3}\b", line)] for line in result.output.splitlines()]


def test_a_linear_model_keeps_what_arithmetic_leaves_it_and_another_is_held_to_it(monkeypatch):
    split = load_split("ct")  # the one that the arithmetic is about
    monkeypatch.setattr(fresh_images, "judging_part", lambda modality, track: split)
    (clean, _), (left, taken) = (worst_margins("ct", epsilon) for epsilon in (0.0, 0.004))
    assert (abs(left) > 1e-3 * taken).all(), "twenty steps of a quarter of ε end in the corner, to a rounding"

    first, second = told_of("logistic-regression", "constant")

    assert first == [round(float((clean > 0).mean()), 3), 0.004, round(float((left > 0).mean()), 3), 0.0]
    diseased = float(split.labels.mean())  # the constant's answer is disease
    assert second[:3] == [round(diseased, 3), 0.004, round(diseased, 3)]
    assert second[3] == round(diseased - float((left > 0).mean()), 3)
