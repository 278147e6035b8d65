"""What the readers drew, as DICOM: the segmentations and reports of DICOM-LIDC-IDRI-Nodules.

One reader's outline of one nodule is a segment of a Segmentation (PS3.3 A.51), and the rating a TID 1500 report (PS3.16)
that refers to it: evaluation (RID36042, RadLex, "Malignancy") with the values (901..905, 99LIDCQIICR) for 1 to 5.

The masks hold what lies inside of an outline. An outline is taken from a mask as the pixels outside of it that share an
edge with one inside, of each connected piece (pixels that share a corner are connected), holes filled. Over the whole
collection, masks made as that publication made them give 1,193 of the 1,194 labelled nodules of the XML with the same
label, centres within 0.3 mm for 99 of 100, and diameters 1 mm larger: a mask does not tell half a pixel.

Fedorov et al. 2020, doi 10.1002/mp.14445; data doi 10.7937/TCIA.2018.h7umfurq.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from benchmark.data.damage import damage_named
from benchmark.data.dicom import SliceFile
from benchmark.data.dicom.file import require_decoder
from benchmark.data.lidc.annotations import Marking
from benchmark.errors import DataError

if TYPE_CHECKING:
    from pydicom import Dataset

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
MALIGNANCY = ("RID36042", "radlex")
RATINGS = {(str(900 + rating), "99lidcqiicr"): rating for rating in range(1, 6)}
GROUP, SOURCE_SERIES = (
    ("125007", "dcm"),
    ("121232", "dcm"),
)  # Measurement Group; Source series for segmentation
MOST_PIXELS = 2**28  # of one segmentation: 1000 slices of 512 x 512
# How far the place of a mask (x, y, z in mm), its direction cosines and pixel size may be from those of its slice.
NEAR = np.array([0.1] * 3 + [0.01] * 6 + [0.001] * 2)


@dataclass(frozen=True)
class RatedSegment:
    """One reader's outline of one nodule: where it is, and how malignant it was called, 1 to 5."""

    path: Path
    segment: int
    malignancy: int


@dataclass(frozen=True)
class _Masks:
    path: Path
    digest: str
    series_uid: str  # of the CT
    segments: tuple[int, ...]


@dataclass(frozen=True)
class _Rating:
    path: Path
    masks_uid: str
    segment: int
    malignancy: int
    series_uid: str


def find_segmentations(paths: Iterable[Path]) -> tuple[dict[str, tuple[RatedSegment, ...]], list[str]]:
    """Rated segments by the SeriesInstanceUID of the CT that they outline, and a sentence on what cannot be used.

    A series is given with all of its readers or not at all: with one missing its labels would be others.

    Args:
        paths: DICOM files of modality SEG and SR. Reports of other kinds are passed over.
    """
    masks: dict[str, _Masks] = {}
    ratings: dict[tuple[str, int], _Rating] = {}
    wrong: list[str] = []
    doubtful: set[str] = set()
    for path in sorted(map(Path, paths)):
        try:
            with damage_named(path, "a segmentation or a report"):
                uid, found, told = _read_one(path)
        except DataError as error:
            wrong.append(str(error))
            continue
        if found and masks.setdefault(uid, found).digest != found.digest:
            wrong.append(f"{path} and {masks[uid].path} have one SOPInstanceUID and differ; remove one")
            doubtful |= {found.series_uid, masks[uid].series_uid}
        for rating in told:
            first = ratings.setdefault((rating.masks_uid, rating.segment), rating)
            if first.malignancy != rating.malignancy:
                wrong.append(f"{rating.path} and {first.path} rate one outline differently; remove one")
                doubtful |= {first.series_uid, rating.series_uid}
    for rating in ratings.values():
        if rating.segment not in (masks[rating.masks_uid].segments if rating.masks_uid in masks else ()):
            wrong.append(f"{rating.path} rates an outline whose segmentation is not here; download it")
            doubtful.add(rating.series_uid)
    segments: dict[str, list[RatedSegment]] = defaultdict(list)
    for uid, found in masks.items():
        for number in found.segments:
            if (uid, number) in ratings:
                rated = RatedSegment(found.path, number, ratings[uid, number].malignancy)
                segments[found.series_uid].append(rated)
            else:
                wrong.append(
                    f"{found.path} holds an outline that no report rates; download the reports (SR) too"
                )
                doubtful.add(found.series_uid)
    return {uid: tuple(items) for uid, items in segments.items() if uid not in doubtful}, wrong


def read_segmentations(segments: Sequence[RatedSegment], slices: Sequence[SliceFile]) -> tuple[Marking, ...]:
    """The outlines of one CT series as markings, each by a reader of its own: the files do not say who drew two.

    Args:
        slices: of the CT series that the segments are of, in order.

    Raises:
        DataError: a file is damaged, or its masks do not lie on the slices, pixel on pixel.
    """
    masks: dict[Path, dict[int, list[tuple[float, np.ndarray]]]] = {}
    for path in {item.path for item in segments}:
        with damage_named(path, "a segmentation"):
            masks[path] = _frames(path, slices)
    markings = []
    for reader, item in enumerate(sorted(segments, key=lambda item: (item.path.name, item.segment))):
        contours = [
            (z, points) for z, mask in masks[item.path].get(item.segment, ()) for points in outlines(mask)
        ]
        if not contours:
            raise DataError(f"{item.path} has no pixel in segment {item.segment}; download it again")
        markings.append(Marking(reader, item.malignancy, tuple(contours)))
    return tuple(markings)


