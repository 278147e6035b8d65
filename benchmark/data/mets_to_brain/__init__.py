"""Pretreat-MetsToBrain-Masks: brains with metastases before treatment, T1 after contrast, skull-stripped, outlined.

An image is an axial slice: 128 x 128 pixels of 1.5 mm around the brain's middle, its case's 1st..99th percentile of
brain as 0..1. Label 1 shows metastasis, label 0 lies five slices or more from anything that was outlined, in the same
brain: it is free of tumour, not the brain of a healthy person. `slices.py` says which slices are taken.

Labels of the segmentation: 1 necrosis, 2 oedema, 3 enhancing. Every case of the collection has label 3; one without
it numbers its labels otherwise, as other releases of these brains do, and is refused.

Data: doi 10.7937/6be1-r748.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.data.collection import Index, LeftOut, Reading, Sample, Unit
from benchmark.data.mets_to_brain.nifti import Volume, read_nifti
from benchmark.data.mets_to_brain.slices import METASTASIS, Slices, choose_slices, measure_slices
from benchmark.data.resample import cut_out
from benchmark.data.split import LEVELS
from benchmark.errors import DataError

NAME = "mets-to-brain"
MODALITY = "mri"
SOURCE = {
    "title": "Pretreat-MetsToBrain-Masks, The Cancer Imaging Archive",
    "doi": "10.7937/6be1-r748",
    "licence": "as on the collection's page at The Cancer Imaging Archive; citation required",
    "citation": "Pretreat-MetsToBrain-Masks. The Cancer Imaging Archive. https://doi.org/10.7937/6be1-r748; "
    "cite it as its page says",
    "labels": "negatives are tumour-free slices of patients with metastases, not of healthy persons",
    "slices": "up to three with at least 20 mm² of metastasis and as many at the same height without, of each patient",
    "how_to_get": "download the NIfTI package of "
    "https://www.cancerimagingarchive.net/collection/pretreat-metstobrain-masks/ (1.7 GB; needs the IBM Aspera "
    "Connect plug-in of a browser)",
}
SIZE = 128
PIXEL_MM = 1.5  # a field of 192 mm: the longest of adult brains is 180 mm
PERCENTILES = (1.0, 99.0)
LABELS = (0, 1, 2, 3)
ENHANCING = 3
MOST_BRAIN = 0.8  # of a volume: a skull-stripped one is 0 on the other voxels
LEAST_INSIDE = 0.5  # of a metastasis that lies in the brain, else the segmentation is of another image
BLOCK = 4  # pixels, 6 mm: where noise is measured
FILE = re.compile(r"(BraTS-MET-\d{5}-\d{3})-(t1c|seg)\.nii(?:\.gz)?")


@dataclass(frozen=True)
class Case:
    """The two files of a case that are read."""

    t1c: Path
    seg: Path


def index(source: Path) -> Index:
    """The cases below `source`, at any depth; other sequences and other files are passed over.

    Raises:
        DataError: the folder is missing, or holds no case.
    """
    source = Path(source)
    if not source.is_dir():
        raise DataError(f"folder {source} is missing; expected the download of Pretreat-MetsToBrain-Masks")
    files: dict[str, dict[str, list[Path]]] = defaultdict(lambda: {"t1c": [], "seg": []})
    for path in sorted(source.rglob("*")):
        if (match := FILE.fullmatch(path.name)) and path.is_file():
            files[match[1]][match[2]].append(path)
    if not files:
        raise DataError(
            f"{source} holds no case of Pretreat-MetsToBrain-Masks; expected files such as "
            "BraTS-MET-00086-000-t1c.nii.gz, at any depth"
        )
    left_out: list[LeftOut] = []
    cases: dict[str, Case] = {}
    for name, found in sorted(files.items()):
        wrong = [sentence for kind, paths in found.items() if (sentence := _not_one(name, kind, paths))]
        left_out += [LeftOut(name, sentence) for sentence in wrong]
        if not wrong:
            cases[name] = Case(found["t1c"][0], found["seg"][0])
    for names in _sharing_an_image(cases):
        reason = f"{', '.join(names)} hold the same image under several names; download them again"
        left_out += [LeftOut(name, reason) for name in names]
        for name in names:
            del cases[name]
    return Index([Unit(name, patient_of(name), case) for name, case in cases.items()], left_out)


def patient_of(case: str) -> str:
    """The patient of a case: its name without the number of the examination.

    >>> patient_of("BraTS-MET-00086-000")
    'BraTS-MET-00086'
    """
    return case.rpartition("-")[0]


def read(unit: Unit) -> Reading:
    """The images of one case; none, and that harmlessly, where it has no slice of the one class or the other.

    Raises:
        DataError: a file is damaged, or image and segmentation do not fit each other or the collection.
    """
    case: Case = unit.payload
    image, labels = read_nifti(case.t1c), _read_labels(case.seg)
    _require_fit(case, image, labels)
    brain = _brain(case.t1c, image)
    outlined = np.isin(labels.values, METASTASIS)
    if brain[outlined].mean() < LEAST_INSIDE:
        raise DataError(
            f"{case.seg} has {1 - brain[outlined].mean():.0%} of its metastases outside of the brain of "
            f"{case.t1c.name}; expected a segmentation of that image: download both again"
        )
    low, high = np.percentile(image.values[brain], PERCENTILES)
    if not high > low:
        raise DataError(f"{case.t1c} has one value all over the brain; expected an image: download it again")
    slices = measure_slices(image.values, brain, labels.values, image.spacing)
    positives, negatives = choose_slices(slices, unit.key)
    notes = {"repeated slices": int(slices.repeated.sum())}
    if not positives:
        reason = "has no slice with metastasis that one without, of the same brain, could be set against"
        return Reading(
            (), [LeftOut(unit.key, reason, harmless=True)], notes=notes | {"cases of one class": 1}
        )
    samples, noise = [], []
    for k, pixels, inside in _cut(image, brain, sorted(positives + negatives), float(low), float(high)):
        samples.append(_sample(unit, image, slices, k, pixels, int(k in positives)))
        noise.append(noise_percent(pixels, inside))
    return Reading(samples, (), [sigma for sigma in noise if sigma is not None], notes)


def _not_one(name: str, kind: str, paths: Sequence[Path]) -> str | None:
    """What is wrong with the files of one kind of a case, if anything is. The same file twice is one."""
    if not paths:
        return f"has no {name}-{kind}.nii.gz; download the case again"
    if len(paths) > 1 and len({_digest(path) for path in paths}) > 1:
        return f"has files {kind} that differ: {', '.join(map(str, paths))}; remove all but one"
    return None


def _sharing_an_image(cases: Mapping[str, Case]) -> list[list[str]]:
    """Names of cases whose T1 files are equal, byte for byte; only files of one size are opened."""
    sizes: dict[int, list[str]] = defaultdict(list)
    for name, case in cases.items():
        sizes[case.t1c.stat().st_size].append(name)
    equal: dict[str, list[str]] = defaultdict(list)
    for names in sizes.values():
        for name in names if len(names) > 1 else ():
            equal[_digest(cases[name].t1c)].append(name)
    return [names for names in equal.values() if len(names) > 1]


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_labels(path: Path) -> Volume:
    """Labels as uint8; some segmentations of the collection are stored as floats."""
    volume = read_nifti(path)
    whole = np.rint(volume.values)
    if not np.isfinite(volume.values).all() or np.abs(volume.values - whole).max() > 0.01:
        raise DataError(
            f"{path} holds numbers between labels; expected a segmentation of 0, 1, 2 and 3: replace it"
        )
    if unknown := sorted(set(np.unique(whole).tolist()) - set(LABELS)):
        raise DataError(
            f"{path} has labels {unknown[:5]}; expected 0, 1, 2 and 3: it is of another release, replace it"
        )
    if not (whole == ENHANCING).any():
        raise DataError(
            f"{path} has no voxel of label {ENHANCING} (enhancing tumour); every case of the collection has: "
            "it is of another release that numbers its labels otherwise, replace it"
        )
    return Volume(whole.astype(np.uint8), volume.spacing, volume.affine)


def _require_fit(case: Case, image: Volume, labels: Volume) -> None:
    if image.values.shape != labels.values.shape:
        raise DataError(
            f"{case.seg} has {labels.values.shape} voxels and {case.t1c.name} {image.values.shape}; "
            "expected the same: download both again"
        )
    if not np.allclose(image.affine, labels.affine, rtol=0, atol=0.01):
        apart = np.abs(image.affine - labels.affine).max()
        raise DataError(
            f"{case.seg} lies elsewhere in the body than {case.t1c.name} (their affines differ by {apart:.3g} mm); "
            "expected one grid: download both again"
        )


def _brain(path: Path, image: Volume) -> np.ndarray:
    """(X, Y, Z) bool: the collection's images are 0 outside of the brain."""
    if not np.isfinite(image.values).all():
        raise DataError(f"{path} holds NaN or infinity; expected an image: download it again")
    brain = image.values != 0
    if not 0 < brain.mean() <= MOST_BRAIN:
        raise DataError(
            f"{path} is not 0 on {brain.mean():.0%} of its voxels; expected a skull-stripped brain with 0 around it"
        )
    return brain


