"""Records → the rows of the leaderboard. Every figure of the pages is computed here, from per-image truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from textwrap import wrap
from typing import Any, Literal

import numpy as np

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


def collect(records: Sequence[Record], seconds: Mapping[str, float] | None = None) -> tuple[Table, ...]:
    """Group records into tables and compute every figure.

    Args:
        records: of any track, modality and protocol.
        seconds: what an evaluation took, keyed "<track>/<modality>/<submission>".

    Raises:
        DataError: records of one table differ in protocol or images, so they cannot be compared.
    """
    return tuple(_table(group, seconds or {}) for group in by_table(records))


def _table(records: Sequence[Record], seconds: Mapping[str, float]) -> Table:
    check_comparable(records)
    first = records[0]
    ranks = _ranks(records)
    home = f"{first.track}/{first.modality}"
    rows = [
        _row(record, ranks.get(record.submission), seconds.get(f"{home}/{record.submission}"))
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


def _row(record: Record, rank: int | None, seconds: float | None) -> Row:
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


# -- for a terminal --------------------------------------------------------------------


Passes = Mapping[str, tuple[int, int]]


def text_table(
    records: Sequence[Record], seconds: Mapping[str, float] | None = None, passes: Passes | None = None
) -> list[list[str]]:
    """The plain-text table of records of one modality and protocol: the header row, then one row per record.

    Accuracies are in percent.

    Args:
        seconds: what a run took, keyed "<modality>/<submission>"; a column only where one is known.
        passes: (forward, backward) of that run, keyed alike; else those of the record's evaluation.
    """
    times = [(seconds or {}).get(f"{record.modality}/{record.submission}") for record in records]
    timed = any(value is not None for value in times)
    first = records[0]
    header = ["entry", "clean", f"worst case at {first.headline}"]
    header += [spec["title"] for spec in first.protocol["attacks"]]
    header += ["forward", "backward", *(["seconds"] if timed else []), "flags"]
    lines = [header]
    for record, value in zip(records, times, strict=True):
        worst = accuracy_interval(record.robust(record.headline), record.labels, record.patient_ids)
        bounds = ""
        if worst.low is not None and worst.high is not None:
            bounds = f" ({100 * worst.low:.1f}–{100 * worst.high:.1f})"
        entry = "".join(filter(str.isprintable, record.submission))
        line = [entry, f"{100 * record.clean_accuracy:.1f}", f"≤ {100 * worst.value:.1f}{bounds}"]
        attacks = [spec["name"] for spec in first.protocol["attacks"]]
        line += [f"{100 * record.robust_accuracy(record.headline, attack):.1f}" for attack in attacks]
        made = (passes or {}).get(f"{record.modality}/{record.submission}") or (
            sum(result.forward for result in record.attacks.values()),
            sum(result.backward for result in record.attacks.values()),
        )
        line += [f"{count:,}" for count in made]
        line += ["–" if value is None else f"{value:,.1f}"] if timed else []
        line += [", ".join(f"{flag.severity}: {flag.id}" for flag in record.flags) or "–"]
        lines.append(line)
    return lines


def render_text(
    records: Sequence[Record], seconds: Mapping[str, float] | None = None, passes: Passes | None = None
) -> str:
    """Every modality's table for a terminal 160 columns wide, without colour.

    Args:
        seconds: what a run took, keyed "<modality>/<submission>".
        passes: (forward, backward) of that run, keyed alike.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table as TextTable

    out = StringIO()
    # Without markup: a name in square brackets is a name.
    console = Console(file=out, width=160, color_system=None, markup=False, emoji=False, highlight=False)
    for group in by_table(records):
        first, modality = group[0], get_modality(group[0].modality)
        ranked = "" if first.protocol["ranked"] else ", never ranked"
        title = (
            f"{modality.title} · {first.track} · protocol {first.protocol['name']}{ranked} · "
            f"ε = {first.headline} ({modality.in_units(first.headline)}) · percent"
        )
        header, *lines = text_table(group, seconds, passes)
        table = TextTable(
            title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
        )
        for name in header:
            # A number stays in one piece under a header that folds; only flags are folded by the width left over.
            justify: Literal["left", "right"] = "left" if name in ("entry", "flags") else "right"
            table.add_column(_folded(name, 10), justify=justify, overflow="fold", no_wrap=name != "flags")
        for entry, *cells in lines:
            table.add_row(_folded(entry, 24, long_words=True), *cells)
        console.print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _folded(text: str, width: int, long_words: bool = False) -> str:
    return "\n".join(wrap(text, width, break_long_words=long_words, break_on_hyphens=long_words))
