"""A model that only looks robust: few grey levels before the network, and no gradient through the rounding.

Bit-depth reduction, a defence of Xu et al. 2018 (feature squeezing, arXiv 1704.01155) that was broken by
Athalye et al. 2018 (arXiv 1802.00420): attacks that follow the gradient find none, the model is as
vulnerable as before. Entered as a canary, to show that the health checks see it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.models.vgg import VGG16


class RoundedVGG16(VGG16):
    """VGG16 that sees `levels` grey levels; takes the weights of the same VGG16 without rounding."""

    def __init__(self, divisor: int = 8, levels: int = 31) -> None:
        super().__init__(divisor)
        if levels < 2:
            raise ValueError(f"levels must be at least 2, got {levels}")
        self.levels = levels

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) in [0, 1] → logits (N, 2); their gradient with respect to the images is 0."""
        return super().forward(torch.round(images * (self.levels - 1)) / (self.levels - 1))


def vgg16_slim_rounded(divisor: int = 8, levels: int = 31) -> RoundedVGG16:
    """The slim VGG16 behind rounded pixels: a canary, masked on purpose."""
    return RoundedVGG16(divisor, levels)
