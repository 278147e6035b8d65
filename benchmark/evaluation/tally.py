"""What attacks achieved: of one attempt, and of one attack on the images of a block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

Place = int | np.ndarray | None  # on the ε grid: of all images, of each, or as near as an attack can come


@dataclass(frozen=True)
class Asked:
    """One attempt, projected and judged. allowed: (k, 1, H, W); margin, distance: (k,) of the k images asked about.

    silent: how many of them an iterate broke, and the judge did not confirm by more than rounding.
    """

    allowed: Tensor
    margin: np.ndarray
    distance: np.ndarray
    forward: int = 0
    backward: int = 0
    silent: int = 0


@dataclass
class Tally:
    """What one attack achieved on the n images of a block, over E values of ε."""

    linf: np.ndarray  # (n,) float64, inf where it broke nothing
    margins: np.ndarray  # (E, n) float32, NaN where not asked
    forward: int = 0
    backward: int = 0
    silent: int = 0  # iterates that broke the attacked model and not the judge

    @classmethod
    def empty(cls, images: int, epsilons: int) -> Tally:
        """Of an attack that has not tried anything."""
        return cls(np.full(images, np.inf), np.full((epsilons, images), np.nan, np.float32))

    def note(self, rows: np.ndarray, place: Place, asked: Asked) -> None:
        """Take in an attempt on the images `rows`, of which one may be there several times."""
        self.count(asked)
        broke = asked.margin <= 0
        np.minimum.at(self.linf, rows[broke], asked.distance[broke])
        if place is not None:
            np.fmin.at(self.margins, (np.broadcast_to(place, rows.shape), rows), asked.margin)

    def count(self, asked: Asked) -> None:
        """Take in what an attempt cost, and nothing of what it achieved."""
        self.forward += asked.forward
        self.backward += asked.backward
        self.silent += asked.silent
