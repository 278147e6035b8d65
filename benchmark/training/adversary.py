"""The attack of adversarial training: PGD on the logit gap, which never saturates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.attacks.two_class import gap, margins


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    steps: int,
    step: float,
    generator: torch.Generator,
) -> Tensor:
    """Images moved against their true label, inside L∞ `epsilon` and [0, 1].

    Args:
        model: (N, 1, H, W) → logits. images: (N, 1, H, W). labels: (N,) true labels.
        steps, step: how many, each of `step` · ε; the start is uniform in the ball.
        generator: of the random start.
    """
    low, high = (images - epsilon).clamp(min=0), (images + epsilon).clamp(max=1)
    noise = torch.rand(images.shape, generator=generator).to(images.device) * 2 - 1
    moved = torch.minimum(torch.maximum(images + epsilon * noise, low), high)
    for _ in range(steps):
        moved.requires_grad_(True)
        (gradient,) = torch.autograd.grad(margins(gap(model(moved)), labels).sum(), moved)
        moved = torch.minimum(torch.maximum(moved.detach() - step * epsilon * gradient.sign(), low), high)
    return moved
