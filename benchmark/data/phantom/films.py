"""Phantom mammograms laid out on films: the images of a phantom split, each around a mass on a larger film.

A pixel of the phantom becomes 16 x 16 of the film, so that an image fills the field of 1024 x 1024 that is cut
around a mass of CBIS-DDSM (it is 2.5 times larger than life). Around it lie plain tissue and black background.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.data.phantom.mass import PIXEL_MM
from benchmark.data.split import Split

SCALE = 16
FIELD = 64 * SCALE
TISSUE = 39000
SHAPES = {1: (1200, 1100), 2: (2200, 1100)}  # of a film, in pixels, by how many masses are on it
PARTS = ("Training", "Training", "Training", "Test")
FIRST_PATIENT = 90001  # the collection's own numbers end far below


@dataclass(frozen=True)
class PlacedMass:
    """One phantom image on a film.

    number: of the lesion in the breast. ordinal: of the image in its split. centre: row and column of the film.
    pixels: (64, 64) uint16. diameter: in pixels of the film.
    """

    number: int
    ordinal: int
    label: int
    centre: tuple[int, int]
    diameter: int
    pixels: np.ndarray


@dataclass(frozen=True)
class Film:
    """One mammogram: part "Training" or "Test", side "LEFT" or "RIGHT", view "CC" or "MLO"."""

    part: str
    patient_id: str
    side: str
    view: str
    ordinal: int
    masses: tuple[PlacedMass, ...]

    @property
    def name(self) -> str:
        """As CBIS-DDSM would call it, such as "Mass-Training_P_90001_LEFT_CC"."""
        return f"Mass-{self.part}_{self.patient_id}_{self.side}_{self.view}"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return SHAPES[len(self.masses)]


def lay_out(split: Split, parts: Sequence[str] = PARTS) -> Iterator[Film]:
    """Films of a phantom split: a patient's first two images are one mass in two views, the rest another mass.

    Args:
        parts: of the patients, over and over; every fourth is of the test part unless given.
    """
    patients: dict[str, list[int]] = {}
    for image, patient in enumerate(split.patient_ids):
        patients.setdefault(patient, []).append(image)
    ordinal = 0
    for number, images in enumerate(patients.values()):
        part, side = parts[number % len(parts)], ("LEFT", "RIGHT")[number % 2]
        patient_id = f"P_{FIRST_PATIENT + number:05d}"
        for view, own in (("CC", images[0::2]), ("MLO", images[1::2])):
            yield Film(part, patient_id, side, view, ordinal, tuple(_placed(split, own, ordinal)))
            ordinal += 1


def _placed(split: Split, images: list[int], ordinal: int) -> Iterator[PlacedMass]:
    rows, columns = SHAPES[len(images)]
    # Elsewhere on each film; a film's fields touch and do not overlap.
    down, across = 37 * ordinal % (rows - len(images) * FIELD + 1), 29 * ordinal % (columns - FIELD + 1)
    for number, image in enumerate(images, 1):
        yield PlacedMass(
            number=number,
            ordinal=image,
            label=int(split.labels[image]),
            centre=(down + number * FIELD - FIELD // 2, across + FIELD // 2),
            diameter=round(split.facts["diameter_mm"][image] / PIXEL_MM * SCALE),
            pixels=np.asarray(split.images[image, 0]),
        )


def draw_film(film: Film) -> np.ndarray:
    """(H, W) uint16: the phantom images, tissue around them, black beyond the breast."""
    rows, columns = film.shape
    row, column = np.ogrid[:rows, :columns]
    breast = ((row - rows / 2) / (rows / 2)) ** 2 + (column / columns) ** 2 < 1
    pixels = np.where(breast, TISSUE, 0).astype(np.uint16)
    for mass in film.masses:
        top, left = (place - FIELD // 2 for place in mass.centre)
        pixels[top : top + FIELD, left : left + FIELD] = mass.pixels.repeat(SCALE, 0).repeat(SCALE, 1)
    return pixels


def draw_mask(mass: PlacedMass, film: tuple[int, int], scale: float) -> np.ndarray:
    """(H, W) uint8, 0 and 255, `scale` times the film's size.

    A disc of the mass's mean diameter with a bite out of it, so that the middle of its bounding box, which is
    `mass.centre`, is not its centre of gravity.
    """
    shape = tuple(round(length * scale) for length in film)
    ends = []
    for middle, length, own in zip(mass.centre, film, shape, strict=True):
        # Rounded up, so that it is `middle` again when it is scaled back and rounded down.
        twice = -(-2 * middle * own // length)
        half = round(mass.diameter * scale / 2)
        ends.append((twice // 2 - half, twice - twice // 2 + half))
    (top, bottom), (left, right) = ends
    row = (np.arange(top, bottom)[:, None] + 0.5 - (top + bottom) / 2) / (bottom - top) * 2
    column = (np.arange(left, right)[None] + 0.5 - (left + right) / 2) / (right - left) * 2
    mask = np.zeros(shape, np.uint8)
    mask[top:bottom, left:right][(row**2 + column**2 <= 1) & ~((row > 0.2) & (column > 0.2))] = 255
    return mask


def cut_crop(film: np.ndarray, mass: PlacedMass) -> np.ndarray:
    """(h, w) uint16: the film around the mass, with a margin, as radiologists were shown it."""
    reach = mass.diameter // 2 + 20
    rows, columns = (slice(max(place - reach, 0), place + reach) for place in mass.centre)
    return film[rows, columns]
