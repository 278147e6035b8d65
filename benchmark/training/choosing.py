"""Accuracy of a network on images of which it has to be chosen, clean and under an attack made for it."""

from __future__ import annotations

import numpy as np
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
    """Clean accuracy, and accuracy under PGD (NaN without ε); arguments as in `verdicts`."""
    clean, robust = verdicts(model, split, epsilon, steps, step, seed, device)
    return float(clean.mean()), float("nan") if robust is None else float(robust.mean())


def verdicts(
    model: nn.Module,
    split: Split,
    epsilon: float | None,
    steps: int | None,
    step: float | None,
    seed: int,
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Which images are right, clean and under PGD: (N,) bool each, the second None without ε.

    An image that is wrong clean is wrong under attack.

    Args:
        model: in eval mode. steps, step: how many, each of `step` · ε. seed: of the random starts.
    """
    generator = torch.Generator().manual_seed(seed)
    clean, robust = np.zeros(len(split), bool), np.zeros(len(split), bool)
    for start in range(0, len(split), TOGETHER):
        rows = slice(start, start + TOGETHER)
        images, labels = (each.to(device) for each in split.batch(start, start + TOGETHER))
        clean[rows] = _right(model, images, labels)
        if epsilon is not None and steps is not None and step is not None:
            moved = pgd(model, images, labels, epsilon, steps, step, generator)
            robust[rows] = clean[rows] & _right(model, moved, labels)
    return clean, None if epsilon is None else robust


def _right(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return (margins(gap(model(images)), labels) > 0).cpu().numpy()
