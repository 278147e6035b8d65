"""What a model needs before and after it, as differentiable layers: ε stays on the split's own pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Wrapped(nn.Module):
    """Resize, centre crop, repeat to `channels`, standardise, then the models, whose logits are averaged.

    Args:
        models: one, or several of equal shape.
        resize: side in pixels, bilinear with antialiasing; None leaves the size.
        centre_crop: side in pixels after resizing; None leaves it.
        channels: 1 or 3; the one channel is repeated.
        mean, deviation: one number per channel, on [0, 1].
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        models: Sequence[nn.Module],
        resize: int | None = None,
        centre_crop: int | None = None,
        channels: int = 1,
        mean: Sequence[float] = (0.0,),
        deviation: Sequence[float] = (1.0,),
    ) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)
        self.resize, self.centre_crop, self.channels = resize, centre_crop, channels
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) in [0, 1] → what the models give, averaged: (N, 2) or (N, 1)."""
        x = images
        if self.resize:
            x = functional.interpolate(x, (self.resize, self.resize), mode="bilinear", antialias=True)
        if self.centre_crop:
            if self.centre_crop > min(x.shape[2:]):
                raise ValueError(
                    f"centre_crop {self.centre_crop} is larger than the image {tuple(x.shape[2:])}"
                )
            top, left = ((side - self.centre_crop) // 2 for side in x.shape[2:])
            x = x[:, :, top : top + self.centre_crop, left : left + self.centre_crop]
        x = (x.expand(-1, self.channels, -1, -1) - self.mean) / self.deviation
        return torch.stack([model(x) for model in self.models]).mean(0)
