"""An nn.Module whose passes are made in a worker: images go out, logits come back, and gradients as exact as at home.

What comes back is checked on the harness's own copy, so that a worker which changes its answer afterwards changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from benchmark.errors import SubmissionError
from benchmark.isolation import frames
from benchmark.isolation.frames import Header
from benchmark.isolation.link import Worker


class Witness(Protocol):
    """Sees every answer of an attacked model as it is given, before anybody could regret it."""

    def logits(self, images: Tensor, logits: Tensor) -> None:
        """(n, 1, h, w) was answered with (n, c)."""

    def gradient(self, images: Tensor, upstream: Tensor, gradient: Tensor) -> None:
        """At (n, 1, h, w), upstream (n, c) was answered with the gradient (n, 1, h, w)."""


class Bridge(nn.Module):
    """A model in a worker: (N, 1, H, W) float32 → logits (N, 2) or (N, 1), on the device of the images.

    Args:
        start: makes the worker for a device; called with the first question, since some instances are never asked.

    Attributes:
        witness: sees what an attacked model answers.

    Raises:
        SubmissionError: from every pass, once the worker cannot be relied on any more.
    """

    def __init__(self, start: Callable[[str], Worker]) -> None:
        super().__init__()
        # Goes where `to` is told to; attacks look for the device of a parameter.
        self.where = nn.Parameter(torch.empty(0), requires_grad=False)
        self._start = start
        self.witness: Witness | None = None
        self._worker: Worker | None = None
        self._number = 0
        self._graph: int | None = None  # the question whose graph the worker holds
        self._over = ""

    def forward(self, images: Tensor) -> Tensor:
        """The model's logits."""
        if torch.is_grad_enabled() and images.requires_grad:
            return _Pass.apply(images, self)
        return self.asked(images, frames.FORWARD)[0]

    def asked(self, images: Tensor, kind: int) -> tuple[Tensor, int, bool]:
        """One forward pass: logits on the images' device, the number of the question, whether a gradient leads back."""
        count, _, height, width = images.shape
        self._number = (self._number + 1) % 2**32
        self._graph = None
        asked = Header(kind, self._number, count, height, width)
        if asked.bytes_of_images > frames.HALF:
            raise SubmissionError(
                f"{count} images of {height} × {width} are more than the {frames.HALF >> 20} MB that go to a worker at once"
            )
        worker = self.worker
        worker.images[: images.numel()].copy_(images.detach().reshape(-1))
        header, content = self._answer(asked)
        columns = header.columns
        fits = header.kind in (frames.LOGITS, frames.CONSTANT) and header.number == self._number
        if not fits or columns not in (1, 2) or header.images != count or len(content) != 4 * count * columns:
            raise self._end(worker.broken("sent logits of another shape than was asked for"))
        logits = torch.frombuffer(bytearray(content), dtype=torch.float32).view(count, columns)
        bad = int((~torch.isfinite(logits)).any(1).sum())
        if bad:
            raise SubmissionError(f"the model returned NaN or infinite logits for {bad} of {count} images")
        if self.witness:
            self.witness.logits(images.detach(), logits)
        self._graph = self._number
        return logits.to(images.device), self._number, header.kind == frames.LOGITS

    def reversed(self, images: Tensor, upstream: Tensor, number: int) -> Tensor:
        """The gradient of the question `number`, as the images: (n, 1, h, w).

        The question is asked again where another was asked since, and where its gradient was taken before.
        """
        if number != self._graph:
            _, number, _ = self.asked(images, frames.FOLLOWED)
        self._graph = None
        content = upstream.detach().cpu().contiguous().numpy().tobytes()
        count, _, height, width = images.shape
        asked = Header(frames.REVERSE, number, count, height, width, upstream.shape[1], len(content))
        header, _ = self._answer(asked, content)
        if header.kind != frames.GRADIENT or header.number != number:
            raise self._end(self.worker.broken("sent something else than the gradient that was asked for"))
        gradient = self.worker.gradients[: images.numel()].clone().view(images.shape)  # from here on ours
        if not torch.isfinite(torch.stack(gradient.aminmax())).all():  # one pass over it, where all is well
            bad = int((~torch.isfinite(gradient)).flatten(1).any(1).sum())
            raise SubmissionError(f"the model returned NaN or infinite gradients for {bad} of {count} images")
        if self.witness:
            self.witness.gradient(images.detach(), upstream.detach(), gradient)
        return gradient.to(images.device)

    @property
    def worker(self) -> Worker:
        """The worker, started when first asked for."""
        if self._over:
            raise SubmissionError(self._over)
        if self._worker is None:
            try:
                self._worker = self._start(str(self.where.device))
            except SubmissionError as error:
                raise self._end(error) from None
        return self._worker

    @property
    def parameter_count(self) -> int:
        """As the worker says; 0 where it says no number."""
        told = self.worker.about.get("parameters")
        return told if type(told) is int and 0 <= told < 2**48 else 0

    def close(self) -> None:
        """End the worker; a later question starts another, which knows nothing of this one."""
        if self._worker is not None:
            self._worker.close()
        self._worker = None

    def _answer(self, asked: Header, content: bytes = b"") -> tuple[Header, bytes]:
        worker = self.worker
        try:
            return worker.ask(asked, content)
        except SubmissionError as error:
            if not worker.asked.fileno() >= 0:
                self._end(error)
            raise
        except BaseException:  # in the middle of a message: what comes next could not be told apart
            self.close()
            raise

    def _end(self, error: SubmissionError) -> SubmissionError:
        self._over = str(error)
        return error

    def __deepcopy__(self, memo: dict[int, Any]) -> Bridge:
        return Bridge(self._start)

    def __reduce__(self) -> Any:
        raise TypeError("a model in a worker stays in the process that started it")


class _Pass(torch.autograd.Function):
    """One pass with a gradient."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, bridge: Bridge) -> Tensor:
        logits, ctx.number, differentiable = bridge.asked(images, frames.FOLLOWED)
        ctx.bridge = bridge
        ctx.save_for_backward(images)
        if not differentiable:
            ctx.mark_non_differentiable(logits)
        return logits

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, None]:
        (images,) = ctx.saved_tensors
        return ctx.bridge.reversed(images, upstream[0], ctx.number), None
