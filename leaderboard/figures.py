"""Tables → SVG: the accuracy–ε curves, and the small marks that stand in a table.

matplotlib draws; what it writes is then made fit to stand inside a page: its inline
styles, which the page's Content-Security-Policy forbids, become attributes, and its
colours become classes, so that one stylesheet colours page and figure, light and dark.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup

from benchmark.statistics import Estimate
from leaderboard.tables import Row, Table

# Colours that stand for a class until the drawing is done: the page's ink, and one per series.
INK = "#000001"
SERIES = 8
# Entries of a table that a figure can still tell apart; the others are drawn faintly.
SHOWN = 12
MARKERS = ("o", "s", "D", "^", "v", "P", "X", ">")
DASHES = ("solid", (0, (5, 1.5)), (0, (1, 1)))

_PLACEHOLDER = {INK: "ink"} | {f"#0000{16 + i:02x}": f"series-{i}" for i in range(SERIES)}


def series_class(place: int) -> str:
    """The class that colours the entry at this place of its table."""
    return f"series-{place % SERIES}"


def placeholder(place: int) -> str:
    """The colour that stands for `series_class(place)` until a drawing is done."""
    return f"#0000{16 + place % SERIES:02x}"


def curves(table: Table, anchor: str, title: str, description: str) -> Markup:
    """Balanced worst-case accuracy over ε of every entry, with the noise control as a faint line.

    Args:
        anchor: unique in the page; the ids inside the SVG begin with it.
        title, description: what a screen reader says.
    """

    def draw(axes: Any) -> None:
        for place, row in enumerate(table.rows[:SHOWN]):
            _draw_entry(axes, place, row, table.protocol["headline"])
        _draw_others(axes, table.rows[SHOWN:])
        draw_epsilons(axes, table)
        draw_percent(axes, "balanced accuracy, at most")

    return drawn(draw, (7.6, 4.0), anchor, title, description)


@dataclass(frozen=True)
class CoverageLine:
    """Accuracy over coverage of the entry at one place of its table: three (N,) arrays, shares in [0, 1].

    marks: the rows where the curve carries its marker.
    """

    place: int
    coverage: np.ndarray
    clean: np.ndarray
    attacked: np.ndarray
    marks: tuple[int, ...]


def coverage(lines: Sequence[CoverageLine], kept: float, anchor: str, title: str, description: str) -> Markup:
    """Accuracy of the answered images over the share answered; dotted where `kept` of them are.

    Args:
        anchor, title, description: as in `curves`.
    """

    def draw(axes: Any) -> None:
        for line in lines:
            colour, at = placeholder(line.place), {"markevery": list(line.marks)}
            marker = {"marker": MARKERS[line.place % SERIES], "markersize": 4.5}
            share = 100 * line.coverage
            axes.plot(share, 100 * line.clean, color=colour, linewidth=1.8, zorder=3, **marker, **at)
            axes.plot(
                share, 100 * line.attacked, color=colour, linewidth=1.2, alpha=0.55, linestyle=(0, (4, 2))
            )
        axes.axvline(100 * kept, color=INK, linewidth=0.9, linestyle=(0, (2, 2)), alpha=0.6)
        axes.set_xlim(0, 101)
        axes.set_xticks(range(0, 101, 20), labels=[f"{x} %" for x in range(0, 101, 20)], fontsize=8.5)
        axes.set_xlabel("answered, the least sensitive first", color=INK)
        draw_percent(axes, "accuracy of the answered")

    return drawn(draw, (7.6, 3.2), anchor, title, description)


def drawn(
    draw: Callable[[Any], None], size: tuple[float, float], anchor: str, title: str, description: str
) -> Markup:
    """What `draw` puts on a pair of axes, as SVG that may stand inside a page.

    Args:
        size: in inches. anchor, title, description: as in `curves`.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # A fixed salt makes the ids, and so the file, the same every time; text stays text.
    with rc_context({"svg.hashsalt": "oncorobust", "svg.fonttype": "none", "font.size": 10.5}):
        figure = Figure(figsize=size)
        # Margins in inches by hand: a layout that finds them draws everything twice.
        width, height = size
        figure.subplots_adjust(0.84 / width, 0.68 / height, 1 - 0.12 / width, 1 - 0.1 / height)
        draw(figure.add_subplot())
        out = BytesIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return _for_a_page(out.getvalue(), anchor, title, description)


