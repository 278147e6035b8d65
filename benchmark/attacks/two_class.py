"""Two classes, one number: the gap g = z1 − z0, and the views of it that stock attacks need.

Cross-entropy saturates in float32 above a gap of about 16 and vanishes above 104, so a
model can look robust by scaling its logits. Sign attacks therefore see h = asinh(g / T),
T the median clean |g|: the same gradient signs at any scale, and no underflow. Attacks
that measure distances (FAB) or compare margins (Square) see g / T itself.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SMALLEST_TEMPERATURE = 1e-12


def gap(logits: Tensor) -> Tensor:
    """Disease logit minus the other: (N, 2) or (N, 1) → (N,)."""
    return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits[:, 0]


def margins(gaps: Tensor, labels: Tensor) -> Tensor:
    """True logit minus the other: positive when right, 0 at a tie, which counts as wrong. (N,)."""
    return torch.where(labels == 1, gaps, -gaps)


def temperature(gaps: Tensor) -> float:
    """The scale T of a model's logits: the median clean |g| of the split, floored."""
    return max(float(gaps.abs().median()), SMALLEST_TEMPERATURE)


class TwoClass(nn.Module):
    """(−h/2, +h/2) with h = asinh(g / T): what cross-entropy attacks run on. (N, 1, H, W) → (N, 2)."""

    def __init__(self, model: nn.Module, temperature: float) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(self, images: Tensor) -> Tensor:
        """The rescaled pair of logits."""
        half = torch.asinh(gap(self.model(images)) / self.temperature) / 2
        return torch.stack((-half, half), 1)


class ScaledGap(nn.Module):
    """(−g/2T, +g/2T): what FAB and Square run on. (N, 1, H, W) → (N, 2)."""

    def __init__(self, model: nn.Module, temperature: float) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(self, images: Tensor) -> Tensor:
        """The scaled pair of logits."""
        half = gap(self.model(images)) / self.temperature / 2
        return torch.stack((-half, half), 1)
