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

from benchmark.data.phantom.texture import (
    SIZE,
    PhantomImage,
    filtered_noise,
    frequencies,
    pixel_grid,
    power_law_field,
    soft_edge,
)

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
SMALL_VESSELS = 24  # mean number of vessels under 2 mm in a slice of 48 x 48 mm, set by the lung's local SD
VESSEL_TREES = 1.1  # mean number of larger ones, each with up to three branches
FEEDING = (2, 0.3)  # vessels that end at a nodule, binomial: of either class, so that a line is no proof

# Chest wall or mediastinum at the side: many of LUNA16's nodule patches hold some (95th percentile 120 HU,
# median SD 0.26 of the window; here about 50 HU and 0.22).
WALL_PROBABILITY = 0.55
WALL_HU = (30.0, 65.0)
RIB_HU = (250.0, 500.0)
RIB_PROBABILITY = 0.4

# Nodule, (benign, malignant). LIDC: ln-diameter (mm) 2.04 +- 0.26 and 2.75 +- 0.47, here moved together
# until the AUC of the diameter is 0.70, nearer the larger so that a margin is some pixels long.
LN_DIAMETER = ((2.46, 0.27), (2.68, 0.32))
DIAMETER_MM = (5.0, 30.0)
JITTER = 2.5  # SD of the centring, pixels
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

STROKE_POINTS = 30  # along a tube
RIBBON_POINTS = 4  # across it


class Tube(NamedTuple):
    """A kind of tube: SD of its bend (radians), then distributions of `Generator` with their numbers."""

    bend: float
    length: tuple[str, float, float]
    radius: tuple[str, float, float]
    first: tuple[str, float, float]
    last: tuple[str, float, float]


# Lengths and radii in pixels. `first` and `last` are the share of the slice's thickness that the tube fills
# at either end: vessels run askew and leave the slice, spicules thin out. Set by eye beside LIDC slices.
SMALL_VESSEL = Tube(
    0.6, ("lognormal", 1.5, 0.7), ("lognormal", -0.35, 0.3), ("uniform", 0.1, 0.9), ("uniform", 0.0, 0.4)
)
TRUNK = Tube(0.5, ("uniform", 12, 40), ("lognormal", 0.25, 0.3), ("uniform", 0.6, 1.0), ("uniform", 0.0, 0.7))
# Radius and first in parts of the trunk's; Murray's law thins a vessel by 0.79 where it halves.
BRANCH = Tube(0.4, ("uniform", 6, 18), ("uniform", 0.5, 0.79), ("uniform", 0.6, 1.0), ("uniform", 0.0, 0.5))
SPICULE = Tube(
    0.3, ("lognormal", 1.5, 0.3), ("uniform", 0.6, 1.0), ("uniform", 0.8, 1.0), ("uniform", 0.1, 0.4)
)
FEEDING_VESSEL = Tube(
    0.5, ("uniform", 6, 24), ("uniform", 0.6, 1.4), ("uniform", 0.6, 1.0), ("uniform", 0.1, 0.8)
)


class Scanner(NamedTuple):
    """What a patient's slices share: point spread (pixels); noise SD, lung density and texture (HU)."""

    point_spread: float
    noise: float
    lung: float
    texture: float


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


