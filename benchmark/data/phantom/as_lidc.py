"""Phantom nodules written as LIDC-IDRI is delivered, with all that makes it hard to read.

A nodule's middle slices hold phantom images at their own scale of 0.75 mm and around its centre to the half pixel, so
that reading the tree gives each pixel back up to the rounding to whole HU. The quirks, each met in a tree of 48 images:
three folder layouts; signed and unsigned pixels, explicit and implicit VR, three kinds of padding, one with a tag of
the wrong sign; windows of several values; a second image at a position; up to four readers, who draw differently, leave
out an end, see holes, lesions under 3 mm and what is no nodule; nodules at a rating of 3, and of two readers only;
a scout view, a radiograph, and a series that nobody annotated.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.phantom import draw_split
from benchmark.data.phantom.lidc_files import annotation_xml, ct_dataset, write_dataset
from benchmark.data.phantom.scans import NOTICE, PIXEL_MM, STEP_MM, PhantomScan, lay_out, reading
from benchmark.data.split import LEVELS, Split
from benchmark.files import replace_file
from benchmark.modality import get_modality
from benchmark.progress import progress_bar

SEED = 51  # of a rehearsal; the track's own parts have others
IMAGES = 48
SHAPE = (120, 128)  # pixels of 0.75 mm: a square would hide a mix-up of rows and columns
BORDER = 3  # pixels beyond the round field of view
LUNG_HU, TISSUE_HU, NOISE_HU = -860, 40, 15
WALL = 24  # rows of soft tissue at the front and the back, where noise can be measured
HALF = 32  # pixels of half a phantom image


@dataclass(frozen=True)
class Scanner:
    """How a make of scanner writes. padding: stored where it measures nothing."""

    maker: str
    dtype: type
    padding: int
    tags: dict[str, Any]


SCANNERS = (
    Scanner("PHANTOM A", np.int16, -1024, {"PixelPaddingValue": ("US", 63536)}),
    Scanner(
        "PHANTOM B",
        np.int16,
        -2000,
        {
            "TransferSyntaxUID": "1.2.840.10008.1.2",
            "WindowCenter": [45, -400],
            "WindowWidth": [400, 1500],
            "PixelPaddingValue": -2000,
        },
    ),
    Scanner("PHANTOM C", np.uint16, 0, {"WindowCenter": [40, -500], "WindowWidth": [350, 1600]}),
)
INTERCEPT = -1024


def write_tree(
    folder: Path, images: int = IMAGES, seed: int = SEED, progress: bool = False
) -> list[PhantomScan]:
    """Draw `images` phantom patches and write them below `folder` as a download of LIDC-IDRI.

    Returns:
        The scans, from which follows what a reader must find: a nodule for each `PlacedNodule` with a label.

    Raises:
        DataError: nothing can be written there.
    """
    return write_split(folder, draw_split("ct", "train", seed, images, progress), progress)


def write_split(folder: Path, split: Split, progress: bool = False) -> list[PhantomScan]:
    """As `write_tree`, of the images of a phantom split: its patients in order are the scans in order.

    Read from the tree, every image is the split's within half a HU, which is 0.5 / 1400.
    """
    scans = list(lay_out(split))
    with progress_bar("writing scans", len(scans), progress) as advance:
        for scan in scans:
            write_scan(folder, scan)
            replace_file(
                annotation_path(folder, scan), annotation_xml(reading(scan), scan.uid("series")).encode()
            )
            advance()
    write_scan(folder, PhantomScan(len(scans), 4, ()))  # annotated by nobody
    write_dataset(folder / "LIDC-IDRI" / scans[0].patient_id / "radiograph.dcm", _radiograph(scans[0]))
    replace_file(folder / "README.txt", f"{NOTICE}. Written in the layouts of LIDC-IDRI.\n".encode())
    return scans


def series_folder(folder: Path, scan: PhantomScan) -> Path:
    """Where a scan's slices lie, in the layout of one of three ways to download."""
    study, series = scan.uid("study"), scan.uid("series")
    layouts = (
        f"LIDC-IDRI/{scan.patient_id}/{study}/{series}",
        f"manifest-1600709154662/LIDC-IDRI/{scan.patient_id}/01-01-2000-NA-NA-{study[-5:]}/"
        f"3000000.000000-NA-{series[-5:]}",
        f"lidc_idri/{scan.patient_id}/{study}/CT_{series}",
    )
    return folder / layouts[scan.number % 3]