def _draw_others(axes: Any, rows: Sequence[Row]) -> None:
    """The rows that have no colour of their own, as one faint bundle."""
    from matplotlib.collections import LineCollection

    lines = [[(float(point.epsilon), 100 * point.worst) for point in row.curve] for row in rows]
    axes.add_collection(LineCollection(lines, colors=INK, linewidths=0.7, alpha=0.18, zorder=1))


def _draw_entry(axes: Any, place: int, row: Row, headline: str) -> None:
    colour = placeholder(place)
    line = {
        "color": colour,
        "marker": MARKERS[place % SERIES],
        "linestyle": DASHES[place // SERIES % len(DASHES)],
    }
    x = [float(point.epsilon) for point in row.curve]
    axes.plot(x, [100 * point.worst for point in row.curve], linewidth=1.8, markersize=4.5, zorder=3, **line)
    noise = [math.nan if point.noise is None else 100 * point.noise for point in row.curve]
    axes.plot(x, noise, color=colour, linewidth=1.0, alpha=0.4, zorder=2)
    if row.balanced.low is not None and row.balanced.high is not None:
        low, value, high = (100 * v for v in (row.balanced.low, row.balanced.value, row.balanced.high))
        # Resampling can leave the value a hair outside of its own interval; a bar has no negative length.
        reach = [[max(0.0, value - low)], [max(0.0, high - value)]]
        axes.errorbar(
            [float(headline)], [value], yerr=reach, color=colour, capsize=4, linewidth=1.4, zorder=4
        )


def draw_epsilons(axes: Any, table: Table) -> None:
    """The horizontal axis of everything over ε, with the headline marked."""
    # Square roots spread the small ε, where models break, and still have a place for 0.
    axes.set_xscale("function", functions=(lambda x: abs(x) ** 0.5, lambda x: x**2))
    grid = table.protocol["epsilons"]
    axes.set_xlim(0, float(grid[-1]) * 1.03)
    steps = [table.modality.step(epsilon, table.notes) for epsilon in grid]
    ticks = ["0", *grid]
    labels = ["0", *(f"{e}\n{amount}" for e, (amount, _) in zip(grid, steps, strict=True))]
    axes.set_xticks([float(tick) for tick in ticks], labels=labels, fontsize=8.5)
    axes.xaxis.set_minor_locator(_none())
    axes.set_xlabel(f"ε on [0, 1]; below it, in {steps[-1][1]}", color=INK)
    axes.axvline(
        float(table.protocol["headline"]), color=INK, linewidth=0.9, linestyle=(0, (2, 2)), alpha=0.6
    )


def draw_percent(axes: Any, label: str) -> None:
    """A vertical axis from 0 to 100 %, and the ink of everything that is no line."""
    axes.set_ylim(-2, 102)
    axes.set_yticks(range(0, 101, 20), labels=[f"{y} %" for y in range(0, 101, 20)])
    axes.set_ylabel(label, color=INK)
    axes.grid(axis="y", color=INK, alpha=0.14, linewidth=0.8)
    axes.tick_params(color=INK, labelcolor=INK, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)


def _none() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _for_a_page(svg: bytes, anchor: str, title: str, description: str) -> Markup:
    """matplotlib's SVG without inline style, colours, sizes or ids that could clash with another figure's."""
    root = ElementTree.fromstring(svg)
    used = set(re.findall(r"#([\w.-]+)[\")]", svg.decode()))
    for parent in root.iter():
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        given, element.attrib = dict(element.attrib), {}
        for name, value in given.items():
            name = name.rpartition("}")[2]
            if name == "style":
                _attributes_for(element, value)
            elif name == "id":
                if value in used:
                    element.set("id", f"{anchor}-{value}")
            else:
                element.set(name, value.replace("url(#", f"url(#{anchor}-") if name == "clip-path" else value)
            if name == "href":
                element.set("href", f"#{anchor}-{value[1:]}")
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {
        "class": "curves",
        "role": "img",
        "aria-labelledby": f"{anchor}-title {anchor}-description",
    }
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        label = ElementTree.Element(tag, {"id": f"{anchor}-{'title' if tag == 'title' else 'description'}"})
        label.text = text
        root.insert(place, label)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _attributes_for(element: ElementTree.Element, style: str) -> None:
    """Write a style as attributes, and a placeholder colour as a class."""
    classes: list[str] = []
    for declaration in filter(None, (part.strip() for part in style.split(";"))):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if value in _PLACEHOLDER:
            classes.append(f"{name}-{_PLACEHOLDER[value]}")
        elif name == "font":
            size = re.search(r"([\d.]+)px", value)
            element.set("font-size", size.group(1) if size else "10")
        elif name != "font-family":
            element.set(name, value.removesuffix("px") if name == "font-size" else value)
    if classes:
        element.set("class", " ".join(classes))


def interval_bar(estimate: Estimate, place: int) -> Markup:
    """A share and its interval as a mark on a line from 0 to 100 %. The numbers stand beside it as text."""
    low = estimate.value if estimate.low is None else estimate.low
    high = estimate.value if estimate.high is None else estimate.high
    name = series_class(place)
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect class="fill-rail" x="0" y="4.5" width="100" height="1"/>'
        '<rect class="fill-{0}" x="{1:.1f}" y="1" width="{2:.1f}" height="8" opacity="0.5"/>'
        '<rect class="fill-{0}" x="{3:.1f}" y="0" width="2" height="10"/></svg>'
    ).format(name, 100 * low, 100 * (high - low), min(98.0, max(0.0, 100 * estimate.value - 1)))


