"""Axes drawn once by matplotlib, lines laid over them by the hundred.

A page for every entry has the same axes as its neighbours' and other lines. matplotlib takes a tenth of a second for a
figure, so it draws the axes of a kind once; where a number lies on them it says too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from markupsafe import Markup, escape

from leaderboard import figures

Points: TypeAlias = Sequence[float] | np.ndarray
TITLE, DESCRIPTION = "title-of-this-drawing", "description-of-this-drawing"
DASHES = ("none", "6 2", "2 2", "6 2 2 2", "1 3", "9 3", "9 3 1 3 1 3")


@dataclass(frozen=True)
class Canvas:
    """Axes without lines, as SVG that may stand in a page, and where a number lies on them.

    place: (n,) and (n,) of the axes' own numbers → (n, 2) of the drawing's.
    """

    svg: str
    place: Callable[[np.ndarray, np.ndarray], np.ndarray]

    def drawn(self, title: str, description: str, marks: Iterable[Markup]) -> Markup:
        """With these marks on it, and what a screen reader says."""
        body = self.svg.replace(TITLE, str(escape(title))).replace(DESCRIPTION, str(escape(description)))
        return Markup(body.removesuffix("</svg>") + "".join(marks) + "</svg>")

    def line(self, x: Points, y: Points, series: int, dash: int = 0, width: float = 1.7) -> Markup:
        """A line through points; broken where a number is not finite."""
        parts = []
        for points in _finite(np.asarray(x, float), np.asarray(y, float)):
            parts.append("M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in self.place(*points)))
        return Markup(
            '<path class="stroke-{}" d="{}" fill="none" stroke-width="{}" stroke-dasharray="{}" stroke-linejoin="round"/>'
        ).format(figures.series_class(series), "".join(parts), width, DASHES[dash % len(DASHES)])

    def band(self, x: Points, low: Points, high: Points, series: int) -> Markup:
        """The area between two lines, faint."""
        there = self.place(np.asarray(x, float), np.asarray(high, float))
        back = self.place(np.asarray(x, float), np.asarray(low, float))[::-1]
        points = "L".join(f"{a:.1f} {b:.1f}" for a, b in np.concatenate([there, back]))
        return Markup('<path class="fill-{}" d="M{}z" opacity="0.16"/>').format(
            figures.series_class(series), points
        )

    def steps(self, x: Points, y: Points, series: int, dash: int = 0) -> Markup:
        """A line that stays until the next number and then jumps."""
        across, up = np.repeat(np.asarray(x, float), 2)[1:], np.repeat(np.asarray(y, float), 2)[:-1]
        return self.line(across, up, series, dash)

    def dots(self, x: Points, y: Points, series: int, radii: Sequence[float] | float = 2.6) -> Markup:
        """A dot at each point."""
        name = figures.series_class(series)
        sizes = np.broadcast_to(radii, (len(x),))
        return Markup("").join(
            Markup('<circle class="fill-{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}" opacity="0.85"/>').format(
                name, a, b, size
            )
            for (a, b), size in zip(
                self.place(np.asarray(x, float), np.asarray(y, float)), sizes, strict=True
            )
        )

    def bar(self, x: float, low: float, high: float, series: int) -> Markup:
        """An interval, upright."""
        (a, top), (_, bottom) = self.place(np.array([x, x]), np.array([high, low]))
        return Markup('<path class="stroke-{}" d="M{:.1f} {:.1f}V{:.1f}" stroke-width="1.3"/>').format(
            figures.series_class(series), a, top, bottom
        )


def canvas(draw: Callable[[Any], None], size: tuple[float, float], anchor: str) -> Canvas:
    """Axes as `draw` sets them up.

    Args:
        size: in inches. anchor: unique in the page; the ids inside the SVG begin with it.
    """
    kept: list[Any] = []

    def keep(axes: Any) -> None:
        draw(axes)
        kept.append(axes)

    svg = str(figures.drawn(keep, size, anchor, TITLE, DESCRIPTION))
    (axes,) = kept
    box = axes.get_position()
    width, height = 72 * size[0], 72 * size[1]
    to_box = axes.transData - axes.transAxes

    def place(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        inside = to_box.transform(np.column_stack([x, y]))
        return np.column_stack(
            [
                width * (box.x0 + inside[:, 0] * box.width),
                height * (1 - box.y0 - inside[:, 1] * box.height),
            ]
        )

    return Canvas(svg, place)


def swatch(series: int, dash: int = 0, dot: bool = False) -> Markup:
    """The sign of a line of a canvas in its legend."""
    name = figures.series_class(series)
    mark = Markup('<circle class="fill-{}" cx="12" cy="6" r="3.4"/>').format(name) if dot else Markup("")
    return Markup(
        '<svg class="swatch" viewBox="0 0 24 12" aria-hidden="true" focusable="false"><line class="stroke-{}" x1="0" '
        'y1="6" x2="24" y2="6" stroke-width="2" stroke-dasharray="{}"/>{}</svg>'
    ).format(name, DASHES[dash % len(DASHES)], mark)


def _finite(x: np.ndarray, y: np.ndarray) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """The runs of points that have a place."""
    fine = np.isfinite(x) & np.isfinite(y)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], fine, [False]]).astype(int)))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        yield x[start:stop], y[start:stop]
