"""Records → the rows of the leaderboard. Every figure of the pages is computed here, from per-image truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.evidence import Runs
from benchmark.evidence.best_known import BestKnown
from benchmark.evidence.claims import Claim
from benchmark.evidence.trainings import Spreads
from benchmark.measures import Board, Met, Standing, attacks_alone, board, exact_if_constant, met_survivors
from benchmark.modality import Modality, get_modality
from benchmark.record import Flag, Record
from benchmark.statistics import (
    MINIMUM_PATIENTS,
    Estimate,
    accuracy_intervals,
    area_weights,
)
from leaderboard.groups import by_table, check_comparable


@dataclass(frozen=True)
class Point:
    """One ε of an entry's curve: balanced accuracy in the worst case and under mere noise, and the share of missed disease.

    bounds: the 95 % interval of `worst`; None where there is none.
    """

    epsilon: str
    worst: float
    noise: float | None
    bounds: tuple[float, float] | None = None
    missed: float | None = None


@dataclass(frozen=True)
class Gain:
    """An entry minus its naive twin, in balanced accuracy on the same images; `worst` with its board's other comparisons."""

    entry: str
    twin: str
    clean: Estimate | None = None  # None: the twin has no record here
    worst: Estimate | None = None


@dataclass(frozen=True)
class Row:
    """One entry in one table. Shares are in [0, 1]; None where a class has no image or a cost is unknown.

    standing: its range of ranks, and how it compares with the leader and its twin. area: under balanced accuracy over ε.
    validation: clean accuracy on the validation part, where the record carries it. survivors: of attacks not in `by_attack`.
    """

    submission: str
    description: Mapping[str, Any]
    provenance: Mapping[str, Any]
    rank: int | None
    unranked_because: str
    clean: Estimate
    worst: Estimate
    balanced_clean: Estimate
    balanced: Estimate
    by_attack: Mapping[str, float]
    survivors: tuple[Met, ...]
    missed_clean: float | None
    missed: float | None
    false_alarms: float | None
    median_epsilon: float
    flags: tuple[Flag, ...]
    forward: int
    backward: int
    seconds: float | None
    curve: tuple[Point, ...]
    standing: Standing
    area: float
    sensitivity: Estimate | None
    specificity: Estimate | None
    validation: float | None = None
    best_known: BestKnown | None = None
    runs: Runs | None = None
    trainings: Spreads | None = None
    claims: tuple[Claim, ...] = ()


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
    board: Board

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
    claims: Mapping[str, tuple[Claim, ...]] | None = None,
) -> tuple[Table, ...]:
    """Group records into tables and compute every figure.

    Args:
        records: of any track, modality and protocol.
        seconds: what an evaluation took, keyed "<track>/<modality>/<submission>".
        best: best known of the entries that others attacked, keyed alike; it moves no figure and no rank.
        runs: who ran the entries, keyed alike.
        trainings: what those that were trained several times come to, keyed alike; ranked is the record alone.
        claims: what entries claim of the test part, held against what was measured, keyed alike.

    Raises:
        DataError: records of one table differ in protocol or images, so they cannot be compared.
    """
    beside = (seconds or {}, best or {}, runs or {}, trainings or {}, claims or {})
    return tuple(_table(group, *beside) for group in by_table(records))


def _table(
    records: Sequence[Record],
    seconds: Mapping[str, float],
    best: Mapping[str, BestKnown],
    runs: Mapping[str, Runs],
    trainings: Mapping[str, Spreads],
    claims: Mapping[str, tuple[Claim, ...]],
) -> Table:
    check_comparable(records)
    first, compared = records[0], board(records)
    figures, along = _intervals(records), _along_epsilon(records)
    home = f"{first.track}/{first.modality}"
    rows = [
        _row(
            record,
            compared.of(record.submission),
            figures[record.submission],
            [each[place] for each in along],
            seconds.get(f"{home}/{record.submission}"),
            best.get(f"{home}/{record.submission}"),
            runs.get(f"{home}/{record.submission}"),
            trainings.get(f"{home}/{record.submission}"),
            claims.get(f"{home}/{record.submission}", ()),
        )
        for place, record in enumerate(records)
    ]
    rows.sort(key=lambda row: (row.rank is None, row.rank or 0, -row.balanced.value, row.submission))
    gains = [
        Gain(
            row.submission,
            str(row.description["naive_twin"]),
            row.standing.clean_against_twin,
            row.standing.against_twin.difference if row.standing.against_twin else None,
        )
        for row in rows
        if row.description.get("naive_twin")
    ]
    return Table(
        track=first.track,
        modality=get_modality(first.modality),
        protocol=first.protocol,
        split=first.split,
        images=len(first.labels),
        patients=len(set(first.patient_ids)),
        rows=tuple(rows),
        gains=tuple(gains),
        board=compared,
    )


