"""The chest around a CT phantom's nodule: the vessels of the lung, and the chest wall. Lengths in pixels."""

from __future__ import annotations

import numpy as np

from benchmark.data.phantom.texture import SIZE, blend, pixel_grid, soft_edge
from benchmark.data.phantom.tubes import STROKE_POINTS, Strokes, Tube, draw_tubes

SMALL_VESSELS = 24  # mean number of vessels under 2 mm in a slice of 48 x 48 mm, set by the lung's local SD
VESSEL_TREES = 1.1  # mean number of larger ones, each with up to three branches

# Set by eye beside LIDC slices: vessels run askew and leave the slice.
SMALL_VESSEL = Tube(
    0.6, ("lognormal", 1.5, 0.7), ("lognormal", -0.35, 0.3), ("uniform", 0.1, 0.9), ("uniform", 0.0, 0.4)
)
TRUNK = Tube(0.5, ("uniform", 12, 40), ("lognormal", 0.25, 0.3), ("uniform", 0.6, 1.0), ("uniform", 0.0, 0.7))
# Radius and first in parts of the trunk's; Murray's law thins a vessel by 0.79 where it halves.
BRANCH = Tube(0.4, ("uniform", 6, 18), ("uniform", 0.5, 0.79), ("uniform", 0.6, 1.0), ("uniform", 0.0, 0.5))

# Chest wall or mediastinum at the side: many of LUNA16's nodule patches hold some (95th percentile 120 HU,
# median SD 0.26 of the window; here about 50 HU and 0.22).
WALL_PROBABILITY = 0.55
WALL_HU = (30.0, 65.0)
RIB_HU = (250.0, 500.0)
RIB_PROBABILITY = 0.4


def draw_vessels(rng: np.random.Generator) -> list[Strokes]:
    """Small vessels that cross the slice and trees that run in it, anywhere, the nodule not spared."""

    def anywhere(kind: Tube, mean: float) -> Strokes:
        n = rng.poisson(mean)
        row, column = rng.uniform(-SIZE / 2, SIZE / 2, (2, n))
        return draw_tubes(rng, kind, row, column, rng.uniform(0, 2 * np.pi, n))

    small, trunks = anywhere(SMALL_VESSEL, SMALL_VESSELS), anywhere(TRUNK, VESSEL_TREES)
    return [small, trunks, _branches(rng, trunks)]


def _branches(rng: np.random.Generator, trunks: Strokes) -> Strokes:
    """Up to three side branches for every trunk."""
    parent = np.repeat(np.arange(len(trunks.row)), rng.integers(0, 4, len(trunks.row)))
    n = len(parent)
    at = rng.integers(6, STROKE_POINTS, n)
    rows, columns = trunks.paths()
    side = rng.choice([-1.0, 1.0], n) * rng.uniform(0.4, 1.0, n)
    heading = trunks.heading[parent] + trunks.bend[parent] * at / STROKE_POINTS + side
    branches = draw_tubes(rng, BRANCH, rows[parent, at], columns[parent, at], heading)
    return branches._replace(
        radius=branches.radius * trunks.radius[parent], first=branches.first * trunks.first[parent]
    )


def paint_wall(rng: np.random.Generator, hu: np.ndarray, texture: np.ndarray) -> np.ndarray:
    """The slice with chest wall or mediastinum at one side, and at times a rib in it. (64, 64) HU."""
    rows, columns = pixel_grid()
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(13, 30)
    across = rows * np.sin(angle) + columns * np.cos(angle)
    along = columns * np.sin(angle) - rows * np.cos(angle)
    # Ribs cage the lung (the wall is concave), heart and vessels push into it (convex).
    surface = depth - rng.normal(0.006, 0.008) * (along - rng.normal(0, 10)) ** 2
    surface += rng.normal(0, 0.5) * np.sin(along / 5 + rng.uniform(0, 6))
    wall = rng.uniform(*WALL_HU) + texture
    if rng.random() < RIB_PROBABILITY:
        deep, aside = across - depth - rng.uniform(5, 9), along - rng.normal(0, 12)
        rib = soft_edge(np.hypot(deep / 3, aside / rng.uniform(5, 12)) - 1, 0.12)
        wall = blend(wall, rng.uniform(*RIB_HU), rib)
    return blend(hu, wall, soft_edge(surface - across, 0.3))