def annotation_path(folder: Path, scan: PhantomScan) -> Path:
    """Where a scan's XML lies: beside its slices in the first layout, in a package of its own in the others."""
    if scan.number % 3 == 0:
        return series_folder(folder, scan) / f"{scan.number:03d}.xml"
    return folder / "tcia-lidc-xml" / f"{157 + scan.number % 3}" / f"{scan.number:03d}.xml"


def write_scan(folder: Path, scan: PhantomScan) -> None:
    """Write the slices of a scan, a scout view, and at the position of its first nodule another image."""
    scanner, noise = SCANNERS[scan.number % len(SCANNERS)], np.random.default_rng([SEED, scan.number])
    for k in range(scan.slices):
        hu = np.rint(noise.normal(LUNG_HU, NOISE_HU, SHAPE)).astype(int)
        hu[:WALL] += TISSUE_HU - LUNG_HU
        hu[-WALL:] += TISSUE_HU - LUNG_HU
        _draw(hu, scan, k * STEP_MM)
        _write_slice(folder, scan, scanner, hu, k * STEP_MM, scan.slices - k)
    if scan.nodules:
        other = np.full(SHAPE, 300)
        _write_slice(folder, scan, scanner, other, scan.nodules[0].z[0], scan.slices + 7)
    scout = {
        "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"],
        "ImageOrientationPatient": [1, 0, 0, 0, 0, -1],
    }
    _write_slice(folder, scan, scanner, np.full(SHAPE, -200), 0.0, scan.slices + 8, **scout)


def _draw(hu: np.ndarray, scan: PhantomScan, z: float) -> None:
    window = get_modality("ct")
    for nodule in scan.nodules:
        if z not in nodule.z:
            continue
        top, left = (round(place + 0.5) - HALF for place in nodule.centre)
        if nodule.images:
            value = nodule.images[nodule.z.index(z)] / LEVELS
            inside = np.rint(window.low + (window.high - window.low) * value).astype(int)
            hu[top : top + 2 * HALF, left : left + 2 * HALF] = inside
        else:
            rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
            distance = np.hypot(rows - nodule.centre[0], columns - nodule.centre[1])
            hu[2 * distance * PIXEL_MM <= nodule.diameter_mm] = TISSUE_HU


def _write_slice(
    folder: Path, scan: PhantomScan, scanner: Scanner, hu: np.ndarray, z: float, instance: int, **tags: Any
) -> None:
    from pydicom.uid import generate_uid

    raw: np.ndarray = (hu - INTERCEPT).astype(scanner.dtype)
    outside = np.ones(SHAPE, bool)
    outside[BORDER:-BORDER, BORDER:-BORDER] = False
    raw[outside] = scanner.padding
    sop = generate_uid(entropy_srcs=[scan.uid("series"), str(instance)])
    header = {
        "SOPInstanceUID": sop,
        "StudyInstanceUID": scan.uid("study"),
        "SeriesInstanceUID": scan.uid("series"),
        "FrameOfReferenceUID": scan.uid("frame"),
        "PatientID": scan.patient_id,
        "PatientName": "",
        "PatientBirthDate": "",
        "PatientSex": "",
        "StudyDate": "20000101",
        "StudyTime": "",
        "StudyID": "",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "SeriesNumber": 3000000,
        "PatientIdentityRemoved": "YES",
        "ImageComments": NOTICE,
        "ImageType": ["DERIVED", "PRIMARY", "AXIAL"],
        "Manufacturer": scanner.maker,
        "InstanceNumber": instance,
        "ImagePositionPatient": [-48.0, -45.0, z],
        "SliceThickness": STEP_MM,
        "RescaleIntercept": INTERCEPT,
        **scanner.tags,
        **tags,
    }
    names = (f"{instance:06d}.dcm", f"1-{instance:03d}.dcm", f"{sop[-12:]}.dcm")
    write_dataset(series_folder(folder, scan) / names[scan.number % 3], ct_dataset(raw, z, **header))


def _radiograph(scan: PhantomScan) -> Any:
    """One of the 290 chest films that lie beside the CT series."""
    tags = {"Modality": "DX", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1", "PatientID": scan.patient_id}
    uids = {"SeriesInstanceUID": scan.uid("film"), "SOPInstanceUID": scan.uid("image of the film")}
    return ct_dataset(np.zeros((8, 8), np.uint16), 0.0, **tags, **uids, ImageComments=NOTICE)
