"""A brush that paints soft strokes: the ventricles, nuclei and vessels of the MRI phantom."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from math import dist

import numpy as np

from benchmark.data.phantom.texture import pixel_grid

Point = tuple[float, float]  # row, column


class Brush:
    """Collects soft strokes, paints them at once: Gaussian dabs are separable, so a layer is one product."""

    def __init__(self) -> None:
        self.dabs: list[np.ndarray] = []  # each (n, 4): row, column, width, weight

    def stroke(self, knots: list[Point], unit: Point, width: float, height: float) -> None:
        """A polyline through `knots` (times `unit`, pixels from the middle), `height` along its ridge."""
        points = [(row * unit[0], column * unit[1]) for row, column in knots]
        length = sum(dist(p, q) for p, q in pairwise(points))
        n = 1 + int(length / (0.9 * width))
        path = np.empty((n, 4))
        path[:, :2] = _between(len(knots), n) @ points
        path[:, 2] = width
        # Overlapping dabs add up: a long row of them to sqrt(2 pi) width / spacing, a short one to n.
        path[:, 3] = height * max(1 / n, length / max(n - 1, 1) / (np.sqrt(2 * np.pi) * width))
        self.dabs.append(path)

    def paint(self) -> np.ndarray:
        """The sum of all strokes, (64, 64)."""
        row, column, width, weight = np.concatenate(self.dabs).T[:, :, None]
        axis = pixel_grid()[1][0]
        across = np.exp(-0.5 * ((axis - column) / width) ** 2)
        return (weight * np.exp(-0.5 * ((axis - row) / width) ** 2)).T @ across


@cache
def _between(knots: int, points: int) -> np.ndarray:
    """Linear interpolation of `points` evenly spaced places on a polyline of `knots`. (points, knots)."""
    place = np.linspace(0, knots - 1, points)[:, None]
    return np.maximum(1 - np.abs(place - np.arange(knots)), 0)
