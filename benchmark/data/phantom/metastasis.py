"""The metastases of the MRI phantom: oedema, and a body that enhances as a ring or, where it is small, as a whole.

Lengths in pixels of about 3 mm, signals relative to white matter.
"""

from __future__ import annotations

import numpy as np

from benchmark.data.phantom.brain import outline, places_between
from benchmark.data.phantom.texture import blend, pixel_grid, power_law_field, soft_edge

# Metastases: 10-28 mm across; necrotic core in 143 of 200 patients, oedema in 192 of 200 (published labels).
LESIONS = (0.50, 0.30, 0.20)  # shares of slices with one, two, three
LESION_DEPTH = (2.5, 14.0)  # they seed at the border of grey and white matter
DIAMETER_MEDIAN, DIAMETER_SPREAD, DIAMETER = 6.2, 0.28, (3.0, 9.0)
RING_FROM = 4.5  # pixels across; smaller ones enhance solidly
RIM_WIDTH, RIM_GAIN = (0.8, 1.3), (0.25, 0.62)
CORE_SIGNAL = (0.40, 0.65)
OEDEMA_CHANCE, OEDEMA_REACH, OEDEMA_SIGNAL = 192 / 200, (2.0, 5.5), (0.60, 0.83)


def paint_metastases(
    rng: np.random.Generator, enhancement: float, signal: np.ndarray, white: np.ndarray, depth: np.ndarray
) -> np.ndarray:
    """`signal` with one to three lesions in it, (64, 64)."""
    count = 1 + int(np.searchsorted(np.cumsum(LESIONS), rng.uniform()))
    for centre in places_between(rng, depth, LESION_DEPTH, count):
        diameter = np.clip(DIAMETER_MEDIAN * np.exp(rng.normal(0, DIAMETER_SPREAD)), *DIAMETER)
        signal = _one_metastasis(rng, enhancement, signal, white, centre, diameter)
    return signal


def _one_metastasis(
    rng: np.random.Generator,
    enhancement: float,
    signal: np.ndarray,
    white: np.ndarray,
    centre: np.ndarray,
    diameter: float,
) -> np.ndarray:
    """Oedema spreading through white matter, then the body with its bright rim (small ones: all bright)."""
    rows, columns = pixel_grid()
    y, x = rows - centre[0], columns - centre[1]
    lobes = rng.normal(0, 0.06, (2, 2)) @ (1, 1j)
    outside = np.hypot(y, x) - diameter / 2 * outline(y, x, lobes)  # pixels beyond the lesion's margin
    if rng.uniform() < OEDEMA_CHANCE:
        reach = rng.uniform(*OEDEMA_REACH) * (1 + 0.35 * power_law_field(rng, 3.0))
        water = soft_edge(outside - reach, 0.5) * (0.3 + 0.7 * white)
        signal = signal * (1 - (1 - rng.uniform(*OEDEMA_SIGNAL)) * water)
    bright = 1.0 + enhancement * rng.uniform(*RIM_GAIN)
    core = rng.uniform(*CORE_SIGNAL) if diameter > RING_FROM else bright
    inside = core + (bright - core) * soft_edge(-outside - rng.uniform(*RIM_WIDTH), 0.25)
    return blend(signal, inside, soft_edge(outside, 0.25))
