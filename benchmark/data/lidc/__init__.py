"""LIDC-IDRI: chest CT in which up to four radiologists outlined nodules and rated how malignant each looks.

Label 1 is a mean rating above 3, label 0 one below 3; nodules at exactly 3, and those with fewer than three
outlines, are left out. The label is suspicion, not pathology. A nodule's images are its three middle axial
slices: 64 x 64 pixels of 0.75 mm, centred on the nodule.

Armato et al. 2011, doi 10.1118/1.3528204; data doi 10.7937/K9/TCIA.2015.LO9QL9SX.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.data.collection import Expected, Index, LeftOut, Reading, Sample, Unit
from benchmark.data.dicom import SliceFile, read_header
from benchmark.data.dicom.index import find_dicom
from benchmark.data.dicom.series import Series, load_slices, order_slices
from benchmark.data.lidc.annotations import find_annotation_files, read_annotations
from benchmark.data.lidc.nodules import READERS, Nodule, find_nodules
from benchmark.data.lidc.patches import crop, noise_sigma, window
from benchmark.data.lidc.segmentations import RatedSegment, find_segmentations, read_segmentations
from benchmark.data.split import LEVELS
from benchmark.errors import DataError

NAME = "lidc-idri"
MODALITY = "ct"
SOURCE = {
    "title": "LIDC-IDRI, The Cancer Imaging Archive",
    "doi": "10.7937/K9/TCIA.2015.LO9QL9SX",
    "licence": "CC BY 3.0",
    "citation": "Armato S. G. III et al. (2015). Data From LIDC-IDRI. The Cancer Imaging Archive. "
    "https://doi.org/10.7937/K9/TCIA.2015.LO9QL9SX; Armato S. G. III et al. (2011). The Lung Image Database "
    "Consortium (LIDC) and Image Database Resource Initiative (IDRI). Medical Physics 38(2), 915-931. "
    "https://doi.org/10.1118/1.3528204",
    "labels": "labels are readers' suspicion of malignancy, not pathology",
    "slices": "the three middle ones of the axial slices on which at least half of a nodule's readers outlined it",
    "how_to_get": "oncorobust data download lidc-idri --to DIR (needs pip install 'oncorobust[download]'), "
    "or the NBIA Data Retriever of https://www.cancerimagingarchive.net/collection/lidc-idri/",
}
SLICES = 3  # of one nodule: more are more of the same, and would weigh large nodules, mostly malignant, more
FAR_PIXELS = 3.0  # the same nodule's centre from XML and from a segmentation lie a fraction of a pixel apart


@dataclass(frozen=True)
class Scan:
    """The files of one CT series: images, and the readers' outlines as an XML file or as rated segments, if at all."""

    images: tuple[str, ...]
    annotation: Path | None = None
    segments: tuple[RatedSegment, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where a nodule is: row and column in pixels, positions in mm of the slices to cut, and facts of it."""

    name: str
    label: int
    centre: tuple[float, float]
    z: tuple[float, ...]
    facts: dict[str, float]


def index(source: Path) -> Index:
    """The CT series below `source`, in any of the layouts in which LIDC-IDRI is downloaded.

    Raises:
        DataError: the folder is missing, or holds no CT image.
    """
    files, damaged = find_dicom(Path(source))
    annotations, refused = find_annotation_files(Path(source))
    segments, wrong = find_segmentations(Path(file.path) for file in files if file.modality in ("SEG", "SR"))
    refused += wrong
    segments, doubtful = find_segmentations(
        Path(file.path) for file in files if file.modality in ("SEG", "SR")
    )
    left_out = [LeftOut(sentence.split(" ")[0], sentence) for sentence in [*damaged, *refused, *doubtful]]
    scans: dict[str, list[str]] = {}
    patients: dict[str, str] = {}
    for file in files:
        if file.modality == "CT":
            scans.setdefault(file.series_uid, []).append(file.path)
            patients.setdefault(file.series_uid, file.patient_id)
    if not scans:
        reasons = [f"{source} holds no CT image; expected the DICOM files of LIDC-IDRI", *damaged, *refused]
        raise DataError("; ".join(reasons))
    if absent := sorted(annotations.keys() - scans.keys()):
        reason = f"{len(absent)} annotation file(s) are of series that are not here, such as {absent[0]}"
        left_out.append(LeftOut(absent[0], reason, harmless=True))
    keys = sorted(scans, key=lambda uid: (patients[uid], uid))
    payloads = {uid: Scan(tuple(scans[uid]), annotations.get(uid), segments.get(uid, ())) for uid in keys}
    return Index([Unit(uid, patients[uid], payloads[uid]) for uid in keys], left_out)


def read(unit: Unit) -> Reading:
    """The images of the nodules of one series.

    Where a manifest says which nodules are expected, their places are taken from there, so that everyone's
    images are the same; outlines that are there must tell of the same nodules. Else they are found by the outlines.

    Raises:
        DataError: the slices do not form one series, or there is nothing to find nodules by.
    """
    scan: Scan = unit.payload
    slices, damaged = _slices(scan.images)
    left_out = [LeftOut(sentence.split(" ")[0], sentence) for sentence in damaged]
    placed = all("row" in each.facts for each in unit.expected) and bool(unit.expected)
    # A mask is no exact outline: where places are known already, only XML can speak against them.
    nodules = _from_xml(unit.key, scan.annotation, slices)
    if placed:
        places = [_expected_place(each) for each in unit.expected]
    else:
        if nodules is None and scan.segments:
            nodules = find_nodules(read_segmentations(scan.segments, slices), slices)
        if nodules is None:
            raise DataError(
                "no annotation XML names this series; put the collection's XML files into the folder, "
                "or its segmentations and reports (SEG, SR)"
            )
        labelled = [(i, nodule) for i, nodule in enumerate(nodules) if nodule.label is not None]
        places = [_found_place(unit, i, nodule, slices[0]) for i, nodule in labelled]
    samples: list[Sample] = []
    noise = []
    for place in places:
        try:
            if placed and nodules is not None:
                _require_same(place, nodules)
            stack = load_slices(_under(place, slices))
        except DataError as error:
            left_out.append(LeftOut(place.name, str(error)))
            continue
        samples += _samples(place, stack, unit.patient_id)
        noise.append(noise_sigma(stack.hu[len(stack.z) // 2], stack.spacing))
    undecided = sum(nodule.label is None for nodule in nodules or ())
    notes = {"nodules": len({s.image_id.rpartition("/")[0] for s in samples}), "undecided_nodules": undecided}
    if samples:
        notes[f"series by {slices[0].manufacturer}"] = 1
    return Reading(samples, left_out, [sigma for sigma in noise if sigma is not None], notes)


def _slices(paths: Sequence[str]) -> tuple[tuple[SliceFile, ...], list[str]]:
    """The images of a series in order, and a sentence on each that is damaged: perhaps no nodule lies there."""
    headers, damaged = [], []
    for path in paths:
        try:
            header = read_header(Path(path))
        except DataError as error:
            damaged.append(str(error))
            continue
        if header is not None:
            headers.append(header)
    if not headers:
        raise DataError("; ".join(["no axial CT image can be read", *damaged[:3]]))
    if not headers[0].patient_id:
        raise DataError(
            f"{headers[0].path} names no PatientID; patients are the unit of splitting: write one"
        )
    return order_slices(headers), damaged


def _from_xml(uid: str, path: Path | None, slices: Sequence[SliceFile]) -> list[Nodule] | None:
    if path is None:
        return None
    read_again = read_annotations(path)
    if read_again is None or read_again[0] != uid:
        raise DataError(f"{path} has changed while it was read; prepare again")
    return find_nodules(read_again[1], slices)


def nodule_name(patient_id: str, series_uid: str, number: int) -> str:
    """The id of a nodule: its number among the nodules of a series, feet to head, and the end of the series' UID."""
    return f"{patient_id}/{series_uid.rpartition('.')[2][-6:]}-{number}"


def middle(z: Sequence[float]) -> tuple[float, ...]:
    """The middle ones of the positions on which a nodule lies."""
    start = max(0, len(z) - SLICES) // 2
    return tuple(z[start : start + SLICES])


def _found_place(unit: Unit, number: int, nodule: Nodule, first: SliceFile) -> Place:
    facts = {
        "diameter_mm": nodule.diameter(first.spacing),
        "malignancy": nodule.malignancy,
        "readers": float(nodule.readers),
    }
    name = nodule_name(unit.patient_id, unit.key, number)
    return Place(name, int(nodule.label or 0), nodule.centre, middle(nodule.z), facts)


def _expected_place(expected: Expected) -> Place:
    told = expected.facts
    facts = {key: float(told[key]) for key in ("diameter_mm", "malignancy", "readers")}
    z = tuple(float(value) for value in told["z_mm"].split())
    return Place(
        expected.item, int(expected.label or 0), (float(told["row"]), float(told["column"])), z, facts
    )


def _require_same(place: Place, nodules: Sequence[Nodule]) -> None:
    for nodule in nodules:
        near = np.abs(np.subtract(nodule.centre, place.centre)).max() <= FAR_PIXELS
        if near and nodule.label == place.label and min(nodule.z) - 0.1 <= place.z[0] <= max(nodule.z) + 0.1:
            return
    raise DataError(
        f"the manifest has it at row {place.centre[0]:g}, column {place.centre[1]:g}, z {place.z[0]:g} mm with label "
        f"{place.label}; the outlines here tell of no such nodule that {READERS} readers drew: download the XML again"
    )


def _under(place: Place, slices: Sequence[SliceFile]) -> list[SliceFile]:
    """The slices that the nodule lies on."""
    positions = np.array([item.z for item in slices])
    nearest = [int(np.abs(positions - z).argmin()) for z in place.z]
    missing = [z for z, i in zip(place.z, nearest, strict=True) if abs(positions[i] - z) > 0.1]
    if missing:
        raise DataError(
            f"no slice at z {', '.join(f'{z:g}' for z in missing)} mm, where readers outlined it; "
            "expected a whole series: download it again"
        )
    found = [slices[i] for i in nearest]
    rows, columns = found[0].shape
    if not (0 <= place.centre[0] < rows and 0 <= place.centre[1] < columns):
        raise DataError(
            f"its centre lies outside of the image of {rows} x {columns} pixels; download it again"
        )
    return found


def _samples(place: Place, stack: Series, patient_id: str) -> Iterator[Sample]:
    for hu, z in zip(stack.hu, place.z, strict=True):
        # Sums differ in their last bits from one processor to the next: without them ties round alike everywhere.
        cut = crop(hu, place.centre, stack.spacing).round(6)
        yield Sample(
            pixels=np.rint(window(cut) * LEVELS).astype(np.uint16),
            label=place.label,
            patient_id=patient_id,
            image_id=f"{place.name}/{z:.2f}",
            facts={
                **place.facts,
                "z_mm": float(z),
                "slice_thickness_mm": stack.thickness,
                "pixel_spacing_mm": stack.spacing[0],
            },
        )
