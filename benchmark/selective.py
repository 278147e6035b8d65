"""Answering only where one is sure: accuracy over the share of images that are answered.

Images are answered from the most confident to the least. Any confidence that is related to the
margin lets accuracy rise as coverage falls, for the least sure images are the ones most often
wrong: that is a property of the order, not a model that became better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RiskCoverage:
    """Accuracy of the most confident k of N images, for k = 1 … N; images tied in confidence count as their mean.

    coverage, accuracy: (N,) float64.
    """

    coverage: np.ndarray
    accuracy: np.ndarray

    def at(self, coverage: float) -> float:
        """Accuracy when this share of the images is answered, at least one."""
        return float(self.accuracy[self.row(coverage)])

    def row(self, coverage: float) -> int:
        """Where in the arrays this share of the images, at least one, is answered."""
        return max(0, math.ceil(coverage * len(self.accuracy) - 1e-9) - 1)

    @property
    def area(self) -> float:
        """AURC: the mean error over all coverages, smaller is better (Geifman & El-Yaniv 2017, arXiv 1705.08500)."""
        return float(1 - self.accuracy.mean())

    @property
    def smallest_area(self) -> float:
        """The AURC of an order that leaves every error to the end."""
        count = len(self.accuracy)
        right = round(self.accuracy[-1] * count)
        answered = np.arange(1, count + 1)
        return float((np.maximum(0, answered - right) / answered).mean())

    @property
    def area_by_chance(self) -> float:
        """The AURC of a random order: the error itself."""
        return float(1 - self.accuracy[-1])


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> RiskCoverage:
    """The curve of one order of answering.

    Args:
        confidence: (N,), larger is surer; inf is allowed. correct: (N,) bool.

    >>> risk_coverage(np.array([3.0, 1.0, 2.0, 1.0]), np.array([1, 0, 1, 1])).accuracy.tolist()
    [1.0, 1.0, 0.8333333333333334, 0.75]
    """
    count = len(correct)
    _, group = np.unique(confidence, return_inverse=True)
    mean = np.bincount(group, weights=correct) / np.bincount(group)
    ordered = np.sort(group)[::-1]
    answered = np.arange(1, count + 1)
    return RiskCoverage(answered / count, np.cumsum(mean[ordered]) / answered)
