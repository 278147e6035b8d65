"""Brain phantom: axial T1 slices after contrast, without (0) or with (1) metastases.

One pixel stands for about 3 mm, so a skull-stripped brain fills the 64x64 image. A slice is painted in
tissue signal (white matter = 1), then measured as a scanner would: partial volume, coil shading, Rician
noise, and last the brain's own 1-99 percentiles become [0, 1], as for the clinical images.

Both classes hold what enhances in healthy brains (veins, sinuses, choroid plexus) and what is dark
in old ones (sulci, ageing white matter). A small faint metastasis and a vessel cut across can look
alike, so no reader is perfect: the ceiling comes from the shapes, never from wrong labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import dist

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

# Anatomy. Lengths in pixels of about 3 mm, for a brain about 170 mm long and 140 mm wide.
HALF_LENGTH, HALF_WIDTH = (26.0, 29.0), (21.5, 25.0)
CORTEX, SULCUS_WAVELENGTH, SULCUS_BAND = 2.8, 7.0, 0.28  # ribbon with partial volume; gyri some 22 mm apart
GREY, FLUID = (0.64, 0.74), (0.22, 0.36)  # T1 signal relative to white matter
FISSURE = 0.7  # fluid share of the thin midline fissure
AGEING_CHANCE, AGEING_SIGNAL = 0.3, (0.82, 0.94)  # dark periventricular white matter, in both classes

# Enhancement: signal added where contrast agent gathers.
VESSEL_GAIN = (0.25, 0.65)
FALX_GAIN = 0.3
VESSEL_DEPTH = (0.5, 14.0)
VESSELS, VESSEL_LENGTH, VESSEL_WIDTH = (2, 9), (0.0, 6.0), (0.45, 0.80)
SINUS_CHANCE, PLEXUS_CHANCE = 0.8, 0.6

# Metastases: 10-28 mm across; necrotic core in 143 of 200 patients, oedema in 192 of 200 (published labels).
LESIONS = (0.50, 0.30, 0.20)  # shares of slices with one, two, three
LESION_DEPTH = (2.5, 14.0)  # they seed at the border of grey and white matter
DIAMETER_MEDIAN, DIAMETER_SPREAD, DIAMETER = 6.2, 0.28, (3.0, 9.0)
RING_FROM = 4.5  # pixels across; smaller ones enhance solidly
RIM_WIDTH, RIM_GAIN = (0.8, 1.3), (0.25, 0.62)
CORE_SIGNAL = (0.40, 0.65)
OEDEMA_CHANCE, OEDEMA_REACH, OEDEMA_SIGNAL = 192 / 200, (2.0, 5.5), (0.60, 0.83)

# The scanner.
NOISE = (0.010, 0.025)  # sigma of each complex channel over white matter; 1-5 % is usual (BrainWeb)
SHADING = (0.0, 0.40)  # INU of 40 % is a field of 0.80..1.20 (BrainWeb)
POINT_SPREAD, NOISE_BLUR = 0.60, 0.75  # Gaussian sigma; interpolation to 1 mm and to 64 pixels
PERCENTILES = (1.0, 99.0)


Point = tuple[float, float]  # row, column


@dataclass(frozen=True)
class Patient:
    """What all slices of one patient share. Lengths in pixels, signals relative to white matter."""

    half_length: float
    half_width: float
    tilt: float
    lobes: np.ndarray  # cosine and sine weights of the outline's harmonics 2..5, complex (4,)
    grey: float
    fluid: float
    ventricles: float
    enhancement: float
    noise: float
    shading: float


def draw_patient(rng: np.random.Generator) -> list[PhantomImage]:
    """Two to four slices of one patient, half of them (odd counts: half on average) with metastases."""
    patient = _patient(rng)
    count = int(rng.integers(2, 5))
    positives = (count + int(rng.integers(2))) // 2
    labels = rng.permutation(np.arange(count) < positives)
    return [_slice(rng, patient, int(label)) for label in labels]


def _patient(rng: np.random.Generator) -> Patient:
    """Anatomy, contrast agent and scanner of one patient."""
    return Patient(
        half_length=rng.uniform(*HALF_LENGTH),
        half_width=rng.uniform(*HALF_WIDTH),
        tilt=np.deg2rad(rng.normal(0, 4)),
        lobes=rng.normal(0, 0.012, (4, 2)) @ (1, 1j),
        grey=rng.uniform(*GREY),
        fluid=rng.uniform(*FLUID),
        ventricles=rng.uniform(0.7, 1.3),
        enhancement=rng.uniform(0.75, 1.15),
        noise=rng.uniform(*NOISE),
        shading=rng.uniform(*SHADING),
    )


def _slice(rng: np.random.Generator, patient: Patient, label: int) -> PhantomImage:
    """Paint the healthy slice, then the lesions where it is positive, then measure and window it."""
    level = rng.uniform()  # 0 through the basal ganglia, 1 above the ventricles
    a, b = np.array([patient.half_length, patient.half_width]) * (1.0 - 0.10 * level)
    depth = _depth(patient, a, b)
    signal, white = _tissue(rng, patient, depth, a, b, level)
    if label:
        signal = _metastases(rng, patient, signal, white, depth)
    signal += patient.enhancement * _vessels(rng, depth, a, b)
    brain = depth > 0
    measured = scan(rng, signal * soft_edge(-depth, 0.35), patient.noise, patient.shading)
    image = window(measured, brain)
    facts = {
        "slice level": float(level),
        "brain area (px)": float(brain.sum()),
        "noise (% of white matter)": 100 * patient.noise,
        "shading (%)": 100 * patient.shading,
        "bright area (px)": float((image > 0.9).sum()),
        "dark area (px)": float((image[brain] < 0.3).sum()),
    }
    return PhantomImage(image, label, facts)


def scan(rng: np.random.Generator, signal: np.ndarray, noise: float, shading: float) -> np.ndarray:
    """Signal as a scanner measures it: |S * bias + n1 + i n2|, `noise` the sigma of n1 and n2. (64, 64).

    The noise is blurred as interpolation blurs it but keeps its sigma.
    """
    rows, columns = np.linspace(-1, 1, SIZE)[:, None], np.linspace(-1, 1, SIZE)
    terms = (rows, columns, rows**2, columns**2, rows * columns)  # a coil's reach varies slowly over the head
    bias = sum(weight * term for weight, term in zip(rng.normal(0, 1, 5), terms, strict=True))
    bias -= (bias.max() + bias.min()) / 2
    bias = 1.0 + shading / 2 * bias / bias.max()
    white = rng.standard_normal((2, SIZE, SIZE))
    real, imaginary = (gaussian_filter(channel, NOISE_BLUR, mode="wrap") for channel in white)
    measured = gaussian_filter(signal, POINT_SPREAD, truncate=3) * bias
    return np.hypot(measured + noise / real.std() * real, noise / imaginary.std() * imaginary)


def window(measured: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """The brain's 1-99 percentiles to [0, 1], clipped; stripped air is 0. (64, 64) float32."""
    low, high = np.percentile(measured[brain], PERCENTILES)
    return (np.clip((measured - low) / (high - low), 0, 1) * brain).astype(np.float32)


