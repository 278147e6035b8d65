"""Mammogram phantom: crops around a breast mass, benign (0) or malignant (1).

A crop is a sum of projections, as a radiograph is: power-law parenchyma, fibrous strands, one mass
and sometimes calcifications. It is then blurred by the digitiser and given film and quantum noise.
Disease shows in shape: how irregular the outline is, how its margin looks, whether strands radiate
from it, how calcifications are laid out. Size and contrast lean a little (AUC about 0.65); place does not.

Grey values are fractions of the digitiser's range, lengths pixels unless a name ends in `_mm`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmark.data.phantom.mass import (
    PIXEL_MM,
    Lesion,
    draw_calcifications,
    draw_lesion,
    mass,
    outline,
    spicules,
)
from benchmark.data.phantom.texture import SIZE, PhantomImage, filtered_noise, frequencies
from benchmark.data.phantom.threads import splat, threads

# Parenchyma: mini-MIAS at 0.2 mm and the power-law literature (exponent 3.04 +- 0.19 to 3.30 +- 0.24).
EXPONENT_MEAN, EXPONENT_SD = 3.1, 0.2
LEVEL_MEAN, LEVEL_SD = 0.60, 0.06  # the mass brings a crop to 0.62
LEVEL_LIMITS = (0.45, 0.72)  # film is neither clear nor black around a mass
TEXTURE_SD = (0.028, 0.041)  # with mass and strands added a patch comes to about 0.05 (0.04..0.09)
STRETCH = 1.25  # tissue runs toward the nipple: correlation is that much longer along the ducts
STRANDS = (4, 10)
STRAND_CONTRAST = (0.010, 0.035)
STRAND_WIDTH = 1.0  # standard deviation across: 0.3 mm

VIEW_SPREAD = 0.4  # a second view of the same lesion looks a little more or less suspicious
CENTRE_SD_MM = 0.8

# Film and digitiser: noise of 0.4 to 1 % of range, blurred by the aperture that blurs what is drawn.
NOISE_SD = (0.004, 0.010)
APERTURE = 0.55  # standard deviation of the digitiser's spot


@dataclass(frozen=True)
class Breast:
    """What all crops of one patient share."""

    exponent: float  # of the parenchyma's power spectrum
    level: float  # mean grey
    texture_sd: float
    duct_angle: float  # radians, the direction to the nipple
    noise_sd: float


def draw_patient(rng: np.random.Generator) -> list[PhantomImage]:
    """Two to four crops of one patient: one mass in two views, often a second of the same diagnosis."""
    breast, label = draw_breast(rng), int(rng.random() < 0.5)
    views = rng.choice([[2, 0], [2, 1], [2, 2]], p=[0.5, 0.25, 0.25])
    crops = []
    for count in views:
        lesion = draw_lesion(rng, label)
        crops += [draw_view(rng, breast, lesion) for _ in range(count)]
    return crops


def draw_breast(rng: np.random.Generator) -> Breast:
    """Tissue and film of one patient, the same whatever the diagnosis."""
    return Breast(
        exponent=rng.normal(EXPONENT_MEAN, EXPONENT_SD),
        level=float(np.clip(rng.normal(LEVEL_MEAN, LEVEL_SD), *LEVEL_LIMITS)),
        texture_sd=rng.uniform(*TEXTURE_SD),
        duct_angle=rng.uniform(0, np.pi),
        noise_sd=rng.uniform(*NOISE_SD),
    )


def draw_view(rng: np.random.Generator, breast: Breast, lesion: Lesion) -> PhantomImage:
    """One crop: the tissue's projections summed, then the film and the digitiser."""
    lesion = replace(lesion, suspicion=lesion.suspicion + rng.normal(0, VIEW_SPREAD))
    centre = rng.normal(0, CENTRE_SD_MM / PIXEL_MM, 2)
    edge = outline(rng, lesion)
    calcifications = draw_calcifications(rng, lesion, centre)
    # Parenchyma's measured exponents already hold the digitiser's blur; what is drawn sharp gets it here.
    drawn = strands(rng, breast) + mass(rng, lesion, centre, edge) + spicules(rng, lesion, centre, edge)
    drawn += splat(*calcifications)
    film = breast.level + breast.texture_sd * parenchyma(rng, breast) + gaussian_filter(drawn, APERTURE)
    film += breast.noise_sd * film_noise(rng)
    facts = {
        "diameter_mm": lesion.diameter_mm,
        "contrast": lesion.contrast,
        "offset_mm": float(np.hypot(*centre)) * PIXEL_MM,
        "calcifications": float(len(calcifications[0])),
    }
    return PhantomImage(np.clip(film, 0, 1).astype(np.float32), lesion.label, facts)


def parenchyma(rng: np.random.Generator, breast: Breast) -> np.ndarray:
    """Power-law texture drawn out along the ducts; mean 0, standard deviation 1. (64, 64)."""
    row, column = np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None, :]
    along = row * np.sin(breast.duct_angle) + column * np.cos(breast.duct_angle)
    across = row * np.cos(breast.duct_angle) - column * np.sin(breast.duct_angle)
    frequency = np.hypot(along * STRETCH**0.5, across / STRETCH**0.5)
    frequency[0, 0] = np.inf
    return filtered_noise(rng, frequency ** (-breast.exponent / 2))


def strands(rng: np.random.Generator, breast: Breast) -> np.ndarray:
    """Cooper's ligaments and vessels: threads that cross the crop, mostly along the ducts. (64, 64)."""
    count = rng.integers(*STRANDS, endpoint=True)
    angles = rng.normal(breast.duct_angle, 0.5, count) + np.pi * rng.integers(0, 2, count)
    starts = rng.uniform(-SIZE / 2, SIZE / 2, (count, 2))
    lengths, contrasts = rng.uniform(15, 60, count), rng.uniform(*STRAND_CONTRAST, count)
    return threads(rng, starts, angles, lengths, contrasts, STRAND_WIDTH)


def film_noise(rng: np.random.Generator) -> np.ndarray:
    """Grain and quantum noise seen through the digitiser's spot; mean 0, standard deviation 1. (64, 64)."""
    return filtered_noise(rng, np.exp(-2 * (np.pi * APERTURE * frequencies()) ** 2))
