"""Records → the rows of the leaderboard. Every figure of the pages is computed here, from per-image truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.evidence import Runs
from benchmark.evidence.best_known import BestKnown
from benchmark.evidence.trainings import Spreads
from benchmark.modality import Modality, get_modality
from benchmark.record import Flag, Record
from benchmark.statistics import (
    MINIMUM_PATIENTS,
    Estimate,
    accuracy_interval,
    balanced_accuracy,
    paired_difference,
)
from leaderboard.groups import by_table, check_comparable


@dataclass(frozen=True)
class Point:
    """One ε of an entry's curve: balanced accuracy in the worst case and under mere noise."""

    epsilon: str
    worst: float
    noise: float | None


@dataclass(frozen=True)
class Gain:
    """An entry minus its naive twin, in balanced accuracy on the same images."""

    entry: str
    twin: str
    clean: Estimate | None = None  # None: the twin has no record here
    worst: Estimate | None = None


@dataclass(frozen=True)
class Row:
    """One entry in one table. Shares are in [0, 1]; None where a class has no image or a cost is unknown."""

    submission: str
    description: Mapping[str, Any]
    provenance: Mapping[str, Any]
    rank: int | None
    unranked_because: str
    clean: Estimate
    worst: Estimate
    balanced: Estimate
    by_attack: Mapping[str, float]
    missed_clean: float | None
    missed: float | None
    false_alarms: float | None
    median_epsilon: float
    flags: tuple[Flag, ...]
    forward: int
    backward: int
    seconds: float | None
    curve: tuple[Point, ...]
    best_known: BestKnown | None = None
    runs: Runs | None = None
    trainings: Spreads | None = None


@dataclass(frozen=True)
class Table:
    """All entries of one track, modality and protocol, the best first."""

    track: str
    modality: Modality
    protocol: Mapping[str, Any]
    split: Mapping[str, Any]
    images: int
    patients: int
    rows: tuple[Row, ...]
    gains: tuple[Gain, ...]

    @property
    def ranked(self) -> bool:
        """Whether the protocol gives ranks at all."""
        return bool(self.protocol["ranked"])

    @property
    def notes(self) -> Mapping[str, Any]:
        """Of the split: its window, unit, noise, audit, as far as its records say."""
        return self.split.get("notes", {})

    def told(self, epsilon: str) -> str:
        """ε in the unit of the images, and in multiples of their noise where that was measured."""
        return self.modality.told(epsilon, self.notes)


def collect(
    records: Sequence[Record],
    seconds: Mapping[str, float] | None = None,
    best: Mapping[str, BestKnown] | None = None,
    runs: Mapping[str, Runs] | None = None,
    trainings: Mapping[str, Spreads] | None = None,
) -> tuple[Table, ...]:
    """Group records into tables and compute every figure.

    Args:
        records: of any track, modality and protocol.
        seconds: what an evaluation took, keyed "<track>/<modality>/<submission>".
        best: best known of the entries that others attacked, keyed alike; it moves no figure and no rank.
        runs: who ran the entries, keyed alike.
        trainings: what those that were trained several times come to, keyed alike; ranked is the record alone.

    Raises:
        DataError: records of one table differ in protocol or images, so they cannot be compared.
    """
    beside = (seconds or {}, best or {}, runs or {}, trainings or {})
    return tuple(_table(group, *beside) for group in by_table(records))


def _table(
    records: Sequence[Record],
    seconds: Mapping[str, float],
    best: Mapping[str, BestKnown],
    runs: Mapping[str, Runs],
    trainings: Mapping[str, Spreads],
) -> Table:
    check_comparable(records)
    first = records[0]
    ranks = _ranks(records)
    home = f"{first.track}/{first.modality}"
    rows = [
        _row(
            record,
            ranks.get(record.submission),
            seconds.get(f"{home}/{record.submission}"),
            best.get(f"{home}/{record.submission}"),
            runs.get(f"{home}/{record.submission}"),
            trainings.get(f"{home}/{record.submission}"),
        )
        for record in records
    ]
    rows.sort(key=lambda row: (row.rank is None, row.rank or 0, -row.balanced.value, row.submission))
    by_name = {record.submission: record for record in records}
    place = [row.submission for row in rows]
    gains = [_gain(by_name[name], by_name) for name in place if by_name[name].description.get("naive_twin")]
    return Table(
        track=first.track,
        modality=get_modality(first.modality),
        protocol=first.protocol,
        split=first.split,
        images=len(first.labels),
        patients=len(set(first.patient_ids)),
        rows=tuple(rows),
        gains=tuple(gains),
    )


