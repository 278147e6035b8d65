"""LIDC-IDRI: chest CT in which up to four radiologists outlined nodules and rated how malignant each looks.

Label 1 is a mean rating above 3, label 0 one below 3; nodules at exactly 3, and those that fewer than three
readers outlined, are left out. The label is suspicion, not pathology. A patient's images are the axial
slices through the nodules: 64 x 64 pixels of 0.75 mm, centred on the nodule.

Armato et al. 2011, doi 10.1118/1.3528204; data doi 10.7937/K9/TCIA.2015.LO9QL9SX.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.data.dicom import SliceFile
from benchmark.data.dicom_series import Series, find_series, load_slices, order_slices
from benchmark.data.lidc_annotations import find_annotations
from benchmark.data.lidc_nodules import READERS, Nodule, find_nodules
from benchmark.data.patches import crop, noise_sigma, window
from benchmark.data.split import LEVELS, Split
from benchmark.errors import DataError
from benchmark.modality import get_modality

SOURCE = {
    "source": "LIDC-IDRI, The Cancer Imaging Archive",
    "doi": "10.7937/K9/TCIA.2015.LO9QL9SX",
    "licence": "CC BY 3.0",
    "labels": "labels are readers' suspicion of malignancy, not pathology",
    "slices": "every axial slice on which at least half of a nodule's readers outlined it",
}


def lidc_split(folder: Path, progress: Callable[[str], None] | None = None) -> Split:
    """All labelled nodules below `folder`, in any of the layouts in which LIDC-IDRI is downloaded.

    Args:
        folder: holds DICOM files and the readers' XML files, at any depth; its name becomes the track's.
        progress: called with a sentence after every series.

    Returns:
        Split of (N, 1, 64, 64) images, ordered by patient, with per-image `facts`; `notes["left_out"]` names
        every file, series and nodule that could not be used, and why. One series is in memory at a time.

    Raises:
        DataError: the folder is missing, or nothing in it can be used; with all reasons.
    """
    folder = Path(folder)
    series, left_out = find_series(folder)
    annotations, refused = find_annotations(folder)
    left_out += refused
    if not series:
        raise DataError(
            "; ".join([f"{folder} holds no CT image; expected the DICOM files of LIDC-IDRI", *left_out])
        )
    absent = sorted(annotations.keys() - series.keys())
    if absent:
        left_out.append(
            f"{len(absent)} annotation file(s) are of series that are not here, such as {absent[0]}"
        )
    images: list[_Image] = []
    sigmas, scanners, undecided, nodules = [], Counter[str](), 0, Counter[str]()
    for number, uid in enumerate(sorted(series, key=lambda uid: (series[uid][0].patient_id, uid)), 1):
        patient, before = series[uid][0].patient_id, len(images)
        try:
            slices = _checked(series[uid])
            if uid not in annotations:
                raise DataError(
                    "no annotation XML names this series; put the collection's XML files into the folder"
                )
            found = find_nodules(annotations[uid], slices)
        except DataError as error:
            left_out.append(f"{patient or 'no patient'}, series {uid}: {error}")
            continue
        for nodule in found:
            if nodule.label is None:
                undecided += 1
                continue
            try:
                stack = load_slices(_under(nodule, slices))
            except DataError as error:
                left_out.append(f"{patient}, series {uid}, nodule at z {nodule.z[0]:g} mm: {error}")
                continue
            images += _images(nodule, stack, f"{patient}/{nodules[patient]}")
            nodules[patient] += 1
            sigmas.append(noise_sigma(stack.hu[len(stack.z) // 2], stack.spacing))
        if len(images) > before:
            scanners[slices[0].manufacturer] += 1
        if progress:
            progress(f"series {number} of {len(series)}: {patient}, {len(images) - before} images")
    if not images:
        reasons = left_out or [f"no nodule that {READERS} readers outlined, with a mean rating other than 3"]
        raise DataError("; ".join([f"{folder} gives no labelled nodule", *reasons]))
    modality = get_modality("ct")
    measured = [sigma for sigma in sigmas if sigma is not None]
    sigma = float(np.median(measured)) if measured else None
    track = folder.resolve().name
    return Split(
        modality="ct",
        images=np.stack([image.pixels for image in images])[:, None],
        labels=np.array([image.label for image in images]),
        patient_ids=[image.patient_id for image in images],
        image_ids=[image.image_id for image in images],
        name=f"{track}-ct",
        track=track,
        facts={key: [image.facts[key] for image in images] for key in images[0].facts},
        notes={
            **SOURCE,
            "noise_sigma_hu": sigma,
            "noise_sigma": sigma and sigma / (modality.high - modality.low),
            "nodules": sum(nodules.values()),
            "undecided_nodules": undecided,
            "series_by_manufacturer": dict(scanners),
            "left_out": left_out,
        },
    )


def _checked(slices: Sequence[SliceFile]) -> tuple[SliceFile, ...]:
    if not slices[0].patient_id:
        raise DataError(f"{slices[0].path} names no PatientID; patients are the unit of splitting: write one")
    return order_slices(slices)


def _under(nodule: Nodule, slices: Sequence[SliceFile]) -> list[SliceFile]:
    """The slices that the nodule lies on."""
    positions = np.array([item.z for item in slices])
    nearest = [int(np.abs(positions - z).argmin()) for z in nodule.z]
    missing = [z for z, i in zip(nodule.z, nearest, strict=True) if abs(positions[i] - z) > 0.1]
    if missing:
        raise DataError(
            f"no slice at z {', '.join(f'{z:g}' for z in missing)} mm, where readers outlined it; "
            "expected a whole series: download it again"
        )
    return [slices[i] for i in nearest]


@dataclass(frozen=True)
class _Image:
    pixels: np.ndarray  # (64, 64) uint16
    label: int
    patient_id: str
    image_id: str
    facts: dict[str, float]


def _images(nodule: Nodule, stack: Series, name: str) -> Iterator[_Image]:
    for hu, z in zip(stack.hu, stack.z, strict=True):
        yield _Image(
            pixels=np.rint(window(crop(hu, nodule.centre, stack.spacing)) * LEVELS).astype(np.uint16),
            label=int(nodule.label or 0),
            patient_id=stack.patient_id,
            image_id=f"{name}/{z:.2f}",
            facts={
                "diameter_mm": nodule.diameter(stack.spacing),
                "malignancy": nodule.malignancy,
                "readers": float(nodule.readers),
                "z_mm": float(z),
                "slice_thickness_mm": stack.thickness,
                "pixel_spacing_mm": stack.spacing[0],
            },
        )