def forest(clean: Estimate, robust: Estimate) -> Markup:
    """Two shares with their intervals on one line from 0 to 100 %: above and hollow clean, below and full robust.

    The numbers stand beside it as text. Classes name its parts, so that a script can move those of the robust one.
    """
    (low, at, high), (low_2, at_2, high_2) = _places(clean), _places(robust)
    return Markup(
        '<svg class="forest" viewBox="-5 0 170 24" aria-hidden="true" focusable="false">'
        '<path class="rail" d="M0 12H160M80 7V17"/>'
        '<path class="clean" d="M{0:.1f} 7H{2:.1f}"/><circle class="clean" cx="{1:.1f}" cy="7" r="3"/>'
        '<path class="robust" d="M{3:.1f} 17H{5:.1f}"/><circle class="robust" cx="{4:.1f}" cy="17" r="3.6"/></svg>'
    ).format(low, at, high, low_2, at_2, high_2)


def _places(estimate: Estimate) -> tuple[float, float, float]:
    """Low bound, value and high bound on a line of length 160."""
    low = estimate.value if estimate.low is None else estimate.low
    high = estimate.value if estimate.high is None else estimate.high
    return 160 * low, 160 * estimate.value, 160 * high


def swatch(place: int) -> Markup:
    """The sign of an entry in legend and table: its line and marker as the curves draw them."""
    name, marker, dash = series_class(place), MARKERS[place % SERIES], DASHES[place // SERIES % len(DASHES)]
    dashes = "" if isinstance(dash, str) else " ".join(f"{1.8 * length:g}" for length in _lengths(dash))
    line = Markup(
        '<line class="stroke-{0}" x1="0" y1="6" x2="24" y2="6" stroke-width="2" stroke-dasharray="{1}"/>'
    )
    return (
        Markup('<svg class="swatch" viewBox="0 0 24 12" aria-hidden="true" focusable="false">')
        + line.format(name, dashes or "none")
        + Markup(f'<path class="fill-{name}" d="{_MARKER_PATHS[marker]}"/></svg>')
    )


def _lengths(dash: Any) -> Sequence[float]:
    return dash[1]


_MARKER_PATHS = {
    "o": "M8 6a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "s": "M8.5 2.5h7v7h-7z",
    "D": "M12 1l5 5l-5 5l-5-5z",
    "^": "M12 1.5l4.5 8h-9z",
    "v": "M12 10.5l4.5-8h-9z",
    "P": "M10.5 1.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
    "X": "M8.8 1.2l3.2 3.2l3.2-3.2l1.6 1.6l-3.2 3.2l3.2 3.2l-1.6 1.6l-3.2-3.2l-3.2 3.2l-1.6-1.6l3.2-3.2l-3.2-3.2z",
    ">": "M8 1.5l8 4.5l-8 4.5z",
}
