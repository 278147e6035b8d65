"""The first layer of our own architectures: the brightness and contrast of the training images, kept with the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """(x − mean) / deviation with two numbers that are saved with the weights.

    Inside the model, so that ε stays on the pixels of the split whatever a model does first.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) → the same shape."""
        return (images - self.mean) / self.deviation
