"""A small ConvNeXt for images of one channel: Liu et al. 2022 (arXiv 2201.03545), as timm builds it.

timm's smallest, `timm:convnext_atto`, has 3.4 million parameters; this one has half a million, so its
weights are small enough for the repository.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from benchmark.models.standardise import Standardise
from benchmark.models.timm_import import import_timm

DEPTHS = (1, 1, 2, 1)
DIMS = (32, 64, 96, 160)


class SmallConvNeXt(nn.Module):
    """timm's ConvNeXt behind a standardised input, for one-channel images of any size from 32 pixels."""

    def __init__(self, depths: Sequence[int] = DEPTHS, dims: Sequence[int] = DIMS) -> None:
        super().__init__()
        timm = import_timm()
        self.standardise = Standardise()
        self.network: nn.Module = timm.models.ConvNeXt(
            in_chans=1, num_classes=2, depths=tuple(depths), dims=tuple(dims)
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) in [0, 1] → logits (N, 2) = [no disease, disease]."""
        return self.network(self.standardise(images))


def convnext_slim(depths: Sequence[int] = DEPTHS, dims: Sequence[int] = DIMS) -> SmallConvNeXt:
    """A ConvNeXt with 0.5 million parameters; `depths` and `dims` are of its four stages."""
    return SmallConvNeXt(depths, dims)
