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

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmark.data.phantom.brain import Brain, depth_below_surface, draw_brain, paint_tissue, paint_vessels
from benchmark.data.phantom.metastasis import paint_metastases
from benchmark.data.phantom.texture import SIZE, PhantomImage, soft_edge

ENHANCEMENT = (0.75, 1.15)  # a patient's factor on every gain of the contrast agent

# The scanner.
NOISE = (0.010, 0.025)  # sigma of each complex channel over white matter; 1-5 % is usual (BrainWeb)
SHADING = (0.0, 0.40)  # INU of 40 % is a field of 0.80..1.20 (BrainWeb)
POINT_SPREAD, NOISE_BLUR = 0.60, 0.75  # Gaussian sigma; interpolation to 1 mm and to 64 pixels
PERCENTILES = (1.0, 99.0)


@dataclass(frozen=True)
class Patient:
    """What all slices of one patient share: the brain, the contrast agent and the scanner."""

    brain: Brain
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
    return Patient(
        brain=draw_brain(rng),
        enhancement=rng.uniform(*ENHANCEMENT),
        noise=rng.uniform(*NOISE),
        shading=rng.uniform(*SHADING),
    )


def _slice(rng: np.random.Generator, patient: Patient, label: int) -> PhantomImage:
    """Paint the healthy slice, then the lesions where it is positive, then measure and window it."""
    level = rng.uniform()  # 0 through the basal ganglia, 1 above the ventricles
    a, b = np.array([patient.brain.half_length, patient.brain.half_width]) * (1.0 - 0.10 * level)
    depth = depth_below_surface(patient.brain, a, b)
    signal, white = paint_tissue(rng, patient.brain, depth, a, b, level)
    if label:
        signal = paint_metastases(rng, patient.enhancement, signal, white, depth)
    signal += patient.enhancement * paint_vessels(rng, depth, a, b)
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
