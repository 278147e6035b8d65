"""torchattacks 3.5.1 behind one function: the only file that imports it.

A fresh attack object per call: after an exception inside one, the next call of the same
object is silently wrong. Seeds are explicit, true labels are always passed, and the output
is a proposal: the harness projects, checks and judges it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmark.attacks.controls import sign_noise
from benchmark.attacks.guard import guarded
from benchmark.attacks.two_class import ScaledGap, TwoClass
from benchmark.attacks.watch import EveryImageBroken, Watched
from benchmark.errors import ProtocolError
from benchmark.protocol import AttackSpec

# Which view of the model an attack runs on (see two_class.py), and how it is seeded.
SIGN_ATTACKS = {"FGSM", "BIM", "PGD", "APGD"}
MARGIN_ATTACKS = {"FAB", "Square"}
OWN_SEED = {"APGD", "FAB", "Square"}
METHODS = SIGN_ATTACKS | MARGIN_ATTACKS | {"sign_noise"}


@dataclass(frozen=True)
class Proposal:
    """What an attack proposes for each image, and what it cost: images is (N, 1, H, W)."""

    images: Tensor
    forward: int
    backward: int


def propose(
    spec: AttackSpec,
    model: nn.Module,
    temperature: float,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    seed: int,
) -> Proposal:
    """Let one attack try once.

    Args:
        spec: which attack, with every parameter.
        model: (N, 1, H, W) → logits (N, 2) or (N, 1); parameters frozen.
        temperature: T of the whole split.
        images: (N, 1, H, W) float32 in [0, 1].
        labels: (N,) int64, the true ones.
        epsilon: L∞ radius; ignored by attacks that search the smallest.
        seed: of this call.

    Returns:
        The first adversarial iterate where there was one, else the attack's own output.

    Raises:
        ProtocolError: the protocol names a method that is not adapted here.
    """
    if spec.method not in METHODS:
        raise ProtocolError(
            f"attack {spec.name!r} names method {spec.method!r}; adapted are {', '.join(sorted(METHODS))}"
        )
    watched = Watched(model, labels if spec.method in SIGN_ATTACKS else None)
    with guarded(model, seed):
        if spec.method == "sign_noise":
            proposed = sign_noise(watched, images, labels, epsilon, **spec.parameters)
        else:
            view = (TwoClass if spec.method in SIGN_ATTACKS else ScaledGap)(watched, temperature).eval()
            try:
                proposed = _attack(spec, view, epsilon, seed)(images, labels).detach()
            except EveryImageBroken:
                proposed = images
    if watched.first is not None:
        proposed = torch.where(watched.broken.view(-1, 1, 1, 1), watched.first, proposed)
    return Proposal(proposed, watched.forward_passes, watched.backward_passes)


def _attack(spec: AttackSpec, view: nn.Module, epsilon: float, seed: int):
    """A fresh torchattacks object."""
    import torchattacks

    arguments = dict(spec.parameters)
    arguments["eps"] = 1.0 if spec.search == "minimum" else epsilon
    if spec.step is not None:
        arguments["alpha"] = spec.step * epsilon
    if spec.method in OWN_SEED:
        arguments["seed"] = seed
    return getattr(torchattacks, spec.method)(view, **arguments)