def _cut(
    image: Volume, brain: np.ndarray, slices: Sequence[int], low: float, high: float
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Of each slice its number, its pixels (128, 128) in 0..1, and where these are brain alone (128, 128) bool."""
    mask = Volume(brain, image.spacing, image.affine)
    centre = (_middle(brain.sum((0, 2))[::-1]), _middle(brain.sum((1, 2))[::-1]))
    step = (PIXEL_MM / image.spacing[1], PIXEL_MM / image.spacing[0])
    for k in slices:
        share = cut_out(mask.axial(k), centre, step, (SIZE, SIZE), 0.0)
        # Outside of the brain lies the low end, which becomes black.
        whole = np.where(mask.axial(k), image.axial(k), low)
        pixels = cut_out(whole, centre, step, (SIZE, SIZE), low)
        yield k, np.clip((pixels - low) / (high - low), 0, 1), share > 1 - 1e-9


def _middle(counts: np.ndarray) -> float:
    """Midway between the ends of the brain along one axis; a few stray voxels do not move it."""
    below = np.cumsum(counts) / counts.sum()
    return float(np.searchsorted(below, 0.005) + np.searchsorted(below, 0.995)) / 2


def _sample(unit: Unit, image: Volume, slices: Slices, k: int, pixels: np.ndarray, label: int) -> Sample:
    return Sample(
        pixels=np.rint(pixels * LEVELS).astype(np.uint16),
        label=label,
        patient_id=unit.patient_id,
        image_id=f"{unit.key}/{k:03d}",
        facts={
            "z_mm": float(image.affine[2, 3] + k * image.spacing[2]),
            "metastasis_mm2": float(slices.metastasis[k]),
            "brain_mm2": float(slices.brain[k]),
        },
    )


def noise_percent(pixels: np.ndarray, inside: np.ndarray) -> float | None:
    """The noise of an image in % of the brain's range: the 20th percentile of the SD in 6 x 6 mm of brain.

    Most blocks hold edges besides noise; the calmest fifth hold next to none, and little of what a clip takes away.

    Args:
        pixels: (128, 128) in 0..1. inside: (128, 128) bool, brain alone.

    Returns:
        None where fewer than 20 blocks are brain.
    """
    n = SIZE // BLOCK
    blocks, brain = (
        each.reshape(n, BLOCK, n, BLOCK).swapaxes(1, 2).reshape(n * n, BLOCK * BLOCK)
        for each in (pixels, inside)
    )
    calm = blocks[brain.all(1) & (blocks.min(1) > 0) & (blocks.max(1) < 1)]
    return float(100 * np.percentile(calm.std(1, ddof=1), 20)) if len(calm) >= 20 else None
