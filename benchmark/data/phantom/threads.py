"""Fine threads and points below the pixel: strands, spicules and calcifications of the mammogram phantom."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmark.data.phantom.texture import SIZE


def threads(
    rng: np.random.Generator,
    starts: np.ndarray,
    angles: np.ndarray,
    lengths: np.ndarray,
    contrasts: np.ndarray,
    width: float,
) -> np.ndarray:
    """Gently bent threads that fade toward their far end. starts (n, 2), the others (n,). (64, 64)."""
    along = np.linspace(0, 1, 64)
    bend = rng.normal(0, 0.25, (len(angles), 1))
    direction = angles[:, None] + bend * along
    step = lengths[:, None] / along.size
    rows = starts[:, :1] + np.cumsum(np.sin(direction) * step, axis=1)
    columns = starts[:, 1:] + np.cumsum(np.cos(direction) * step, axis=1)
    peak = contrasts[:, None] * (1 - 0.7 * along)
    # A line's crest, once blurred, is its weight per length over sqrt(2 pi) width: undo that.
    return gaussian_filter(splat(rows, columns, peak * step * np.sqrt(2 * np.pi) * width), width)


def splat(rows: np.ndarray, columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Points of given weight, in pixels from the middle, shared out to the four nearest pixels. (64, 64)."""
    row, column = rows.ravel() + (SIZE - 1) / 2, columns.ravel() + (SIZE - 1) / 2
    inside = (row >= 0) & (row < SIZE - 1) & (column >= 0) & (column < SIZE - 1)
    row, column, weight = row[inside], column[inside], weights.ravel()[inside]
    pixel = row.astype(int) * SIZE + column.astype(int)
    down, right = row % 1, column % 1
    upper, lower = weight * (1 - down), weight * down
    places = np.concatenate([pixel, pixel + 1, pixel + SIZE, pixel + SIZE + 1])
    shares = np.concatenate([upper * (1 - right), upper * right, lower * (1 - right), lower * right])
    return np.bincount(places, shares, SIZE * SIZE).reshape(SIZE, SIZE)
