"""The healthy brain of the MRI phantom: its outline, its tissues, and the vessels that enhance in every brain.

Lengths in pixels of about 3 mm, for a brain about 170 mm long and 140 mm wide; signals relative to white matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.data.phantom.brush import Brush
from benchmark.data.phantom.texture import SIZE, blend, filtered_noise, frequencies, pixel_grid, soft_edge

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


@dataclass(frozen=True)
class Brain:
    """The anatomy that all slices of one patient share. Lengths in pixels, signals relative to white matter."""

    half_length: float
    half_width: float
    tilt: float
    lobes: np.ndarray  # cosine and sine weights of the outline's harmonics 2..5, complex (4,)
    grey: float
    fluid: float
    ventricles: float


def draw_brain(rng: np.random.Generator) -> Brain:
    """The anatomy of one patient."""
    return Brain(
        half_length=rng.uniform(*HALF_LENGTH),
        half_width=rng.uniform(*HALF_WIDTH),
        tilt=np.deg2rad(rng.normal(0, 4)),
        lobes=rng.normal(0, 0.012, (4, 2)) @ (1, 1j),
        grey=rng.uniform(*GREY),
        fluid=rng.uniform(*FLUID),
        ventricles=rng.uniform(0.7, 1.3),
    )


def depth_below_surface(brain: Brain, a: float, b: float) -> np.ndarray:
    """Pixels below the brain's surface (negative outside): an ellipse with lobes, tilted. (64, 64)."""
    rows, columns = pixel_grid()
    cos, sin = np.cos(brain.tilt), np.sin(brain.tilt)
    y, x = (rows * cos - columns * sin) / a, (rows * sin + columns * cos) / b
    x = x / (1.0 + 0.10 * y)  # the frontal pole is narrower than the occipital
    return (1.0 - np.hypot(y, x) / outline(y, x, brain.lobes)) * (a + b) / 2


def outline(y: np.ndarray, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """1 + the harmonics 2, 3, ... of the direction of (y, x), complex weights. Same shape as `y`."""
    phase = (x + 1j * y) / np.maximum(np.hypot(y, x), 1e-9)
    total = np.zeros_like(phase)
    for weight in weights[::-1]:
        total = (total + weight) * phase
    return 1.0 + (total * phase).real


def paint_tissue(
    rng: np.random.Generator, brain: Brain, depth: np.ndarray, a: float, b: float, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Signal of a slice without enhancement, and its share of white matter, both (64, 64)."""
    fold = _folds(rng)
    white = soft_edge(CORTEX + 1.5 * fold - depth, 0.4) * soft_edge(fold - 0.25 - 0.12 * depth, 0.12)
    sulci = soft_edge(0.95 + 0.22 * depth - fold, 0.10)
    nuclei, fluid = Brush(), Brush()
    opening = brain.ventricles * np.clip(1.3 - 1.2 * level, 0.0, 1.0)
    reach = 0.45 - 0.40 * level  # above the ventricles the midline fissure runs all the way
    for side in (-1, 1):
        nuclei.stroke([(0.0, 0.24), (0.14, 0.22)], (a, side * b), 3.0, 1 - level)
        nuclei.stroke([(-0.24, 0.24), (-0.20, 0.25)], (a, side * b), 2.2, 1 - level)
        horn = [(-0.36, 0.20), (-0.18, 0.09), (0.08, 0.10), (0.26, 0.26), (0.40, 0.30)]
        fluid.stroke(horn, (a, side * b), 0.4 + 0.9 * opening, min(1.0, 1.6 * opening))
        fluid.stroke([(-0.10, 1.0), (-0.02, 0.80), (0.08, 0.62)], (a, side * b), 0.7, 0.9 - 0.6 * level)
        fluid.stroke([(side * reach, 0.0), (side * 0.98, 0.0)], (a, b), 0.45, FISSURE)
    grey = np.maximum(1.0 - white, np.minimum(nuclei.paint(), 0.8))
    signal = 1.0 - (1.0 - brain.grey) * grey
    if rng.uniform() < AGEING_CHANCE:
        signal *= 1.0 - (1.0 - rng.uniform(*AGEING_SIGNAL)) * _ageing(rng, a, b) * white
    wet = np.clip(np.maximum(sulci, fluid.paint()), 0, 1)
    return blend(signal, brain.fluid, wet), white * (1.0 - wet)


def _folds(rng: np.random.Generator) -> np.ndarray:
    """Gyri (negative) and sulci (positive), one band of wavelengths, mostly mirrored. (64, 64)."""
    ring = np.exp(-0.5 * ((frequencies() * SULCUS_WAVELENGTH - 1.0) / SULCUS_BAND) ** 2)
    field = filtered_noise(rng, ring)
    field = 0.75 * field + 0.5 * field[:, ::-1]
    return field / field.std()


def _ageing(rng: np.random.Generator, a: float, b: float) -> np.ndarray:
    """Patches of dark white matter beside the ventricles, 0..1, (64, 64)."""
    patches = Brush()
    for _ in range(rng.integers(1, 5)):
        row, column = rng.uniform(-0.45, 0.5), rng.choice((-1, 1)) * rng.uniform(0.2, 0.55)
        patches.stroke([(row, column)], (a, b), rng.uniform(1.2, 3.2), 1.0)
    return np.minimum(patches.paint(), 1.0)


def paint_vessels(rng: np.random.Generator, depth: np.ndarray, a: float, b: float) -> np.ndarray:
    """Signal added by sinuses, falx, choroid plexus and vessels cut across or along, (64, 64)."""
    added = Brush()
    added.stroke([(0.55, 0.0), (0.98, 0.0)], (a, b), 0.5, FALX_GAIN)
    if rng.uniform() < SINUS_CHANCE:
        added.stroke([(0.97, rng.normal(0, 0.02))], (a, b), rng.uniform(0.9, 1.5), rng.uniform(*VESSEL_GAIN))
    if rng.uniform() < PLEXUS_CHANCE:
        for side in (-0.26, 0.26):
            knot = (rng.normal(0.28, 0.04), rng.normal(side, 0.03))
            added.stroke([knot], (a, b), rng.uniform(0.7, 1.3), rng.uniform(*VESSEL_GAIN))
    for row, column in places_between(rng, depth, VESSEL_DEPTH, int(rng.integers(*VESSELS))):
        heading = rng.uniform(0, 2 * np.pi) + np.array([0.0, rng.normal(0, 0.8)])
        step = rng.uniform(*VESSEL_LENGTH) / 2
        bend = (row + step * np.sin(heading[0]), column + step * np.cos(heading[0]))
        end = (bend[0] + step * np.sin(heading[1]), bend[1] + step * np.cos(heading[1]))
        width, gain = rng.uniform(*VESSEL_WIDTH), rng.uniform(*VESSEL_GAIN)
        added.stroke([(row, column), bend, end], (1, 1), width, gain)
    return np.minimum(added.paint(), 1.0)


def places_between(
    rng: np.random.Generator, depth: np.ndarray, span: tuple[float, float], count: int
) -> np.ndarray:
    """Random positions between two depths, in the coordinates of `pixel_grid`. (count, 2)."""
    allowed = np.argwhere((depth > span[0]) & (depth < span[1]))
    jitter = rng.uniform(-0.5, 0.5, (count, 2))
    return allowed[rng.integers(len(allowed), size=count)] + jitter - (SIZE - 1) / 2
