"""One DICOM file of an axial CT image: what its header says, and its pixels in Hounsfield units.

Clauses are of DICOM PS3.3.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.errors import DataError

if TYPE_CHECKING:
    from pydicom import Dataset

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
CODECS = {  # transfer syntax -> what reads it; PS3.5 annex A.4
    "1.2.840.10008.1.2.4.50": "pillow",
    "1.2.840.10008.1.2.4.51": "pillow",
    "1.2.840.10008.1.2.4.57": "pylibjpeg and pylibjpeg-libjpeg, or python-gdcm",
    "1.2.840.10008.1.2.4.70": "pylibjpeg and pylibjpeg-libjpeg, or python-gdcm",
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg and pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.91": "pylibjpeg and pylibjpeg-openjpeg",
}


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
    with _pydicom(path):
        dataset = _dcmread_if_dicom(path, HEADER)
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

    with _pydicom(item.path):
        dataset = dcmread(item.path)
        _require_decoder(item.path, dataset)
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


def _require_decoder(path: Path, dataset: Dataset) -> None:
    from pydicom.pixels import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        available = not syntax.is_encapsulated or get_decoder(syntax).is_available
    except (NotImplementedError, ValueError):  # a private or unknown syntax: pydicom names no decoder
        available = False
    if not available:
        remedy = f"install {CODECS[syntax]}" if syntax in CODECS else "convert it to uncompressed DICOM"
        raise DataError(
            f"{path} is compressed as {syntax.name} ({syntax}) and no decoder for it is installed; {remedy}"
        )


def _dcmread_if_dicom(path: Path, tags: list[str]) -> Dataset | None:
    """The header; None where the file neither is DICOM nor is called so."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        return dcmread(path, stop_before_pixels=True, specific_tags=[*tags])
    except InvalidDicomError:
        if path.suffix.lower() == ".dcm":
            raise DataError(
                f"{path} is not DICOM in spite of its name (no DICM mark); download it again"
            ) from None
        return None


@contextmanager
def _pydicom(path: Path) -> Iterator[None]:
    """Turn whatever pydicom raises on damaged bytes into one sentence; it warns before it fails, which says no more."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except DataError:
            raise
        # Parsing is lazy: a flipped byte shows up as anything from struct.error to RecursionError.
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise DataError(
                f"{path} cannot be read as a CT image: {reason}; expected a whole DICOM file: download it again"
            ) from None
