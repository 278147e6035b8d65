"""Images at another size, without aliasing: every new pixel is a weighted mean of the old ones that it covers."""

from __future__ import annotations

import math

import numpy as np


def triangle_weights(position: np.ndarray, width: float, length: int) -> np.ndarray:
    """What each old pixel of a line adds to each new one, under a triangle of half-width `width` around it.

    With `width` the distance of the new pixels, and at least 1, this is linear interpolation that does not alias.

    Args:
        position: (n,) ascending, centres of the new pixels in old pixels; old pixel k has its centre at k.
        length: how many old pixels there are.

    Returns:
        (n, length) float64. A row sums to 1 where its triangle lies inside the line, to less where it leaves it.
    """
    reach = math.ceil(width)
    grid = np.arange(math.floor(position[0]) - reach, math.ceil(position[-1]) + reach + 1)
    triangle = np.clip(1 - np.abs(grid - position[:, None]) / width, 0, None)
    triangle /= triangle.sum(1, keepdims=True)
    weights = np.zeros((len(position), length))
    inside = (grid >= 0) & (grid < length)
    weights[:, grid[inside]] = triangle[:, inside]
    return weights


def cut_out(
    image: np.ndarray,
    centre: tuple[float, float],
    step: tuple[float, float],
    shape: tuple[int, int],
    outside: float,
) -> np.ndarray:
    """A field of `shape` new pixels around `centre`, `step` old pixels apart down and across.

    Args:
        image: (H, W), any number type. centre: row and column in old pixels; it falls in the middle of the field.
        outside: the value that the image has beyond its edges.

    Returns:
        `shape` float64.
    """
    down, across = (
        triangle_weights(middle + (np.arange(count) - (count - 1) / 2) * distance, max(1.0, distance), length)
        for middle, distance, count, length in zip(centre, step, shape, image.shape, strict=True)
    )
    # Only what the weights reach is turned into float64: a mammogram has 30 million pixels, a crop needs few.
    rows, columns = (np.flatnonzero(weights.any(0)) for weights in (down, across))
    if not len(rows) or not len(columns):
        return np.full(shape, float(outside))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    part = image[top:bottom, left:right].astype(np.float64) - outside
    # Rows of weights that leave the image sum to less than 1: what is missing counts as the value subtracted.
    return down[:, top:bottom] @ part @ across[:, left:right].T + outside


def resize(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The whole image at another size: (..., H, W) to (..., *shape) float64; its edge pixels go on for ever."""
    down, across = (
        triangle_weights((np.arange(count) + 0.5) * length / count - 0.5, max(1.0, length / count), length)
        for count, length in zip(shape, image.shape[-2:], strict=True)
    )
    down, across = (weights / weights.sum(1, keepdims=True) for weights in (down, across))
    return down @ image.astype(np.float64) @ across.T
