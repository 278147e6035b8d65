"""Entries compared on the same images, patient by patient, and all comparisons of a board judged together.

By the image two entries are compared as McNemar does; by the patient that is the clustered test of
Obuchowski 1998 (Stat Med 17:1495): the sum of the patients' differences over the root of the sum of
their squares. What the largest of many such statistics reaches by chance is had by turning the sign
of all differences of a patient at random (max-T: Westfall & Young 1993; with the null imposed and
signs turned by cluster: Cameron, Gelbach & Miller 2008, Rev Econ Stat 90:414). A leader is chosen
after looking, so a family that holds comparisons with the leader must hold all pairs among which the
leader might have been found: with the leader's comparisons alone, half of all boards of 50 equal
entries would name a false winner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import ndtr

from benchmark.statistics.bootstrap import SEED
from benchmark.statistics.estimate import MINIMUM_PATIENTS, Estimate
from benchmark.statistics.patients import Patients

LEVEL = 0.05
SIGNS = 5_000  # random turnings of signs: a p of 0.05 is then known to 0.003
CHUNK = 250  # of them in memory at a time
REACHED = (
    10  # with fewer turnings beyond a statistic its p comes from the normal distribution, times the pairs
)
ROUNDING = 1e-9  # statistics that are equal on paper differ by less


@dataclass(frozen=True)
class Comparison:
    """One entry minus another: columns `first` and `second` of what was compared.

    difference: with an interval that holds together with those of all other pairs of its family at 95 %.
    standard_error: of the difference, robust within patients. statistic: Obuchowski's z, positive where first is better.
    p: of this pair alone. p_adjusted: of this pair among its family.
    """

    first: int
    second: int
    difference: Estimate
    standard_error: float
    statistic: float
    p: float
    p_adjusted: float

    @property
    def beyond_chance(self) -> bool:
        """Whether the two differ, with at most 5 % of families in which any equal pair is said to."""
        return self.p_adjusted <= LEVEL and self.difference.low is not None


def compare(
    correct: np.ndarray,
    labels: np.ndarray,
    patients: Sequence[str] | np.ndarray,
    pairs: Sequence[tuple[int, int]],
    balanced: bool = True,
) -> tuple[Comparison, ...]:
    """Compare pairs of columns as one family. Below 20 patients there are no intervals, and p is 1.

    Args:
        correct: (N, C) bool, one column for each entry. labels: (N,), 0 or 1. patients: N ids.
        pairs: (first, second) columns. balanced: differences of the mean of the two classes' accuracies.
    """
    if not pairs:
        return ()
    who = Patients.named(patients)
    pulls = _pulls(np.asarray(correct, float), np.asarray(labels), who, balanced)
    values = pulls.sum(0)
    first, second = np.array(pairs, dtype=np.int64).T
    differences = values[first] - values[second]
    squares = np.concatenate(
        [_squares(pulls, first[k : k + CHUNK], second[k : k + CHUNK]) for k in range(0, len(pairs), CHUNK)]
    )
    if who.count < MINIMUM_PATIENTS:
        alone = [Estimate(float(value)) for value in differences]
        return tuple(Comparison(i, j, a, 0.0, 0.0, 1.0, 1.0) for (i, j), a in zip(pairs, alone, strict=True))
    # Equal answers leave sums of squares that are rounding, not evidence.
    told = squares > 1e-18
    scale = np.where(told, 1 / np.sqrt(np.where(told, squares, 1.0)), 0.0)
    # Between classes their gap is estimated too, which makes the squares a little too small.
    stretch = who.count / (who.count - 1) if balanced else 1.0
    statistics = differences * scale / math.sqrt(stretch)
    largest = _largest(pulls, pairs, scale)
    beyond = len(largest) - np.searchsorted(largest, np.abs(statistics) - ROUNDING)
    alone_p = 2 * ndtr(-np.abs(statistics))
    p_turned = (1 + beyond) / (1 + len(largest))
    p_adjusted = np.where(beyond < REACHED, np.minimum(p_turned, len(pairs) * alone_p), p_turned)
    # The turning that itself counts as one: with it the interval leaves out 0 just where p ≤ 0.05.
    critical = float(largest[len(largest) - max(1, int(LEVEL * (1 + len(largest))))])
    centred = np.maximum(squares - differences**2 / who.count, 0.0)
    reach = stretch * critical**2
    half = np.sqrt(reach * centred / max(1 - reach / who.count, 1e-12))
    errors = np.sqrt(who.count / (who.count - 1) * centred)
    return tuple(
        Comparison(
            int(i),
            int(j),
            Estimate(float(d), max(-1.0, float(d - h)), min(1.0, float(d + h))),
            float(e),
            float(z),
            float(p),
            float(min(1.0, q)),
        )
        for (i, j), d, h, e, z, p, q in zip(
            pairs, differences, half, errors, statistics, alone_p, p_adjusted, strict=True
        )
    )


def _pulls(correct: np.ndarray, labels: np.ndarray, who: Patients, balanced: bool) -> np.ndarray:
    """(G, C): what each patient adds to each column's accuracy; the columns' sums are the accuracies.

    Balanced, a patient with images of one class alone pulls towards that class. Taking half the difference between
    the classes out first leaves the sum as it is, and the differences of equal entries without direction.
    """
    classes = [own for own in (labels == 0, labels == 1) if own.any()] if balanced else [labels >= 0]
    shares = [correct[own].mean(0) for own in classes]
    middle = np.mean(shares, axis=0)
    total = np.zeros((who.count, correct.shape[1]))
    for own, share in zip(classes, shares, strict=True):
        part = (correct - (share - middle)) * own[:, None] / (len(classes) * own.sum())
        total += who.sums(part)
    return total


def _squares(pulls: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P,): the sum of squares of the patients' differences of each pair."""
    return ((pulls[:, first] - pulls[:, second]) ** 2).sum(0)


def _largest(pulls: np.ndarray, pairs: Sequence[tuple[int, int]], scale: np.ndarray) -> np.ndarray:
    """The largest |statistic| of the family under each turning of signs: (SIGNS,) float64, ascending."""
    by_first: dict[int, list[int]] = {}
    for place, (i, _) in enumerate(pairs):
        by_first.setdefault(i, []).append(place)
    groups = [
        (i, np.array([pairs[place][1] for place in places]), scale[places]) for i, places in by_first.items()
    ]
    signs, largest = _signs(len(pulls), SIGNS), np.zeros(SIGNS)
    for start in range(0, SIGNS, CHUNK):
        turned = signs[start : start + CHUNK].astype(float) @ pulls
        for i, others, scales in groups:
            found = np.abs(turned[:, others] - turned[:, [i]])
            found *= scales
            np.maximum(largest[start : start + CHUNK], found.max(1), out=largest[start : start + CHUNK])
    return np.sort(largest)


@lru_cache(maxsize=4)
def _signs(patients: int, turnings: int) -> np.ndarray:
    """(turnings, patients) int8 of −1 and 1, the same every time."""
    generator = np.random.default_rng([SEED, patients, turnings])
    return (2 * generator.integers(0, 2, (turnings, patients), dtype=np.int8) - 1).astype(np.int8)
