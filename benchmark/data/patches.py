"""From a slice to a patch of it: cut out at one scale; for CT windowed, and how noisy the slice is at that scale."""

from __future__ import annotations

import math

import numpy as np

from benchmark.data.dicom import HU_FLOOR
from benchmark.modality import get_modality

PIXEL_MM = 0.75
SIZE = 64


def crop(
    image: np.ndarray,
    centre: tuple[float, float],
    spacing: tuple[float, float],
    size: int = SIZE,
    pixel: float = PIXEL_MM,
    outside: float = HU_FLOOR,
) -> np.ndarray:
    """A square of `size` pixels of `pixel` mm around `centre`, which falls between its middle four pixels.

    Each pixel is a mean of the slice under a triangle two pixels wide, of this grid or of the slice's, whichever
    is coarser: linear interpolation that does not alias.

    Args:
        image: (H, W), HU or any other unit.
        centre: row and column in pixels of the slice.
        spacing: (row, column) in mm.
        outside: what lies beyond the slice; air of -1024 HU in CT.

    Returns:
        (size, size) float64, in the unit of `image`.
    """
    down, across = (
        _weights(middle, step, length, size, pixel)
        for middle, step, length in zip(centre, spacing, image.shape, strict=True)
    )
    # Weights sum to 1 over an endless grid, so pixels that are not there count as the value subtracted.
    return down @ (image.astype(np.float64) - outside) @ across.T + outside


def _weights(centre: float, spacing: float, length: int, size: int, pixel: float) -> np.ndarray:
    """(size, length): what each pixel of a slice's line contributes to each pixel of the crop's."""
    position = centre + (np.arange(size) - (size - 1) / 2) * pixel / spacing
    width = max(1.0, pixel / spacing)
    reach = math.ceil(width)
    grid = np.arange(math.floor(position[0]) - reach, math.ceil(position[-1]) + reach + 1)
    triangle = np.clip(1 - np.abs(grid - position[:, None]) / width, 0, None)
    triangle /= triangle.sum(1, keepdims=True)
    weights = np.zeros((size, length))
    inside = (grid >= 0) & (grid < length)
    weights[:, grid[inside]] = triangle[:, inside]
    return weights


def window(hu: np.ndarray) -> np.ndarray:
    """-1000..400 HU, clipped, as 0..1."""
    modality = get_modality("ct")
    return np.clip((hu - modality.low) / (modality.high - modality.low), 0, 1)


def noise_sigma(hu: np.ndarray, spacing: tuple[float, float]) -> float | None:
    """The noise of a slice at 0.75 mm, in HU: the 20th percentile of the SD in 6 x 6 mm of soft tissue (0..100 HU).

    Most blocks hold edges besides noise; the calmest fifth hold next to none. None where fewer than 20 blocks are
    soft tissue.
    """
    middle = ((hu.shape[0] - 1) / 2, (hu.shape[1] - 1) / 2)
    size = int(min(hu.shape[0] * spacing[0], hu.shape[1] * spacing[1]) / PIXEL_MM) // 8 * 8
    blocks = (
        crop(hu, middle, spacing, size).reshape(size // 8, 8, size // 8, 8).swapaxes(1, 2).reshape(-1, 64)
    )
    mean = blocks.mean(1)
    tissue = blocks[(mean > 0) & (mean < 100)]
    return float(np.percentile(tissue.std(1, ddof=1), 20)) if len(tissue) >= 20 else None
