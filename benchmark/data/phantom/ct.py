"""A synthetic chest CT: one lung nodule a patch, benign (0) or malignant (1).

A patch is 48 mm wide (64 pixels of 0.75 mm), centred on the nodule up to a few pixels, windowed from
-1000..400 HU to [0, 1]. It is built in Hounsfield units in the order of the physics: parenchyma, vessels,
chest wall and nodule make the object; the scanner's point spread blurs it; noise with the spectrum of
filtered back-projection is added; the window clips.

The classes differ as they do in the radiologists' ratings of LIDC-IDRI: malignant nodules are more often
spiculated, lobulated, ill defined or part-solid, benign ones smooth, round, sharp and at times calcified.
Every one of these is drawn from distributions that overlap, so no reader can be perfect. Size, which alone
separates the real classes at AUC 0.91, is drawn from distributions moved together.

Distances are in pixels and intensities in HU unless a name says otherwise. Numbers marked LIDC were
measured on LIDC-IDRI or its annotations; the others are anatomy or scanner physics, named where they stand.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmark.data.phantom.chest import WALL_PROBABILITY, draw_vessels, paint_wall
from benchmark.data.phantom.nodule import Nodule, Place, draw_nodule, draw_spicules, paint_nodule
from benchmark.data.phantom.texture import PhantomImage, blend, filtered_noise, frequencies, power_law_field
from benchmark.data.phantom.tubes import Strokes, coverage

PIXEL_MM = 0.75
WINDOW_HU = (-1000.0, 400.0)

# Scanner. A Gaussian point spread of 0.50 to 0.80 pixels has its 50 % modulation at 0.50 to 0.31 cycles/mm,
# as soft-tissue kernels have; set so that the spectral exponent lies between that of GE STANDARD
# (LIDC: 3.7-3.8) and that of the smoother Siemens B31f (4.8-5.1).
POINT_SPREAD = (0.50, 0.80)
NOISE_HU = (9.0, 19.0)  # LIDC: soft-tissue local SD, 9-15 at the 20th percentile, 17-19 at the median

# Lung. LIDC: parenchyma median -857..-884 HU; the texture and the vessels bring the local SD to 23-35 HU.
LUNG_HU = (-885.0, -850.0)
LUNG_TEXTURE_HU = (12.0, 26.0)
TEXTURE_BETA = 2.6  # lobules and unresolved vessels, before the point spread
BLOOD_HU = 40.0
TISSUE_TEXTURE_HU = 17.0  # fat and fibres; with the noise, LIDC's soft-tissue SD of 17-19 HU

JITTER = 2.5  # SD of the nodule's centring, pixels


class Scanner(NamedTuple):
    """What a patient's slices share: point spread (pixels); noise SD, lung density and texture (HU)."""

    point_spread: float
    noise: float
    lung: float
    texture: float


def draw_patient(rng: np.random.Generator) -> list[PhantomImage]:
    """Two to four slices of one patient, through one nodule or two (of either class each), by one scanner."""
    scanner = Scanner(*(float(rng.uniform(*r)) for r in (POINT_SPREAD, NOISE_HU, LUNG_HU, LUNG_TEXTURE_HU)))
    nodules = [draw_nodule(rng) for _ in range(rng.integers(1, 3))]
    return [draw_slice(rng, scanner, nodules[k % len(nodules)]) for k in range(rng.integers(2, 5))]


def draw_slice(rng: np.random.Generator, scanner: Scanner, nodule: Nodule) -> PhantomImage:
    """One slice through a nodule, off its middle by up to 40 % of its radius."""
    offset = rng.uniform(0, 0.4)
    diameter_mm = nodule.diameter_mm * np.sqrt(1 - offset**2)
    row, column = rng.normal(0, JITTER, 2)
    place = Place(row, column, radius=diameter_mm / PIXEL_MM / 2)

    # Lung and soft tissue share one field, turned: a pixel is the one or the other, and it halves the cost.
    field = power_law_field(rng, TEXTURE_BETA)
    hu, texture = scanner.lung + scanner.texture * field, TISSUE_TEXTURE_HU * np.rot90(field)
    wall = rng.random() < WALL_PROBABILITY
    if wall:
        hu = paint_wall(rng, hu, texture)
    tubes = [*draw_vessels(rng), *draw_spicules(rng, nodule, place)]
    filled = coverage(Strokes(*(np.concatenate(parts) for parts in zip(*tubes, strict=True))))
    hu = blend(hu, np.maximum(hu, BLOOD_HU), filled)
    hu = paint_nodule(rng, hu, texture, nodule, place)
    hu = gaussian_filter(hu, scanner.point_spread) + noise(rng, scanner)

    low, high = WINDOW_HU
    image = np.clip((hu - low) / (high - low), 0, 1).astype(np.float32)
    facts = {
        "diameter_mm": float(diameter_mm),
        "distance_from_middle": float(np.hypot(place.row, place.column)),
        "noise_hu": scanner.noise,
        "point_spread": scanner.point_spread,
        "wall": float(wall),
    }
    return PhantomImage(image, nodule.label, facts)


def noise(rng: np.random.Generator, scanner: Scanner) -> np.ndarray:
    """Noise of filtered back-projection: the ramp times the point spread's transfer. (64, 64) HU."""
    f = frequencies()
    # White projection noise filtered by the ramp has amplitude sqrt(f) in the image.
    transfer = np.exp(-2 * (np.pi * scanner.point_spread * f) ** 2)
    return scanner.noise * filtered_noise(rng, np.sqrt(f) * transfer)
