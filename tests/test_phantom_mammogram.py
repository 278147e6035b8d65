"""The mammogram phantom must be reproducible, well formed, balanced, and measure like a real mammogram."""

from __future__ import annotations

import functools
import operator

import numpy as np
import pytest

from benchmark.data.phantom import mammogram
from benchmark.data.phantom.mammogram import draw_patient, film_noise

PATIENTS = 100
SEED = 7_401  # of these tests alone

# Real crops: exponents of mini-MIAS (from its 5 % up) and of the literature (to its mean, 3.30, and 0.1).
EXPONENT = (2.76, 3.40)
PATCH_SD = (0.04, 0.09)
PATCH_MEAN = (0.58, 0.66)
NOISE = (0.004, 0.010)


@pytest.fixture(scope="module")
def patients():
    return [draw_patient(np.random.default_rng([SEED, k])) for k in range(PATIENTS)]


@pytest.fixture(scope="module")
def images(patients):
    return np.stack([crop.image for patient in patients for crop in patient]).astype(np.float64)


def periodograms(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Radial frequency (64, 64) in cycles per pixel; Hann-windowed power, white noise of sd s at s^2."""
    window = np.outer(np.hanning(64), np.hanning(64))
    axis = np.fft.fftfreq(64)
    centred = images - images.mean(axis=(1, 2), keepdims=True)
    return np.hypot(axis[:, None], axis), np.abs(np.fft.fft2(centred * window)) ** 2 / (window**2).sum()


def test_one_seed_gives_one_patient():
    first, again, other = (draw_patient(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert [crop.label for crop in first] == [crop.label for crop in again]
    assert [crop.facts for crop in first] == [crop.facts for crop in again]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].image, other[0].image)


def test_a_patient_is_two_to_four_windowed_crops(patients):
    assert {len(patient) for patient in patients} == {2, 3, 4}
    for crop in (crop for patient in patients for crop in patient):
        assert crop.image.shape == (64, 64)
        assert crop.image.dtype == np.float32
        assert crop.image.min() >= 0
        assert crop.image.max() <= 1
        assert (crop.image >= 1).mean() < 0.01, "a crop that saturates has lost its calcifications"
        assert crop.label in (0, 1)
        assert np.isfinite(list(crop.facts.values())).all()


def test_half_the_crops_are_malignant(patients):
    assert 0.4 < np.mean([crop.label for patient in patients for crop in patient]) < 0.6


def test_the_spectrum_falls_as_a_real_mammograms(images):
    frequency, power = periodograms(images)
    band = (frequency > 2.5 / 64) & (frequency < 0.35)
    slopes = -np.polyfit(np.log(frequency[band]), np.log(power[:, band]).T, 1)[0]
    assert EXPONENT[0] < slopes.mean() < EXPONENT[1]


def test_patches_are_as_grey_and_as_varied_as_real_ones(images):
    spread, level = images.std(axis=(1, 2)), images.mean(axis=(1, 2))
    assert 0.045 < np.median(spread) < 0.06
    assert np.mean((spread > PATCH_SD[0]) & (spread < PATCH_SD[1])) > 0.85
    assert PATCH_MEAN[0] < level.mean() < PATCH_MEAN[1]
    assert 0.03 < level.std() < 0.12


def test_the_noise_is_small_blurred_and_there(monkeypatch):
    """Texture hides the grain, so each crop is drawn again from the same seed with its grain taken out."""
    drawn = [draw_patient(np.random.default_rng([SEED, k])) for k in range(20)]
    monkeypatch.setattr(mammogram, "film_noise", lambda rng: 0 * film_noise(rng))
    clean = [draw_patient(np.random.default_rng([SEED, k])) for k in range(20)]
    pairs = zip(
        functools.reduce(operator.iadd, drawn, []), functools.reduce(operator.iadd, clean, []), strict=True
    )
    grain = np.stack([a.image.astype(np.float64) - b.image for a, b in pairs])
    spread = grain.std(axis=(1, 2))
    assert NOISE[0] * 0.99 < spread.min()
    assert spread.max() < NOISE[1] * 1.01
    neighbours = (grain[:, :, 1:] * grain[:, :, :-1]).mean(axis=(1, 2)) / spread**2
    assert 0.2 < neighbours.mean() < 0.7
