"""All that changes while a network is trained, in one place, so that it can be kept and gone on from."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmark.training.randomness import random_state, set_random_state
from benchmark.training.recipe import Recipe


@dataclass(frozen=True)
class Epoch:
    """One line of the training log; the accuracies are NaN where not measured.

    learning_rate: of its last batch. loss: mean over its images. forward, backward: images through the network,
    those of validation and guard with them. returns: how often the guard had gone back before.
    """

    number: int
    learning_rate: float
    epsilon: float
    loss: float
    validation_clean: float
    validation_robust: float
    forward: int
    backward: int
    returns: int


@dataclass(frozen=True)
class Best:
    """The weights that validation liked most; of equals the first."""

    accuracy: float
    epoch: Epoch
    weights: Mapping[str, Tensor]


class Course:
    """A network on its way through a recipe.

    Attributes:
        average: the moving average, where the recipe asks for one.
        log: the epochs behind it. best: None until validation has seen one.
        reference: best accuracy the guard has seen. returns: how often it went back. stopped: it gave up.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, steps: int, seed: int, device: torch.device) -> None:
        self.model, self.device = model, device
        self.generator = torch.Generator().manual_seed(seed + 1)
        self.optimiser = torch.optim.AdamW(
            model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, recipe.learning_rate, total_steps=steps, pct_start=recipe.warm_up
        )
        self.average = averaged(model, recipe.averaging.decay) if recipe.averaging else None
        self.log: list[Epoch] = []
        self.best: Best | None = None
        self.reference: float | None = None
        self.returns = 0
        self.stopped = False
        self._good: dict[str, Any] | None = None

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept."""
        return self.average.module if self.average else self.model

    def state(self) -> dict[str, Any]:
        """Tensors, numbers and containers of them: all of it, by reference."""
        return {
            "moving": self._moving(),
            "good": self._good,
            "generator": self.generator.get_state(),
            "random": random_state(self.device),
            "log": [asdict(epoch) for epoch in self.log],
            "best": self.best
            and {
                "accuracy": self.best.accuracy,
                "epoch": asdict(self.best.epoch),
                "weights": dict(self.best.weights),
            },
            "reference": self.reference,
            "returns": self.returns,
            "stopped": self.stopped,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self._move_to(state["moving"])
        self._good = state["good"]
        self.generator.set_state(state["generator"])
        set_random_state(self.device, state["random"])
        self.log = [Epoch(**epoch) for epoch in state["log"]]
        best = state["best"]
        self.best = best and Best(best["accuracy"], Epoch(**best["epoch"]), best["weights"])
        self.reference, self.returns, self.stopped = (state[k] for k in ("reference", "returns", "stopped"))

    def remember_as_good(self) -> None:
        """Where the guard goes back to."""
        self._good = copy.deepcopy(self._moving()) | {"epochs": len(self.log)}

    def go_back(self, slow_down: float) -> None:
        """To the last good epoch, with `slow_down` times the learning rate from there on; random streams go on."""
        assert self._good is not None, "there is a reference, so there was a good epoch"
        slower = [
            {key: group[key] for key in ("initial_lr", "max_lr", "min_lr", "lr")}
            for group in self.optimiser.param_groups
        ]
        self._move_to(copy.deepcopy(self._good))
        for group, rates in zip(self.optimiser.param_groups, slower, strict=True):
            rates["lr"] = group["lr"] * rates["initial_lr"] / group["initial_lr"]
            group.update({key: rate * slow_down for key, rate in rates.items()})
        self.log = self.log[: self._good["epochs"]]
        self.returns += 1

    def _moving(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": self.average and self.average.state_dict(),
        }

    def _move_to(self, moving: Mapping[str, Any]) -> None:
        self.model.load_state_dict(moving["model"])
        self.optimiser.load_state_dict(moving["optimiser"])
        self.schedule.load_state_dict(moving["schedule"])
        if self.average:
            self.average.load_state_dict(moving["average"])


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of weights and buffers: a ← decay · a + (1 − decay) · w; it begins at w."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def kept(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU that no later step changes and that a file takes as they are."""
    return {key: value.detach().cpu().clone().contiguous() for key, value in weights.items()}
