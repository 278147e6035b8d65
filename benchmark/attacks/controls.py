"""Random noise of the same size as the attack: what is not adversarial about a drop."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.attacks.two_class import gap, margins


def sign_noise(
    model: nn.Module, images: Tensor, labels: Tensor, epsilon: float | Tensor, draws: int
) -> Tensor:
    """The worst of `draws` random ±ε patterns for each image: (N, 1, H, W) in [0, 1]."""
    worst = images.clone()
    smallest = torch.full((len(images),), torch.inf, device=images.device)
    with torch.no_grad():
        for _ in range(draws):
            signs = torch.randint(0, 2, images.shape).to(images) * 2 - 1
            noisy = (images + epsilon * signs).clamp(0, 1)
            margin = margins(gap(model(noisy)), labels)
            better = margin < smallest
            worst[better], smallest[better] = noisy[better], margin[better]
    return worst
