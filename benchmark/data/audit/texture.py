"""How fast the images' power falls with frequency, and how much neighbouring pixels differ: do phantoms look like tissue?

What was measured on real images stands beside it: LUNA16 patches and LIDC-IDRI scans (GE STANDARD, Siemens B31f) for CT,
115 mini-MIAS films for mammograms, with the same estimator. No such figure is known for brains at 3 mm a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_erosion, gaussian_filter, uniform_filter

from benchmark.data.split import LEVELS, Split

LOWEST = 2  # cycles an image; below it lie the shape of the body and the window
HIGHEST = 0.375  # cycles a pixel; above it lies what resampling left
PATCH = 9  # pixels
IMAGES = 200  # that are looked at

LUNG = 0.25  # of the CT window; -650 HU

REAL = {
    "ct": "of lung alone; real lung: exponent 3.4 to 5.1 by kernel and patch, SD in 9 x 9 pixels 23 to 35 HU",
    "mammogram": "real films: exponent 2.8 to 3.3",
    "mri": "nothing to compare with at this pixel size",
}


@dataclass(frozen=True)
class Texture:
    """Quartiles over the images of a split: of the spectral exponent, and of the median SD in 9 × 9 pixels, in [0, 1]."""

    exponent: tuple[float, float, float]
    local_sd: tuple[float, float, float]


def split_texture(split: Split) -> Texture:
    """Measured on at most 200 images, spread evenly over the split."""
    some = np.linspace(0, len(split) - 1, min(IMAGES, len(split))).astype(int)
    images = [split.images[i, 0].astype(np.float64) / LEVELS for i in some]
    varied = [image for image in images if image.std() > 0] or images
    return Texture(
        _quartiles([spectral_exponent(image) for image in varied]),
        _quartiles([local_sd(image, split.modality) for image in varied]),
    )


def spectral_exponent(image: np.ndarray) -> float:
    """b of a power spectrum that falls as 1/f^b: log-log fit to the rings of a Hann-windowed periodogram.

    Within 6 % on fields of known exponent from 2 to 4.

    Args:
        image: (H, W). NaN where it has one value everywhere.
    """
    rows, columns = image.shape
    window = np.outer(np.hanning(rows), np.hanning(columns))
    power = np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2
    side = min(rows, columns)
    ring = (
        np.rint(np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)) * side).astype(int).ravel()
    )
    radial = np.bincount(ring, power.ravel()) / np.maximum(np.bincount(ring), 1)
    used = np.arange(LOWEST, int(side * HIGHEST) + 1)
    if not (radial[used] > 0).all():
        return float("nan")
    return float(-np.polyfit(np.log(used), np.log(radial[used]), 1)[0])


def local_sd(image: np.ndarray, modality: str = "") -> float:
    """Median standard deviation in the 9 × 9 pixels around those that are of tissue.

    Those are: of CT the lung, two pixels off whatever is denser; else all around which next to nothing is black or white.
    """
    if modality == "ct":
        inside = binary_erosion(gaussian_filter(image, 1.5) < LUNG, iterations=2)
    else:
        inside = uniform_filter(((image > 0) & (image < 1)).astype(float), PATCH) > 0.97
    edge = PATCH // 2
    inside[:edge] = inside[-edge:] = inside[:, :edge] = inside[:, -edge:] = False
    mean = uniform_filter(image, PATCH)
    spread = np.sqrt(np.maximum(uniform_filter(image**2, PATCH) - mean**2, 0))
    return float(np.median(spread[inside])) if inside.any() else float("nan")


def _quartiles(values: list[float]) -> tuple[float, float, float]:
    low, middle, high = (
        np.nanpercentile(values, (25, 50, 75)) if not np.isnan(values).all() else [float("nan")] * 3
    )
    return float(low), float(middle), float(high)
