"""All pairs of a board: who is better, by how much, beyond chance or not, and on how many images they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.record import Record
from benchmark.statistics import Estimate
from benchmark.statistics.agreement import Agreement, agreements
from benchmark.statistics.comparison import LEVEL, compare
from leaderboard.tables import Table


@dataclass(frozen=True)
class Pair:
    """One entry minus another in balanced worst-case accuracy at the headline ε, on the same images.

    first, second: places in the table. difference: its interval holds together with those of its family. p, p_adjusted: of
    the pair alone, and among its family. ranking: whether that is the board's own family, by which ranks are given; else
    it is that of the pairs with an entry that takes no rank.
    """

    first: int
    second: int
    difference: Estimate
    p: float
    p_adjusted: float
    ranking: bool
    agreement: Agreement

    @property
    def beyond_chance(self) -> bool:
        """Whether the two differ, with at most 5 % of families in which any equal pair is said to."""
        return self.difference.low is not None and self.p_adjusted <= LEVEL


def all_pairs(table: Table, records: Sequence[Record]) -> tuple[Pair, ...]:
    """Every pair once, the entry that stands higher in the table first.

    Args:
        records: of the table, in any order.
    """
    by_name = {record.submission: record for record in records}
    rows = [by_name[row.submission] for row in table.rows]
    if len(rows) < 2:
        return ()
    labels, patients = rows[0].labels, rows[0].patient_ids
    right = np.column_stack([record.robust(record.headline) for record in rows])
    places = {row.submission: place for place, row in enumerate(table.rows)}
    ranked = [places[standing.submission] for standing in table.board.standings]
    found: dict[tuple[int, int], tuple[Estimate, float, float, bool]] = {}
    for one in table.board.comparisons:
        pair, difference = (ranked[one.first], ranked[one.second]), one.difference
        if pair[0] > pair[1]:
            pair, difference = (pair[1], pair[0]), _turned(difference)
        found[pair] = (difference, one.p, one.p_adjusted, True)
    others = [(i, j) for i in range(len(rows)) for j in range(i + 1, len(rows)) if (i, j) not in found]
    for one in compare(right, labels, patients, others):
        found[one.first, one.second] = (one.difference, one.p, one.p_adjusted, False)
    ordered = sorted(found)
    return tuple(
        Pair(one, two, *found[one, two], both)
        for (one, two), both in zip(ordered, agreements(right, ordered), strict=True)
    )


def pair_lines(table: Table, pairs: Sequence[Pair]) -> list[list[Any]]:
    """Every pair as a line of a CSV, its header first; shares in [0, 1]."""
    header = ["entry", "other", "difference", "low", "high", "p", "p_adjusted", "family"]
    lines: list[list[Any]] = [[*header, "both_right", "entry_alone", "other_alone", "neither", "p_mcnemar"]]
    names = [row.submission for row in table.rows]
    for pair in pairs:
        d, both = pair.difference, pair.agreement
        family = "ranking" if pair.ranking else "with an unranked entry"
        line = [names[pair.first], names[pair.second], d.value, d.low, d.high, pair.p, pair.p_adjusted]
        counts = [both.both, both.first_alone, both.second_alone, both.neither, both.p]
        lines.append([*line, family, *counts])
    return lines


def _turned(difference: Estimate) -> Estimate:
    low, high = difference.low, difference.high
    return Estimate(-difference.value, None if high is None else -high, None if low is None else -low)
