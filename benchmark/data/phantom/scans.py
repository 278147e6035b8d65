"""Where phantom nodules lie in the scans of a LIDC-IDRI tree, and what four readers say of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from benchmark.data.phantom.lidc_files import Outline, mark, other_mark
from benchmark.data.split import Split

NOTICE = "PHANTOM: synthetic, not from a patient"
PIXEL_MM = 0.75
STEP_MM = 2.5
MARGIN, GAP, MOST = 2, 4, 3  # slices: at either end, between two nodules, and of one at most
EXTRA_MM = 7.0  # diameter of the nodules that become no image

# Ratings of up to four readers, by label; whose mean lies on the label's side of 3, or on 3 itself.
RATINGS: dict[int | None, Sequence[Sequence[int]]] = {
    0: ((1, 2, 2, 3), (2, 1, 2), (3, 2, 4, 1)),
    1: ((5, 4, 4, 3), (4, 4, 5), (3, 4, 2, 5)),
    None: ((3, 3, 3), (2, 3, 4), (5, 1, 3)),
}


@dataclass(frozen=True)
class PlacedNodule:
    """A nodule in a scan. centre: row and column in pixels; z: mm, one for each of `images`, (64, 64) uint16.

    label: None where it must become no image: at a mean rating of 3, or drawn by `ratings` of two readers.
    """

    label: int | None
    centre: tuple[float, float]
    z: tuple[float, ...]
    diameter_mm: float
    ratings: tuple[int, ...]
    images: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class PhantomScan:
    """A CT series of one patient, feet to head."""

    number: int
    slices: int
    nodules: tuple[PlacedNodule, ...]

    @property
    def patient_id(self) -> str:
        """As in the collection, with numbers that it does not use."""
        return f"LIDC-IDRI-{9001 + self.number}"

    def uid(self, kind: str) -> str:
        """Of the "study" or the "series"."""
        from pydicom.uid import generate_uid

        return str(generate_uid(entropy_srcs=[NOTICE, self.patient_id, kind]))


def lay_out(split: Split) -> Iterator[PhantomScan]:
    """The patients of a phantom split as scans; what has one label in a patient becomes one nodule, or two."""
    for number, (_, group) in enumerate(groupby(range(len(split)), key=lambda i: split.patient_ids[i])):
        own = list(group)
        groups = [
            same[start : start + MOST]
            for label in (0, 1)
            if (same := [i for i in own if split.labels[i] == label])
            for start in range(0, len(same), MOST)
        ]
        nodules, first = [], MARGIN
        for k, same in enumerate(groups):
            nodules.append(_nodule(split, same, first, number + k))
            first += len(same) + GAP
        for label, ratings in ((None, RATINGS[None][number % 3]), (None, (5, 5))):
            centre = (58.0 + number % 5, 62.0)
            nodules.append(PlacedNodule(label, centre, (first * STEP_MM,), EXTRA_MM, tuple(ratings)))
            first += 1 + GAP
        yield PhantomScan(number, first - GAP + MARGIN, tuple(nodules))


def _nodule(split: Split, own: Sequence[int], first: int, number: int) -> PlacedNodule:
    label = int(split.labels[own[0]])
    return PlacedNodule(
        label=label,
        # Between pixels, where the middle of 64 pixels falls.
        centre=(56.5 + number % 7, 60.5 + number % 5),
        z=tuple((first + k) * STEP_MM for k in range(len(own))),
        diameter_mm=float(np.mean([split.facts["diameter_mm"][i] for i in own])),
        ratings=tuple(RATINGS[label][number % 3]),
        images=tuple(np.asarray(split.images[i, 0]) for i in own),
    )


def reading(scan: PhantomScan) -> list[list[str]]:
    """What four readers marked: lists of the XML of their marks."""
    marks: list[list[str]] = [[], [], [], []]
    for nodule in scan.nodules:
        for reader, malignancy in enumerate(nodule.ratings):
            # The last of them misses an end of a long nodule.
            z = nodule.z[1:] if reader == 2 and len(nodule.z) == MOST else nodule.z
            drawn = [(each, outline(nodule, reader)) for each in z]
            hole: list[Outline] = [(z[0], outline(nodule, reader, 0.3))] if reader == 1 else []
            marks[reader].append(mark(malignancy, drawn, hole))
    if scan.nodules:
        marks[3].append(mark(None, [(STEP_MM, [(60, 40)])]))
        marks[0].append(other_mark(0.0, (70, 30)))
    return marks


def outline(nodule: PlacedNodule, reader: int, scale: float = 1.0) -> list[tuple[int, int]]:
    """A ring of pixels around a nodule's centre, as (x, y), no two readers' the same.

    It is symmetric about the centre, so the mean of its points is the centre, whatever the reader's hand.
    """
    radius = max(2.5, scale * nodule.diameter_mm / 2 / PIXEL_MM + 0.4 * (reader - 1))
    stretch = 1 + 0.06 * (reader - 1.5)
    angle = np.linspace(0, np.pi, 400, endpoint=False)
    row, column = nodule.centre
    half = {
        (round(column + radius * stretch * c), round(row + radius / stretch * s))
        for c, s in zip(np.cos(angle), np.sin(angle), strict=True)
    }
    ring = half | {(round(2 * column) - x, round(2 * row) - y) for x, y in half}
    return sorted(ring, key=lambda point: np.arctan2(point[1] - row, point[0] - column))
