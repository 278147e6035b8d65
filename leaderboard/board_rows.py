"""The lines of a board, and what its script needs to sort, filter and move along ε."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from benchmark.statistics import Estimate
from leaderboard import figures, paths
from leaderboard.columns import Cell, Column, finite
from leaderboard.entries import badge, title
from leaderboard.published import published
from leaderboard.tables import Row, Table
from leaderboard.trainings import trainings_view
from leaderboard.views import Badge
from leaderboard.words import interval, number, plain_text


@dataclass(frozen=True)
class Line:
    """An entry's line. look: a class of the stylesheet; swatch: its sign in the figure, if it has one."""

    name: str
    submission: str
    path: str
    swatch: Markup
    rank: str
    tied: bool
    reason: str
    warning: str
    look: str
    flags: tuple[Badge, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Reference:
    """A line that is not ranked and never could be: a control, or a number from a paper. badge: why."""

    name: str
    source: str
    url: str
    cells: tuple[Cell, ...]
    badge: str


def lines_of(table: Table, columns: Sequence[Column]) -> tuple[Line, ...]:
    """One line for each row of the table, in its order."""
    return tuple(_line(table, place, row, columns) for place, row in enumerate(table.rows))


def _line(table: Table, place: int, row: Row, columns: Sequence[Column]) -> Line:
    rank, trainings = row.standing.rank, trainings_view(row.trainings, table.protocol["headline"])
    return Line(
        name=title(row),
        submission=row.submission,
        path=paths.entry(table, row.submission),
        swatch=figures.swatch(place) if place < figures.SHOWN else Markup(""),
        rank=rank.words if rank else "–",
        tied=rank is not None and rank.first < rank.last,
        reason=row.unranked_because,
        warning=trainings.warning if trainings else "",
        look="unranked" if row.unranked_because else "first" if row.rank == 1 else "",
        flags=tuple(badge(row, flag) for flag in row.flags),
        cells=tuple(column.cell(row) for column in columns),
    )


def references_of(table: Table, columns: Sequence[Column]) -> tuple[Reference, ...]:
    """What a reader needs beside the entries: a constant answer, mere noise, and what papers printed. Never ranked."""
    if not table.ranked:
        return ()
    found = []
    if not any(row.description.get("architecture") == "constant" for row in table.rows):
        half = Estimate(0.5)
        found.append(
            Reference(
                "A constant answer",
                "right on all images of one class; no attack changes it",
                "",
                _cells(columns, clean=half, robust=half),
                "by definition",
            )
        )
    best = next((row for row in table.rows if row.rank == 1), None)
    headline = table.protocol["headline"]
    noise = next((p.noise for p in best.curve if p.epsilon == headline), None) if best else None
    if best is not None and noise is not None:
        found.append(
            Reference(
                "Noise instead of an attack",
                f"the leader under random noise of ±{headline}; the rest of the drop is the adversary's",
                "",
                _cells(columns, clean=best.balanced_clean, robust=Estimate(noise)),
                "control",
            )
        )
    paper = published()
    for printed in paper.of(table.modality.name):
        found.append(
            Reference(
                printed.title,
                paper.citation,
                paper.url,
                _cells(columns, robust=Estimate(printed.accuracy / 100), printed=True),
                "not comparable",
            )
        )
    return tuple(found)


def _cells(
    columns: Sequence[Column],
    clean: Estimate | None = None,
    robust: Estimate | None = None,
    printed: bool = False,
) -> tuple[Cell, ...]:
    """Clean and robust in their columns, nothing in all others. printed: the number stands as its authors wrote it."""
    known = {"clean": clean, "robust": robust}
    small = ("as published", "all images") if printed else ("balanced",)

    def cell(column: Column) -> Cell:
        value = known.get(column.key)
        if column.key == "forest" and clean is not None and robust is not None:
            return Cell("", mark=figures.forest(clean, robust))
        if value is None:
            return Cell("")
        return Cell(number(value.value), (interval(value) or "", *small) if interval(value) else small)

    return tuple(cell(column) for column in columns)


def script_data(table: Table, lines: Sequence[Line], columns: Sequence[Column]) -> Markup:
    """What the board's script needs, as JSON that may stand inside a <script>: nothing that the page does not say too.

    Shares are in thousandths: a balanced accuracy, its bounds, and missed disease, for no attack and each ε.
    """
    shown = [{"key": column.key, "label": column.label, "shown": column.shown} for column in columns]
    body = {
        "name": paths.table_name(table),
        "headline": table.protocol["headline"],
        "epsilons": ["0", *table.protocol["epsilons"]],
        "units": ["no attack", *(table.told(epsilon) for epsilon in table.protocol["epsilons"])],
        "columns": shown,
        "rows": [_row_data(row, line) for row, line in zip(table.rows, lines, strict=True)],
    }
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A title may hold "</script>": inside a string JSON can write these characters by their numbers.
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _row_data(row: Row, line: Line) -> dict[str, Any]:
    told = row.description.get("training")
    training: Mapping[str, Any] = told if isinstance(told, Mapping) else {"kind": plain_text(told)}
    severities = {flag.severity for flag in row.flags}
    return {
        "sort": [finite(cell.sort) for cell in line.cells],
        "curve": [
            [_thousandths(p.worst), *map(_thousandths, p.bounds or (None, None)), _thousandths(p.missed)]
            for p in row.curve
        ],
        "flags": len(row.flags),
        "facets": {
            "training": plain_text(training.get("kind")) or "not told",
            "architecture": plain_text(row.description.get("architecture")) or "not told",
            "external": "yes" if training.get("external_data") else "no",
            "flags": "doubt" if "doubt" in severities else "notice" if severities else "none",
            "division": plain_text(row.description.get("division")) or "closed",
            "kind": plain_text(row.description.get("kind")) or "not told",
        },
    }


def _thousandths(share: float | None) -> int | None:
    return None if share is None else round(1000 * share)
