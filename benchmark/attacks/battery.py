"""torchattacks 3.5.1 behind two functions: the only file that imports it.

A fresh attack object per call: after an exception inside one, the next call of the same
object is silently wrong. Seeds are explicit, true labels are always passed, and the output
is a proposal: the harness projects, checks and judges it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.attacks.by_name import OWN_SEED, REFUSED, SEES, Sight
from benchmark.attacks.controls import sign_noise
from benchmark.attacks.guard import guarded
from benchmark.attacks.patience import Patience
from benchmark.attacks.two_class import ScaledGap, TwoClass
from benchmark.attacks.watch import Counted, EveryImageBroken, Followed, Watched
from benchmark.errors import ProtocolError
from benchmark.protocol import AttackSpec


@dataclass(frozen=True)
class Proposal:
    """What an attack proposes for each image, and what it cost: images is (N, 1, H, W).

    broken: (N,) bool, which images an iterate broke in the attacked model; None where iterates are not seen.
    """

    images: Tensor
    forward: int
    backward: int
    broken: Tensor | None = None


@dataclass(frozen=True)
class Pursuit:
    """What an attack that was not stopped at its first success found: images are (N, 1, H, W).

    first: the first adversarial iterate where there was one, else that of lowest margin.
    lowest: the iterate of lowest margin. trace: (passes, N), the margin of every iterate.
    """

    first: Tensor
    lowest: Tensor
    trace: Tensor
    forward: int
    backward: int


def propose(
    spec: AttackSpec,
    model: nn.Module,
    temperature: float,
    images: Tensor,
    labels: Tensor,
    epsilon: float | Tensor,
    seed: int,
    numbers: Tensor | None = None,
) -> Proposal:
    """Let one attack try once.

    Args:
        spec: which attack, with every parameter.
        model: (N, 1, H, W) → logits (N, 2) or (N, 1); parameters frozen.
        temperature: T of the whole split.
        images: (N, 1, H, W) float32 in [0, 1].
        labels: (N,) int64, the true ones.
        epsilon: L∞ radius, for attacks of `EACH_ITS_OWN` also (N, 1, 1, 1); ignored by those that search the smallest.
        seed: of this call.
        numbers: (N,) int64, the same where rows are starts on one image at one ε, over with the first that breaks it;
            None: each row is a question of its own.

    Returns:
        The first adversarial iterate where there was one, else the attack's own output.

    Raises:
        ProtocolError: the protocol names a method that is not adapted here.
        SubmissionError: the attack did not end.
    """
    sight = _sight(spec)
    patience = Patience(spec.name)
    if sight != "every iterate":
        counted = Counted(model, patience.still)
        with guarded(model, seed), patience:
            if spec.method == "sign_noise":
                proposed = sign_noise(counted, images, labels, epsilon, **spec.parameters)
            else:
                view = (ScaledGap if sight == "distances" else TwoClass)(counted, temperature).eval()
                proposed = stock_attack(spec, view, epsilon, seed)(images, labels).detach()
        return Proposal(proposed, counted.forward_passes, counted.backward_passes)
    watched = Watched(model, labels, patience.still, numbers)
    with guarded(model, seed), patience:
        view = TwoClass(watched, temperature).eval()
        try:
            proposed = stock_attack(spec, view, epsilon, seed)(images, labels).detach()
        except EveryImageBroken:
            proposed = images
    if watched.first is not None and proposed.shape == images.shape:
        proposed = torch.where(watched.broken.view(-1, 1, 1, 1), watched.first, proposed)
    return Proposal(proposed, watched.forward_passes, watched.backward_passes, watched.broken)


def pursue(
    spec: AttackSpec,
    model: nn.Module,
    temperature: float,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    seed: int,
) -> Pursuit:
    """As `propose`, for attacks that ask about every image at every step, and never stopped: how low does the margin go?"""
    if _sight(spec) != "every iterate":
        raise ProtocolError(f"attack {spec.name!r} does not show all its iterates; let APGD or PGD pursue")
    patience = Patience(spec.name)
    followed = Followed(model, labels, patience.still)
    with guarded(model, seed), patience:
        stock_attack(spec, TwoClass(followed, temperature).eval(), epsilon, seed)(images, labels)
    assert followed.first is not None
    first = torch.where(followed.broken.view(-1, 1, 1, 1), followed.first, followed.lowest)
    trace = torch.stack(followed.trace)
    return Pursuit(first, followed.lowest, trace, followed.forward_passes, followed.backward_passes)


def named(name: str, starts: int = 1, **parameters: Any) -> AttackSpec:
    """Any L∞ attack of torchattacks as a spec, outside the protocols. Its step is ε/4 unless `alpha` says how many ε.

    Args:
        name: as in torchattacks, such as "VMIFGSM". starts: repetitions, each with its own seed.
        parameters: of the attack; what is not given has torchattacks' default, written out in the spec.

    Raises:
        ProtocolError: there is no such attack, it is refused (and why), or it has no such parameter.
    """
    import inspect

    import torchattacks

    if name in REFUSED:
        raise ProtocolError(f"attack {name!r} is refused: {REFUSED[name]}")
    if name not in SEES or not hasattr(torchattacks, name):
        known = ", ".join(sorted(each for each in SEES if hasattr(torchattacks, each)))
        raise ProtocolError(f"unknown attack {name!r}; expected one of {known}")
    signature = inspect.signature(getattr(torchattacks, name).__init__).parameters
    defaults = {key: value.default for key, value in signature.items() if value.default is not value.empty}
    wrong = sorted(parameters.keys() - defaults.keys() | parameters.keys() & {"eps", "seed"})
    if wrong:
        allowed = ", ".join(sorted(defaults.keys() - {"eps", "seed"}))
        raise ProtocolError(f"attack {name!r} takes no {', '.join(wrong)} here; expected {allowed}")
    step = float(parameters.pop("alpha", 0.25)) if "alpha" in defaults else None
    written = {
        key: value for key, value in defaults.items() if key not in ("eps", "alpha", "seed", "verbose")
    }
    if name == "FAB":
        written |= {"multi_targeted": True, "n_classes": 2}
    return AttackSpec(
        name.lower(),
        name,
        name,
        "grid",
        written | parameters,
        step,
        starts,
        white_box=name not in ("Square", "SPSA"),
    )


def _sight(spec: AttackSpec) -> Sight:
    if spec.method not in SEES:
        raise ProtocolError(
            f"attack {spec.name!r} names method {spec.method!r}; adapted are {', '.join(sorted(SEES))}"
        )
    return SEES[spec.method]


def stock_attack(spec: AttackSpec, view: nn.Module, epsilon: float | Tensor, seed: int):
    """A fresh torchattacks object."""
    import torchattacks

    arguments = dict(spec.parameters)
    arguments["eps"] = 1.0 if spec.search == "minimum" else epsilon
    if spec.step is not None:
        arguments["alpha"] = spec.step * epsilon
    if spec.method in OWN_SEED:
        arguments["seed"] = seed
    return getattr(torchattacks, spec.method)(view, **arguments)
