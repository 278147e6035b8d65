"""What every page is put together from: tables of numbers, figures that carry their numbers, facts by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from benchmark.statistics import Estimate
from leaderboard.words import interval, number


@dataclass(frozen=True)
class Cell:
    """What stands in a cell of a table, and beneath it in small print."""

    text: str
    small: str = ""


@dataclass(frozen=True)
class Line:
    """A row of a table: its head, perhaps with the sign that its line has in a figure, and its cells."""

    head: str
    cells: tuple[Cell, ...]
    swatch: Markup = field(default=Markup(""))


@dataclass(frozen=True)
class Numbers:
    """A table: what it says, its columns (the first is of the heads), its rows. words: its cells are text, not numbers."""

    caption: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    words: bool = False


@dataclass(frozen=True)
class Figure:
    """A drawing with its legend and the table of its numbers. anchor: unique in the page."""

    anchor: str
    title: str
    svg: Markup
    legend: tuple[tuple[Markup, str], ...]
    numbers: Numbers


@dataclass(frozen=True)
class Fact:
    """Something by name; code: in the letters of a terminal; link: where it leads, empty where nowhere."""

    name: str
    text: str
    link: str = ""
    code: bool = False


def share(estimate: Estimate | None) -> Cell:
    """A share in percent over its interval.

    >>> share(Estimate(0.5, 0.25, 0.75))
    Cell(text='50.0', small='25.0–75.0')
    """
    return Cell("–") if estimate is None else Cell(number(estimate.value), interval(estimate))


def three(estimate: Estimate | None) -> Cell:
    """What is no percentage, to three decimals, over its interval.

    >>> three(Estimate(0.25, 0.2, 0.3))
    Cell(text='0.250', small='0.200–0.300')
    """
    if estimate is None:
        return Cell("–")
    bounds = (
        "" if estimate.low is None or estimate.high is None else f"{estimate.low:.3f}–{estimate.high:.3f}"
    )
    return Cell(f"{estimate.value:.3f}", bounds)


def facts(*pairs: tuple[str, str], code: Sequence[str] = ()) -> tuple[Fact, ...]:
    """Those that have something to say."""
    return tuple(Fact(name, text, code=name in code) for name, text in pairs if text)
