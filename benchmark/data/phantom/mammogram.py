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

from benchmark.data.phantom.texture import (
    SIZE,
    PhantomImage,
    filtered_noise,
    frequencies,
    pixel_grid,
    soft_edge,
)

PIXEL_MM = 0.3  # a crop shows 19 mm: cut close around the mass, as CBIS-DDSM's crops are

# Margin as radiologists described it: share among (benign, malignant). The first two rows are CBIS-DDSM's
# mass frequencies; how the remainder divides is assumed: ill-defined leans malignant, obscured benign.
MARGINS = {
    "circumscribed": (0.43, 0.08),
    "spiculated": (0.05, 0.46),
    "obscured": (0.27, 0.06),
    "ill-defined": (0.17, 0.32),
    "microlobulated": (0.08, 0.08),
}

# The dial of overlap. Suspicion is a lesion's morphology on one axis, standard normal about -/+ SEPARATION.
SEPARATION = 2.4
VIEW_SPREAD = 0.4  # a second view of the same lesion looks a little more or less suspicious

# Parenchyma: mini-MIAS at 0.2 mm and the power-law literature (exponent 3.04 +- 0.19 to 3.30 +- 0.24).
EXPONENT_MEAN, EXPONENT_SD = 3.1, 0.2
LEVEL_MEAN, LEVEL_SD = 0.60, 0.06  # the mass brings a crop to 0.62
LEVEL_LIMITS = (0.45, 0.72)  # film is neither clear nor black around a mass
TEXTURE_SD = (0.028, 0.041)  # with mass and strands added a patch comes to about 0.05 (0.04..0.09)
STRETCH = 1.25  # tissue runs toward the nipple: correlation is that much longer along the ducts
STRANDS = (4, 10)
STRAND_CONTRAST = (0.010, 0.035)

# Mass: lognormal diameter, the classes nearly alike; a few per cent of range above its surroundings.
LOG_DIAMETER_MM, LOG_DIAMETER_SD, LOG_DIAMETER_SHIFT = np.log(10.5), 0.20, 0.04
DIAMETER_LIMITS_MM = (6.0, 15.0)
CONTRAST = (0.09, 0.15)
DENSER = 0.002  # contrast gained per unit of suspicion: cancers are a little denser
CENTRE_SD_MM = 0.8

CALCIFIED = 0.3  # share of masses with calcifications, either class
ROUND_MM, PLEOMORPHIC_MM = (0.5, 1.0), (0.25, 0.85)  # diameters, within the 0.1 to 1 mm of the literature
CALCIFICATION_CONTRAST = 0.10  # before partial volume and the digitiser's spot thin it

# Morphology against suspicion, each (at suspicion 0, gain per unit, lowest, highest). Assumed, by eye.
IRREGULARITY = (0.15, 0.075, 0.01, 0.36)  # of the outline, in radii
BLUR = (1.6, 0.4, 0.8, 3.5)  # width of an ill-defined margin
SPICULES = (12, 2, 6, 20)  # of a spiculated mass, and what others show of them:
RETRACTIONS = (0, 4, 0, 10)
SPICULE_CONTRAST = (0.5, 0.85)  # of the mass's own
SPICULE_LENGTH = (0.6, 1.5)  # radii of the mass
SPICULE_WIDTH, STRAND_WIDTH = 1.2, 1.0  # standard deviation across: 0.3 to 0.4 mm
LOBES = (0.05, 0.09)  # height of microlobulation, in radii
OVAL = 0.12  # largest elongation that a mass has whatever its nature
HALO = 0.15  # depth of the rim of fat around half the circumscribed masses, of the mass's contrast

# Film and digitiser: noise of 0.4 to 1 % of range, blurred by the aperture that blurs what is drawn.
NOISE_SD = (0.004, 0.010)
APERTURE = 0.55  # standard deviation of the digitiser's spot

BEARINGS = np.linspace(-np.pi, np.pi, 181)  # where outlines are evaluated, radians


@dataclass(frozen=True)
class Breast:
    """What all crops of one patient share."""

    exponent: float  # of the parenchyma's power spectrum
    level: float  # mean grey
    texture_sd: float
    duct_angle: float  # radians, the direction to the nipple
    noise_sd: float


@dataclass(frozen=True)
class Lesion:
    """One mass, before it is drawn."""

    label: int
    margin: str
    suspicion: float  # about -SEPARATION benign, +SEPARATION malignant
    diameter_mm: float
    contrast: float
    calcified: bool


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


