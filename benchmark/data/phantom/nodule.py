"""The lung nodule of the CT phantom: what tells the classes apart, and how it is painted into a slice.

Distances are in pixels and intensities in HU unless a name says otherwise.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmark.data.phantom.texture import blend, pixel_grid, soft_edge
from benchmark.data.phantom.tubes import Strokes, Tube, draw_tubes

# Nodule, (benign, malignant). LIDC: ln-diameter (mm) 2.04 +- 0.26 and 2.75 +- 0.47, here moved together
# until the AUC of the diameter is 0.70, nearer the larger so that a margin is some pixels long.
LN_DIAMETER = ((2.46, 0.27), (2.68, 0.32))
DIAMETER_MM = (5.0, 30.0)
NODULE_HU = (0.0, 60.0)
# LIDC mean ratings on 1..5 put on 0..1: spiculation 1.2 and 2.2, lobulation 1.3 and 2.2, margin 4.3 and 3.75
# (5 is sharp). RATING_SPREAD is the dial of overlap: the smaller, the wider the ratings spread in a class.
# At 20 a class is narrower than LIDC's readers leave it.
SPICULATION = (0.05, 0.30)
LOBULATION = (0.075, 0.30)
BLUR = (0.175, 0.31)
SHARPEST, SOFTER = 0.3, 3.0  # width of the margin (pixels) at a blur of 0, and what a blur of 1 adds
LOBE = 0.32  # SD of a lobe's height over the radius, at a rating of 1
SPICULES = 36.0  # mean number in a slice at a rating of 1
RATING_SPREAD = 20.0
PART_SOLID = (0.06, 0.18)
CAVITY = (0.03, 0.08)
CALCIFIED = (0.12, 0.02)
GROUND_GLASS_HU = (-700.0, -450.0)
CALCIUM_HU = (180.0, 450.0)
AIR_HU = -900.0  # in a cavity, with its debris

FEEDING = (2, 0.3)  # vessels that end at a nodule, binomial: of either class, so that a line is no proof
# Set by eye beside LIDC slices: spicules thin out.
SPICULE = Tube(
    0.3, ("lognormal", 1.5, 0.3), ("uniform", 0.6, 1.0), ("uniform", 0.8, 1.0), ("uniform", 0.1, 0.4)
)
FEEDING_VESSEL = Tube(
    0.5, ("uniform", 6, 24), ("uniform", 0.6, 1.4), ("uniform", 0.6, 1.0), ("uniform", 0.1, 0.8)
)


class Nodule(NamedTuple):
    """One nodule: its class, its diameter in mm, and its appearance, each rating on 0 (none) to 1 (most)."""

    label: int
    diameter_mm: float
    spiculation: float
    lobulation: float
    blur: float
    hu: float
    part_solid: bool
    cavity: bool
    calcified: bool


class Place(NamedTuple):
    """Where a slice cuts the nodule: its centre from the middle of the image, its radius. Pixels."""

    row: float
    column: float
    radius: float

    def polar(self) -> tuple[np.ndarray, np.ndarray]:
        """Distance (pixels) and angle (-pi..pi) of every pixel from the centre, each (64, 64)."""
        rows, columns = pixel_grid()
        down, right = rows - self.row, columns - self.column
        return np.hypot(down, right), np.arctan2(down, right)

    def inside(self, heading: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns just inside the margin at these angles, where tubes leave the nodule."""
        start = 0.8 * self.radius
        return self.row + start * np.sin(heading), self.column + start * np.cos(heading)


def draw_nodule(rng: np.random.Generator) -> Nodule:
    """A nodule of either class with even odds, its appearance drawn from that class's distributions."""
    label = int(rng.integers(2))

    def rating(means: tuple[float, float]) -> float:
        mean = means[label]
        return float(rng.beta(mean * RATING_SPREAD, (1 - mean) * RATING_SPREAD))

    return Nodule(
        label=label,
        diameter_mm=float(np.clip(rng.lognormal(*LN_DIAMETER[label]), *DIAMETER_MM)),
        spiculation=rating(SPICULATION),
        lobulation=rating(LOBULATION),
        blur=rating(BLUR),
        hu=float(rng.uniform(*NODULE_HU)),
        part_solid=bool(rng.random() < PART_SOLID[label]),
        cavity=bool(rng.random() < CAVITY[label]),
        calcified=bool(rng.random() < CALCIFIED[label]),
    )


def paint_nodule(
    rng: np.random.Generator, hu: np.ndarray, texture: np.ndarray, nodule: Nodule, place: Place
) -> np.ndarray:
    """The slice with the nodule's body in it. (64, 64) HU."""
    distance = margin_distance(rng, nodule, place)
    inside = nodule.hu + texture
    if nodule.part_solid:
        core = soft_edge(distance + place.radius * rng.uniform(0.3, 0.7), 1.0)
        inside = blend(inside, rng.uniform(*GROUND_GLASS_HU), 1 - core)
    if nodule.cavity:
        inside = blend(inside, AIR_HU, _spot(rng, place, rng.uniform(0.3, 0.5)))
    if nodule.calcified:
        inside = blend(inside, rng.uniform(*CALCIUM_HU), _spot(rng, place, rng.uniform(0.2, 0.5)))
    return blend(hu, inside, soft_edge(distance, SHARPEST + SOFTER * nodule.blur))


def margin_distance(rng: np.random.Generator, nodule: Nodule, place: Place) -> np.ndarray:
    """Distance to the nodule's margin along the ray from its centre, negative inside. (64, 64) pixels."""
    from_centre, angle = place.polar()
    degrees = np.deg2rad(np.arange(360))  # the outline is worked out once a degree, then looked up
    outline = 1 + rng.uniform(0, 0.14) * np.cos(2 * degrees + rng.uniform(0, 2 * np.pi))
    for lobes in (3, 4, 5, 6):
        height = nodule.lobulation * rng.normal(0, LOBE)
        outline += height * np.cos(lobes * degrees + rng.uniform(0, 2 * np.pi))
    outline = np.maximum(outline, 0.4)[np.rint(np.rad2deg(angle)).astype(int)]
    return from_centre - place.radius * outline


def _spot(rng: np.random.Generator, place: Place, share: float) -> np.ndarray:
    """A round spot of `share` of the nodule's radius near its centre. (64, 64), 0..1."""
    row, column = rng.normal((place.row, place.column), 0.12 * place.radius)
    return soft_edge(Place(row, column, 0).polar()[0] - share * place.radius, 0.5)


def draw_spicules(rng: np.random.Generator, nodule: Nodule, place: Place) -> list[Strokes]:
    """Strands outward from the margin, as many and as long as the rating says, and vessels that end there."""
    n = rng.poisson(SPICULES * nodule.spiculation)
    angle = rng.uniform(0, 2 * np.pi, n)
    spicules = draw_tubes(rng, SPICULE, *place.inside(angle), angle + rng.normal(0, 0.15, n))
    reach = 0.2 * place.radius + spicules.length * (0.6 + nodule.spiculation)
    n = rng.binomial(*FEEDING)
    angle = rng.uniform(0, 2 * np.pi, n)
    feeding = draw_tubes(rng, FEEDING_VESSEL, *place.inside(angle), angle + rng.normal(0, 0.3, n))
    return [spicules._replace(length=reach), feeding]
