"""The network of this entry: what `build` returns is what is attacked and judged."""

import torch
from torch import nn


class Network(nn.Module):
    """(N, 1, H, W) float32 in [0, 1] → logits (N, 2) = [no disease, disease]. Put your own in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU()
        )
        self.head = nn.Linear(32, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The logits."""
        return self.head(self.features(images).mean((2, 3)))


def build(modality: str) -> nn.Module:
    """The network of a modality ("ct", "mammogram", "mri") with fresh weights; its file of weights is read into it."""
    return Network()
