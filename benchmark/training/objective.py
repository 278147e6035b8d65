"""What a batch costs: cross-entropy, TRADES, and either with the weights perturbed against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.training.randomness import random_state, set_random_state

TINY = 1e-20


def two_logits(logits: Tensor) -> Tensor:
    """(N, 2) as it is; (N, 1), where z > 0 means disease, as (0, z)."""
    return logits if logits.shape[1] == 2 else torch.cat((torch.zeros_like(logits), logits), 1)


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Mean over the batch."""
    return functional.cross_entropy(two_logits(model(images)), labels)


def trades(model: nn.Module, clean: Tensor, moved: Tensor, labels: Tensor, beta: float) -> Tensor:
    """CE(clean) + `beta` · KL(p(clean) ‖ p(moved)), means over the batch (Zhang et al. 2019).

    Dropout draws the same units for both, or the divergence would be that of two networks.
    """
    device = clean.device
    before = random_state(device)
    logits = two_logits(model(clean))
    set_random_state(device, before)
    other = functional.log_softmax(two_logits(model(moved)), 1)
    own = functional.log_softmax(logits, 1)
    divergence = functional.kl_div(other, own, reduction="batchmean", log_target=True)
    return functional.cross_entropy(logits, labels) + beta * divergence


@contextmanager
def perturbed(model: nn.Module, loss: Callable[[], Tensor], gamma: float) -> Iterator[None]:
    """Weights moved against the loss while the block runs, and put back to the bit (AWP, Wu et al. 2020).

    Each weight of two or more dimensions goes `gamma` · ‖w‖ along its own gradient. Statistics of normalisation do not
    remember the pass that finds the gradient.
    """
    weights = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    gradients = torch.autograd.grad(loss(), weights, allow_unused=True)
    before = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for buffer, value in buffers:
            buffer.copy_(value)
        for weight, gradient in zip(weights, gradients, strict=True):
            if gradient is not None:
                weight.add_(gradient * (gamma * weight.norm() / (gradient.norm() + TINY)))
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, value in zip(weights, before, strict=True):
                weight.copy_(value)