def _intervals(records: Sequence[Record]) -> dict[str, dict[str, Estimate | None]]:
    """The intervals of every row, all entries of a table from one drawing of patients."""
    labels, patients = records[0].labels, np.asarray(records[0].patient_ids)
    clean = np.column_stack([record.clean_correct for record in records])
    worst = np.column_stack([record.robust(record.headline) for record in records])
    found: dict[str, Sequence[Estimate | None]] = {
        "clean": accuracy_intervals(clean, labels, patients),
        "worst": accuracy_intervals(worst, labels, patients),
    }
    for name, label in (("sensitivity", 1), ("specificity", 0)):
        own = labels == label
        found[name] = (
            accuracy_intervals(worst[own], labels[own], patients[own]) if own.any() else [None] * len(records)
        )
    return {
        record.submission: {name: each[place] for name, each in found.items()}
        for place, record in enumerate(records)
    }


def _along_epsilon(records: Sequence[Record]) -> list[list[Estimate]]:
    """Every record's balanced accuracy for no attack and then each ε of the grid, all from one drawing of patients."""
    labels, patients = records[0].labels, np.asarray(records[0].patient_ids)
    found = []
    for epsilon in ("0", *records[0].epsilons):
        verdicts = [r.clean_correct if epsilon == "0" else r.robust(epsilon) for r in records]
        each = accuracy_intervals(np.column_stack(verdicts), labels, patients, balanced=True)
        found.append([exact_if_constant(r, [own])[0] for r, own in zip(records, each, strict=True)])
    return found


def _row(
    record: Record,
    standing: Standing,
    figures: Mapping[str, Estimate | None],
    along: Sequence[Estimate],
    seconds: float | None,
    best: BestKnown | None,
    runs: Runs | None,
    trainings: Spreads | None,
    claims: tuple[Claim, ...],
) -> Row:
    worst = record.robust(record.headline)
    diseased = record.labels == 1
    by_epsilon = dict(zip(("0", *record.epsilons), along, strict=True))
    curve = tuple(_point(record, epsilon, own) for epsilon, own in by_epsilon.items())
    return Row(
        submission=record.submission,
        description=record.description,
        provenance=record.provenance,
        rank=standing.rank.first if standing.rank else None,
        unranked_because="" if standing.rank else unranked_because(record),
        by_attack={name: record.robust_accuracy(record.headline, name) for name in attacks_alone(record)},
        survivors=met_survivors(record),
        missed_clean=_share(~record.clean_correct[diseased]),
        missed=_share(~worst[diseased]),
        false_alarms=_share(~worst[~diseased]),
        median_epsilon=float(np.median(record.minimal_epsilon)),
        flags=record.flags,
        forward=sum(result.forward for result in record.attacks.values()),
        backward=sum(result.backward for result in record.attacks.values()),
        seconds=seconds,
        curve=curve,
        balanced_clean=by_epsilon["0"],
        balanced=by_epsilon[record.headline],
        standing=standing,
        area=float(area_weights(record.epsilons) @ [point.worst for point in curve]),
        validation=_share(record.validation.margins > 0) if record.validation else None,
        best_known=best,
        runs=runs,
        trainings=trainings,
        claims=claims,
        **figures,  # type: ignore[arg-type]  # by the names of Row's own fields, which a type checker cannot follow
    )


def unranked_because(record: Record) -> str:
    """Why a record takes no rank, in the words of the page; empty if it does."""
    if record.ranked:
        return ""
    if not record.protocol["ranked"]:
        return f"{record.protocol['name']}: never ranked"
    if record.description.get("kind") == "baseline":
        return "baseline"
    if record.description.get("division", "closed") != "closed":
        return "open division"
    if record.in_doubt:
        return "in doubt"
    if record.split["patients"] < MINIMUM_PATIENTS:
        return f"under {MINIMUM_PATIENTS} patients"
    return "unverified"


def _point(record: Record, epsilon: str, found: Estimate) -> Point:
    stands = record.clean_correct if epsilon == "0" else record.robust(epsilon)
    bounds = None if found.low is None or found.high is None else (found.low, found.high)
    noise = found.value if epsilon == "0" else _noise(record, epsilon)
    return Point(epsilon, found.value, noise, bounds, _share(~stands[record.labels == 1]))


def _noise(record: Record, epsilon: str) -> float | None:
    return record.robust_accuracy(epsilon, "noise", balanced=True) if "noise" in record.attacks else None


def _share(answers: np.ndarray) -> float | None:
    return float(answers.mean()) if len(answers) else None
