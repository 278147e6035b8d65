"""A model that always answers the same: the floor that every entry must leave behind."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Constant(nn.Module):
    """The same two logits for every image; says disease when `logits[1]` is the larger."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(2))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) → (N, 2). Tied to the images by a zero, so that a gradient exists and is 0."""
        return self.logits + 0 * images.flatten(1).sum(1, keepdim=True)