# ---- the healthy slice -------------------------------------------------------------------------------


def _depth(patient: Patient, a: float, b: float) -> np.ndarray:
    """Pixels below the brain's surface (negative outside): an ellipse with lobes, tilted. (64, 64)."""
    rows, columns = pixel_grid()
    cos, sin = np.cos(patient.tilt), np.sin(patient.tilt)
    y, x = (rows * cos - columns * sin) / a, (rows * sin + columns * cos) / b
    x = x / (1.0 + 0.10 * y)  # the frontal pole is narrower than the occipital
    return (1.0 - np.hypot(y, x) / _outline(y, x, patient.lobes)) * (a + b) / 2


def _outline(y: np.ndarray, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """1 + the harmonics 2, 3, ... of the direction of (y, x), complex weights. Same shape as `y`."""
    phase = (x + 1j * y) / np.maximum(np.hypot(y, x), 1e-9)
    total = np.zeros_like(phase)
    for weight in weights[::-1]:
        total = (total + weight) * phase
    return 1.0 + (total * phase).real


def _tissue(
    rng: np.random.Generator, patient: Patient, depth: np.ndarray, a: float, b: float, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Signal of a slice without enhancement, and its share of white matter, both (64, 64)."""
    fold = _folds(rng)
    white = soft_edge(CORTEX + 1.5 * fold - depth, 0.4) * soft_edge(fold - 0.25 - 0.12 * depth, 0.12)
    sulci = soft_edge(0.95 + 0.22 * depth - fold, 0.10)
    nuclei, fluid = _Brush(), _Brush()
    opening = patient.ventricles * np.clip(1.3 - 1.2 * level, 0.0, 1.0)
    reach = 0.45 - 0.40 * level  # above the ventricles the midline fissure runs all the way
    for side in (-1, 1):
        nuclei.stroke([(0.0, 0.24), (0.14, 0.22)], (a, side * b), 3.0, 1 - level)
        nuclei.stroke([(-0.24, 0.24), (-0.20, 0.25)], (a, side * b), 2.2, 1 - level)
        horn = [(-0.36, 0.20), (-0.18, 0.09), (0.08, 0.10), (0.26, 0.26), (0.40, 0.30)]
        fluid.stroke(horn, (a, side * b), 0.4 + 0.9 * opening, min(1.0, 1.6 * opening))
        fluid.stroke([(-0.10, 1.0), (-0.02, 0.80), (0.08, 0.62)], (a, side * b), 0.7, 0.9 - 0.6 * level)
        fluid.stroke([(side * reach, 0.0), (side * 0.98, 0.0)], (a, b), 0.45, FISSURE)
    grey = np.maximum(1.0 - white, np.minimum(nuclei.paint(), 0.8))
    signal = 1.0 - (1.0 - patient.grey) * grey
    if rng.uniform() < AGEING_CHANCE:
        signal *= 1.0 - (1.0 - rng.uniform(*AGEING_SIGNAL)) * _ageing(rng, a, b) * white
    wet = np.clip(np.maximum(sulci, fluid.paint()), 0, 1)
    return signal + (patient.fluid - signal) * wet, white * (1.0 - wet)


def _folds(rng: np.random.Generator) -> np.ndarray:
    """Gyri (negative) and sulci (positive), one band of wavelengths, mostly mirrored. (64, 64)."""
    ring = np.exp(-0.5 * ((frequencies() * SULCUS_WAVELENGTH - 1.0) / SULCUS_BAND) ** 2)
    field = filtered_noise(rng, ring)
    field = 0.75 * field + 0.5 * field[:, ::-1]
    return field / field.std()


def _ageing(rng: np.random.Generator, a: float, b: float) -> np.ndarray:
    """Patches of dark white matter beside the ventricles, 0..1, (64, 64)."""
    patches = _Brush()
    for _ in range(rng.integers(1, 5)):
        row, column = rng.uniform(-0.45, 0.5), rng.choice((-1, 1)) * rng.uniform(0.2, 0.55)
        patches.stroke([(row, column)], (a, b), rng.uniform(1.2, 3.2), 1.0)
    return np.minimum(patches.paint(), 1.0)


def _vessels(rng: np.random.Generator, depth: np.ndarray, a: float, b: float) -> np.ndarray:
    """Signal added by sinuses, falx, choroid plexus and vessels cut across or along, (64, 64)."""
    added = _Brush()
    added.stroke([(0.55, 0.0), (0.98, 0.0)], (a, b), 0.5, FALX_GAIN)
    if rng.uniform() < SINUS_CHANCE:
        added.stroke([(0.97, rng.normal(0, 0.02))], (a, b), rng.uniform(0.9, 1.5), rng.uniform(*VESSEL_GAIN))
    if rng.uniform() < PLEXUS_CHANCE:
        for side in (-0.26, 0.26):
            knot = (rng.normal(0.28, 0.04), rng.normal(side, 0.03))
            added.stroke([knot], (a, b), rng.uniform(0.7, 1.3), rng.uniform(*VESSEL_GAIN))
    for row, column in _inside(rng, depth, VESSEL_DEPTH, rng.integers(*VESSELS)):
        heading = rng.uniform(0, 2 * np.pi) + np.array([0.0, rng.normal(0, 0.8)])
        step = rng.uniform(*VESSEL_LENGTH) / 2
        bend = (row + step * np.sin(heading[0]), column + step * np.cos(heading[0]))
        end = (bend[0] + step * np.sin(heading[1]), bend[1] + step * np.cos(heading[1]))
        width, gain = rng.uniform(*VESSEL_WIDTH), rng.uniform(*VESSEL_GAIN)
        added.stroke([(row, column), bend, end], (1, 1), width, gain)
    return np.minimum(added.paint(), 1.0)


# ---- metastases --------------------------------------------------------------------------------------


def _metastases(
    rng: np.random.Generator, patient: Patient, signal: np.ndarray, white: np.ndarray, depth: np.ndarray
) -> np.ndarray:
    """`signal` with one to three lesions in it, (64, 64)."""
    count = 1 + int(np.searchsorted(np.cumsum(LESIONS), rng.uniform()))
    for centre in _inside(rng, depth, LESION_DEPTH, count):
        diameter = np.clip(DIAMETER_MEDIAN * np.exp(rng.normal(0, DIAMETER_SPREAD)), *DIAMETER)
        signal = _one_metastasis(rng, patient, signal, white, centre, diameter)
    return signal


def _one_metastasis(
    rng: np.random.Generator,
    patient: Patient,
    signal: np.ndarray,
    white: np.ndarray,
    centre: np.ndarray,
    diameter: float,
) -> np.ndarray:
    """Oedema spreading through white matter, then the body with its bright rim (small ones: all bright)."""
    rows, columns = pixel_grid()
    y, x = rows - centre[0], columns - centre[1]
    lobes = rng.normal(0, 0.06, (2, 2)) @ (1, 1j)
    outside = np.hypot(y, x) - diameter / 2 * _outline(y, x, lobes)  # pixels beyond the lesion's margin
    if rng.uniform() < OEDEMA_CHANCE:
        reach = rng.uniform(*OEDEMA_REACH) * (1 + 0.35 * power_law_field(rng, 3.0))
        water = soft_edge(outside - reach, 0.5) * (0.3 + 0.7 * white)
        signal = signal * (1 - (1 - rng.uniform(*OEDEMA_SIGNAL)) * water)
    bright = 1.0 + patient.enhancement * rng.uniform(*RIM_GAIN)
    core = rng.uniform(*CORE_SIGNAL) if diameter > RING_FROM else bright
    inside = core + (bright - core) * soft_edge(-outside - rng.uniform(*RIM_WIDTH), 0.25)
    return signal + (inside - signal) * soft_edge(outside, 0.25)


def _inside(rng: np.random.Generator, depth: np.ndarray, span: tuple[float, float], count: int) -> np.ndarray:
    """Random positions between two depths, in the coordinates of `pixel_grid`. (count, 2)."""
    allowed = np.argwhere((depth > span[0]) & (depth < span[1]))
    jitter = rng.uniform(-0.5, 0.5, (count, 2))
    return allowed[rng.integers(len(allowed), size=count)] + jitter - (SIZE - 1) / 2


@cache
def _between(knots: int, points: int) -> np.ndarray:
    """Linear interpolation of `points` evenly spaced places on a polyline of `knots`. (points, knots)."""
    place = np.linspace(0, knots - 1, points)[:, None]
    return np.maximum(1 - np.abs(place - np.arange(knots)), 0)


class _Brush:
    """Collects soft strokes, paints them at once: Gaussian dabs are separable, so a layer is one product."""

    def __init__(self) -> None:
        self.dabs: list[np.ndarray] = []  # each (n, 4): row, column, width, weight

    def stroke(self, knots: list[Point], unit: Point, width: float, height: float) -> None:
        """A polyline through `knots` (times `unit`, pixels from the middle), `height` along its ridge."""
        points = [(row * unit[0], column * unit[1]) for row, column in knots]
        length = sum(dist(p, q) for p, q in pairwise(points))
        n = 1 + int(length / (0.9 * width))
        path = np.empty((n, 4))
        path[:, :2] = _between(len(knots), n) @ points
        path[:, 2] = width
        # Overlapping dabs add up: a long row of them to sqrt(2 pi) width / spacing, a short one to n.
        path[:, 3] = height * max(1 / n, length / max(n - 1, 1) / (np.sqrt(2 * np.pi) * width))
        self.dabs.append(path)

    def paint(self) -> np.ndarray:
        """The sum of all strokes, (64, 64)."""
        row, column, width, weight = np.concatenate(self.dabs).T[:, :, None]
        axis = pixel_grid()[1][0]
        across = np.exp(-0.5 * ((axis - column) / width) ** 2)
        return (weight * np.exp(-0.5 * ((axis - row) / width) ** 2)).T @ across
