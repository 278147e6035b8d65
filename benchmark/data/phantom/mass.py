"""The mass of the mammogram phantom: what tells the classes apart, and its body, spicules and calcifications.

Grey values are fractions of the digitiser's range, lengths pixels unless a name ends in `_mm`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.data.phantom.texture import pixel_grid, soft_edge
from benchmark.data.phantom.threads import threads

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

# Mass: lognormal diameter, the classes nearly alike; a few per cent of range above its surroundings.
LOG_DIAMETER_MM, LOG_DIAMETER_SD, LOG_DIAMETER_SHIFT = np.log(10.5), 0.20, 0.04
DIAMETER_LIMITS_MM = (6.0, 15.0)
CONTRAST = (0.09, 0.15)
DENSER = 0.002  # contrast gained per unit of suspicion: cancers are a little denser

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
SPICULE_WIDTH = 1.2  # standard deviation across: 0.4 mm
LOBES = (0.05, 0.09)  # height of microlobulation, in radii
OVAL = 0.12  # largest elongation that a mass has whatever its nature
HALO = 0.15  # depth of the rim of fat around half the circumscribed masses, of the mass's contrast

BEARINGS = np.linspace(-np.pi, np.pi, 181)  # where outlines are evaluated, radians


@dataclass(frozen=True)
class Lesion:
    """One mass, before it is drawn."""

    label: int
    margin: str
    suspicion: float  # about -SEPARATION benign, +SEPARATION malignant
    diameter_mm: float
    contrast: float
    calcified: bool


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
