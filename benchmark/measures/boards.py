"""All entries of one track, modality and protocol, compared with each other: ranks, ties, and what may be chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.errors import DataError
from benchmark.record import Record
from benchmark.statistics import Estimate, balanced_accuracy, mean_intervals
from benchmark.statistics.agreement import Agreement, agreement
from benchmark.statistics.comparison import LEVEL, Comparison, compare
from benchmark.statistics.power import planned_for, shown_difference
from benchmark.statistics.ranks import Rank, first_places, rank_intervals


@dataclass(frozen=True)
class Versus:
    """An entry minus another in balanced worst-case accuracy at the headline ε, on the same images.

    difference: its interval holds together with those of the whole board. alone: the same by itself.
    p, p_adjusted: of this pair, and among all pairs of the board. agreement: image by image, with McNemar's test.
    """

    entry: str
    other: str
    difference: Estimate
    alone: Estimate
    p: float
    p_adjusted: float
    agreement: Agreement

    @property
    def beyond_chance(self) -> bool:
        """Whether the two differ, as among all pairs of the board."""
        return self.p_adjusted <= LEVEL and self.difference.low is not None


@dataclass(frozen=True)
class Standing:
    """Where an entry stands. rank: None where it takes none; first_place: share of resamples in which it leads.

    against_leader: None for the leader and for entries without a rank. against_twin: None without a twin's record;
    clean_against_twin: in balanced clean accuracy, by itself.
    """

    submission: str
    rank: Rank | None
    first_place: float | None
    against_leader: Versus | None
    against_twin: Versus | None
    clean_against_twin: Estimate | None


@dataclass(frozen=True)
class Board:
    """A table's comparisons. Entries that take a rank come first, by their ranking figure.

    ties: groups of ranked entries of which none is better than another beyond chance, each as large as can be.
    smallest_difference: that this board finds in four of five samples, of a middling pair; None with fewer than two ranks.
    planned_difference: the same from the images and patients alone, for entries that disagree on a fifth of the images.
    pairs: how many comparisons are judged together; comparisons: all of them, their `first` and `second` being places in
    `standings`.
    """

    track: str
    modality: str
    protocol: str
    headline: str
    leader: str | None
    standings: tuple[Standing, ...]
    ties: tuple[tuple[str, ...], ...]
    smallest_difference: float | None
    planned_difference: float
    pairs: int
    comparisons: tuple[Comparison, ...] = ()

    def of(self, submission: str) -> Standing:
        """One entry's standing."""
        return next(each for each in self.standings if each.submission == submission)

    @property
    def alike_to_leader(self) -> tuple[str, ...]:
        """Ranked entries that are not told apart from the leader, some of lower rank: others can be better than these."""
        against = [each.against_leader for each in self.standings if each.against_leader]
        return tuple(versus.entry for versus in against if not versus.beyond_chance)


def board(records: Sequence[Record]) -> Board:
    """Compare all records of one table.

    All pairs of ranked entries and every entry's pair with its naive twin are one family: over all of them together
    the chance of any false "A beats B" is at most 5 %.

    Args:
        records: of one track, modality, protocol and split, all of the same images.

    Raises:
        DataError: two records are of the same entry.
    """
    names = [record.submission for record in records]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"two records claim the place of {', '.join(twice)}; keep one of each")
    first = records[0]
    verdicts = {record.submission: record.robust(record.headline) for record in records}
    figure = {name: balanced_accuracy(verdicts[name], first.labels) for name in names}
    ordered = sorted(records, key=lambda r: (not r.ranked, -figure[r.submission], r.submission))
    places = {record.submission: place for place, record in enumerate(ordered)}
    ranked = sum(record.ranked for record in records)
    family = [(i, j) for i in range(ranked) for j in range(i + 1, ranked)]
    twins = {
        record.submission: str(record.description["naive_twin"])
        for record in ordered
        if record.description.get("naive_twin") in places
        and record.description["naive_twin"] != record.submission
    }
    family += [
        (places[name], places[twin])
        for name, twin in twins.items()
        if max(places[name], places[twin]) >= ranked
    ]
    correct = np.column_stack([verdicts[record.submission] for record in ordered])
    labels, patients = first.labels, first.patient_ids
    compared = {
        _sorted((each.first, each.second)): each for each in compare(correct, labels, patients, family)
    }
    ranks = rank_intervals(ranked, list(compared.values()))
    often = first_places(correct[:, :ranked], labels, patients) if ranked else np.zeros(0)

    leader = ordered[0].submission if ranked else None
    shown = [
        (name, leader) for name in (r.submission for r in ordered[:ranked]) if leader not in (None, name)
    ]
    shown += [pair for pair in twins.items() if pair not in shown]
    alone = _differences(verdicts, shown, labels, patients)
    clean = {record.submission: record.clean_correct for record in records}
    clean_alone = _differences(clean, list(twins.items()), labels, patients)

    def versus(entry: str, other: str) -> Versus | None:
        pair = places[entry], places[other]
        if pair[0] == pair[1]:
            return None
        each = compared[_sorted(pair)]
        turned = (each.first, each.second) != pair
        return Versus(
            entry,
            other,
            _turned(each.difference) if turned else each.difference,
            alone[entry, other],
            each.p,
            each.p_adjusted,
            agreement(verdicts[entry], verdicts[other]),
        )

    standings = [
        Standing(
            record.submission,
            ranks[place] if place < ranked else None,
            float(often[place]) if place < ranked else None,
            versus(record.submission, leader) if leader and place < ranked else None,
            versus(record.submission, twins[record.submission]) if record.submission in twins else None,
            clean_alone[record.submission, twins[record.submission]] if record.submission in twins else None,
        )
        for place, record in enumerate(ordered)
    ]
    return Board(
        first.track,
        first.modality,
        first.protocol["name"],
        first.headline,
        leader,
        tuple(standings),
        _ties([record.submission for record in ordered[:ranked]], compared),
        shown_difference([each for pair, each in compared.items() if pair[1] < ranked]),
        planned_for(labels, patients, max(1, len(family))),
        len(family),
        tuple(compared.values()),
    )


def _differences(
    verdicts: Mapping[str, np.ndarray],
    pairs: Sequence[tuple[str, str]],
    labels: np.ndarray,
    patients: Sequence[str],
) -> dict[tuple[str, str], Estimate]:
    """Balanced accuracy of the first of each pair minus that of the second, each by itself."""
    if not pairs:
        return {}
    apart = np.column_stack([verdicts[one].astype(float) - verdicts[other] for one, other in pairs])
    return dict(zip(pairs, mean_intervals(apart, labels, patients, balanced=True), strict=True))


def _ties(names: Sequence[str], compared: dict[tuple[int, int], Comparison]) -> tuple[tuple[str, ...], ...]:
    """Runs of neighbours in the order of the table of which no two differ beyond chance, none inside another."""
    groups: list[tuple[int, int]] = []
    stop = 0
    for start in range(len(names)):
        # Whoever stands within a run that began before is alike to those that are left of it.
        before, stop = stop, max(stop, start + 1)
        while stop < len(names) and not any(compared[i, stop].beyond_chance for i in range(start, stop)):
            stop += 1
        if stop - start > 1 and stop > before:
            groups.append((start, stop))
    return tuple(tuple(names[start:stop]) for start, stop in groups)


def _sorted(pair: tuple[int, int]) -> tuple[int, int]:
    return (min(pair), max(pair))


def _turned(estimate: Estimate) -> Estimate:
    low, high = estimate.low, estimate.high
    return Estimate(-estimate.value, None if high is None else -high, None if low is None else -low)
