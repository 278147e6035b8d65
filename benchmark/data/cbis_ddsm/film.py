"""Scanned film as DICOM: what its header says, and its pixels with white as the highest value.

Clauses are of DICOM PS3.3. Window Center and Width are for screens and play no part; a scan has no rescale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.damage import damage_named
from benchmark.data.dicom.file import header_if_dicom, require_decoder
from benchmark.errors import DataError

if TYPE_CHECKING:
    from pydicom import Dataset

HEADER = [
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "Modality",
    "Rows",
    "Columns",
    "BitsStored",
    "PixelRepresentation",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "SamplesPerPixel",
]
WHAT = "a scanned film"


@dataclass(frozen=True)
class ScanFile:
    """What the header of one image of modality MG says.

    bits: BitsStored; the highest value is 2**bits - 1. inverted: MONOCHROME1 (C.7.6.3.1.2), lowest is white.
    """

    path: Path
    series_uid: str
    sop_uid: str
    shape: tuple[int, int]
    bits: int
    inverted: bool


def read_scan_headers(paths: Sequence[str]) -> tuple[tuple[ScanFile, ...], tuple[str, ...]]:
    """The headers of some files, of two copies of one image (SOPInstanceUID) the first; and what is wrong with others."""
    found: dict[str, ScanFile] = {}
    wrong = []
    for path in paths:
        try:
            scan = read_scan_header(Path(path))
            found.setdefault(scan.sop_uid, scan)
        except DataError as error:
            wrong.append(str(error))
    return tuple(found.values()), tuple(wrong)


def read_scan_header(path: Path) -> ScanFile:
    """The header of one file.

    Raises:
        DataError: the file ends early, is damaged, is not of modality MG or holds no single, unsigned, grey image.
    """
    with damage_named(path, WHAT):
        dataset = header_if_dicom(path, HEADER)
        if dataset is None or dataset.get("Modality") != "MG":
            raise DataError(f"{path} is not a DICOM image of modality MG; expected {WHAT}: remove it")
        photometric = str(dataset.PhotometricInterpretation)
        frames, samples = int(dataset.get("NumberOfFrames") or 1), int(dataset.get("SamplesPerPixel") or 1)
        signed, bits = int(dataset.PixelRepresentation), int(dataset.BitsStored)
        shape = int(dataset.Rows), int(dataset.Columns)
        grey = photometric in ("MONOCHROME1", "MONOCHROME2") and (frames, samples, signed) == (1, 1, 0)
        if not grey or not 1 <= bits <= 16 or min(shape) < 1:
            raise DataError(
                f"{path} holds {frames} frame(s) of {shape[0]} x {shape[1]} pixels, {photometric}, {samples} "
                f"sample(s), {bits} bits, {'signed' if signed else 'unsigned'}; "
                "expected one unsigned grey image of up to 16 bits: download it again"
            )
        series, sop = str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID)
        return ScanFile(path, series, sop, shape, bits, photometric == "MONOCHROME1")


def read_scan(scan: ScanFile) -> np.ndarray:
    """The pixels, (H, W) uint8 or uint16, white highest.

    Raises:
        DataError: the file ends early, is damaged, or compressed without a decoder.
    """
    from pydicom import dcmread
    from pydicom.pixels import pixel_array

    with damage_named(scan.path, WHAT):
        dataset = dcmread(scan.path)
        require_decoder(scan.path, dataset)
        _require_exact_length(scan, dataset)
        # Bits above BitsStored would be cut off without a word.
        pixels = pixel_array(dataset, correct_unused_bits=False)
    highest = 2**scan.bits - 1
    if pixels.shape != scan.shape or pixels.dtype.kind != "u" or int(pixels.max()) > highest:
        raise DataError(
            f"{scan.path} holds {pixels.dtype} pixels of {pixels.shape} up to {pixels.max()}, its header says "
            f"{scan.shape} up to {highest}; download it again"
        )
    return pixels.dtype.type(highest) - pixels if scan.inverted else pixels


def _require_exact_length(scan: ScanFile, dataset: Dataset) -> None:
    """A header that says fewer rows or columns than there are is not refused by pydicom: the image would be skewed."""
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    length = (scan.shape[0] * scan.shape[1] * int(dataset.BitsAllocated) + 7) // 8
    if len(dataset.PixelData) != length + length % 2:
        raise DataError(
            f"{scan.path} holds {len(dataset.PixelData)} bytes of pixels, its header says {scan.shape[0]} x "
            f"{scan.shape[1]} of {dataset.BitsAllocated} bits; download it again"
        )


def strips(pixels: np.ndarray, rows: int = 256) -> Iterator[np.ndarray]:
    """The rows of a large image some at a time, so that what is computed of it stays small."""
    return (pixels[start : start + rows] for start in range(0, len(pixels), rows))
