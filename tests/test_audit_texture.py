"""The figures of texture: right on fields of known spectrum and spread, and the phantoms within what real images have."""

from __future__ import annotations

import numpy as np
import pytest
from models import make_split

from benchmark import load_split
from benchmark.data.audit.text import texture_lines
from benchmark.data.audit.texture import REAL, local_sd, spectral_exponent, split_texture
from benchmark.modality import MODALITIES, get_modality

# Quartiles of the committed test parts must lie here; of CT and mammograms around what REAL says.
WITHIN = {"ct": (3.3, 5.1), "mammogram": (2.75, 3.4), "mri": (2.5, 3.9)}


def field(exponent: float, seed: int, side: int = 64) -> np.ndarray:
    """A field whose power falls as 1/f^exponent, cut out of one four times as wide so that it does not repeat."""
    wide = 4 * side
    axis = np.fft.fftfreq(wide)
    frequency = np.hypot(axis[:, None], axis)
    frequency[0, 0] = np.inf
    white = np.fft.fft2(np.random.default_rng(seed).normal(size=(wide, wide)))
    drawn = np.fft.ifft2(white * frequency ** (-exponent / 2)).real[:side, :side]
    return 0.5 + 0.1 * (drawn - drawn.mean()) / drawn.std()


@pytest.mark.parametrize("side", [64, 128])
@pytest.mark.parametrize("exponent", [2.0, 3.0, 4.0])
def test_a_known_spectrum_is_measured(exponent, side):
    found = [spectral_exponent(field(exponent, seed, side)) for seed in range(20)]

    assert np.mean(found) == pytest.approx(exponent, rel=0.06)


def test_white_noise_has_no_slope_and_its_own_spread():
    images = 0.5 + 0.02 * np.random.default_rng(0).normal(size=(20, 64, 64))

    assert np.mean([spectral_exponent(image) for image in images]) == pytest.approx(0, abs=0.1)
    # The SD in 81 pixels, over all 81: its expectation is σ · sqrt(80/81), its median a little less.
    assert np.mean([local_sd(image) for image in images]) == pytest.approx(0.02, rel=0.03)


def test_black_surroundings_do_not_count_as_calm():
    image = np.zeros((64, 64))
    image[:, 20:] = 0.5 + 0.02 * np.random.default_rng(0).normal(size=(64, 44))

    assert local_sd(image) == pytest.approx(0.02, rel=0.06)
    assert np.isnan(local_sd(np.zeros((64, 64))))


def test_a_split_of_flat_images_is_no_error():
    found = split_texture(make_split(np.full((4, 1, 16, 16), 0.5), np.array([0, 1, 0, 1])))

    assert np.isnan(found.exponent).all()
    assert np.isnan(found.local_sd).all()  # no lung in it


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_phantoms_lie_within_what_was_measured_on_real_images(modality):
    found = split_texture(load_split(modality))
    low, high = WITHIN[modality]

    assert low < found.exponent[1] < high
    if modality == "ct":
        window = get_modality("ct").window({})
        assert 23 < found.local_sd[1] * (window[1] - window[0]) < 35  # HU
    if modality == "mammogram":
        assert 0.01 < found.local_sd[1] < 0.06


def test_the_audit_prints_it():
    test = split_texture(split := load_split("ct"))

    text = "\n".join(texture_lines({"test": split}))

    assert " ".join(f"{value:.3g}" for value in test.exponent) in text
    assert " ".join(f"{1400 * value:.3g}" for value in test.local_sd) in text
    assert "SD in 9 x 9 pixels, HU" in text
    assert REAL["ct"] in text
