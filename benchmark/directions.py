"""Which way the errors go, disease called healthy or health called disease, and how small a change suffices.

The first is a missed cancer, the second a false alarm; with two classes every attack on an
image pushes one way, so the direction is the image's true class.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmark.statistics import Estimate, accuracy_interval


@dataclass(frozen=True)
class Quartiles:
    """Quartiles of the smallest ε that turns an image; None where that lies beyond `end`, the grid's last ε.

    A quartile is the smallest observed ε within which at least that share of the `images` is turned,
    so nothing is interpolated into the part that was never looked at.
    """

    lower: float | None
    median: float | None
    upper: float | None
    end: str
    images: int

    def words(self) -> tuple[str, str, str]:
        """Lower quartile, median, upper quartile as a page prints them.

        >>> Quartiles(0.0, 0.00213, None, "0.02", 200).words()
        ('0.0000', '0.0021', '> 0.02')
        """
        beyond = f"> {self.end}" if self.images else "–"
        lower, median, upper = (
            beyond if value is None else f"{value:.4f}" for value in (self.lower, self.median, self.upper)
        )
        return lower, median, upper


@dataclass(frozen=True)
class Direction:
    """The images of one true class, and what an adversary does to their answers.

    images, patients: how many. clean_errors: answered wrongly with nothing done to them.
    kept: ε → share answered rightly within ε (sensitivity of the diseased, specificity of the others); "0" is clean.
    turned: ε → how many that were right are answered wrongly within ε.
    minimal_epsilon: of the images that were right. minimal_epsilon_all: of all, 0 where wrong already.
    """

    images: int
    patients: int
    clean_errors: int
    kept: Mapping[str, Estimate]
    turned: Mapping[str, int]
    minimal_epsilon: Quartiles
    minimal_epsilon_all: Quartiles


@dataclass(frozen=True)
class Directions:
    """Both directions of error, and both classes together.

    disease_to_none, none_to_disease: by true class; None where the split has no image of it.
    balanced: ε → mean of the two classes' shares. minimal_epsilon, minimal_epsilon_all: as in `Direction`.
    """

    disease_to_none: Direction | None
    none_to_disease: Direction | None
    balanced: Mapping[str, Estimate]
    minimal_epsilon: Quartiles
    minimal_epsilon_all: Quartiles

    def described(self) -> dict[str, Any]:
        """Everything, as plain data for a record."""
        return asdict(self)


def directions(
    labels: np.ndarray,
    clean_correct: np.ndarray,
    minimal_epsilon: np.ndarray,
    patient_ids: Sequence[str],
    epsilons: Sequence[str],
) -> Directions:
    """Robust sensitivity, robust specificity, flips and minimal ε of each class, at every ε.

    Args:
        labels: (N,), 1 = disease. clean_correct: (N,) bool.
        minimal_epsilon: (N,), the smallest ‖δ‖∞ that turned the image; inf where nothing did.
        patient_ids: N names; intervals come from resampled patients.
        epsilons: the grid as written, ascending.
    """
    smallest = np.where(clean_correct, minimal_epsilon, 0.0)
    patients, end = np.asarray(patient_ids), epsilons[-1]
    kept = {"0": np.asarray(clean_correct, bool)}
    kept |= {epsilon: clean_correct & (smallest > float(epsilon)) for epsilon in epsilons}
    balanced = {e: accuracy_interval(right, labels, patient_ids, balanced=True) for e, right in kept.items()}

    def one(label: int) -> Direction | None:
        own = labels == label
        if not own.any():
            return None
        names, right = list(patients[own]), kept["0"][own]
        return Direction(
            images=int(own.sum()),
            patients=len(set(names)),
            clean_errors=int((~right).sum()),
            kept={e: accuracy_interval(share[own], labels[own], names) for e, share in kept.items()},
            turned={e: int((right & ~kept[e][own]).sum()) for e in epsilons},
            minimal_epsilon=quartiles(smallest[own][right], end),
            minimal_epsilon_all=quartiles(smallest[own], end),
        )

    return Directions(one(1), one(0), balanced, quartiles(smallest[kept["0"]], end), quartiles(smallest, end))


def quartiles(minimal_epsilon: np.ndarray, end: str) -> Quartiles:
    """Quartiles of (N,) smallest ε, censored at `end`: beyond it not every attack has looked."""
    ordered, count = np.sort(minimal_epsilon), len(minimal_epsilon)

    def within(share: float) -> float | None:
        value = float(ordered[math.ceil(share * count) - 1]) if count else math.inf
        return value if value <= float(end) else None

    return Quartiles(within(0.25), within(0.5), within(0.75), end, count)
