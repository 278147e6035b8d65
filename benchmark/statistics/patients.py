"""Patients as the unit: sums over a patient's images, and how much less the images tell than as many patients would."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Patients:
    """Which image is whose.

    of_image: (N,) int64, the patient's place, by name. count: how many patients.
    """

    of_image: np.ndarray
    count: int

    @classmethod
    def named(cls, patient_ids: Sequence[str] | np.ndarray) -> Patients:
        """From N names, equal names being one patient."""
        names, of_image = np.unique(np.asarray(patient_ids), return_inverse=True)
        return cls(of_image.reshape(-1), len(names))

    def sums(self, columns: np.ndarray) -> np.ndarray:
        """(N, C) or (N,) of images → (count, C) or (count,) float64: each patient's sum."""
        if columns.ndim == 1:
            return np.bincount(self.of_image, weights=columns, minlength=self.count)
        # All columns in one count, each with places of its own; an image's turn comes in the order of the images.
        places = self.count * np.arange(columns.shape[1])[:, None] + self.of_image
        found = np.bincount(
            places.ravel(), weights=columns.T.ravel(), minlength=self.count * columns.shape[1]
        )
        return np.ascontiguousarray(found.reshape(-1, self.count).T)


@dataclass(frozen=True)
class ClusteredShare:
    """A share of images, and what patients make of its uncertainty.

    images, patients: how many there are. residuals: (patients,) float64, each patient's pull on the share; they add
    up to 0. squares: the sum of their squares. effective: as many independent images would tell as much.
    freedom: degrees of freedom of the variance.
    """

    value: float
    images: int
    patients: int
    residuals: np.ndarray
    squares: float
    effective: float
    freedom: float

    @property
    def variance(self) -> float:
        """Of the share, robust against anything that a patient's images have in common."""
        return _robust(self.squares, self.patients)

    @property
    def design_effect(self) -> float:
        """How many images tell as much as one of another patient would (Kish 1965)."""
        return self.images / self.effective


def clustered_share(counts: np.ndarray, sizes: np.ndarray) -> ClusteredShare:
    """The share of images that count; one column of `clustered_shares`."""
    (found,) = clustered_shares(np.asarray(counts)[:, None], sizes)
    return found


def clustered_shares(counts: np.ndarray, sizes: np.ndarray) -> list[ClusteredShare]:
    """Shares of images that count, as ratios of patients' sums.

    The effective number of images is the number divided by the design effect (Rao & Scott 1992, Biometrics 48:577);
    where all images agree nothing tells the design effect, and each patient counts as one image. The degrees of
    freedom are those of Satterthwaite 1946 for a sum of squares that rests on few patients: with two wrong answers
    among 60 patients the variance is known from two patients, not from 60.

    Args:
        counts: (G, C) each patient's images that count, for each of C shares. sizes: (G,) each patient's images;
            patients without any are left out.
    """
    own = sizes > 0
    told, sizes = np.ascontiguousarray(counts[own].T, float), sizes[own].astype(float)
    images, patients = float(sizes.sum()), len(sizes)
    shares = told.sum(1) / images
    residuals = (told - shares[:, None] * sizes) / images
    squares = residuals**2
    # Sums that no order of the addends changes: a figure is the same on every machine.
    second = [math.fsum(row) for row in squares.tolist()]
    fourth = [math.fsum(row) for row in (squares**2).tolist()]
    return [
        ClusteredShare(share, int(images), patients, pulls, two, *_worth(share, images, patients, two, four))
        for share, pulls, two, four in zip(shares.tolist(), residuals, second, fourth, strict=True)
    ]


def _worth(share: float, images: float, patients: int, second: float, fourth: float) -> tuple[float, float]:
    """Effective number of images and degrees of freedom, from the sums of the residuals' squares and fourth powers."""
    variance, alike = _robust(second, patients), share * (1 - share) / images
    if alike == 0 or variance == 0:
        return float(patients), max(patients - 1.0, 1.0)
    spread = fourth - second**2 / patients
    freedom = min(2 * second**2 / spread, patients - 1.0) if spread > 0 else patients - 1.0
    return images * alike / variance, freedom


def _robust(squares: float, patients: int) -> float:
    """Of a sum of squares over patients, with the factor for their number (Liang & Zeger 1986; Obuchowski 1998)."""
    return patients / (patients - 1) * squares if patients > 1 else 0.0
