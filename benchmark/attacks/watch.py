"""The harness's eye on an attack: counts passes, and keeps the first adversarial image it shows.

Attacks return their last iterate, or the clean image where they failed, even when an
earlier iterate had broken the model. Whoever stands between the attack and the model sees
them all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.attacks.two_class import gap, margins


class EveryImageBroken(Exception):  # noqa: N818 - a signal, not an error
    """Raised inside an attack's forward pass when nothing is left for it to do."""


class Watched(nn.Module):
    """A model that notes what an attack asks of it.

    Args:
        model: the model under attack, (n, 1, H, W) → logits.
        labels: (N,) true labels of the images under attack; None only counts.

    Attributes:
        first: (N, 1, H, W), the first iterate that broke each image; where `broken`.
        broken: (N,) bool.
        forward_passes, backward_passes: images that went through the model.
    """

    def __init__(self, model: nn.Module, labels: Tensor | None = None) -> None:
        super().__init__()
        self.model = model
        self.labels = labels
        self.broken = torch.zeros(0, dtype=torch.bool)
        self.first: Tensor | None = None
        self.forward_passes = 0
        self.backward_passes = 0

    def forward(self, images: Tensor) -> Tensor:
        """The model's logits, unchanged."""
        logits = self.model(images)
        self.forward_passes += len(images)
        if logits.requires_grad:
            logits.register_hook(self._count_backward)
        # An attack that drops images (FAB, Square) is only counted: its rows have no names.
        if self.labels is not None and len(images) == len(self.labels):
            self._note(images.detach(), logits.detach())
        return logits

    def _count_backward(self, gradient: Tensor) -> None:
        self.backward_passes += len(gradient)

    def _note(self, images: Tensor, logits: Tensor) -> None:
        assert self.labels is not None
        if self.first is None:
            self.first = images.clone()
            self.broken = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        new = (margins(gap(logits), self.labels) <= 0) & ~self.broken
        if new.any():
            self.first[new] = images[new]
            self.broken |= new
            if self.broken.all():
                raise EveryImageBroken
