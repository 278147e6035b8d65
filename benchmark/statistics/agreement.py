"""Two entries image by image: how often they disagree, and McNemar's exact test as a check of the clustered one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr


@dataclass(frozen=True)
class Agreement:
    """How many images both, one or neither answer rightly.

    p: McNemar's exact, two-sided. It takes images for independent, so it is too small where patients have several.
    """

    both: int
    first_alone: int
    second_alone: int
    neither: int
    p: float

    @property
    def discordance(self) -> float:
        """Share of images that one answers rightly and the other does not."""
        return (self.first_alone + self.second_alone) / (
            self.both + self.first_alone + self.second_alone + self.neither
        )


def agreement(first: np.ndarray, second: np.ndarray) -> Agreement:
    """Of (N,) bool and (N,) bool on the same images (McNemar 1947, Psychometrika 12:153)."""
    one, two = np.asarray(first, bool), np.asarray(second, bool)
    alone, other = int((one & ~two).sum()), int((~one & two).sum())
    p = min(1.0, 2 * float(bdtr(min(alone, other), alone + other, 0.5))) if alone + other else 1.0
    return Agreement(int((one & two).sum()), alone, other, int((~one & ~two).sum()), p)
