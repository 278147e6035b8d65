"""Accuracy of a network on images of which it has to be chosen, clean and under an attack made for it."""

from __future__ import annotations

import torch
from torch import nn

from benchmark.attacks.two_class import gap, margins
from benchmark.data.split import Split
from benchmark.training.adversary import pgd

TOGETHER = 100  # images


def accuracies(
    model: nn.Module,
    split: Split,
    epsilon: float | None,
    steps: int | None,
    step: float | None,
    seed: int,
    device: torch.device,
) -> tuple[float, float]:
    """Clean accuracy, and accuracy under PGD (NaN without ε); an image that is wrong clean is wrong under attack.

    Args:
        model: in eval mode. seed: of the random starts.
    """
    generator = torch.Generator().manual_seed(seed)
    clean, robust = 0, 0
    for start in range(0, len(split), TOGETHER):
        images, labels = (each.to(device) for each in split.batch(start, start + TOGETHER))
        with torch.no_grad():
            right = margins(gap(model(images)), labels) > 0
        clean += int(right.sum())
        if epsilon is not None and steps is not None and step is not None:
            moved = pgd(model, images, labels, epsilon, steps, step, generator)
            with torch.no_grad():
                robust += int((right & (margins(gap(model(moved)), labels) > 0)).sum())
    n = len(split)
    return clean / n, robust / n if epsilon is not None else float("nan")