def outlines(mask: np.ndarray) -> Iterator[np.ndarray]:
    """The outer outline of each connected piece of a mask (H, W) bool: (P, 2) float64 rows and columns, P ≥ 4."""
    if not mask.any():
        return
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = rows[0] - 1, columns[0] - 1
    part = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1)
    pieces, count = ndimage.label(ndimage.binary_fill_holes(part), np.ones((3, 3)))
    for number in range(1, count + 1):
        piece = pieces == number
        around = np.argwhere(ndimage.binary_dilation(piece) & ~piece)
        yield around.astype(np.float64) + np.array([top, left])


def _read_one(path: Path) -> tuple[str, _Masks | None, list[_Rating]]:
    from pydicom import dcmread

    # Pixels come last in a file; a report has none.
    dataset = dcmread(path, stop_before_pixels=True)
    uid = str(dataset.SOPInstanceUID)
    if dataset.get("SOPClassUID") == SEGMENTATION:
        series = str(dataset.ReferencedSeriesSequence[0].SeriesInstanceUID)
        numbers = tuple(int(segment.SegmentNumber) for segment in dataset.SegmentSequence)
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return uid, _Masks(path, digest, series, numbers), []
    return uid, None, list(_ratings(path, dataset))


def _ratings(path: Path, item: Dataset) -> Iterator[_Rating]:
    children = item.get("ContentSequence") or ()
    if _code(item.get("ConceptNameCodeSequence")) == GROUP:
        segments, malignancy, series = [], None, ""
        for child in children:
            name = _code(child.get("ConceptNameCodeSequence"))
            if child.get("ValueType") == "IMAGE":
                segments += [
                    reference
                    for reference in child.ReferencedSOPSequence
                    if reference.ReferencedSOPClassUID == SEGMENTATION
                ]
            elif name == MALIGNANCY:
                malignancy = RATINGS.get(_code(child.get("ConceptCodeSequence")))
                if malignancy is None:
                    raise DataError(
                        f"{path} rates malignancy by a code that is not 901 to 905 of 99LIDCQIICR; download it again"
                    )
            elif name == SOURCE_SERIES:
                series = str(child.UID)
        if segments and malignancy is not None:
            for reference in segments:
                number, uid = _one(reference.ReferencedSegmentNumber), str(reference.ReferencedSOPInstanceUID)
                yield _Rating(path, uid, int(number), malignancy, series)
    for child in children:
        yield from _ratings(path, child)


def _code(sequence: Any) -> tuple[str, str]:
    if not sequence:
        return "", ""
    return str(sequence[0].get("CodeValue")), str(sequence[0].get("CodingSchemeDesignator")).lower()


def _one(value: Any) -> Any:
    """A segment number may be one of several (PS3.3 C.17.3)."""
    return value if isinstance(value, (int, str)) else value[0]


def _frames(path: Path, slices: Sequence[SliceFile]) -> dict[int, list[tuple[float, np.ndarray]]]:
    """By segment the masks with anything in them, each with the z of its slice."""
    from pydicom import dcmread

    dataset = dcmread(path)
    require_decoder(path, dataset)
    rows, columns, count = int(dataset.Rows), int(dataset.Columns), int(dataset.NumberOfFrames)
    if dataset.SegmentationType != "BINARY" or (rows, columns) != slices[0].shape:
        raise DataError(
            f"{path} is {dataset.SegmentationType} and of {rows} x {columns} pixels; expected BINARY and the "
            f"{slices[0].shape} of its CT: it is of other images, replace it"
        )
    if not 0 < rows * columns * count <= MOST_PIXELS:
        raise DataError(f"{path} claims {count} frames of {rows} x {columns}; download it again")
    shared, own = dataset.SharedFunctionalGroupsSequence[0], dataset.PerFrameFunctionalGroupsSequence
    masks = np.asarray(dataset.pixel_array, bool).reshape(count, rows, columns)
    positions = np.array([item.z for item in slices])
    found: dict[int, list[tuple[float, np.ndarray]]] = defaultdict(list)
    origin = _origin(slices[0])
    for mask, frame in zip(masks, own, strict=True):
        if not mask.any():
            continue
        place = _group("PlanePositionSequence", frame, shared).ImagePositionPatient
        turn = _group("PlaneOrientationSequence", frame, shared).ImageOrientationPatient
        step = _group("PixelMeasuresSequence", frame, shared).PixelSpacing
        nearest = positions[np.abs(positions - float(place[2])).argmin()]
        told = np.array([*place, *turn, *step], np.float64)
        expected = np.array([*origin, nearest, *slices[0].orientation, *slices[0].spacing])
        if told.shape != expected.shape or not (np.abs(told - expected) <= NEAR).all():
            raise DataError(
                f"{path} has a mask at {told[:3].tolist()} mm that lies on no slice of its CT (the nearest is at "
                f"{expected[:3].tolist()} mm), or is of other pixels; download both again"
            )
        number = _group("SegmentIdentificationSequence", frame, shared).ReferencedSegmentNumber
        found[int(number)].append((float(nearest), mask))
    return found


def _group(keyword: str, frame: Dataset, shared: Dataset) -> Any:
    """A functional group (PS3.3 C.7.6.16) of a frame, its own or one shared by all."""
    return (frame if keyword in frame else shared)[keyword].value[0]


def _origin(item: SliceFile) -> tuple[float, float]:
    from pydicom import dcmread

    position = dcmread(item.path, specific_tags=["ImagePositionPatient"]).ImagePositionPatient
    return float(position[0]), float(position[1])
