"""The attacks of adversarial training, on the logit gap, which never saturates."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmark.attacks.two_class import gap, margins
from benchmark.training.recipe import NFgsm, Pgd, Trades


def attacked(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    attack: Pgd | NFgsm | Trades,
    generator: torch.Generator,
) -> Tensor:
    """Images moved in the way of a recipe's attack.

    Args:
        model: (N, 1, H, W) → logits, in eval mode. images: (N, 1, H, W). labels: (N,) true labels.
        generator: of the random start, on the CPU.
    """
    match attack:
        case Pgd():
            return pgd(model, images, labels, epsilon, attack.steps, attack.step, generator, attack.start)
        case NFgsm():
            return n_fgsm(model, images, labels, epsilon, attack.step, attack.start, generator)
        case Trades():
            return apart(model, images, epsilon, attack.steps, attack.step, attack.start, generator)


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    steps: int,
    step: float,
    generator: torch.Generator,
    start: float = 1.0,
) -> Tensor:
    """Images moved against their true label, inside L∞ `epsilon` and [0, 1] (Madry et al. 2018).

    Args:
        steps, step: how many, each of `step` · ε. start: it is uniform in ± `start` · ε.
    """

    def kept(moved: Tensor) -> Tensor:
        return margins(gap(model(moved)), labels).sum()

    noise = _uniform(images, generator)
    return _descended(images, images + start * epsilon * noise, kept, epsilon, steps, step)


def n_fgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    step: float,
    start: float,
    generator: torch.Generator,
) -> Tensor:
    """One step of `step` · ε from a start uniform in ± `start` · ε, never projected into the ball, only into [0, 1].

    The moved image lies up to (`start` + `step`) · ε away: the noise is part of the example (de Jorge et al. 2022).
    """
    begun = (images + start * epsilon * _uniform(images, generator)).clamp(0, 1).requires_grad_(True)
    (gradient,) = torch.autograd.grad(margins(gap(model(begun)), labels).sum(), begun)
    return (begun.detach() - step * epsilon * gradient.sign()).clamp(0, 1)


def apart(
    model: nn.Module,
    images: Tensor,
    epsilon: float,
    steps: int,
    step: float,
    start: float,
    generator: torch.Generator,
) -> Tensor:
    """Images whose answer is driven away from the clean image's own, inside L∞ `epsilon` and [0, 1] (TRADES).

    Of two classes, KL(clean ‖ moved) grows with the distance of the two gaps, so (g′ − g)² has the same gradient
    signs, and does not underflow.

    Args:
        start: standard deviation of the normal noise of the start, as a multiple of ε.
    """
    with torch.no_grad():
        clean = gap(model(images))

    def near(moved: Tensor) -> Tensor:
        return -(gap(model(moved)) - clean).square().sum()

    noise = torch.randn(images.shape, generator=generator).to(images.device)
    return _descended(images, images + start * epsilon * noise, near, epsilon, steps, step)


def _uniform(images: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(images.shape, generator=generator).to(images.device) * 2 - 1


def _descended(
    images: Tensor,
    moved: Tensor,
    objective: Callable[[Tensor], Tensor],
    epsilon: float,
    steps: int,
    step: float,
) -> Tensor:
    low, high = (images - epsilon).clamp(min=0), (images + epsilon).clamp(max=1)
    moved = torch.minimum(torch.maximum(moved, low), high)
    for _ in range(steps):
        moved.requires_grad_(True)
        (gradient,) = torch.autograd.grad(objective(moved), moved)
        moved = torch.minimum(torch.maximum(moved.detach() - step * epsilon * gradient.sign(), low), high)
    return moved
