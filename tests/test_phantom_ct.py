"""The CT phantom keeps the statistics measured on LIDC-IDRI and LUNA16, and the contract of a phantom."""

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, gaussian_filter, uniform_filter

from benchmark.data.phantom import ct
from benchmark.data.phantom.nodule import draw_nodule

PATIENTS = 60
PATCH = np.ones((9, 9))  # the local SD of the measured scans was taken in 9 x 9 pixels


@pytest.fixture(scope="module")
def patients():
    return [ct.draw_patient(np.random.default_rng([11, k])) for k in range(PATIENTS)]


@pytest.fixture(scope="module")
def slices_hu(patients):
    low, high = ct.WINDOW_HU
    return [p.image.astype(float) * (high - low) + low for patient in patients for p in patient]


def spectral_exponent(image):
    """Fall of the radial power spectrum on log-log axes, 2 to 24 cycles a patch, through a Hann window."""
    n = len(image)
    windowed = (image - image.mean()) * np.outer(np.hanning(n), np.hanning(n))
    power = np.abs(np.fft.fftshift(np.fft.fft2(windowed))) ** 2
    ring = np.rint(np.hypot(*(np.indices((n, n)) - n // 2))).astype(int).ravel()
    radial = np.bincount(ring, power.ravel()) / np.bincount(ring)
    k = np.arange(2, 25)
    return -np.polyfit(np.log(k), np.log(radial[k]), 1)[0]


def local_sd(hu, inside):
    """Standard deviation in 9 x 9 pixels, at the pixels marked `inside`."""
    mean = uniform_filter(hu, 9)
    return np.sqrt(np.maximum(uniform_filter(hu**2, 9) - mean**2, 0))[inside]


def test_same_seed_same_patient_other_seed_other_patient():
    first, again, other = (ct.draw_patient(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert len(first) == len(again)
    for one, two in zip(first, again, strict=True):
        assert np.array_equal(one.image, two.image)
        assert (one.label, dict(one.facts)) == (two.label, dict(two.facts))
    assert not np.array_equal(first[0].image, other[0].image)
    assert not np.array_equal(first[0].image, first[1].image)


def test_two_to_four_windowed_float32_images_a_patient_both_classes_alike_often(patients):
    assert {len(patient) for patient in patients} == {2, 3, 4}
    for p in (p for patient in patients for p in patient):
        assert p.image.shape == (64, 64)
        assert p.image.dtype == np.float32
        assert p.image.min() >= 0
        assert p.image.max() <= 1
        assert all(np.isfinite(value) for value in p.facts.values())
    labels = [p.label for patient in patients for p in patient]
    assert set(labels) == {0, 1}
    assert 0.38 < np.mean(labels) < 0.62  # within 2.5 standard errors of a half, two slices a nodule


def test_spectral_exponent_lies_between_ge_standard_and_b31f(slices_hu):
    exponents = [spectral_exponent(hu) for hu in slices_hu]
    assert 3.7 <= np.median(exponents) <= 5.1
    assert np.percentile(exponents, 5) >= 3.3  # LUNA16 patches without a nodule: 3.36


def test_soft_tissue_noise_is_that_of_lidc(slices_hu):
    sd = np.concatenate([local_sd(hu, binary_erosion((hu > -80) & (hu < 150), PATCH)) for hu in slices_hu])
    assert len(sd) > 1000
    assert 9 <= np.percentile(sd, 20) <= 15
    assert 15 <= np.median(sd) <= 19


def test_lung_density_and_local_sd_are_those_of_lidc(slices_hu):
    lungs = [binary_erosion(gaussian_filter(hu, 1.5) < -650, iterations=2) for hu in slices_hu]
    values = np.concatenate([hu[lung] for hu, lung in zip(slices_hu, lungs, strict=True)])
    sd = np.concatenate([local_sd(hu, lung) for hu, lung in zip(slices_hu, lungs, strict=True)])
    assert -884 <= np.median(values) <= -857
    assert 11 <= np.percentile(sd, 20) <= 23
    assert 23 <= np.median(sd) <= 35


def test_diameter_alone_does_not_tell_the_classes():
    rng = np.random.default_rng(12)
    nodules = [draw_nodule(rng) for _ in range(2000)]
    benign, malignant = (np.array([n.diameter_mm for n in nodules if n.label == label]) for label in (0, 1))
    auc = (malignant[:, None] > benign).mean() + (malignant[:, None] == benign).mean() / 2
    assert 0.6 < auc <= 0.75
