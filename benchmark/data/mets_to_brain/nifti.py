"""One NIfTI-1 file of a volume: read whole, checked, and turned so that its axes run right, forward and up.

Header fields are those of the NIfTI-1 standard (nifti1.h): dim, pixdim, vox_offset, qform_code, sform_code.
"""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from benchmark.data.damage import damage_named
from benchmark.errors import DataError

if TYPE_CHECKING:
    from nibabel import Nifti1Header, Nifti1Image

HEADER_BYTES = 348
LARGEST = 2**25  # voxels: 320 x 320 x 320; a header may claim more than any memory holds
LONGEST_EXTENSION = 2**24  # bytes between header and voxels
SPACING_MM = (0.2, 10.0)
OBLIQUE = math.radians(10)  # a slice across the grid is axial up to here


@dataclass(frozen=True)
class Volume:
    """A volume in the body's axes.

    Args:
        values: (X, Y, Z), ascending to the patient's right, front and head; as stored, scaled as its header says.
        spacing: of a voxel along these axes, mm.
        affine: (4, 4), voxel to mm.
    """

    values: np.ndarray
    spacing: tuple[float, float, float]
    affine: np.ndarray

    def axial(self, k: int) -> np.ndarray:
        """Slice `k` from below as radiologists see it: rows from front to back, columns from right to left. (Y, X)."""
        return self.values[::-1, ::-1, k].T


def read_nifti(path: Path) -> Volume:
    """Read one `.nii` or `.nii.gz` file, whatever its name says of compression.

    Raises:
        DataError: it is missing, ends early, is damaged (its gzip checksum too), is no volume of plain numbers, says
            nothing of its orientation, is oblique, too large, or its spacing is implausible or said in two ways.
    """
    with damage_named(path, "a NIfTI volume", ".nii.gz file"):
        image = _load(path)
        _require_geometry(path, image)
        return _turned(image)


def _load(path: Path) -> Nifti1Image:
    from nibabel import Nifti1Header, Nifti1Image

    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        # nibabel reads as far as the voxels go; the checksum stands behind them, and is looked at on the way to the end.
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if packed else file
        start = stream.read(HEADER_BYTES)
        if start[344:348] != b"n+1\0":
            raise DataError(
                f"{path} is not a NIfTI-1 file; expected one .nii.gz with header and voxels: download it again"
            )
        header = Nifti1Header(start, check=False)
        size = _bytes_claimed(path, header)
        rest = stream.read(size - HEADER_BYTES)
        if len(rest) < size - HEADER_BYTES or stream.read(1):
            raise DataError(
                f"{path} holds {'less' if len(rest) < size - HEADER_BYTES else 'more'} than the {size} bytes its "
                "header speaks of; download it again"
            )
    return Nifti1Image.from_bytes(start + rest)


def _bytes_claimed(path: Path, header: Nifti1Header) -> int:
    """Length of the whole file; refuses what would not fit into memory before anything is made room for."""
    dim = [int(value) for value in header["dim"]]
    axes = dim[0]
    if not 3 <= axes <= 7 or min(dim[1:4]) < 1 or any(length != 1 for length in dim[4 : axes + 1]):
        raise DataError(f"{path} has the dimensions {dim[1 : axes + 1]}; expected one volume of three axes")
    if math.prod(dim[1:4]) > LARGEST:
        raise DataError(
            f"{path} has {dim[1:4]} voxels; expected at most {LARGEST}: crop the volume, or download it again"
        )
    kind = header.get_data_dtype()
    if kind.kind not in "iuf" or kind.itemsize > 8:
        raise DataError(f"{path} stores {kind}; expected whole or floating-point numbers: convert it")
    offset = float(header["vox_offset"])
    if not 352 <= offset <= LONGEST_EXTENSION or not offset.is_integer():
        raise DataError(
            f"{path} has its voxels at byte {offset:g}; expected 352 or a little more: download it again"
        )
    return int(offset) + math.prod(dim[1:4]) * kind.itemsize


def _require_geometry(path: Path, image: Nifti1Image) -> None:
    from nibabel.affines import obliquity, voxel_sizes

    header = image.header
    if not int(header["sform_code"]) and not int(header["qform_code"]):
        raise DataError(
            f"{path} says nothing of its orientation (sform_code and qform_code are 0); expected one of them: "
            "convert it from DICOM again"
        )
    told, used = np.abs(np.asarray(header["pixdim"][1:4], np.float64)), voxel_sizes(image.affine)
    low, high = SPACING_MM
    if not (np.isfinite(image.affine).all() and ((used >= low) & (used <= high)).all()):
        raise DataError(
            f"{path} has voxels of {_mm(used)} mm; expected {low} to {high} mm: its header is damaged, download it again"
        )
    if not np.allclose(told, used, rtol=0.01, atol=0):
        raise DataError(
            f"{path} has voxels of {_mm(told)} mm by pixdim and of {_mm(used)} mm by its affine; expected the same: "
            "write it again from its source"
        )
    if obliquity(image.affine).max() > OBLIQUE:
        raise DataError(
            f"{path} is turned by {math.degrees(obliquity(image.affine).max()):.0f}° against the body's axes; expected "
            "axial slices: resample it to them"
        )


def _turned(image: Nifti1Image) -> Volume:
    from nibabel import as_closest_canonical
    from nibabel.affines import voxel_sizes

    turned = as_closest_canonical(image)
    values = np.asanyarray(turned.dataobj)
    values = values.reshape(values.shape[:3])
    x, y, z = (float(step) for step in voxel_sizes(turned.affine))
    return Volume(values, (x, y, z), np.asarray(turned.affine, np.float64))


def _mm(lengths: np.ndarray) -> str:
    return " x ".join(f"{length:.4g}" for length in lengths)
