"""Curved, tapering tubes: what vessels and spicules of the CT phantom are made of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmark.data.phantom.texture import SIZE

STROKE_POINTS = 30  # along a tube
RIBBON_POINTS = 4  # across it


class Tube(NamedTuple):
    """A kind of tube: SD of its bend (radians), then distributions of `Generator` with their numbers.

    Lengths and radii are in pixels; `first` and `last` are the share of the slice's thickness that the tube
    fills at either end.
    """

    bend: float
    length: tuple[str, float, float]
    radius: tuple[str, float, float]
    first: tuple[str, float, float]
    last: tuple[str, float, float]


class Strokes(NamedTuple):
    """Drawn tubes, curved and tapering: where they start, their heading (radians), the rest as in `Tube`."""

    row: np.ndarray
    column: np.ndarray
    heading: np.ndarray
    bend: np.ndarray
    length: np.ndarray
    radius: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def paths(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the points along every tube, each (tubes, STROKE_POINTS)."""
        t = np.linspace(0, 1, STROKE_POINTS)
        heading = self.heading[:, None] + self.bend[:, None] * t
        step = self.length[:, None] / STROKE_POINTS
        return (
            self.row[:, None] + np.cumsum(np.sin(heading) * step, axis=1),
            self.column[:, None] + np.cumsum(np.cos(heading) * step, axis=1),
        )


def draw_tubes(
    rng: np.random.Generator, kind: Tube, row: np.ndarray, column: np.ndarray, heading: np.ndarray
) -> Strokes:
    """Tubes of one kind that start here and head there."""
    n = len(heading)
    bend = rng.normal(0, kind.bend, n)
    return Strokes(
        row, column, heading, bend, *(getattr(rng, name)(*numbers, n) for name, *numbers in kind[1:])
    )


def coverage(strokes: Strokes) -> np.ndarray:
    """The fraction of every pixel that the tubes fill, before the point spread. (64, 64), 0..1.

    Every tube is a ribbon of points that each bring their share of its area, split over the four nearest
    pixels. A tube thinner than a pixel so gets the brightness of its partial volume.
    """
    along, across = np.linspace(0, 1, STROKE_POINTS)[:, None], np.linspace(-0.8, 0.8, RIBBON_POINTS)
    rows, columns = (path[:, :, None] for path in strokes.paths())
    heading = (strokes.heading + strokes.bend / 2)[:, None, None]
    radius = strokes.radius[:, None, None] * (1 - 0.6 * along)
    fill = strokes.first[:, None, None] * (1 - along) + strokes.last[:, None, None] * along
    area = fill * 2 * radius / RIBBON_POINTS * (strokes.length / STROKE_POINTS)[:, None, None]
    rows = (rows + across * radius * np.cos(heading) + SIZE / 2 + 0.5).ravel()
    columns = (columns - across * radius * np.sin(heading) + SIZE / 2 + 0.5).ravel()
    area = np.broadcast_to(area, (*area.shape[:2], RIBBON_POINTS)).ravel()

    wide = SIZE + 2  # a border of one pixel takes what falls outside
    rows, columns = np.clip(rows, 0, wide - 1.01), np.clip(columns, 0, wide - 1.01)
    row, column = rows.astype(int), columns.astype(int)
    down, right = rows - row, columns - column
    canvas = np.zeros(wide * wide)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = area * (down if i else 1 - down) * (right if j else 1 - right)
        canvas += np.bincount((row + i) * wide + column + j, share, wide * wide)
    return np.minimum(canvas.reshape(wide, wide)[1:-1, 1:-1], 1)
