"""One picture's middle laid over many pictures at every small shift, in two steps: coarse structure first, then fine.

Nearly all pairs end at the coarse step, which is a hundred products of matrices. They are taken in fewer dimensions:
of two vectors of length 1, each with a shadow in some subspace and a rest beside it, the product is at most that of
the shadows and that of the rests' lengths. Only where this bound is high is the product itself looked at, so that
nothing is passed over which the whole product would have found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft2, rfft2

SIDE = 64  # pixels at which pictures are compared
REACH = 8  # pixels of shift
LIKELY = 0.85  # coarse correlation below which a pair is not looked at more closely
STEP = 4  # pixels between the points of the coarse comparison; queries are also laid half of it aside
DIMENSIONS = 64  # of the shadows
ROUNDING = 1e-4  # by which a bound in float32 may be too low
FEW = 256  # pictures laid under one query at a time
MANY = 2**14  # pairs whose product is computed at a time


@dataclass(frozen=True)
class Target:
    """Pictures that others are laid over, with what is the same for all of these computed once."""

    spectra: np.ndarray  # (N, 64, 33) complex64
    spread: np.ndarray  # (N, 17, 17): length of the picture's part under the other's middle, at each shift
    windows: np.ndarray  # (25, N, 144): coarse structure under the other's middle, of length 1
    basis: np.ndarray  # (144, DIMENSIONS): of the subspace that holds most of the windows
    shadows: np.ndarray  # (25, N, DIMENSIONS + 1)

    @classmethod
    def of(cls, fine: np.ndarray, coarse: np.ndarray) -> Target:
        """From the fine and coarse structure of the pictures, both (N, 64, 64)."""
        side = SIDE - 2 * REACH
        spread = []
        for start in range(0, len(fine), FEW):
            part = fine[start : start + FEW].astype(np.float64)
            mean, square = _window_means(part, side), _window_means(part**2, side)
            spread.append((np.sqrt(np.maximum(square - mean**2, 1e-12)) * side).astype(np.float32))
        points, reach = _points(coarse), REACH // STEP
        size = points.shape[1] - 2 * reach
        shifts = [(down, across) for down in range(2 * reach + 1) for across in range(2 * reach + 1)]
        windows = np.stack([_unit(points[:, r : r + size, c : c + size]) for r, c in shifts])
        middle = windows[len(windows) // 2]
        basis = np.linalg.eigh(middle.T @ middle)[1][:, -DIMENSIONS:]  # ascending: the last hold most
        shadows = np.stack([_shadow(window, basis) for window in windows])
        return cls(rfft2(fine.astype(np.float32)), np.concatenate(spread), windows, basis, shadows)

    def likely(self, queries: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """For each query that has any, the pictures whose coarse structure is like its own at some shift.

        Args:
            queries: (n, 64, 64) coarse structure.
        """
        reach = REACH // STEP
        aside = [(down, across) for down in (0, STEP // 2) for across in (0, STEP // 2)]
        middles = np.stack([_unit(_points(queries, *by)[:, reach:-reach, reach:-reach]) for by in aside])
        found = np.zeros((len(queries), len(self.spread)), bool)
        for middle in middles:
            shadow = _shadow(middle, self.basis)
            for window, other in zip(self.windows, self.shadows, strict=True):
                hopeful = np.flatnonzero(shadow @ other.T >= LIKELY - ROUNDING)  # faster than nonzero
                rows, places = np.divmod(hopeful, len(other))
                for start in range(0, len(rows), MANY):
                    own, others = rows[start : start + MANY], places[start : start + MANY]
                    products = np.einsum("np,np->n", middle[own], window[others])
                    found[own, others] |= products >= LIKELY
        yield from ((i, np.flatnonzero(row)) for i, row in enumerate(found) if row.any())

    def correlations(self, query: np.ndarray, places: np.ndarray) -> Iterator[tuple[int, float]]:
        """The largest correlation of the middle of `query` (64, 64) with each of some pictures, over all shifts."""
        middle = query[REACH:-REACH, REACH:-REACH].astype(np.float64)
        middle = middle - middle.mean()
        template = np.zeros((SIDE, SIDE), np.float32)
        template[: len(middle), : len(middle)] = middle / np.sqrt((middle**2).sum() + 1e-12)
        spectrum, shifts = np.conj(rfft2(template)), 2 * REACH + 1
        for start in range(0, len(places), FEW):
            some = places[start : start + FEW]
            products = irfft2(self.spectra[some] * spectrum, s=template.shape)
            highest = (products[:, :shifts, :shifts] / self.spread[some]).max((1, 2))
            yield from zip(some.tolist(), highest.tolist(), strict=True)


def _window_means(images: np.ndarray, side: int) -> np.ndarray:
    """Means over every square of `side` pixels that lies inside: (N, H - side + 1, W - side + 1)."""
    sums = np.pad(images.cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    total = sums[:, side:, side:] - sums[:, :-side, side:] - sums[:, side:, :-side] + sums[:, :-side, :-side]
    return total / side**2


def _points(images: np.ndarray, down: int = 0, across: int = 0) -> np.ndarray:
    """Every fourth point of (N, 64, 64), from 1 + `down` and 1 + `across` on."""
    return images[:, 1 + down :: STEP, 1 + across :: STEP]


def _unit(images: np.ndarray) -> np.ndarray:
    """(N, pixels), each of mean 0 and length 1."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    flat -= flat.mean(1, keepdims=True)
    return (flat / np.sqrt((flat**2).sum(1, keepdims=True) + 1e-12)).astype(np.float32)


def _shadow(vectors: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """What of (n, pixels) vectors lies in the subspace, and beside it the length of what does not."""
    inside = vectors @ basis
    rest = np.sqrt(np.maximum(1 - (inside**2).sum(1, keepdims=True), 0))
    return np.ascontiguousarray(np.concatenate([inside, rest], axis=1))
