"""From a CT slice to a patch of it: cut out at one scale, windowed, and how noisy the slice is at that scale."""

from __future__ import annotations

import numpy as np

from benchmark.data.dicom import HU_FLOOR
from benchmark.data.resample import cut_out
from benchmark.modality import get_modality

PIXEL_MM = 0.75
SIZE = 64


def crop(
    hu: np.ndarray, centre: tuple[float, float], spacing: tuple[float, float], size: int = SIZE
) -> np.ndarray:
    """A square of `size` pixels of 0.75 mm around `centre`, which falls between its middle four pixels.

    Outside the slice there is air of -1024 HU.

    Args:
        hu: (H, W), HU.
        centre: row and column in pixels of the slice.
        spacing: (row, column) in mm.

    Returns:
        (size, size) float64, HU.
    """
    step = (PIXEL_MM / spacing[0], PIXEL_MM / spacing[1])
    return cut_out(hu, centre, step, (size, size), HU_FLOOR)


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