def draw_lesion(rng: np.random.Generator, label: int) -> Lesion:
    """A mass of this diagnosis: everything in which the classes differ is decided here."""
    side = 2 * label - 1
    suspicion = rng.normal(side * SEPARATION, 1.0)
    log_diameter = rng.normal(LOG_DIAMETER_MM + side * LOG_DIAMETER_SHIFT, LOG_DIAMETER_SD)
    return Lesion(
        label=label,
        margin=str(rng.choice(list(MARGINS), p=[shares[label] for shares in MARGINS.values()])),
        suspicion=suspicion,
        diameter_mm=float(np.clip(np.exp(log_diameter), *DIAMETER_LIMITS_MM)),
        contrast=float(np.clip(rng.uniform(*CONTRAST) + DENSER * suspicion, *CONTRAST)),
        calcified=bool(rng.random() < CALCIFIED),
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


def film_noise(rng: np.random.Generator) -> np.ndarray:
    """Grain and quantum noise seen through the digitiser's spot; mean 0, standard deviation 1. (64, 64)."""
    return filtered_noise(rng, np.exp(-2 * (np.pi * APERTURE * frequencies()) ** 2))


def splat(rows: np.ndarray, columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Points of given weight, in pixels from the middle, shared out to the four nearest pixels. (64, 64)."""
    row, column = rows.ravel() + (SIZE - 1) / 2, columns.ravel() + (SIZE - 1) / 2
    inside = (row >= 0) & (row < SIZE - 1) & (column >= 0) & (column < SIZE - 1)
    row, column, weight = row[inside], column[inside], weights.ravel()[inside]
    pixel = row.astype(int) * SIZE + column.astype(int)
    down, right = row % 1, column % 1
    upper, lower = weight * (1 - down), weight * down
    places = np.concatenate([pixel, pixel + 1, pixel + SIZE, pixel + SIZE + 1])
    shares = np.concatenate([upper * (1 - right), upper * right, lower * (1 - right), lower * right])
    return np.bincount(places, shares, SIZE * SIZE).reshape(SIZE, SIZE)


def threads(
    rng: np.random.Generator,
    starts: np.ndarray,
    angles: np.ndarray,
    lengths: np.ndarray,
    contrasts: np.ndarray,
    width: float,
) -> np.ndarray:
    """Gently bent threads that fade toward their far end. starts (n, 2), the others (n,). (64, 64)."""
    along = np.linspace(0, 1, 64)
    bend = rng.normal(0, 0.25, (len(angles), 1))
    direction = angles[:, None] + bend * along
    step = lengths[:, None] / along.size
    rows = starts[:, :1] + np.cumsum(np.sin(direction) * step, axis=1)
    columns = starts[:, 1:] + np.cumsum(np.cos(direction) * step, axis=1)
    peak = contrasts[:, None] * (1 - 0.7 * along)
    # A line's crest, once blurred, is its weight per length over sqrt(2 pi) width: undo that.
    return gaussian_filter(splat(rows, columns, peak * step * np.sqrt(2 * np.pi) * width), width)


def strands(rng: np.random.Generator, breast: Breast) -> np.ndarray:
    """Cooper's ligaments and vessels: threads that cross the crop, mostly along the ducts. (64, 64)."""
    count = rng.integers(*STRANDS, endpoint=True)
    angles = rng.normal(breast.duct_angle, 0.5, count) + np.pi * rng.integers(0, 2, count)
    starts = rng.uniform(-SIZE / 2, SIZE / 2, (count, 2))
    lengths, contrasts = rng.uniform(15, 60, count), rng.uniform(*STRAND_CONTRAST, count)
    return threads(rng, starts, angles, lengths, contrasts, STRAND_WIDTH)


def grade(suspicion: float, scale: tuple[float, float, float, float]) -> float:
    """A morphology's value at this suspicion: a straight line, bounded. `scale` as the constants above."""
    start, gain, lowest, highest = scale
    return float(np.clip(start + gain * suspicion, lowest, highest))


def outline(rng: np.random.Generator, lesion: Lesion) -> np.ndarray:
    """Radius of the mass at each of BEARINGS: an oval bent by low harmonics, and lobes. (181,)."""
    irregular = grade(lesion.suspicion, IRREGULARITY)
    lobes = rng.uniform(*LOBES) if lesion.margin == "microlobulated" else 0.0
    shape = rng.uniform(0, OVAL) * np.cos(2 * (BEARINGS - rng.uniform(0, np.pi)))
    for order in (2, 3, 4, 5):
        shape += irregular * rng.normal(0, 1.6 / order) * np.cos(order * BEARINGS + rng.uniform(0, 2 * np.pi))
    shape += lobes * np.cos(rng.integers(7, 12) * BEARINGS + rng.uniform(0, 2 * np.pi))
    return lesion.diameter_mm / PIXEL_MM / 2 * np.clip(1 + shape, 0.4, 1.8)


def mass(rng: np.random.Generator, lesion: Lesion, centre: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """The body of the mass with its margin, domed as the projection of a solid is. (64, 64)."""
    rows, columns = pixel_grid()
    rows, columns = rows - centre[0], columns - centre[1]
    radius, angle = np.hypot(rows, columns), np.arctan2(rows, columns)
    edge = np.interp(angle, BEARINGS, edge)
    distance = radius - edge
    if lesion.margin == "ill-defined":
        border = soft_edge(distance, grade(lesion.suspicion, BLUR))
    elif lesion.margin == "obscured":  # sharp, save where other tissue lies over it
        veil = np.clip(np.cos(angle - rng.uniform(0, 2 * np.pi)), 0, 1)
        border = soft_edge(distance / (0.5 + 3.0 * veil), 1.0)
    else:
        border = soft_edge(distance, 0.9 if lesion.margin == "spiculated" else 0.5)
    dome = 0.55 + 0.45 * np.sqrt(np.clip(1 - (radius / edge) ** 2, 0, 1))
    body = border * dome
    if lesion.margin == "circumscribed" and rng.random() < 0.5:  # fat, pushed aside
        body -= HALO * np.exp(-(((distance - 2.0) / 1.2) ** 2))
    return lesion.contrast * body


def spicules(rng: np.random.Generator, lesion: Lesion, centre: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """Threads that radiate from a spiculated mass, and fewer from any other suspicious one. (64, 64)."""
    scale = SPICULES if lesion.margin == "spiculated" else RETRACTIONS
    count = rng.poisson(grade(lesion.suspicion, scale))
    bearing = rng.uniform(-np.pi, np.pi, count)
    reach = 0.8 * np.interp(bearing, BEARINGS, edge)  # they begin inside, so no gap shows
    starts = centre + reach[:, None] * np.stack([np.sin(bearing), np.cos(bearing)], axis=1)
    lengths = lesion.diameter_mm / PIXEL_MM / 2 * rng.uniform(*SPICULE_LENGTH, count)
    contrasts = lesion.contrast * rng.uniform(*SPICULE_CONTRAST, count)
    return threads(rng, starts, bearing, lengths, contrasts, SPICULE_WIDTH)


def draw_calcifications(
    rng: np.random.Generator, lesion: Lesion, centre: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns, weights (n,) of calcifications: a cluster or line if suspicious, else a few."""
    if not lesion.calcified:
        return np.empty(0), np.empty(0), np.empty(0)
    suspicious = rng.random() < 1 / (1 + np.exp(-2 * lesion.suspicion))
    if not suspicious:  # round and punctate, alike, scattered over the mass
        count, spread = rng.integers(2, 5), lesion.diameter_mm / 4 / PIXEL_MM
        places = centre + rng.normal(0, spread, (count, 2))
        diameters = np.full(count, rng.uniform(*ROUND_MM))
    else:
        count = rng.integers(6, 14)  # over 5 per square centimetre
        tilt, reach = rng.uniform(0, np.pi), 1.0 if rng.random() < 0.5 else 0.2
        oval = rng.normal(0, 3.0 / PIXEL_MM, (count, 2)) * [1.0, reach]  # reach 0.2: along a duct
        turn = np.array([[np.sin(tilt), np.cos(tilt)], [np.cos(tilt), -np.sin(tilt)]])
        places = centre + rng.normal(0, 2.0, 2) + oval @ turn.T
        diameters = rng.uniform(*PLEOMORPHIC_MM, count)
    area = np.pi / 4 * (diameters / PIXEL_MM) ** 2  # the smaller are below the pixel and dim with their area
    return places[:, 0], places[:, 1], CALCIFICATION_CONTRAST * area
