"""Logistic regression on pixels: what an entry must beat to be worth a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.models.standardise import Standardise


class LogisticRegression(nn.Module):
    """One weight for each cell of a `grid` × `grid` raster; an image's cells are averaged to it first.

    The smallest perturbation that flips it is known: |z| over the sum of the weights' magnitudes.
    """

    def __init__(self, grid: int = 64) -> None:
        super().__init__()
        self.standardise = Standardise()
        self.pool = nn.AdaptiveAvgPool2d(grid)  # the identity at `grid` pixels
        self.weigh = nn.Linear(grid**2, 1)
        nn.init.zeros_(self.weigh.weight)
        nn.init.zeros_(self.weigh.bias)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) in [0, 1] → logits (N, 2) = (−z/2, z/2), whose softmax is the logistic function of z."""
        z = self.weigh(self.pool(self.standardise(images)).flatten(1))
        return torch.cat((-z / 2, z / 2), 1)


def logistic_regression(grid: int = 64) -> LogisticRegression:
    """Logistic regression on `grid` × `grid` pixels; all weights begin at 0."""
    return LogisticRegression(grid)
