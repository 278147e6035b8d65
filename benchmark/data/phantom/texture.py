"""What the three phantoms share: random fields with a set spectrum, smooth outlines, the image they hand over.

Every function takes its `rng`; nothing here holds randomness of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

SIZE = 64  # pixels a side, all modalities of the phantom track


@dataclass(frozen=True)
class PhantomImage:
    """One synthetic image.

    `image` is (64, 64) float32 in [0, 1] after the modality's window; `label` is 1 for disease;
    `facts` are scalars known to the generator (a diameter in mm, say) from which shortcut
    baselines are computed. A model never sees them.
    """

    image: np.ndarray
    label: int
    facts: Mapping[str, float]


@cache
def frequencies(size: int = SIZE) -> np.ndarray:
    """Radial spatial frequency in cycles per pixel, shaped for `rfft2`: (size, size // 2 + 1)."""
    return np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])


def filtered_noise(rng: np.random.Generator, amplitude: np.ndarray) -> np.ndarray:
    """White Gaussian noise shaped by an `rfft2` amplitude; mean 0, standard deviation 1. (size, size) float64."""
    size = amplitude.shape[0]
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) * amplitude, s=(size, size))
    field -= field.mean()
    return field / field.std()


def power_law_field(rng: np.random.Generator, beta: float, size: int = SIZE) -> np.ndarray:
    """A field whose power spectrum falls as 1/f^beta; mean 0, standard deviation 1. (size, size) float64."""
    f = frequencies(size).copy()
    f[0, 0] = np.inf
    return filtered_noise(rng, f ** (-beta / 2))


@cache
def pixel_grid(size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Row and column coordinates of pixel centres, the middle of the image at (0, 0), in pixels."""
    axis = np.arange(size) - (size - 1) / 2
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    return rows, columns


def soft_edge(distance: np.ndarray, width: float) -> np.ndarray:
    """1 deep inside (distance << 0), 0 far outside, a logistic ramp of `width` pixels between."""
    return 1.0 / (1.0 + np.exp(np.clip(distance / max(width, 1e-3), -40, 40)))


def blend(below: np.ndarray, above: np.ndarray | float, share: np.ndarray) -> np.ndarray:
    """Partial volume: `share` (0..1) of every pixel is `above`, the rest `below`."""
    return below + (above - below) * share
