"""A small LIDC-IDRI tree: real DICOM files and annotation XML of the collection's schema, written anew for each test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

SERIES = "1.2.826.0.1.3680043.8.498.1"
LUNG, TISSUE, NODULE = -860, 40, 100
Outline = tuple[
    float, Sequence[tuple[int, int]]
]  # z in mm, points as (x = column, y = row), as in the collection


def write_slice(path: Path, raw: np.ndarray, z: float, **tags: Any) -> Path:
    """One CT image of stored values `raw` (int16 or uint16); `tags` replace what the header says, None removes."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = tags.pop("TransferSyntaxUID", ExplicitVRLittleEndian)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    header = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": f"{tags.get('SeriesInstanceUID', SERIES)}.{round(1000 + z * 10)}.{len(path.name)}",
        "SeriesInstanceUID": SERIES,
        "PatientID": "P-1",
        "Modality": "CT",
        "Manufacturer": "MAKER",
        "ImagePositionPatient": [-30.0, -30.0, z],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [0.75, 0.75],
        "SliceThickness": 2.5,
        "InstanceNumber": 1,
        "Rows": raw.shape[0],
        "Columns": raw.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": int(raw.dtype == np.int16),
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
        **tags,
    }
    for keyword, value in header.items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.PixelData = raw.astype(raw.dtype.newbyteorder("<")).tobytes()
    if meta.TransferSyntaxUID.is_encapsulated:
        from pydicom.encaps import encapsulate

        dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    dataset["PixelData"].VR = "OW"
    dataset.save_as(path, enforce_file_format=True)
    return path


def square(row: int, column: int, half: int) -> list[tuple[int, int]]:
    """The border of a square around a pixel, as (x, y)."""
    side = range(-half, half + 1)
    offsets = [(dx, dy) for dx in side for dy in side if max(abs(dx), abs(dy)) == half]
    return [(column + dx, row + dy) for dx, dy in offsets]


def mark(malignancy: int | None, outlines: Iterable[Outline], holes: Iterable[Outline] = ()) -> str:
    """XML of one reader's nodule; without a malignancy it has no characteristics."""
    rated = f"<characteristics><subtlety>5</subtlety><malignancy>{malignancy}</malignancy></characteristics>"
    rois = [
        f"<roi><imageZposition>{z}</imageZposition><imageSOP_UID>1.2</imageSOP_UID><inclusion>{inclusion}</inclusion>"
        + "".join(f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in points)
        + "</roi>"
        for inclusion, group in (("TRUE", outlines), ("FALSE", holes))
        for z, points in group
    ]
    inside = "" if malignancy is None else rated
    return f"<unblindedReadNodule><noduleID>1</noduleID>{inside}{''.join(rois)}</unblindedReadNodule>"


def write_xml(path: Path, readers: Iterable[Iterable[str]], series: str = SERIES, before: str = "") -> Path:
    """An annotation file: for each reader the marks that `mark` made."""
    sessions = "".join(f"<readingSession>{''.join(marks)}</readingSession>" for marks in readers)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<?xml version='1.0' encoding='UTF-8'?>{before}<LidcReadMessage xmlns='http://www.nih.gov'><ResponseHeader>"
        f"<SeriesInstanceUid>{series}</SeriesInstanceUid></ResponseHeader>{sessions}</LidcReadMessage>"
    )
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
