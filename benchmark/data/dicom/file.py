"""What every reader of DICOM files needs: is it DICOM at all, and can it be decoded.

Clauses are of DICOM PS3.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import DataError

if TYPE_CHECKING:
    from pydicom import Dataset

CODECS = {  # transfer syntax -> what reads it; annex A.4
    "1.2.840.10008.1.2.4.50": "pillow",
    "1.2.840.10008.1.2.4.51": "pillow",
    "1.2.840.10008.1.2.4.57": "pylibjpeg and pylibjpeg-libjpeg, or python-gdcm",
    "1.2.840.10008.1.2.4.70": "pylibjpeg and pylibjpeg-libjpeg, or python-gdcm",
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg and pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.91": "pylibjpeg and pylibjpeg-openjpeg",
}


def header_if_dicom(path: Path, tags: Sequence[str]) -> Dataset | None:
    """The header, only the elements of these keywords; None where the file neither is DICOM nor is called so.

    Raises:
        DataError: it is called .dcm and is not DICOM. Damage shows as anything: call it inside `damage_named`.
    """
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


def require_decoder(path: Path, dataset: Dataset) -> None:
    """Do nothing where the pixels can be decoded here.

    Raises:
        DataError: they are compressed, and no decoder is installed; with the package that brings one.
    """
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
