"""Other attack codes as their users call them: one ε after the other, with our parameters, labels and view of the model.

They get what no published script has: true labels, and a view of the model in which cross-entropy does not
saturate, so that their answers can be compared. What they do with it is theirs alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.attacks.guard import guarded
from benchmark.attacks.two_class import ScaledGap, TwoClass
from benchmark.bench.task import Task

# (model, task, images, labels, ε) → for each curve a proposal for every image, (n, 1, H, W).
Propose = Callable[[nn.Module, Task, Tensor, Tensor, float], dict[str, Tensor]]


@dataclass(frozen=True)
class Rival:
    """Another code. package: as it is installed. curves: what it gives for each ε, and the attacks that make each."""

    title: str
    package: str
    curves: Mapping[str, tuple[str, ...]]
    propose: Propose

    @property
    def version(self) -> str | None:
        """The installed version; None where it is not installed."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return None


@contextmanager
def undisturbed(model: nn.Module, seed: int) -> Iterator[None]:
    """A rival's own random streams, and everything as it was afterwards: numpy's stream, a debugger's trace."""
    drawn, trace = np.random.get_state(), sys.gettrace()
    np.random.seed(seed)
    try:
        with guarded(model, seed):
            yield
    finally:
        np.random.set_state(drawn)
        sys.settrace(trace)


def _torchattacks(
    model: nn.Module, task: Task, images: Tensor, labels: Tensor, epsilon: float
) -> dict[str, Tensor]:
    import torchattacks

    spec = task.protocol.attack("pgd")
    view = TwoClass(model, task.scale).eval()
    step = (spec.step or 0.0) * epsilon
    starts = [torchattacks.PGD(view, eps=epsilon, alpha=step, **spec.parameters) for _ in range(spec.starts)]
    return {"pgd": torchattacks.MultiAttack(starts)(images, labels)}


def _autoattack(
    model: nn.Module, task: Task, images: Tensor, labels: Tensor, epsilon: float
) -> dict[str, Tensor]:
    from pyautoattack import AutoAttack
    from pyautoattack.autopgd_base import APGDAttack

    apgd, fab, square = (task.protocol.attack(name).parameters for name in ("apgd", "fab", "square"))
    view, seed = ScaledGap(model, task.scale).eval(), task.protocol.seed
    attack = AutoAttack(
        view,
        attacks=["apgd-ce", "fab-t", "square"],
        version="custom",
        norm="Linf",
        eps=epsilon,
        seed=seed,
        device="cpu",
    )
    attack.apgd = APGDAttack(  # made anew: its schedule of steps is settled when it is made
        view,
        n_iter=apgd["steps"],
        n_restarts=apgd["n_restarts"],
        eot_iter=apgd["eot_iter"],
        rho=apgd["rho"],
        norm="Linf",
        eps=epsilon,
        seed=seed,
        device="cpu",
        logger=attack.logger,
    )
    attack.fab.n_iter, attack.fab.n_target_classes, attack.fab.n_restarts = fab["steps"], 1, fab["n_restarts"]
    attack.fab.alpha_max, attack.fab.eta, attack.fab.beta = fab["alpha_max"], fab["eta"], fab["beta"]
    attack.square.n_queries, attack.square.n_restarts = square["n_queries"], square["n_restarts"]
    attack.square.p_init, attack.square.loss = square["p_init"], square["loss"]
    attack.square.rescale_schedule = square["resc_schedule"]
    return {"worst case": attack.run_standard_evaluation(images, labels, batch_size=len(images))[0]}


def _art(model: nn.Module, task: Task, images: Tensor, labels: Tensor, epsilon: float) -> dict[str, Tensor]:
    from art.attacks.evasion import BasicIterativeMethod, FastGradientMethod, ProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(
        TwoClass(model, task.scale).eval(),
        loss=nn.CrossEntropyLoss(),
        input_shape=tuple(images.shape[1:]),
        nb_classes=2,
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )
    bim, pgd = task.protocol.attack("bim"), task.protocol.attack("pgd")
    common: dict[str, Any] = {"eps": epsilon, "batch_size": len(images)}
    attacks = {
        "fgsm": FastGradientMethod(classifier, norm=np.inf, **common),
        "bim": BasicIterativeMethod(
            classifier,
            eps_step=(bim.step or 0.0) * epsilon,
            max_iter=bim.parameters["steps"],
            verbose=False,
            **common,
        ),
        "pgd": ProjectedGradientDescent(
            classifier,
            norm=np.inf,
            eps_step=(pgd.step or 0.0) * epsilon,
            max_iter=pgd.parameters["steps"],
            num_random_init=pgd.starts,
            verbose=False,
            **common,
        ),
    }
    pixels, truth = images.numpy(), labels.numpy()
    return {name: torch.from_numpy(attack.generate(pixels, truth)) for name, attack in attacks.items()}


TORCHATTACKS = Rival("torchattacks, MultiAttack at each ε", "torchattacks", {"pgd": ("pgd",)}, _torchattacks)
AUTOATTACK = Rival(
    "AutoAttack by its authors, custom, at each ε",
    "pyautoattack",
    {"worst case": ("apgd", "fab", "square")},
    _autoattack,
)
ART = Rival(
    "ART, as in the published code, at each ε",
    "adversarial-robustness-toolbox",
    {"fgsm": ("fgsm",), "bim": ("bim",), "pgd": ("pgd",)},
    _art,
)
