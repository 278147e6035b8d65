"""Phantom brains written as Pretreat-MetsToBrain-Masks is delivered, with all that makes it hard to read.

A patient's phantom slices lie 21 mm apart in a small volume of 3 mm voxels. The quirks, each met in a tree of 48 images:
volumes in four orientations and three kinds of numbers; segmentations stored as floats, with all labels or without
necrosis or oedema; slices of oedema alone, and free ones too near to a label; a slice repeated; a case delivered twice;
and one that numbers its labels as another release does, which must be refused.

Two slices at either end of a volume hold nothing but a frame. It puts the middle of all that is not 0 on the middle of
the phantom images, and their black and white on the 1st and 99th percentile. So what is read of a slice is the phantom
image at half the step, interpolated (each of the four new pixels has 9, 3, 3 and 1 sixteenths of an old one and its
neighbours), up to the rounding to whole numbers: 0.06 % of an image's range.

Not every image is read: the collection takes as many slices with metastases from a brain as without, so of a patient with
two of one class and one of the other, one image finds no partner. Of the 200 images of the test part 176 are read.

The generator keeps no outlines. The segmentation is a disc at the brightest spot of a slice that shows metastases:
it says that there is one on this slice, not where.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_fill_holes, gaussian_filter

from benchmark.data.phantom import draw_split
from benchmark.data.split import LEVELS, Split
from benchmark.files import replace_file
from benchmark.progress import progress_bar

SEED = 42  # of a rehearsal; the track's own parts have others
IMAGES = 48
NOTICE = "PHANTOM: synthetic, not from a patient"
COLLECTION = "Pretreat-MetsToBrain-Masks"
VOXEL_MM = 3.0
# Slices: before the first, and from one to the next, so that none lies near a label of another.
MARGIN, STEP = 4, 7
FRAMES = 2  # slices with a frame at either end
SIGNAL = (
    (150.0, 3000.0),
    (40.0, 900.0),
    (300.0, 9000.0),
)  # that 0 and 1 of an image stand for; T1 has no unit
CORE, RIM, OEDEMA = 1.2, 2.6, 5.0  # radii of the discs, pixels
ORIENTATIONS = ("LPS", "RAS", "PSR", "LAS")
NUMBERS = (np.int16, np.float32, np.uint16)
LABEL_NUMBERS = (np.uint8, np.float32, np.float64)
LABEL_SETS = ((1, 2, 3), (2, 3), (3,))


@dataclass(frozen=True)
class PlacedSlice:
    """One phantom image in a volume. z: its slice from below. pixels: (64, 64) uint16, 3 mm."""

    z: int
    label: int
    pixels: np.ndarray


@dataclass(frozen=True)
class PhantomCase:
    """One patient. repeated: the last slice, without metastases, stands in the volume twice."""

    number: int
    slices: tuple[PlacedSlice, ...]
    repeated: bool

    @property
    def patient_id(self) -> str:
        """As in the collection, with numbers that it does not use."""
        return f"BraTS-MET-{90001 + self.number:05d}"

    @property
    def name(self) -> str:
        """Of its only examination."""
        return f"{self.patient_id}-000"


def write_tree(
    folder: Path, images: int = IMAGES, seed: int = SEED, progress: bool = False
) -> list[PhantomCase]:
    """Draw `images` phantom slices and write them below `folder` as a download of Pretreat-MetsToBrain-Masks.

    Returns:
        The cases, from which follows what a reader must find: image `PhantomCase.name`/`PlacedSlice.z` shows
        `pixels` at another scale, and its label is `label`.

    Raises:
        DataError: nothing can be written there.
    """
    return write_split(folder, draw_split("mri", "train", seed, images, progress), progress)


def write_split(folder: Path, split: Split, progress: bool = False) -> list[PhantomCase]:
    """As `write_tree`, of the images of a phantom split: its patients in order are the cases in order."""
    cases = list(lay_out(split))
    with progress_bar("writing cases", len(cases), progress) as advance:
        for case in cases:
            write_case(folder / COLLECTION / case.name, case)
            advance()
    write_case(folder / "downloaded twice" / cases[0].name, cases[0])
    other_release = PhantomCase(len(cases), cases[0].slices, repeated=False)
    write_case(folder / COLLECTION / other_release.name, other_release, labels=(1, 2))
    replace_file(folder / "README.txt", f"{NOTICE}. Written in the layout of {COLLECTION}.\n".encode())
    return cases


def lay_out(split: Split) -> Iterator[PhantomCase]:
    """The patients of a phantom split as cases, their slices from below in the order in which they were drawn."""
    order = range(len(split))
    for number, (_, group) in enumerate(groupby(order, key=lambda i: split.patient_ids[i])):
        own = list(group)
        positives = int(split.labels[own].sum())
        repeated = len(own) == 3 and positives == 2
        if repeated:  # the slice without metastases comes last, where nothing is near its copy
            own.sort(key=lambda i: -int(split.labels[i]))
        slices = [
            PlacedSlice(MARGIN + STEP * k, int(split.labels[i]), np.asarray(split.images[i, 0]))
            for k, i in enumerate(own)
        ]
        yield PhantomCase(number, tuple(slices), repeated)


def write_case(folder: Path, case: PhantomCase, labels: Sequence[int] | None = None) -> None:
    """Write the five files of a case. labels: of the segmentation; one of the collection's sets if not given."""
    values, brain, outlined = _volumes(case)
    kept = LABEL_SETS[case.number % 3] if labels is None else labels
    merged = np.where((outlined == 1) & (1 not in kept), 3, outlined) if 3 in kept else outlined
    segmentation = np.where(np.isin(merged, kept), merged, 0)
    low, high = SIGNAL[case.number // 2 % 3]
    t1c = np.where(brain, np.rint(low + (high - low) * values), 0)
    # Other contrasts of the same brain: dark is bright, so that no reader can mistake one for another.
    others = {"t1n": 0.6 * values, "t2w": 1 - values, "t2f": 0.8 - 0.6 * values}
    orientation, numbers = ORIENTATIONS[case.number % 4], NUMBERS[case.number % 3]
    _write(folder, f"{case.name}-t1c", t1c.astype(numbers), orientation)
    _write(folder, f"{case.name}-seg", segmentation.astype(LABEL_NUMBERS[(case.number + 1) % 3]), orientation)
    for name, contrast in others.items():
        signal = np.where(brain, np.rint(low + (high - low) * contrast), 0)
        _write(folder, f"{case.name}-{name}", signal.astype(np.int16), orientation)


def _volumes(case: PhantomCase) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signal in 0..1, brain, and labels, each (X, Y, Z) to the right, the front and the head."""
    depth = case.slices[-1].z + MARGIN + 1 + FRAMES
    values, labels = np.zeros((64, 64, depth)), np.zeros((64, 64, depth), np.uint8)
    brain = np.zeros((64, 64, depth), bool)

    def put(z: int, image: np.ndarray, mask: np.ndarray, outlined: np.ndarray | int) -> None:
        # Radiologists look from the feet: an image's first row is the front, its first column the patient's right.
        for volume, plane in (
            (values, image),
            (brain, mask),
            (labels, np.broadcast_to(outlined, mask.shape)),
        ):
            volume[:, :, z] = plane.T[::-1, ::-1]

    for each in case.slices:
        image = each.pixels / LEVELS
        mask = binary_fill_holes(each.pixels > 0)
        if each.label:
            outlined = _discs(image, mask)
            put(each.z, image, mask, outlined)
            # Turned, so no slice repeats and the histogram stays: oedema alone beside it, and nothing, but near.
            for z, turned in ((each.z - 1, np.fliplr), (each.z + 1, np.transpose)):
                put(z, turned(image), turned(mask), 2 * turned(outlined > 0))
            for z, turned in ((each.z - 2, np.flipud), (each.z + 2, np.rot90)):
                put(z, turned(image), turned(mask), 0)
        else:
            put(each.z, image, mask, 0)
    if case.repeated:
        last = case.slices[-1]
        put(last.z + MARGIN, last.pixels / LEVELS, binary_fill_holes(last.pixels > 0), 0)
    edge = np.pad(np.zeros((62, 62), bool), 1, constant_values=True)
    places = [*range(FRAMES), *range(depth - FRAMES, depth)]
    for number, z in enumerate(places):
        brain[edge, z] = True
        # Half of it black and half of it white, each time in another rhythm, so that no slice is another's repeat.
        values[edge, z] = np.arange(edge.sum()) >> number & 1
    return values, brain, labels


def _discs(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A core (1) in a rim (3) in oedema (2), around the brightest spot well inside the brain. (64, 64) uint8."""
    inside = gaussian_filter(mask.astype(float), 3) > 0.97
    blurred = np.where(inside, gaussian_filter(image, 1.5), -1)
    row, column = np.unravel_index(blurred.argmax(), image.shape)
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    distance = np.hypot(rows - row, columns - column)
    labels = np.select([distance <= CORE, distance <= RIM, distance <= OEDEMA], [1, 3, 2], 0)
    return np.where(mask, labels, 0).astype(np.uint8)


def _write(folder: Path, name: str, values: np.ndarray, orientation: str) -> None:
    """One NIfTI file; `values` run right, front, head, and are stored with axes turned to `orientation`."""
    from nibabel import Nifti1Image
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    affine = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
    affine[:3, 3] = -96.0, -132.0, -72.0  # about the atlas' origin
    image = Nifti1Image(values, affine)
    image.header["descrip"] = NOTICE.encode()
    image = image.as_reoriented(ornt_transform(io_orientation(affine), axcodes2ornt(orientation)))
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0) as stream:
        stream.write(image.to_bytes())
    replace_file(folder / f"{name}.nii.gz", packed.getvalue())
