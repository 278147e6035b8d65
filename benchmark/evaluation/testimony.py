"""What a model under attack was heard to say, kept as it was said, to be held against a worker that saw no attack."""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.attacks.two_class import gap
from benchmark.evaluation.judge import judged_gaps
from benchmark.isolation.bridge import Bridge

ANSWERS, SLOPES = 64, 12  # of a block: answers, and gradients, that are looked at again


class Testimony:
    """A few of the attacked worker's answers, kept as they are given. Which ones nobody can know beforehand."""

    def __init__(self) -> None:
        self.luck = np.random.default_rng(int.from_bytes(os.urandom(8), "little"))
        self.answered: list[tuple[Tensor, Tensor]] = []  # (1, h, w), the gap of its logits ()
        self.sloped: list[tuple[Tensor, Tensor, Tensor]] = []  # (1, h, w), (c,), (1, h, w)
        self.heard = [0, 0]

    def logits(self, images: Tensor, logits: Tensor) -> None:
        """One question was answered."""
        place = self._place(0, ANSWERS)
        if place is not None:
            row = int(self.luck.integers(len(images)))
            told = gap(logits[row : row + 1])[0]  # with one column or two, as each answer has them
            self.answered[place : place + 1] = [(images[row].cpu().clone(), told.cpu().clone())]

    def gradient(self, images: Tensor, upstream: Tensor, gradient: Tensor) -> None:
        """One gradient was given."""
        rows = torch.nonzero(upstream.abs().amax(1) > 0)[:, 0].tolist()  # of the others nothing was asked
        place = self._place(1, SLOPES) if rows else None
        if place is not None:
            row = rows[int(self.luck.integers(len(rows)))]
            told = (images[row], upstream[row], gradient[row])
            first, second, third = (tensor.cpu().clone() for tensor in told)
            self.sloped[place : place + 1] = [(first, second, third)]

    def _place(self, kind: int, most: int) -> int | None:
        """Where to keep what comes, so that all that has come is there with the same probability."""
        self.heard[kind] += 1
        place = (
            self.heard[kind] - 1 if self.heard[kind] <= most else int(self.luck.integers(self.heard[kind]))
        )
        return place if place < most else None

    def apart(self, fresh: nn.Module, micro_batch: int, device: str | torch.device) -> float:
        """How far the answers lie from those of a new worker, at most, in logits."""
        if not self.answered:
            return 0.0
        images = torch.stack([each[0] for each in self.answered]).to(device)
        told = torch.stack([each[1] for each in self.answered]).to(device)
        return float((judged_gaps(fresh, images, micro_batch) - told).abs().max())


def overheard(attacked: nn.Module) -> Testimony | None:
    """Listen to a model from now on, if it answers from a worker."""
    inner = getattr(attacked, "inner", None)
    if not isinstance(inner, Bridge):
        return None
    inner.witness = testimony = Testimony()
    return testimony
