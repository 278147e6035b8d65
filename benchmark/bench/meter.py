"""What a piece of work costs: passes through a model, its time, and how much of that the model itself took.

Times are those of the calling thread's processor, which other programs on the machine do not lengthen by waiting;
the clock on the wall is kept beside them. PyTorch runs a backward pass on a CPU in the thread that asks for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median

import torch
from torch import Tensor, nn

from benchmark.attacks.two_class import gap


@dataclass(frozen=True)
class Cost:
    """Images that went forward and backward through a model, and seconds.

    seconds: of the thread's processor. model: those of them inside the model's own forward and backward.
    wall: on the clock.
    """

    forward: int = 0
    backward: int = 0
    seconds: float = 0.0
    model: float = 0.0
    wall: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        mine, theirs = asdict(self), asdict(other)
        return Cost(**{key: mine[key] + theirs[key] for key in mine})

    @property
    def outside(self) -> float:
        """Share of the seconds that is neither the model's forward nor its backward."""
        return 1 - self.model / self.seconds if self.seconds else 0.0


class Metered(nn.Module):
    """A model that counts and times its own passes: (n, 1, H, W) → logits, unchanged.

    Marks in the graph, before and after the model, say when a backward pass enters it and leaves it.

    Attributes:
        forward_passes, backward_passes: images. seconds: inside the model.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.forward_passes = 0
        self.backward_passes = 0
        self.seconds = 0.0
        self.entered = 0.0

    def forward(self, images: Tensor) -> Tensor:
        """The model's logits."""
        followed = torch.is_grad_enabled() and images.requires_grad
        self.forward_passes += len(images)
        started = time.thread_time()
        logits = self.model(_Leave.apply(images, self) if followed else images)
        logits = _Enter.apply(logits, self) if followed else logits
        self.seconds += time.thread_time() - started
        return logits


class _Enter(torch.autograd.Function):
    """Where a backward pass enters the model: at its logits."""

    @staticmethod
    def forward(context, logits, metered):
        context.metered = metered
        return logits.view_as(logits)

    @staticmethod
    def backward(context, gradient):
        context.metered.entered = time.thread_time()
        return gradient, None


class _Leave(torch.autograd.Function):
    """Where a backward pass leaves the model: at its images."""

    @staticmethod
    def forward(context, images, metered):
        context.metered = metered
        return images.view_as(images)

    @staticmethod
    def backward(context, gradient):
        context.metered.seconds += time.thread_time() - context.metered.entered
        context.metered.backward_passes += len(gradient)
        return gradient, None


class Clock:
    """What was spent between entering and leaving `running`; readable as `cost` afterwards."""

    def __init__(self, *models: Metered) -> None:
        self.models = models
        self.cost = Cost()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add what happens inside to `cost`."""
        before, started, processor = self._passed(), time.perf_counter(), time.thread_time()
        yield
        processor, wall = time.thread_time() - processor, time.perf_counter() - started
        forward, backward, model = (now - then for now, then in zip(self._passed(), before, strict=True))
        self.cost += Cost(int(forward), int(backward), processor, model, wall)

    def _passed(self) -> tuple[float, float, float]:
        return (
            sum(model.forward_passes for model in self.models),
            sum(model.backward_passes for model in self.models),
            sum(model.seconds for model in self.models),
        )


class Floor:
    """What one image costs in a bare model at full batch: the medians of samples taken throughout a run.

    Args:
        model: as it lies in memory. images: (n, 1, H, W), one batch.
    """

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        self.model, self.images = model, images
        self.samples: list[tuple[float, float]] = []

    def sample(self, times: int = 3) -> None:
        """Measure a forward pass, and a forward with its backward, so many times."""
        for _ in range(times):
            started = time.thread_time()
            self.forward()
            between = time.thread_time()
            self.both()
            self.samples.append((between - started, time.thread_time() - between))

    def forward(self) -> None:
        """One forward pass without a graph."""
        with torch.no_grad():
            self.model(self.images)

    def both(self) -> None:
        """One forward pass and the gradient of the gap."""
        with torch.enable_grad():
            asked = self.images.clone().requires_grad_(True)
            torch.autograd.grad(gap(self.model(asked)).sum(), asked)

    @property
    def seconds(self) -> tuple[float, float]:
        """Of one image: forward, and forward with backward."""
        forward, both = zip(*self.samples, strict=True)
        return median(forward) / len(self.images), median(both) / len(self.images)

    def least(self, cost: Cost) -> float:
        """Seconds that the passes of a cost take in the bare model at full batch."""
        forward, both = self.seconds
        return cost.forward * forward + cost.backward * max(both - forward, 0.0)