class Strokes(NamedTuple):
    """Drawn tubes, curved and tapering: where they start, their heading (radians), the rest as in `Tube`."""

    row: np.ndarray
    column: np.ndarray
    heading: np.ndarray
    bend: np.ndarray
    length: np.ndarray
    radius: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def paths(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the points along every tube, each (tubes, STROKE_POINTS)."""
        t = np.linspace(0, 1, STROKE_POINTS)
        heading = self.heading[:, None] + self.bend[:, None] * t
        step = self.length[:, None] / STROKE_POINTS
        return (
            self.row[:, None] + np.cumsum(np.sin(heading) * step, axis=1),
            self.column[:, None] + np.cumsum(np.cos(heading) * step, axis=1),
        )


def coverage(strokes: Strokes) -> np.ndarray:
    """The fraction of every pixel that the tubes fill, before the point spread. (64, 64), 0..1.

    Every tube is a ribbon of points that each bring their share of its area, split over the four nearest
    pixels. A tube thinner than a pixel so gets the brightness of its partial volume.
    """
    along, across = np.linspace(0, 1, STROKE_POINTS)[:, None], np.linspace(-0.8, 0.8, RIBBON_POINTS)
    rows, columns = (path[:, :, None] for path in strokes.paths())
    heading = (strokes.heading + strokes.bend / 2)[:, None, None]
    radius = strokes.radius[:, None, None] * (1 - 0.6 * along)
    fill = strokes.first[:, None, None] * (1 - along) + strokes.last[:, None, None] * along
    area = fill * 2 * radius / RIBBON_POINTS * (strokes.length / STROKE_POINTS)[:, None, None]
    rows = (rows + across * radius * np.cos(heading) + SIZE / 2 + 0.5).ravel()
    columns = (columns - across * radius * np.sin(heading) + SIZE / 2 + 0.5).ravel()
    area = np.broadcast_to(area, (*area.shape[:2], RIBBON_POINTS)).ravel()

    wide = SIZE + 2  # a border of one pixel takes what falls outside
    rows, columns = np.clip(rows, 0, wide - 1.01), np.clip(columns, 0, wide - 1.01)
    row, column = rows.astype(int), columns.astype(int)
    down, right = rows - row, columns - column
    canvas = np.zeros(wide * wide)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = area * (down if i else 1 - down) * (right if j else 1 - right)
        canvas += np.bincount((row + i) * wide + column + j, share, wide * wide)
    return np.minimum(canvas.reshape(wide, wide)[1:-1, 1:-1], 1)


def draw_tubes(
    rng: np.random.Generator, kind: Tube, row: np.ndarray, column: np.ndarray, heading: np.ndarray
) -> Strokes:
    """Tubes of one kind that start here and head there."""
    n = len(heading)
    bend = rng.normal(0, kind.bend, n)
    return Strokes(
        row, column, heading, bend, *(getattr(rng, name)(*numbers, n) for name, *numbers in kind[1:])
    )


def draw_vessels(rng: np.random.Generator) -> list[Strokes]:
    """Small vessels that cross the slice and trees that run in it, anywhere, the nodule not spared."""

    def anywhere(kind: Tube, mean: float) -> Strokes:
        n = rng.poisson(mean)
        return draw_tubes(rng, kind, *rng.uniform(-SIZE / 2, SIZE / 2, (2, n)), rng.uniform(0, 2 * np.pi, n))

    small, trunks = anywhere(SMALL_VESSEL, SMALL_VESSELS), anywhere(TRUNK, VESSEL_TREES)
    return [small, trunks, _branches(rng, trunks)]


def _branches(rng: np.random.Generator, trunks: Strokes) -> Strokes:
    """Up to three side branches for every trunk."""
    parent = np.repeat(np.arange(len(trunks.row)), rng.integers(0, 4, len(trunks.row)))
    n = len(parent)
    at = rng.integers(6, STROKE_POINTS, n)
    rows, columns = trunks.paths()
    side = rng.choice([-1.0, 1.0], n) * rng.uniform(0.4, 1.0, n)
    heading = trunks.heading[parent] + trunks.bend[parent] * at / STROKE_POINTS + side
    branches = draw_tubes(rng, BRANCH, rows[parent, at], columns[parent, at], heading)
    return branches._replace(
        radius=branches.radius * trunks.radius[parent], first=branches.first * trunks.first[parent]
    )


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


def paint_nodule(
    rng: np.random.Generator, hu: np.ndarray, texture: np.ndarray, nodule: Nodule, place: Place
) -> np.ndarray:
    """The slice with the nodule's body in it. (64, 64) HU."""
    distance = margin_distance(rng, nodule, place)
    inside = nodule.hu + texture
    if nodule.part_solid:
        core = soft_edge(distance + place.radius * rng.uniform(0.3, 0.7), 1.0)
        inside = _blend(inside, rng.uniform(*GROUND_GLASS_HU), 1 - core)
    if nodule.cavity:
        inside = _blend(inside, AIR_HU, _spot(rng, place, rng.uniform(0.3, 0.5)))
    if nodule.calcified:
        inside = _blend(inside, rng.uniform(*CALCIUM_HU), _spot(rng, place, rng.uniform(0.2, 0.5)))
    return _blend(hu, inside, soft_edge(distance, SHARPEST + SOFTER * nodule.blur))


def _spot(rng: np.random.Generator, place: Place, share: float) -> np.ndarray:
    """A round spot of `share` of the nodule's radius near its centre. (64, 64), 0..1."""
    row, column = rng.normal((place.row, place.column), 0.12 * place.radius)
    return soft_edge(Place(row, column, 0).polar()[0] - share * place.radius, 0.5)


def _blend(below: np.ndarray, above: np.ndarray | float, share: np.ndarray) -> np.ndarray:
    """Partial volume: `share` (0..1) of every pixel is `above`, the rest `below`."""
    return below + (above - below) * share


def paint_wall(rng: np.random.Generator, hu: np.ndarray, texture: np.ndarray) -> np.ndarray:
    """The slice with chest wall or mediastinum at one side, and at times a rib in it. (64, 64) HU."""
    rows, columns = pixel_grid()
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(13, 30)
    across = rows * np.sin(angle) + columns * np.cos(angle)
    along = columns * np.sin(angle) - rows * np.cos(angle)
    # Ribs cage the lung (the wall is concave), heart and vessels push into it (convex).
    surface = depth - rng.normal(0.006, 0.008) * (along - rng.normal(0, 10)) ** 2
    surface += rng.normal(0, 0.5) * np.sin(along / 5 + rng.uniform(0, 6))
    wall = rng.uniform(*WALL_HU) + texture
    if rng.random() < RIB_PROBABILITY:
        deep, aside = across - depth - rng.uniform(5, 9), along - rng.normal(0, 12)
        rib = soft_edge(np.hypot(deep / 3, aside / rng.uniform(5, 12)) - 1, 0.12)
        wall = _blend(wall, rng.uniform(*RIB_HU), rib)
    return _blend(hu, wall, soft_edge(surface - across, 0.3))


def noise(rng: np.random.Generator, scanner: Scanner) -> np.ndarray:
    """Noise of filtered back-projection: the ramp times the point spread's transfer. (64, 64) HU."""
    f = frequencies()
    # White projection noise filtered by the ramp has amplitude sqrt(f) in the image.
    transfer = np.exp(-2 * (np.pi * scanner.point_spread * f) ** 2)
    return scanner.noise * filtered_noise(rng, np.sqrt(f) * transfer)


def draw_slice(rng: np.random.Generator, scanner: Scanner, nodule: Nodule) -> PhantomImage:
    """One slice through a nodule, off its middle by up to 40 % of its radius."""
    offset = rng.uniform(0, 0.4)
    diameter_mm = nodule.diameter_mm * np.sqrt(1 - offset**2)
    place = Place(*rng.normal(0, JITTER, 2), radius=diameter_mm / PIXEL_MM / 2)

    # Lung and soft tissue share one field, turned: a pixel is the one or the other, and it halves the cost.
    field = power_law_field(rng, TEXTURE_BETA)
    hu, texture = scanner.lung + scanner.texture * field, TISSUE_TEXTURE_HU * np.rot90(field)
    wall = rng.random() < WALL_PROBABILITY
    if wall:
        hu = paint_wall(rng, hu, texture)
    tubes = [*draw_vessels(rng), *draw_spicules(rng, nodule, place)]
    filled = coverage(Strokes(*(np.concatenate(parts) for parts in zip(*tubes, strict=True))))
    hu = _blend(hu, np.maximum(hu, BLOOD_HU), filled)
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


def draw_patient(rng: np.random.Generator) -> list[PhantomImage]:
    """Two to four slices of one patient, through one nodule or two (of either class each), by one scanner."""
    scanner = Scanner(*(float(rng.uniform(*r)) for r in (POINT_SPREAD, NOISE_HU, LUNG_HU, LUNG_TEXTURE_HU)))
    nodules = [draw_nodule(rng) for _ in range(rng.integers(1, 3))]
    return [draw_slice(rng, scanner, nodules[k % len(nodules)]) for k in range(rng.integers(2, 5))]
