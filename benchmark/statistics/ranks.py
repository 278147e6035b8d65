"""Ranks that say how sure they are: from which entries are better beyond chance, not from the order of figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.statistics.bootstrap import drawn
from benchmark.statistics.comparison import Comparison
from benchmark.statistics.patients import Patients


@dataclass(frozen=True)
class Rank:
    """Where an entry stands.

    first: 1 + how many are better beyond chance. last: how many there are, without those that are worse beyond chance.
    """

    first: int
    last: int

    @property
    def words(self) -> str:
        """As a table prints it.

        >>> Rank(1, 3).words, Rank(2, 2).words
        ('1–3', '2')
        """
        return str(self.first) if self.first == self.last else f"{self.first}–{self.last}"


def rank_intervals(count: int, comparisons: Sequence[Comparison]) -> tuple[Rank, ...]:
    """Every entry's range of ranks, all of them right at once with 95 % confidence.

    Counting the entries that are better and worse in simultaneous comparisons of all pairs gives such ranges (Al Mohamad,
    Goeman & van Zwet 2022, Biometrics 78:238); resampled ranks do not where entries tie (Hall & Miller 2009, Ann Stat
    37:3929).

    Args:
        count: of entries. comparisons: of all pairs of 0 … count − 1; other pairs are passed over.
    """
    better, worse = np.zeros(count, int), np.zeros(count, int)
    for pair in comparisons:
        if pair.beyond_chance and max(pair.first, pair.second) < count:
            winner, loser = (
                (pair.first, pair.second) if pair.difference.value > 0 else (pair.second, pair.first)
            )
            better[loser] += 1
            worse[winner] += 1
    return tuple(Rank(1 + int(b), count - int(w)) for b, w in zip(better, worse, strict=True))


def first_places(correct: np.ndarray, labels: np.ndarray, patients: Sequence[str] | np.ndarray) -> np.ndarray:
    """How often each column comes first when patients are drawn again: (C,) float64, adding up to 1.

    What challengeR shows as stability of ranks (Wiesenfarth et al. 2021, Sci Rep 11:2369): a description, not a test. A
    first place that several share is shared out.

    Args:
        correct: (N, C) bool. labels: (N,), 0 or 1. patients: N ids.
    """
    who, right = Patients.named(patients), np.asarray(correct, float)
    classes = [own for own in (labels == 0, labels == 1) if own.any()]
    counts = [who.sums(right * own[:, None]) for own in classes]
    sizes = [who.sums(own.astype(float)) for own in classes]
    places, total = np.zeros(right.shape[1]), 0
    for draws in drawn(who.count):
        with np.errstate(invalid="ignore"):
            shares = [(draws @ c) / (draws @ s)[:, None] for c, s in zip(counts, sizes, strict=True)]
        means = np.mean(shares, axis=0)
        means = means[~np.isnan(means).any(1)]
        best = means >= means.max(1, keepdims=True) - 1e-12
        places += (best / best.sum(1, keepdims=True)).sum(0)
        total += len(means)
    return places / total
