"""The harness's eye on an attack: it counts passes, and keeps the adversarial images that the attack shows.

Attacks return their last iterate, or the clean image where they failed, even when an
earlier iterate had broken the model. Whoever stands between the attack and the model sees
them all.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmark.attacks.two_class import SMALLEST_TEMPERATURE, gap, margins
from benchmark.errors import SubmissionError


class EveryImageBroken(Exception):  # noqa: N818 - a signal, not an error
    """Raised inside an attack's forward pass when nothing is left for it to do."""


class Counted(nn.Module):
    """A model that counts what an attack asks of it.

    Args:
        model: the model under attack, (n, 1, H, W) → logits.
        alive: called before every forward pass; it may raise to end an attack that does not end.

    Attributes:
        forward_passes, backward_passes: images that went through the model.
    """

    def __init__(self, model: nn.Module, alive: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.model, self.alive = model, alive
        self.forward_passes = 0
        self.backward_passes = 0

    def forward(self, images: Tensor) -> Tensor:
        """The model's logits, unchanged."""
        self.alive()
        logits = self.model(images)
        if logits.ndim != 2 or logits.shape[0] != len(images) or logits.shape[1] not in (1, 2):
            raise SubmissionError(
                f"the model returned shape {tuple(logits.shape)} for {len(images)} images, "
                f"expected ({len(images)}, 2) or ({len(images)}, 1) for any number of images"
            )
        self.forward_passes += len(images)
        if logits.requires_grad:
            logits.register_hook(self._count_backward)
        return logits

    def _count_backward(self, gradient: Tensor) -> None:
        self.backward_passes += len(gradient)


class Watched(Counted):
    """Keeps the first iterate that broke each image, and asks the model no more about that image.

    For attacks that always ask about all their images and treat each by itself: a broken one gets
    its last logits again and no gradient, which costs nothing and changes nothing for the others.
    Rows may be several starts on one image at one ε; with the first that breaks it all are over.

    Args:
        model, alive: as in `Counted`.
        labels: (N,) true labels of the images under attack.
        numbers: (N,) int64, the same for rows that are over together; None: each row is by itself.

    Attributes:
        first: (N, 1, H, W), the first iterate that broke each row; where `broken`.
        broken: (N,) bool. over: (N,) bool, the row or another one of its number is broken.
    """

    def __init__(
        self,
        model: nn.Module,
        labels: Tensor,
        alive: Callable[[], None] = lambda: None,
        numbers: Tensor | None = None,
    ) -> None:
        super().__init__(model, alive)
        self.labels = labels
        self.numbers = torch.arange(len(labels), device=labels.device) if numbers is None else numbers
        self.broken = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
        self.over = self.broken.clone()
        self.first: Tensor | None = None
        self.logits = torch.empty(0)

    def forward(self, images: Tensor) -> Tensor:
        """The model's logits where an image still stands, its last ones where it was broken."""
        if len(images) != len(self.labels):  # the attack has dropped some: rows have no names any more
            return super().forward(images)
        if self.first is None:
            logits = super().forward(images)
            self.first = images.detach().clone()
            self._note(images.detach(), logits.detach())
            # APGD would pass over what is wrong from the start, and then rows have no names any more.
            return torch.where(self.over[:, None], self._right(logits), logits) if self.over.any() else logits
        if self.over.any():
            standing = torch.nonzero(~self.over)[:, 0]
            logits = self.logits.index_copy(0, standing, super().forward(images[standing]))
        else:
            logits = super().forward(images)
        self._note(images.detach(), logits.detach())
        return logits

    def _note(self, images: Tensor, logits: Tensor) -> None:
        assert self.first is not None
        self.logits = logits
        new = (margins(gap(logits), self.labels) <= 0) & ~self.broken
        if new.any():
            self.first[new] = images[new]
            self.broken |= new
            self.over |= torch.isin(self.numbers, self.numbers[new])
            if self.over.all():
                raise EveryImageBroken

    def _right(self, logits: Tensor) -> Tensor:
        sign = torch.where(self.labels == 1, 1.0, -1.0).to(logits.dtype)
        return torch.stack((-sign, sign), 1)[:, -logits.shape[1] :]


class Followed(Counted):
    """Lets an attack go on to its last step, and keeps each image's iterate of lowest margin.

    APGD passes over images that are wrong when clean. To them a constant is added that makes them right, which
    leaves every gradient's sign as it is; what is kept are the margins without it.

    Attributes:
        lowest: (N, 1, H, W), the iterate with the lowest margin. first, broken: as in `Watched`.
        trace: one (N,) margin for every forward pass.
    """

    def __init__(self, model: nn.Module, labels: Tensor, alive: Callable[[], None] = lambda: None) -> None:
        super().__init__(model, alive)
        self.labels = labels
        self.broken = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
        self.first: Tensor | None = None
        self.lowest = torch.empty(0)
        self.margin = torch.empty(0)
        self.trace: list[Tensor] = []
        self.lift = torch.empty(0)

    def forward(self, images: Tensor) -> Tensor:
        """The model's logits, with the constant where there is one."""
        logits = super().forward(images)
        seen, margin = images.detach(), margins(gap(logits.detach()), self.labels)
        if self.first is None:
            self.first, self.lowest, self.margin = seen.clone(), seen.clone(), margin.clone()
            scale = margin.abs().median().clamp(min=SMALLEST_TEMPERATURE)
            needed = torch.where(margin > 0, 0.0, scale - margin)
            self.lift = torch.where(self.labels == 1, needed, -needed)
        new = (margin <= 0) & ~self.broken
        self.first[new] = seen[new]
        self.broken |= new
        lower = margin < self.margin
        self.lowest[lower], self.margin[lower] = seen[lower], margin[lower]
        self.trace.append(margin)
        disease = logits[:, -1] + self.lift
        return torch.stack((logits[:, 0], disease), 1) if logits.shape[1] == 2 else disease[:, None]
