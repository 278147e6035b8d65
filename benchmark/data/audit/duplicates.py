"""Pictures that occur twice: the same pixels, or the same picture after it was moved, turned, brightened or noised.

Two pictures are compared at 64 x 64 pixels by the correlation of their fine structure. Each is reduced to what is
between 0.7 and 2.5 pixels wide (a difference of Gaussians) and divided by its local contrast, so that neither
brightness nor one strong edge decides. The middle of the one is then laid over the other at every shift of up to
8 pixels, in all eight turnings and mirrorings; the largest correlation is the measure, 1 for a copy.

No two pictures of different patients of the phantom track's test and train parts come above 0.83 (MRI, 50 test and 800
train images; CT 0.80, mammogram below 0.5), and copies of CT and mammograms that were moved by up to 7 pixels, brightened
and given noise of 0.01 do not fall below 0.90. With noise of 0.02, twice the film's own, a mammogram's copies fall to
0.83 and are missed.
A copy that was enlarged, turned by another angle or cut out further off is not found.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmark.data.audit.overlay import SIDE, Target
from benchmark.data.resample import resize
from benchmark.data.split import LEVELS, Split

SAME = 0.87  # correlation from which on two pictures count as one
FINE, COARSE = (1.0, 3.0), (1.5, 5.0)  # standard deviations of the two Gaussians, pixels
BLOCK = 2048  # pictures that others are laid over at a time
BATCH = 256  # pictures sketched, or laid over others, at a time


@dataclass(frozen=True)
class Pair:
    """Two pictures that look the same; `similarity` is a correlation, at most 1."""

    first: int
    second: int
    similarity: float


def exact_copies(first: Split, second: Split) -> list[tuple[int, int]]:
    """Indices of pictures, one of each split, with the same pixels."""
    places: dict[bytes, list[int]] = {}
    for j in range(len(second)):
        places.setdefault(_digest(second, j), []).append(j)
    return [(i, j) for i in range(len(first)) for j in places.get(_digest(first, i), ())]


def _digest(split: Split, index: int) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(split.images[index]).tobytes()).digest()


@dataclass(frozen=True)
class Sketch:
    """What of a split's pictures is compared: fine and coarse structure, both (N, 64, 64) float16, 16 KB a picture."""

    fine: np.ndarray
    coarse: np.ndarray
    patient_ids: np.ndarray


def near_copies(first: Sketch, second: Sketch | None = None) -> list[Pair]:
    """Pairs of pictures of different patients that look the same, most alike first.

    Pictures of one patient are alike by nature (neighbouring slices, two views) and are passed over.
    Besides the sketches some 200 MB are in memory, however many pictures there are.

    Args:
        second: where the other picture is from; None looks for both in `first`, for upright copies only: a patient
            under two names is not turned.
    """
    other = second or first
    best: dict[tuple[int, int], float] = {}
    for start in range(0, len(other.fine), BLOCK):
        target = Target.of(other.fine[start : start + BLOCK], other.coarse[start : start + BLOCK])
        patients = other.patient_ids[start : start + BLOCK]
        # Within one split a pair is looked at once: of two blocks, with the queries of the earlier.
        end = len(first.fine) if second else min(start + BLOCK, len(first.fine))
        for begin, turned in product(range(0, end, BATCH), range(8 if second else 1)):
            rows = slice(begin, min(begin + BATCH, end))
            fine = turn(first.fine[rows], turned)
            for i, candidates in target.likely(turn(first.coarse[rows], turned)):
                candidates = candidates[patients[candidates] != first.patient_ids[begin + i]]
                if second is None:
                    candidates = candidates[start + candidates > begin + i]
                for j, value in target.correlations(fine[i], candidates):
                    if value >= SAME:
                        pair = (begin + i, start + j)
                        best[pair] = max(value, best.get(pair, 0.0))
    return sorted((Pair(i, j, value) for (i, j), value in best.items()), key=lambda pair: -pair.similarity)


def sketch(split: Split) -> Sketch:
    """What of a split's pictures is compared."""
    fine, coarse = (np.empty((len(split), SIDE, SIDE), np.float16) for _ in range(2))
    for start in range(0, len(split), BATCH):
        rows = slice(start, start + BATCH)
        stored = np.asarray(split.images[rows])[:, 0].astype(np.float32) / LEVELS
        small = resize(stored, (SIDE, SIDE))
        fine[rows], coarse[rows] = band(small, FINE), band(small, COARSE)
    return Sketch(fine, coarse, np.array(split.patient_ids))


def band(images: np.ndarray, widths: tuple[float, float]) -> np.ndarray:
    """What is between two widths in size, over its own local contrast: (N, H, W) float32."""
    low, high = ((0.0, width, width) for width in widths)
    detail = gaussian_filter(images, low) - gaussian_filter(images, high)
    contrast = gaussian_filter(detail**2, (0, 6, 6)) + detail.var((1, 2), keepdims=True) / 4
    return (detail / np.sqrt(contrast + 1e-12)).astype(np.float32)


def turn(images: np.ndarray, number: int) -> np.ndarray:
    """One of the eight turnings and mirrorings of (N, H, W); number 0 changes nothing."""
    turned = np.rot90(images, number % 4, (1, 2))
    return turned[:, :, ::-1] if number >= 4 else turned
