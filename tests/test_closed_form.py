"""The logistic regression's committed records against what arithmetic says: of a linear model the worst image is known."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmark import load_split
from benchmark.folders import results_folder, submissions_folder
from benchmark.modality import MODALITIES
from benchmark.record import Record

CLOSE = 2e-5  # of a margin over what ε takes away: float32 and the steps of an attack


def worst_margins(modality: str, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Margin left of each image when every pixel moves by ε the worst way inside [0, 1], and what was taken: (N,) each."""
    split = load_split(modality)
    images, labels = (each.double().numpy() for each in split.batch())
    weights = load_file(submissions_folder() / "logistic-regression" / f"{modality}.safetensors")
    weight = weights["weigh.weight"].astype(float)[0] / float(weights["standardise.deviation"])
    bias = float(weights["weigh.bias"][0]) - float(weights["standardise.mean"]) * weight.sum()
    pixels, sign = images.reshape(len(images), -1), 2 * labels - 1
    down = sign[:, None] * np.sign(weight) > 0  # which way each pixel hurts
    room = np.minimum(epsilon, np.where(down, pixels, 1 - pixels))
    taken = (np.abs(weight) * room).sum(1)
    return sign * (pixels @ weight + bias) - taken, taken


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_battery_finds_the_worst_image_of_a_linear_model_at_every_epsilon(modality):
    record = Record.load(results_folder("phantom") / modality / "logistic-regression.json")
    clean, _ = worst_margins(modality, 0.0)

    assert np.array_equal(record.clean_correct, clean > 0)
    for epsilon in record.epsilons:
        left, taken = worst_margins(modality, float(epsilon))
        decided = np.abs(left) > CLOSE * taken
        assert decided.mean() > 0.99
        assert np.array_equal(record.robust(epsilon)[decided], left[decided] > 0), epsilon


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_smallest_change_found_is_within_two_percent_of_the_smallest_there_is(modality):
    record = Record.load(results_folder("phantom") / modality / "logistic-regression.json")
    found = record.minimal_epsilon
    inside = record.clean_correct & (found <= 0.02)

    for number in np.flatnonzero(inside)[:40]:
        assert worst_margins(modality, 0.98 * found[number])[0][number] > 0
        assert worst_margins(modality, 1.0001 * found[number])[0][number] < 0
