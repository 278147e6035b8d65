"""A small LIDC-IDRI tree: real DICOM files and annotation XML of the collection's schema, written anew for each test."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.encaps import encapsulate

from benchmark.data.phantom.lidc_files import annotation_xml, ct_dataset, mark, write_dataset

__all__ = ["LUNG", "NODULE", "SERIES", "TISSUE", "mark", "square", "write_scan", "write_slice", "write_xml"]

SERIES = "1.2.826.0.1.3680043.8.498.1"
LUNG, TISSUE, NODULE = -860, 40, 100


def write_slice(path: Path, raw: np.ndarray, z: float, **tags: Any) -> Path:
    """One CT image of stored values `raw` (int16 or uint16); `tags` replace what the header says, None removes."""
    own = {
        "SOPInstanceUID": f"{tags.get('SeriesInstanceUID', SERIES)}.{round(1000 + z * 10)}.{len(path.name)}",
        "SeriesInstanceUID": SERIES,
        "PatientID": "P-1",
        "Manufacturer": "MAKER",
    }
    dataset = ct_dataset(raw, z, **own | tags)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    return write_dataset(path, dataset)


def square(row: int, column: int, half: int) -> list[tuple[int, int]]:
    """The border of a square around a pixel, as (x, y)."""
    side = range(-half, half + 1)
    offsets = [(dx, dy) for dx in side for dy in side if max(abs(dx), abs(dy)) == half]
    return [(column + dx, row + dy) for dx, dy in offsets]


def write_xml(path: Path, readers: Iterable[Iterable[str]], series: str = SERIES, before: str = "") -> Path:
    """An annotation file: for each reader the marks that `mark` made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(annotation_xml(readers, series, before))
    return path


def write_scan(folder: Path, patient: str = "P-1", series: str = SERIES, annotated: bool = True) -> Path:
    """Ten slices of 96 x 96 pixels of 0.75 mm at z = 0, 2.5 … 22.5 mm, and what four readers say.

    Malignant (5, 4, 4) at row 40, column 30, z 5 to 10; benign (1, 2, 2, 3) at row 70, column 80, z 15 and 17.5;
    undecided (3, 3, 3) at row 12, column 80; and one that only two readers outlined, at row 80, column 12.
    """
    spots = {(40, 30): (5.0, 7.5, 10.0), (70, 80): (15.0, 17.5), (12, 80): (5.0,), (80, 12): (5.0,)}
    noise = np.random.default_rng(5)
    for number in range(10):
        z = 2.5 * number
        hu = np.full((96, 96), LUNG) + noise.normal(0, 10, (96, 96)).round().astype(int)
        for (row, column), positions in spots.items():
            if z in positions:
                hu[row - 3 : row + 4, column - 3 : column + 4] = NODULE
        raw = (hu + 1024).astype(np.uint16)
        # Names run against the body's axis, as they do after some downloaders.
        tags = {
            "PatientID": patient,
            "SeriesInstanceUID": series,
            "InstanceNumber": 10 - number,
            "RescaleIntercept": -1024,
        }
        write_slice(folder / f"1-{9 - number:03d}.dcm", raw, z, **tags)
    ratings = {(40, 30): (5, 4, 4), (70, 80): (1, 2, 2, 3), (12, 80): (3, 3, 3), (80, 12): (5, 5)}
    readers: list[list[str]] = [[], [], [], []]
    for spot, given in ratings.items():
        for reader, malignancy in enumerate(given):
            readers[reader].append(mark(malignancy, [(z, square(*spot, 4)) for z in spots[spot]]))
    if annotated:
        write_xml(folder / "annotation.xml", readers, series)
    return folder
