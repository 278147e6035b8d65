"""Axes drawn once by matplotlib, lines laid over them by the hundred.

A page for every entry has the same axes as its neighbours' and other lines. matplotlib takes a tenth of a second for a
figure, so it draws the axes of a kind once; where a number lies on them it says too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from markupsafe import Markup, escape

from leaderboard import figures
from leaderboard.tables import Table

Points: TypeAlias = Sequence[float] | np.ndarray
# Words that stand in a drawing until it is used; `named` and `drawn` put others in their place.
TITLE, DESCRIPTION = "title-of-this-drawing", "description-of-this-drawing"
ANCHOR, LABEL = "anchor-of-this-drawing", "label-of-this-axis"
DASHES = ("none", "6 2", "2 2", "6 2 2 2", "1 3", "9 3", "9 3 1 3 1 3", "3 5")


@dataclass(frozen=True)
class Canvas:
    """Axes without lines, as SVG that may stand in a page, and where a number lies on them.

    place: (n,) and (n,) of the axes' own numbers → (n, 2) of the drawing's.
    """

    svg: str
    place: Callable[[np.ndarray, np.ndarray], np.ndarray]

    def named(self, anchor: str, label: str) -> Canvas:
        """The same axes under other names: `ANCHOR` where its ids begin, and `LABEL`, centred beside an axis."""
        return replace(self, svg=self.svg.replace(ANCHOR, anchor).replace(LABEL, str(escape(label))))

    def drawn(self, title: str, description: str, marks: Iterable[Markup]) -> Markup:
        """With these marks on it, and what a screen reader says."""
        body = self.svg.replace(TITLE, str(escape(title))).replace(DESCRIPTION, str(escape(description)))
        return Markup(body.removesuffix("</svg>") + "".join(marks) + "</svg>")

    def line(self, x: Points, y: Points, series: int, dash: int = 0, width: float = 1.7) -> Markup:
        """A line through points; broken where a number is not finite."""
        parts = []
        for points in _finite(np.asarray(x, float), np.asarray(y, float)):
            parts.append("M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in self.place(*points).tolist()))
        # Numbers and names of our own: nothing here is to be escaped, and a page has thousands of them.
        return Markup(
            f'<path class="stroke-{figures.series_class(series)}" d="{"".join(parts)}" fill="none" stroke-width="{width}" '
            f'stroke-dasharray="{DASHES[dash % len(DASHES)]}" stroke-linejoin="round"/>'
        )

    def band(self, x: Points, low: Points, high: Points, series: int) -> Markup:
        """The area between two lines, faint."""
        there = self.place(np.asarray(x, float), np.asarray(high, float))
        back = self.place(np.asarray(x, float), np.asarray(low, float))[::-1]
        points = "L".join(f"{a:.1f} {b:.1f}" for a, b in np.concatenate([there, back]).tolist())
        return Markup(f'<path class="fill-{figures.series_class(series)}" d="M{points}z" opacity="0.16"/>')

    def steps(self, x: Points, y: Points, series: int, dash: int = 0) -> Markup:
        """A line that stays until the next number and then jumps."""
        across, up = np.repeat(np.asarray(x, float), 2)[1:], np.repeat(np.asarray(y, float), 2)[:-1]
        return self.line(across, up, series, dash)

    def dots(self, x: Points, y: Points, series: int, radii: Sequence[float] | float = 2.6) -> Markup:
        """A dot at each point."""
        name = figures.series_class(series)
        sizes = np.broadcast_to(radii, (len(x),))
        spots = self.place(np.asarray(x, float), np.asarray(y, float))
        return Markup(
            "".join(
                f'<circle class="fill-{name}" cx="{a:.1f}" cy="{b:.1f}" r="{size:.1f}" opacity="0.85"/>'
                for (a, b), size in zip(spots.tolist(), sizes.tolist(), strict=True)
            )
        )

    def bar(self, x: float, low: float, high: float, series: int) -> Markup:
        """An interval, upright."""
        (a, top), (_, bottom) = self.place(np.array([x, x]), np.array([high, low])).tolist()
        name = figures.series_class(series)
        return Markup(f'<path class="stroke-{name}" d="M{a:.1f} {top:.1f}V{bottom:.1f}" stroke-width="1.3"/>')


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
    # Frozen: asked a thousand times, it need not look each time whether its axes have changed.
    to_box = (axes.transData - axes.transAxes).frozen()

    def place(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        inside = to_box.transform(np.column_stack([x, y]))
        return np.column_stack(
            [
                width * (box.x0 + inside[:, 0] * box.width),
                height * (1 - box.y0 - inside[:, 1] * box.height),
            ]
        )

    return Canvas(svg, place)


@dataclass(frozen=True)
class _OverEpsilon:
    """What tells axes over ε apart: their size and all that is written along them."""

    size: tuple[float, float]
    written: tuple[str, ...]
    table: Table = field(compare=False)


def over_epsilon(table: Table, size: tuple[float, float], anchor: str, label: str) -> Canvas:
    """Axes of shares in percent over the ε grid of a table, drawn once for all tables that have the same.

    Args:
        size, anchor: as in `canvas`. label: of the upright axis.
    """
    grid = table.protocol["epsilons"]
    written = (table.protocol["headline"], *grid, *map(table.told, grid))
    return _over_epsilon(_OverEpsilon(size, written, table)).named(anchor, label)


@lru_cache(maxsize=16)
def _over_epsilon(asked: _OverEpsilon) -> Canvas:
    def draw(axes: Any) -> None:
        figures.draw_epsilons(axes, asked.table)
        figures.draw_percent(axes, LABEL)

    return canvas(draw, asked.size, ANCHOR)


def swatch(series: int, dash: int = 0, dot: bool = False) -> Markup:
    """The sign of a line of a canvas in its legend."""
    name = figures.series_class(series)
    mark = f'<circle class="fill-{name}" cx="12" cy="6" r="3.4"/>' if dot else ""
    return Markup(
        f'<svg class="swatch" viewBox="0 0 24 12" aria-hidden="true" focusable="false"><line class="stroke-{name}" x1="0" '
        f'y1="6" x2="24" y2="6" stroke-width="2" stroke-dasharray="{DASHES[dash % len(DASHES)]}"/>{mark}</svg>'
    )


def _finite(x: np.ndarray, y: np.ndarray) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """The runs of points that have a place."""
    fine = np.isfinite(x) & np.isfinite(y)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], fine, [False]]).astype(int)))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        yield x[start:stop], y[start:stop]
