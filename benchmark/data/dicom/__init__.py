"""One DICOM file of an axial CT image: what its header says, and its pixels in Hounsfield units.

Clauses are of DICOM PS3.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.data.damage import damage_named
from benchmark.data.dicom.file import header_if_dicom, require_decoder
from benchmark.errors import DataError

HU_FLOOR = -1024  # air is -1000; below this lies only the padding outside the scanner's round field of view
HU_CEILING = 32767
HEADER = [
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "PatientID",
    "Modality",
    "ImageType",
    "NumberOfFrames",
    "SamplesPerPixel",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "SliceThickness",
    "Manufacturer",
]


@dataclass(frozen=True)
class SliceFile:
    """What the header of one CT image says; lengths in mm, pairs as (row, column).

    `spacing` is PixelSpacing (C.7.6.3.1.1: between rows first), `z` the third value of
    ImagePositionPatient and `orientation` the six of ImageOrientationPatient (C.7.6.2.1.1).
    `thickness` is SliceThickness, 0 where the header leaves it empty.
    """

    path: Path
    series_uid: str
    sop_uid: str
    patient_id: str
    instance: int
    z: float
    orientation: tuple[float, ...]
    spacing: tuple[float, float]
    shape: tuple[int, int]
    thickness: float
    manufacturer: str


def read_header(path: Path) -> SliceFile | None:
    """The header of one file; None where it is not an axial CT image at all.

    Raises:
        DataError: the file ends early, is damaged, or lacks what a CT image must have (A.3.3).
    """
    with damage_named(path, "a CT image"):
        dataset = header_if_dicom(path, HEADER)
        if dataset is None:
            return None
        if dataset.get("Modality") != "CT" or "LOCALIZER" in (dataset.get("ImageType") or ()):
            return None
        if int(dataset.get("NumberOfFrames") or 1) != 1 or int(dataset.get("SamplesPerPixel") or 1) != 1:
            raise DataError(
                f"{path} holds several frames or colours; expected one grey slice a file: convert it first"
            )
        header = SliceFile(
            path=path,
            series_uid=str(dataset.SeriesInstanceUID),
            sop_uid=str(dataset.SOPInstanceUID),
            patient_id=str(dataset.get("PatientID") or ""),
            instance=int(dataset.get("InstanceNumber") or 0),
            z=float(dataset.ImagePositionPatient[2]),
            orientation=tuple(float(value) for value in dataset.ImageOrientationPatient),
            spacing=(float(dataset.PixelSpacing[0]), float(dataset.PixelSpacing[1])),
            shape=(int(dataset.Rows), int(dataset.Columns)),
            thickness=float(dataset.get("SliceThickness") or 0),
            manufacturer=str(dataset.get("Manufacturer") or "unknown"),
        )
    lengths = (header.z, header.thickness, *header.orientation)
    plausible = all(abs(value) < 1e5 for value in lengths) and all(0.05 < step < 5 for step in header.spacing)
    if not plausible or min(header.shape) < 1 or header.thickness < 0:
        raise DataError(
            f"{path} has position {header.z}, spacing {header.spacing}, thickness {header.thickness} mm and "
            f"{header.shape} pixels; expected a slice of a body, with pixels of 0.05 to 5 mm: download it again"
        )
    return header


def read_hu(item: SliceFile) -> np.ndarray:
    """One image: stored value * RescaleSlope + RescaleIntercept (C.11.1.1.2), cut at -1024.

    PixelPaddingValue is not consulted: scanners write it with the wrong sign, or not the value that
    they pad with. Window Center and Width (C.11.2) are for screens and play no part.

    Returns:
        (H, W) int16, or float32 where slope or intercept is not whole; HU.

    Raises:
        DataError: the file ends early, is damaged, compressed without a decoder, or has no rescale.
    """
    from pydicom import dcmread

    with damage_named(item.path, "a CT image"):
        dataset = dcmread(item.path)
        require_decoder(item.path, dataset)
        raw = dataset.pixel_array
        slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
    if raw.shape != item.shape:
        raise DataError(
            f"{item.path} holds an image of {raw.shape}, its header says {item.shape}; download it again"
        )
    if not (math.isfinite(slope) and math.isfinite(intercept) and slope > 0):
        raise DataError(
            f"{item.path} has rescale slope {slope} and intercept {intercept}; expected a positive, finite slope"
        )
    hu = np.clip(raw * slope + intercept, HU_FLOOR, HU_CEILING)
    return hu.astype(np.int16 if slope.is_integer() and intercept.is_integer() else np.float32)
