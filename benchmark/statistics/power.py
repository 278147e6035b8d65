"""The smallest difference that a set of images can show, before anyone is compared on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from benchmark.statistics.comparison import LEVEL, Comparison
from benchmark.statistics.patients import Patients

POWER = 0.8
DISCORDANCE = 0.2  # two entries of which one is right and the other wrong on a fifth of the images
LIKENESS = 0.3  # intraclass correlation of a patient's images, where nothing tells it


def planned_difference(
    images: float, discordance: float, design_effect: float = 1.0, pairs: int = 1
) -> float:
    """The smallest difference of two accuracies that is found in four of five samples (Connor 1987, Biometrics 43:207).

    Args:
        images: how many. discordance: share on which one of the two alone is right.
        design_effect: how many images tell as much as one of another patient. pairs: compared at once (Bonferroni).

    >>> round(100 * planned_difference(378, 0.2), 1)
    6.4
    """
    independent = images / design_effect
    level, power = float(ndtri(1 - LEVEL / pairs / 2)), float(ndtri(POWER))
    difference = 0.0
    for _ in range(100):
        # A difference cannot be larger than the discordance that it is a part of.
        spread = max(0.0, discordance - difference**2)
        new = min(discordance, (level * discordance**0.5 + power * spread**0.5) / independent**0.5)
        if abs(new - difference) < 1e-12:
            break
        difference = new
    return difference


def planned_for(labels: np.ndarray, patients: Sequence[str] | np.ndarray, pairs: int = 1) -> float:
    """`planned_difference` of balanced accuracy on these images, a fifth discordant, a patient's images somewhat alike.

    Args:
        labels: (N,), 0 or 1. patients: N ids. pairs: compared at once.
    """
    counts = np.unique(np.asarray(labels), return_counts=True)[1]
    sizes = Patients.named(patients).sums(np.ones(len(labels)))
    alike = 1 + LIKENESS * (float((sizes**2).sum() / sizes.sum()) - 1)
    # The mean of two classes' shares is as uncertain as a share of this many images.
    images = len(counts) ** 2 / float((1 / counts).sum())
    return planned_difference(images, DISCORDANCE, alike, pairs)


def shown_difference(comparisons: Sequence[Comparison]) -> float | None:
    """The smallest difference that a family of comparisons finds in four of five samples; of a middling pair.

    What the interval spans to one side, and what chance takes away in one of five. None without an interval, or where
    all entries answer alike.
    """
    needed = [
        pair.difference.high - pair.difference.value + float(ndtri(POWER)) * pair.standard_error
        for pair in comparisons
        if pair.difference.high is not None and pair.standard_error > 0
    ]
    return float(np.median(needed)) if needed else None
