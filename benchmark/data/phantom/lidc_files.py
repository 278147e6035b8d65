"""The two kinds of file that LIDC-IDRI consists of: a CT slice in DICOM, and the readers' marks in XML."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.files import replace_file

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

# z in mm, points as (x = column, y = row), as in the collection
Outline = tuple[float, Sequence[tuple[int, int]]]


def ct_dataset(raw: np.ndarray, z: float, **tags: Any) -> FileDataset:
    """One axial CT image, not yet in a file.

    Args:
        raw: (H, W) stored values, int16 or uint16, uncompressed. z: position in mm.
        tags: by keyword, replace what the header says; None removes. TransferSyntaxUID is the file's.
            A tuple is a VR and a value, where it is to be another VR than the keyword has.
    """
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = tags.pop("TransferSyntaxUID", ExplicitVRLittleEndian)
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    header = {
        "SOPClassUID": CTImageStorage,
        "Modality": "CT",
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
        if isinstance(value, tuple):
            dataset.add_new(keyword, *value)
        elif value is not None:
            setattr(dataset, keyword, value)
    dataset.PixelData = raw.astype(raw.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def write_dataset(path: Path, dataset: FileDataset) -> Path:
    """Write a DICOM file, atomically; its path.

    Raises:
        DataError: it cannot be written.
    """
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    replace_file(path, content.getvalue())
    return path


def mark(malignancy: int | None, outlines: Iterable[Outline], holes: Iterable[Outline] = ()) -> str:
    """XML of one reader's nodule; without a malignancy it has no characteristics: a lesion under 3 mm."""
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


def other_mark(z: float, point: tuple[int, int]) -> str:
    """XML of what a reader saw and took for no nodule."""
    return (
        f"<nonNodule><nonNoduleID>1</nonNoduleID><imageZposition>{z}</imageZposition>"
        f"<locus><xCoord>{point[0]}</xCoord><yCoord>{point[1]}</yCoord></locus></nonNodule>"
    )


def annotation_xml(readers: Iterable[Iterable[str]], series: str, before: str = "") -> str:
    """An annotation file: for each reader the marks that `mark` made. before: what stands ahead of the root."""
    sessions = "".join(
        f"<readingSession><annotationVersion>3.12</annotationVersion>{''.join(marks)}</readingSession>"
        for marks in readers
    )
    return (
        f"<?xml version='1.0' encoding='UTF-8'?>{before}<LidcReadMessage xmlns='http://www.nih.gov'><ResponseHeader>"
        f"<SeriesInstanceUid>{series}</SeriesInstanceUid></ResponseHeader>{sessions}</LidcReadMessage>"
    )
