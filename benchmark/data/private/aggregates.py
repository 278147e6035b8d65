"""What of private records may leave the house: shares over groups of patients, and none that tells of fewer than ten.

A cell is a group of patients with an outcome: all, those with or without disease; with an image that stays right at
an ε, with one that does not. A cell of one to nine patients is left out; 0 names nobody. Leaving it out is not enough
where it can be had by subtraction, so

- right and wrong are published together or not at all;
- the classes are published together or not at all, and patients are counted over both only: someone may be in both;
- of two ε, which are nested, both are published only where ten patients or none change between them. The headline ε
  comes first, then the clean figure, then the others.

Two exports of a collection that grew by a few patients in between can still be subtracted: publish one.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmark.errors import DataError
from benchmark.files import replace_file
from benchmark.modality import get_modality
from benchmark.record import Record
from benchmark.statistics import accuracy_interval

FEWEST = 10  # patients
CLEAN = "0"
SOURCE_NOTES = ("unit", "window", "stored_bits", "noise_sigma", "noise_sigma_unit")


@dataclass(frozen=True)
class Aggregate:
    """One published figure.

    Args:
        group: "all", or the name of a class. epsilon: "0" for the clean figure.
        images: of the group. right: share of them that stays right. low, high: 95 % interval over patients, None
            below 20 patients.
    """

    submission: str
    modality: str
    protocol: str
    group: str
    epsilon: str
    images: int
    right: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Export:
    """Figures of records, what they are of, and how many figures were left out."""

    figures: tuple[Aggregate, ...]
    splits: tuple[dict[str, object], ...]
    left_out: int


def aggregate(records: Iterable[Record]) -> Export:
    """The figures that may be published.

    Raises:
        DataError: there is no record, or none of ten patients.
    """
    everything = list(records)
    large = [record for record in everything if len(set(record.patient_ids)) >= FEWEST]
    if not large:
        raise DataError(
            f"{len(everything)} records, none of at least {FEWEST} patients; there is nothing that may be published"
        )
    figures: list[Aggregate] = []
    possible = sum(3 * (len(record.epsilons) + 1) for record in everything)
    for record in large:
        figures += _figures(record)
    splits = {record.split["sha256"]: _split(record) for record in large}
    return Export(tuple(figures), tuple(splits.values()), possible - len(figures))


def _split(record: Record) -> dict[str, object]:
    """What a split is, without its name, its checksum (which could confirm a guess) and its ids."""
    notes = record.split.get("notes", {})
    return {
        "modality": record.modality,
        "images": len(record.labels),
        "patients": len(set(record.patient_ids)),
        **{key: notes[key] for key in SOURCE_NOTES if key in notes},
    }


def _figures(record: Record) -> list[Aggregate]:
    modality = get_modality(record.modality)
    everyone = {"all": np.ones(len(record.labels), bool)}
    classes = {modality.negative: record.labels == 0, modality.positive: record.labels == 1}
    groups = {**everyone, **classes}
    published = publishable(record, list(groups.values()))
    if record.headline not in published:  # the figure that matters, over all, rather than others by class
        groups = everyone
        published = publishable(record, list(groups.values()))
    return [_figure(record, name, mask, epsilon) for epsilon in published for name, mask in groups.items()]


def publishable(record: Record, groups: Sequence[np.ndarray]) -> list[str]:
    """The ε, ascending from "0", at which the figures of all groups may be published together.

    Args:
        groups: of images, each (N,) bool.
    """
    order = [CLEAN, *record.epsilons]
    chosen: list[str] = []
    for epsilon in dict.fromkeys([record.headline, *order]):
        tried = sorted([*chosen, epsilon], key=order.index)
        if all(_safe(record, group, tried) for group in groups):
            chosen = tried
    return chosen


def _safe(record: Record, group: np.ndarray, epsilons: Sequence[str]) -> bool:
    right = [_right(record, epsilon) for epsilon in epsilons]
    cells = [group, *(group & each for each in right), *(group & ~each for each in right)]
    cells += [group & before & ~after for before, after in pairwise(right)]
    return _patients(record, group) >= FEWEST and not any(
        0 < _patients(record, cell) < FEWEST for cell in cells
    )


def _right(record: Record, epsilon: str) -> np.ndarray:
    return record.clean_correct if epsilon == CLEAN else record.robust(epsilon)


def _patients(record: Record, images: np.ndarray) -> int:
    return len({record.patient_ids[i] for i in np.flatnonzero(images).tolist()})


def _figure(record: Record, group: str, mask: np.ndarray, epsilon: str) -> Aggregate:
    right = _right(record, epsilon)[mask]
    patients = [record.patient_ids[i] for i in np.flatnonzero(mask).tolist()]
    interval = accuracy_interval(right, record.labels[mask], patients)
    return Aggregate(
        submission=record.submission,
        modality=record.modality,
        protocol=record.protocol["name"],
        group=group,
        epsilon=epsilon,
        images=int(mask.sum()),
        right=round(float(right.mean()), 4),
        low=None if interval.low is None else round(interval.low, 4),
        high=None if interval.high is None else round(interval.high, 4),
    )


def write_aggregates(records: Iterable[Record], path: Path) -> Export:
    """Write the figures as JSON or, where the name ends in .csv, as CSV.

    Raises:
        DataError: nothing may be published, or the file cannot be written.
    """
    export = aggregate(records)
    if path.suffix.lower() == ".csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, list(Aggregate.__dataclass_fields__), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(figure) for figure in export.figures)
        content = text.getvalue()
    else:
        told = {"fewest_patients": FEWEST, "figures_left_out": export.left_out, **asdict(export)}
        del told["left_out"]
        content = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    replace_file(path, content.encode())
    return export


def private_records(folder: Path) -> list[Record]:
    """Every record below a folder of results.

    Raises:
        DataError: there is none, or one cannot be read.
    """
    paths = [path for path in sorted(folder.rglob("*.json")) if path.with_suffix(".csv").exists()]
    if not paths:
        raise DataError(f"no record below {folder}; evaluate a submission on the track first")
    return [Record.load(path) for path in paths]