def _ranks(records: Sequence[Record]) -> dict[str, int]:
    """1 + how many ranked entries are better beyond doubt, by the paired difference on the same patients."""
    ranked = [(record, record.robust(record.headline)) for record in records if record.ranked]
    ranks = {}
    for record, worst in ranked:
        own = balanced_accuracy(worst, record.labels)
        better = 0
        for _, other in ranked:
            # A difference that is not positive cannot have a positive interval: no need to resample it.
            if balanced_accuracy(other, record.labels) > own:
                difference = paired_difference(other, worst, record.labels, record.patient_ids, balanced=True)
                better += difference.low is not None and difference.low > 0
        ranks[record.submission] = 1 + better
    return ranks


def _row(
    record: Record,
    rank: int | None,
    seconds: float | None,
    best: BestKnown | None,
    runs: Runs | None,
    trainings: Spreads | None,
) -> Row:
    worst = record.robust(record.headline)
    diseased = record.labels == 1
    clean = balanced_accuracy(record.clean_correct, record.labels)
    points = [
        Point(epsilon, record.robust_accuracy(epsilon, balanced=True), _noise(record, epsilon))
        for epsilon in record.epsilons
    ]
    return Row(
        submission=record.submission,
        description=record.description,
        provenance=record.provenance,
        rank=rank,
        unranked_because="" if rank else unranked_because(record),
        clean=accuracy_interval(record.clean_correct, record.labels, record.patient_ids),
        worst=accuracy_interval(worst, record.labels, record.patient_ids),
        balanced=accuracy_interval(worst, record.labels, record.patient_ids, balanced=True),
        by_attack={name: record.robust_accuracy(record.headline, name) for name in record.attacks},
        missed_clean=_share(~record.clean_correct[diseased]),
        missed=_share(~worst[diseased]),
        false_alarms=_share(~worst[~diseased]),
        median_epsilon=float(np.median(record.minimal_epsilon)),
        flags=record.flags,
        forward=sum(result.forward for result in record.attacks.values()),
        backward=sum(result.backward for result in record.attacks.values()),
        seconds=seconds,
        curve=(Point("0", clean, clean), *points),
        best_known=best,
        runs=runs,
        trainings=trainings,
    )


def unranked_because(record: Record) -> str:
    """Why a record takes no rank, in the words of the page; empty if it does."""
    if record.ranked:
        return ""
    if not record.protocol["ranked"]:
        return f"{record.protocol['name']}: never ranked"
    if record.description.get("kind") == "baseline":
        return "baseline"
    if record.in_doubt:
        return "in doubt"
    if record.split["patients"] < MINIMUM_PATIENTS:
        return f"under {MINIMUM_PATIENTS} patients"
    return "unverified"


def _gain(record: Record, by_name: Mapping[str, Record]) -> Gain:
    twin = str(record.description["naive_twin"])
    other = by_name.get(twin)
    if other is None:
        return Gain(record.submission, twin)
    labels, patients = record.labels, record.patient_ids
    return Gain(
        record.submission,
        twin,
        paired_difference(record.clean_correct, other.clean_correct, labels, patients, balanced=True),
        paired_difference(
            record.robust(record.headline), other.robust(record.headline), labels, patients, balanced=True
        ),
    )


def _noise(record: Record, epsilon: str) -> float | None:
    return record.robust_accuracy(epsilon, "noise", balanced=True) if "noise" in record.attacks else None


def _share(answers: np.ndarray) -> float | None:
    return float(answers.mean()) if len(answers) else None
