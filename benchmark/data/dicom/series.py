"""Series of axial CT images from DICOM files, in the order of the body.

Only headers say what a file is: names, folders and numbers of files are never trusted, because every
downloader of public collections lays them out differently.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.data.dicom import SliceFile, read_header, read_hu
from benchmark.errors import DataError


@dataclass(frozen=True)
class Series:
    """The axial images of one CT series, feet to head.

    Args:
        hu: (Z, H, W) int16, or float32 where the rescale slope is not whole; HU, at least -1024.
        z: (Z,) float64, mm, strictly ascending.
        spacing: between rows and between columns, mm.
        thickness: SliceThickness, mm; 0 where unknown. It is not the distance between slices.
        sop_uids: Z names, in the order of `hu`.
    """

    hu: np.ndarray
    z: np.ndarray
    spacing: tuple[float, float]
    thickness: float
    series_uid: str
    sop_uids: tuple[str, ...]
    patient_id: str
    manufacturer: str

    @property
    def gaps(self) -> tuple[tuple[float, float], ...]:
        """Pairs of neighbouring positions, mm, with room for another slice between them."""
        steps = np.diff(self.z)
        if not len(steps):
            return ()
        wide = np.flatnonzero(steps > 1.5 * np.median(steps))
        return tuple((float(self.z[i]), float(self.z[i + 1])) for i in wide)


def read_series(source: Path | Iterable[Path], series_uid: str | None = None) -> Series:
    """Read one series from a folder, searched to any depth, or from given files.

    Raises:
        DataError: a file cannot be read; there is no CT image; there are several series and
            `series_uid` names none of them; or the slices do not form one stack.
    """
    found, unreadable = find_series(source)
    if unreadable:
        raise DataError("; ".join(unreadable))
    if not found:
        raise DataError(f"{_named(source)} holds no CT image; expected DICOM files of modality CT")
    if series_uid is None and len(found) == 1:
        series_uid = next(iter(found))
    if series_uid not in found:
        asked = f"no series {series_uid}" if series_uid else f"{len(found)} CT series"
        raise DataError(
            f"{_named(source)} holds {asked}; ask by series_uid for one of {', '.join(sorted(found))}"
        )
    return load_slices(order_slices(found[series_uid]))


def find_series(source: Path | Iterable[Path]) -> tuple[dict[str, tuple[SliceFile, ...]], list[str]]:
    """The headers of all CT images, by SeriesInstanceUID, and a sentence on each file that is damaged.

    Files that are not DICOM, images of other modalities and scout views are passed over.

    Raises:
        DataError: the folder is missing.
    """
    found: dict[str, list[SliceFile]] = {}
    unreadable = []
    for path in _files(source):
        try:
            header = read_header(path)
        except DataError as error:
            unreadable.append(str(error))
            continue
        if header:
            found.setdefault(header.series_uid, []).append(header)
    return {uid: tuple(slices) for uid, slices in found.items()}, unreadable


def order_slices(slices: Sequence[SliceFile]) -> tuple[SliceFile, ...]:
    """The slices of one series from feet to head, one for each position.

    Of two images at one position that with the lower InstanceNumber stays, as in pylidc.

    Raises:
        DataError: the slices are of several series or patients, of different size, spacing or
            orientation, or are not axial.
    """
    if not slices:
        raise DataError("a series without slices; expected at least one CT image")
    first = slices[0]
    for other in slices:
        for what in ("series_uid", "patient_id", "shape", "spacing", "orientation"):
            a, b = getattr(first, what), getattr(other, what)
            same = a == b if isinstance(a, str) else len(a) == len(b) and np.allclose(a, b, rtol=0, atol=1e-3)
            if not same:
                raise DataError(
                    f"{other.path} has {what.replace('_', ' ')} {b}, {first.path} has {a}; "
                    "expected the same in all slices of a series: remove those that do not belong"
                )
    if len(first.orientation) != 6 or abs(np.cross(first.orientation[:3], first.orientation[3:])[2]) < 0.99:
        raise DataError(
            f"{first.path} has orientation {first.orientation}; expected axial slices, across the body's axis"
        )
    kept: dict[float, SliceFile] = {}
    for candidate in sorted(slices, key=lambda s: (s.z, s.instance, s.sop_uid)):
        kept.setdefault(round(candidate.z, 3), candidate)
    return tuple(kept.values())


def load_slices(slices: Sequence[SliceFile]) -> Series:
    """The images of slices that `order_slices` has put in order; a part of them will do.

    Raises:
        DataError: an image cannot be decoded.
    """
    first = slices[0]
    return Series(
        hu=np.stack([read_hu(item) for item in slices]),
        z=np.array([item.z for item in slices]),
        spacing=first.spacing,
        thickness=first.thickness,
        series_uid=first.series_uid,
        sop_uids=tuple(item.sop_uid for item in slices),
        patient_id=first.patient_id,
        manufacturer=first.manufacturer,
    )


def _files(source: Path | Iterable[Path]) -> list[Path]:
    if not isinstance(source, (str, Path)):
        return [Path(path) for path in source]
    if not Path(source).is_dir():
        raise DataError(
            f"folder {source} is missing; expected a folder with DICOM files: name the one of the download"
        )
    return sorted(path for path in Path(source).rglob("*") if path.is_file())


def _named(source: Path | Iterable[Path]) -> str:
    return str(source) if isinstance(source, (str, Path)) else "the list of files"
