"""Entries side by side: all differences of a board in a matrix, and two to four of them chosen in the address.

What the script shows follows from numbers in the page: differences and intervals of all pairs as they were computed,
and one bit for each entry and image, from which it counts agreements. It computes no statistics.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from benchmark.measures import positive_words
from benchmark.record import Record
from benchmark.statistics import MINIMUM_PATIENTS
from leaderboard import figures, paths
from leaderboard.canvas import over_epsilon
from leaderboard.csv_text import as_csv
from leaderboard.entries import title
from leaderboard.frame import File, Page
from leaderboard.pairs import Pair, all_pairs, pair_lines
from leaderboard.source import Source
from leaderboard.tables import Row, Table
from leaderboard.tracks import track_warnings
from leaderboard.words import signed, slug

MATRIX = 60  # entries at most in the matrix: a page stays small; the file has all pairs
CHOSEN = 4  # entries at most side by side
ANCHOR = "compare-curves"


@dataclass(frozen=True)
class MatrixCell:
    """Row minus column in points. beyond: whether that is more than chance; differ: images on which they disagree, with
    McNemar's p of that pair alone.
    """

    difference: str
    differ: str
    mcnemar: str
    beyond: bool


@dataclass(frozen=True)
class MatrixRow:
    """An entry against all that stand above it in the table."""

    number: str
    anchor: str
    title: str
    path: str
    swatch: Markup
    rank: str
    value: str
    cells: tuple[MatrixCell, ...]


@dataclass(frozen=True)
class ComparePage:
    """compare.html. left_out: entries for which the matrix has no room. data: what the script reads, as JSON in markup."""

    board: str
    title: str
    track: str
    headline: str
    warnings: tuple[str, ...]
    images: str
    patients: str
    positive: str
    family: str
    left_out: int
    rows: tuple[MatrixRow, ...]
    choices: tuple[str, ...]
    axes: Markup
    data: Markup
    file: str


def pages(source: Source) -> Iterator[Page | File]:
    """A page for each board with two entries, and a file of all its pairs."""
    for table in source.tables:
        records = source.of(table)
        pairs = all_pairs(table, records)
        if not pairs:
            continue
        yield Page(
            paths.compare(table),
            "compare.html.j2",
            _page(table, records, pairs),
            title=f"Compare: {table.modality.title}, {table.track} – OncoRobust",
            description=f"Two to four entries side by side on the same images: {table.modality.title}, {table.track}.",
            label="compare",
            home=paths.home(table),
            track=table.track,
        )
        yield File(paths.download(table, "-pairs.csv"), as_csv(pair_lines(table, pairs)))


def _page(table: Table, records: Sequence[Record], pairs: Sequence[Pair]) -> ComparePage:
    area = over_epsilon(table, (7.6, 3.7), ANCHOR, "balanced accuracy, at most")
    words = "Balanced accuracy in the worst case over ε of the entries chosen above; the table below has the numbers."
    ranked = sum(pair.ranking for pair in pairs)
    return ComparePage(
        board=paths.board(table),
        title=table.modality.title,
        track=table.track,
        headline=table.protocol["headline"],
        warnings=track_warnings(table.track)
        + (
            (f"Only {table.patients} patients: no interval below {MINIMUM_PATIENTS}.",)
            if table.patients < MINIMUM_PATIENTS
            else ()
        ),
        images=f"{table.images:,}",
        patients=f"{table.patients:,}",
        positive=positive_words(table.modality.name, table.track),
        family=_family(ranked, len(pairs) - ranked),
        left_out=max(0, len(table.rows) - MATRIX),
        rows=_matrix(table, pairs),
        choices=tuple("abcd"[:CHOSEN]),
        axes=area.drawn("Accuracy over ε, side by side", words, ()),
        data=_data(table, records, pairs, area.place),
        file=paths.download(table, "-pairs.csv"),
    )


def _family(ranked: int, others: int) -> str:
    words = []
    if ranked:
        words.append(f"{ranked:,} pairs of ranked entries and of entries with their naive twins")
    if others:
        words.append(f"{others:,} pairs with an entry that takes no rank")
    return " and, as a family of their own, the ".join(words)


def _matrix(table: Table, pairs: Sequence[Pair]) -> tuple[MatrixRow, ...]:
    by_place = {(pair.first, pair.second): pair for pair in pairs}
    rows = []
    for place, row in enumerate(table.rows[:MATRIX]):
        rank = row.standing.rank
        cells = tuple(_cell(by_place[above, place]) for above in range(place))
        rows.append(
            MatrixRow(
                number=str(place + 1),
                anchor=_anchor(row),
                title=title(row),
                path=paths.entry(table, row.submission),
                swatch=figures.swatch(place),
                rank=rank.words if rank else "–",
                value=f"{100 * row.balanced.value:.1f}",
                cells=cells,
            )
        )
    return tuple(rows)


def compare_link(table: Table, place: int) -> str:
    """Where an entry is compared: its row in the matrix, which the script takes for a choice; without a row the page."""
    there = f"#{_anchor(table.rows[place])}" if place < MATRIX else ""
    return paths.compare(table) + there


def _anchor(row: Row) -> str:
    return f"entry-{slug(row.submission)}"


def _twin(table: Table, row: Row) -> int:
    """The place of the naive twin; without one, of the entry that stands next to it."""
    names = [each.submission for each in table.rows]
    twin, place = str(row.description.get("naive_twin", "")), names.index(row.submission)
    if twin in names and twin != row.submission:
        return names.index(twin)
    return place + 1 if place + 1 < len(names) else place - 1


def _cell(pair: Pair) -> MatrixCell:
    # Row minus column: the row stands below, so the pair is turned.
    both = pair.agreement
    return MatrixCell(
        signed(-pair.difference.value),
        f"{both.first_alone + both.second_alone:,}",
        "p < 0.001" if both.p < 0.001 else f"p = {both.p:.3f}",
        pair.beyond_chance,
    )


def _data(table: Table, records: Sequence[Record], pairs: Sequence[Pair], place: Any) -> Markup:
    """What the script needs, small: numbers in tenths of a point, verdicts as bits."""
    by_name = {record.submission: record for record in records}
    epsilons = ["0", *table.protocol["epsilons"]]
    grid = np.array([float(epsilon) for epsilon in epsilons])
    spots = place(grid, np.zeros(len(grid)))
    top = place(np.zeros(1), np.array([100.0]))[0, 1]
    body = {
        "headline": table.protocol["headline"],
        "images": table.images,
        "epsilons": epsilons,
        "units": ["0", *(" ".join(table.modality.step(e, table.notes)) for e in epsilons[1:])],
        "x": [round(float(x), 1) for x in spots[:, 0]],
        "y": [round(float(spots[0, 1]), 1), round(float(top), 1)],
        "entries": [
            {
                "id": row.submission,
                "anchor": _anchor(row),
                "beside": _twin(table, row),
                "title": title(row),
                "path": paths.entry(table, row.submission).rpartition("/")[2],
                "rank": row.standing.rank.words if row.standing.rank else "–",
                "curve": [round(1000 * point.worst) for point in row.curve],
                "right": np.packbits(by_name[row.submission].robust(table.protocol["headline"]))
                .tobytes()
                .hex(),
            }
            for row in table.rows
        ],
        # For each pair, in the order (0, 1), (0, 2), …: difference, low, high, p among its family in ten-thousandths.
        "pairs": [_packed(pair) for pair in sorted(pairs, key=lambda pair: (pair.first, pair.second))],
    }
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    # Inside a script element only these could end it.
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _packed(pair: Pair) -> list[int]:
    d = pair.difference
    numbers = [d.value] if d.low is None or d.high is None else [d.value, d.low, d.high]
    found = [round(1000 * number) for number in numbers]
    return [*found, round(10_000 * pair.p_adjusted)] if len(found) == 3 else found
