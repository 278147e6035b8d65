"""The same model, images and ε grid for everyone who is compared."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.attacks.two_class import margins
from benchmark.data.split import Split
from benchmark.evaluation.judge import clean_gaps, judged_gaps
from benchmark.evaluation.plan import make_plan
from benchmark.folders import cache_folder
from benchmark.protocol import Protocol, get_protocol
from benchmark.threat_model import ThreatModel

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Task:
    """What has to be found out: at which ε of the grid does which image fall?

    stock: the model as it was loaded, which other codes get. attacked, judge: two instances as our engine lays them
    out in memory. images: (n, 1, H, W) float32. labels: (n,) int64. clean: (n,) float32 clean margins. scale: T.
    """

    name: str
    stock: nn.Module
    attacked: nn.Module
    judge: nn.Module
    images: Tensor
    labels: Tensor
    clean: np.ndarray
    scale: float
    protocol: Protocol

    @property
    def batch(self) -> int:
        """How many images go through a model together."""
        return min(len(self.images), self.protocol.micro_batch(*self.images.shape[2:]))

    def fallen(self, proposed: Tensor, index: int) -> np.ndarray:
        """(n,) bool: which images a proposal (n, 1, H, W) breaks at a place of the grid, by the harness's judge."""
        allowed = ThreatModel(self.protocol.grid[index]).project(self.images, proposed.detach())
        margin = margins(judged_gaps(self.judge, allowed, self.batch), self.labels).numpy()
        return (margin <= 0) | (self.clean <= 0)


def make_task(model: nn.Module, split: Split, protocol: str | Protocol, images: int | None = None) -> Task:
    """Take the first `images` images (whole patients; None: all) of a split and judge them clean.

    Raises:
        SubmissionError, ProtocolError: as in `evaluate`.
    """
    protocol = get_protocol(protocol)
    split = split.first_patients(images)
    stock = copy.deepcopy(model).eval().requires_grad_(False).to(memory_format=torch.contiguous_format)
    nowhere = cache_folder() / "bench"  # a comparison keeps no blocks
    plan = make_plan(model, split, replace(protocol, images=None), CPU, nowhere)
    attacked, judge = plan.source.models()
    decoded, labels = split.batch()
    name = f"{plan.name} on {split.name}, {len(split)} images of {split.image_size[0]}×{split.image_size[1]}"
    return Task(name, stock, attacked, judge, decoded, labels, plan.clean, plan.scale, protocol)


SMALL: dict[str, dict[str, Any]] = {
    "pgd": {"title": "PGD-10 × 5", "starts": 5},
    "apgd": {"title": "APGD-20", "parameters": {"steps": 20}},
    "fab": {"title": "FAB-T-20", "parameters": {"steps": 20}},
    "square": {"title": "Square-200", "parameters": {"n_queries": 200}},
}


def small(protocol: Protocol) -> Protocol:
    """The same grid and attacks at about a fifth of the work, for a look that takes a minute."""
    attacks = []
    for spec in protocol.attacks:
        less = dict(SMALL.get(spec.name, {}))
        less["parameters"] = {**spec.parameters, **less.get("parameters", {})}
        attacks.append(replace(spec, **less))
    return replace(protocol, name=f"{protocol.name}, small", attacks=tuple(attacks), ranked=False)


def finer(protocol: Protocol) -> Protocol:
    """The same protocol with twice as many ε: one more below each."""
    grid = protocol.grid
    between = [(low + high) / 2 for low, high in zip((grid[0] * 0, *grid[:-1]), grid, strict=True)]
    epsilons = sorted({*grid, *between})
    return replace(protocol, name=f"{protocol.name}, twice the ε", epsilons=tuple(map(str, epsilons)))


def resized(model: nn.Module, split: Split, side: int, protocol: Protocol) -> Split:
    """The images enlarged or reduced to `side` pixels, with the labels that the model gives them then.

    Nothing is learned of robustness from these: they show what pixels cost, and every image has to be attacked.
    """
    images, _ = split.batch()
    scaled = torch.nn.functional.interpolate(images, (side, side), mode="bilinear", antialias=True).clamp(
        0, 1
    )
    drawn = replace(split, images=scaled.numpy(), name=f"{split.name}, {side}×{side}")
    gaps = clean_gaps(model, drawn, protocol.micro_batch(side, side), CPU)
    return replace(drawn, labels=(gaps > 0).long().numpy())


def restricted(protocol: Protocol, attacks: Sequence[str]) -> Protocol:
    """Only these attacks, and nothing that answers other questions: no un-stopped run, no proof of the short way."""
    chosen = tuple(protocol.attack(name) for name in attacks)
    return replace(protocol, attacks=chosen, pursuit=None, proof=None)
