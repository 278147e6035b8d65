"""Attacks as Joel et al. 2022 ran them: without true labels, and judged where they end.

Their code calls `attacker.generate(x)`; the toolbox (ART 1.4.1) then takes the model's own answer
for the truth. A right answer is attacked as usual, a wrong one is pushed towards right. What the
attack returns is its last iterate, also where an earlier one had flipped the answer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.attacks.battery import Proposal, stock_attack
from benchmark.attacks.guard import guarded
from benchmark.attacks.patience import Patience
from benchmark.attacks.two_class import TwoClass, gap
from benchmark.attacks.watch import Counted
from benchmark.protocol import AttackSpec


def predicted(gaps: Tensor) -> Tensor:
    """The class a model answers with, as argmax takes it: a tie is class 0. (N,) → (N,) int64."""
    return (gaps > 0).long()


def last_iterate(
    spec: AttackSpec, model: nn.Module, temperature: float, images: Tensor, epsilon: float, seed: int
) -> Proposal:
    """Let one attack on the model's own answers run to its end.

    Args:
        spec: FGSM, BIM or PGD, with every parameter.
        model: (n, 1, H, W) → logits (n, 2) or (n, 1); parameters frozen.
        temperature: T of the whole split; it changes no gradient's sign, and so no step.
        images: (N, 1, H, W) float32 in [0, 1]. epsilon: L∞ radius. seed: of this call.
    """
    patience = Patience(spec.name)
    counted = Counted(model, patience.still)
    with guarded(model, seed), patience:
        with torch.no_grad():
            answers = predicted(gap(counted(images)))
        view = TwoClass(counted, temperature).eval()
        proposed = stock_attack(spec, view, epsilon, seed)(images, answers).detach()
    return Proposal(proposed, counted.forward_passes, counted.backward_passes)
