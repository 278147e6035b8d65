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
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft2, rfft2
from scipy.ndimage import gaussian_filter

from benchmark.data.resample import resize
from benchmark.data.split import LEVELS, Split

SIDE = 64  # pixels at which pictures are compared
REACH = 8  # pixels of shift
SAME = 0.87  # correlation from which on two pictures count as one
FINE, COARSE = (1.0, 3.0), (1.5, 5.0)  # standard deviations of the two Gaussians, pixels
LIKELY = 0.85  # coarse correlation below which a pair is not looked at more closely
STEP = 4  # pixels between the points of the coarse comparison; queries are also laid half of it aside
BATCH = 1024


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
    """What of a split's pictures is compared: fine and coarse structure, both (N, 64, 64) float32."""

    fine: np.ndarray
    coarse: np.ndarray
    patient_ids: np.ndarray


def near_copies(first: Sketch, second: Sketch | None = None) -> list[Pair]:
    """Pairs of pictures of different patients that look the same, most alike first.

    Pictures of one patient are alike by nature (neighbouring slices, two views) and are passed over.

    Args:
        second: where the other picture is from; None looks for both in `first`, for upright copies only: a patient
            under two names is not turned.
    """
    other = second or first
    target = _Target.of(other.fine)
    points = _points(other.coarse)
    best: dict[tuple[int, int], float] = {}
    for turned in range(8 if second else 1):
        for i, candidates in _likely(turn(first.coarse, turned), points):
            if second is None:
                candidates = candidates[candidates > i]
            candidates = candidates[other.patient_ids[candidates] != first.patient_ids[i]]
            query = turn(first.fine[i : i + 1], turned)[0]
            for start in range(0, len(candidates), BATCH):
                some = candidates[start : start + BATCH]
                for j, value in zip(some.tolist(), target.correlation(query, some).tolist(), strict=True):
                    if value >= SAME:
                        best[i, j] = max(value, best.get((i, j), 0.0))
    return sorted((Pair(i, j, value) for (i, j), value in best.items()), key=lambda pair: -pair.similarity)


def sketch(split: Split) -> Sketch:
    """What of a split's pictures is compared."""
    parts = []
    for start in range(0, len(split), 256):
        stored = np.asarray(split.images[start : start + 256])[:, 0].astype(np.float32) / LEVELS
        small = np.stack([resize(image, (SIDE, SIDE)) for image in stored])
        parts.append((band(small, FINE), band(small, COARSE)))
    fine, coarse = (np.concatenate([part[which] for part in parts]) for which in (0, 1))
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


@dataclass(frozen=True)
class _Target:
    """Pictures that others are laid over, with what is the same for all of these computed once."""

    spectra: np.ndarray  # (N, 64, 33) complex64
    spread: np.ndarray  # (N, 17, 17): length of the picture's part under the other's middle, at each shift

    @classmethod
    def of(cls, fine: np.ndarray) -> _Target:
        side = SIDE - 2 * REACH
        spread = []
        for start in range(0, len(fine), BATCH):
            part = fine[start : start + BATCH].astype(np.float64)
            mean, square = _window_means(part, side), _window_means(part**2, side)
            spread.append(np.sqrt(np.maximum(square - mean**2, 1e-12)) * side)
        return cls(rfft2(fine), np.concatenate(spread).astype(np.float32))

    def correlation(self, query: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The largest correlation of the middle of `query` (64, 64) with each of some pictures, over all shifts."""
        middle = query[REACH:-REACH, REACH:-REACH].astype(np.float64)
        middle = middle - middle.mean()
        template = np.zeros((SIDE, SIDE), np.float32)
        template[: len(middle), : len(middle)] = middle / np.sqrt((middle**2).sum() + 1e-12)
        shifts = 2 * REACH + 1
        products = irfft2(self.spectra[places] * np.conj(rfft2(template)), s=template.shape)
        return (products[:, :shifts, :shifts] / self.spread[places]).max((1, 2))


def _window_means(images: np.ndarray, side: int) -> np.ndarray:
    """Means over every square of `side` pixels that lies inside: (N, H - side + 1, W - side + 1)."""
    sums = np.pad(images.cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    total = sums[:, side:, side:] - sums[:, :-side, side:] - sums[:, side:, :-side] + sums[:, :-side, :-side]
    return total / side**2


def _likely(queries: np.ndarray, others: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """For each query that has any, the others whose coarse structure is like its own at some shift.

    Args:
        queries: (N, 64, 64). others: (M, 16, 16), every fourth point.
    """
    reach = REACH // STEP
    size = others.shape[1] - 2 * reach
    places = [(row, column) for row in range(2 * reach + 1) for column in range(2 * reach + 1)]
    windows = [_unit(others[:, row : row + size, column : column + size]) for row, column in places]
    middles = [
        _unit(_points(queries, down, across)[:, reach : reach + size, reach : reach + size])
        for down in (0, STEP // 2)
        for across in (0, STEP // 2)
    ]
    for start in range(0, len(queries), BATCH):
        highest = np.full((len(queries[start : start + BATCH]), len(others)), -1, np.float32)
        for middle in middles:
            for window in windows:
                np.maximum(highest, middle[start : start + BATCH] @ window.T, out=highest)
        for i, row in enumerate(highest):
            likely = np.flatnonzero(row >= LIKELY)
            if len(likely):
                yield start + i, likely


def _points(images: np.ndarray, down: int = 0, across: int = 0) -> np.ndarray:
    """Every fourth point of (N, 64, 64), from 1 + `down` and 1 + `across` on."""
    return images[:, 1 + down :: STEP, 1 + across :: STEP]


def _unit(images: np.ndarray) -> np.ndarray:
    """(N, pixels), each of mean 0 and length 1."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    flat -= flat.mean(1, keepdims=True)
    return (flat / np.sqrt((flat**2).sum(1, keepdims=True) + 1e-12)).astype(np.float32)
