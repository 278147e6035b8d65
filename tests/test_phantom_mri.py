"""The MRI phantom: what a slice must be, and the noise, spectrum and contrast it must keep."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.data.phantom import mri
from benchmark.data.phantom.texture import SIZE

PATIENTS = 40
EXPONENT = (2.5, 3.9)  # a guard, not a measurement: edges give 3, the point spread a little more
LOCAL_SD = (0.12, 0.22)  # a guard too: of the window, over 9x9 pixels inside the brain
NOISE = (0.01, 0.05)  # of white matter (BrainWeb)


@pytest.fixture(scope="module")
def patients():
    return [mri.draw_patient(np.random.default_rng([11, k])) for k in range(PATIENTS)]


@pytest.fixture(scope="module")
def slices(patients):
    return [one for patient in patients for one in patient]


def test_one_seed_draws_one_patient_and_another_seed_another():
    first, again, other = (mri.draw_patient(np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert [one.label for one in first] == [one.label for one in again]
    for one, same in zip(first, again, strict=True):
        assert np.array_equal(one.image, same.image)
        assert one.facts == same.facts
    assert not np.array_equal(first[0].image, other[0].image)


def test_a_slice_is_64_by_64_float32_and_fills_its_window(slices):
    for one in slices:
        assert one.image.shape == (SIZE, SIZE)
        assert one.image.dtype == np.float32
        assert one.image.min() == 0.0
        assert one.image.max() == 1.0
        assert not one.image[[0, -1]].any(), "the brain touches the upper or lower edge"
        assert not one.image[:, [0, -1]].any(), "the brain touches an edge at the side"
        assert all(np.isfinite(value) for value in one.facts.values())


def test_a_patient_has_two_to_four_slices_of_both_classes_in_balance(patients, slices):
    assert {len(patient) for patient in patients} == {2, 3, 4}
    assert all({one.label for one in patient} == {0, 1} for patient in patients)
    assert 0.4 < np.mean([one.label for one in slices]) < 0.6


def test_noise_over_white_matter_keeps_its_sigma_within_one_to_five_percent():
    rng = np.random.default_rng(3)
    for noise in mri.NOISE:
        flat = mri.scan(rng, np.ones((SIZE, SIZE)), noise, 0.0)
        sigma = (flat - flat.mean())[8:-8, 8:-8].std()
        assert sigma == pytest.approx(noise, rel=0.1)
        assert NOISE[0] * 0.9 <= sigma <= NOISE[1] * 1.1


def test_noise_in_air_is_rayleigh():
    air = mri.scan(np.random.default_rng(4), np.zeros((SIZE, SIZE)), 0.04, 0.0)
    assert air.mean() / 0.04 == pytest.approx(np.sqrt(np.pi / 2), rel=0.05)


def test_the_spectrum_falls_as_that_of_edges_and_folds_keep_their_contrast(slices):
    assert EXPONENT[0] < np.median([spectral_exponent(one.image) for one in slices]) < EXPONENT[1]
    assert LOCAL_SD[0] < np.median([local_sd(one.image) for one in slices]) < LOCAL_SD[1]


def test_mean_brightness_and_bright_area_do_not_tell_the_classes_apart(slices):
    labels = np.array([one.label for one in slices])
    for values in ([one.image.mean() for one in slices], [one.facts["bright area (px)"] for one in slices]):
        assert 0.25 < area_under_curve(np.array(values), labels) < 0.75


def spectral_exponent(image: np.ndarray) -> float:
    """-slope of log power on log frequency, from a radially averaged Hann-windowed periodogram."""
    taper = np.outer(np.hanning(SIZE), np.hanning(SIZE))
    power = np.abs(np.fft.fft2((image - image.mean()) * taper)) ** 2
    axis = np.fft.fftfreq(SIZE)
    ring = np.rint(np.hypot(axis[:, None], axis) * SIZE).astype(int)
    mean = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
    used = np.arange(2, 28)
    return -np.polyfit(np.log(used), np.log(mean[used]), 1)[0]


def local_sd(image: np.ndarray) -> float:
    """Median standard deviation over 9x9 windows that lie wholly in the brain."""
    blocks = np.lib.stride_tricks.sliding_window_view(image, (9, 9))
    inside = (blocks > 0).mean((2, 3)) > 0.97  # the darkest 1 % of the brain is 0 too
    return float(np.median(blocks.std((2, 3))[inside]))


def area_under_curve(values: np.ndarray, labels: np.ndarray) -> float:
    healthy, ill = values[labels == 0][:, None], values[labels == 1]
    return float((healthy < ill).mean() + 0.5 * (healthy == ill).mean())
