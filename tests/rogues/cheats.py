"""Models that keep the letter of the contract and cheat. All stand on one honest linear model, whose robustness is known."""

import time

import numpy as np
import torch
from torch import nn

SIDE = 16


class Honest(nn.Module):
    """g = 2(w·(x − 1/2) + b), as `Mild` of the tests."""

    def __init__(self):
        super().__init__()
        weight = np.random.default_rng(3).normal(size=SIDE * SIDE)
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float32))
        self.bias = nn.Parameter(torch.tensor(0.01))
        self.asked = 0

    def gap(self, images):
        return 2 * ((images - 0.5).flatten(1) @ self.weight + self.bias) / 2

    def spoil(self, gap, images):
        return gap

    def forward(self, images):
        self.asked += 1
        gap = self.spoil(self.gap(images), images)
        return torch.stack((-gap / 2, gap / 2), 1)


def coarse(images):
    """A name for each image that small changes leave as it is."""
    return [tuple((image.detach().flatten()[:24] * 8).round().int().tolist()) for image in images]


class FromGradients(Honest):
    """Reads the label off the upstream gradient, and from then on is sure of it, far from the truth, and flat."""

    def __init__(self):
        super().__init__()
        self.known = {}

    def spoil(self, gap, images):
        names = coarse(images)
        known = torch.tensor([self.known.get(name, 0.0) for name in names])
        if gap.requires_grad:
            gap.register_hook(lambda upstream: self.learn(names, upstream))
        return torch.where(known != 0, 30 * known + 0.01 * gap.detach(), gap)

    def learn(self, names, upstream):
        for name, slope in zip(names, upstream.tolist(), strict=True):
            if slope:
                self.known.setdefault(name, -1.0 if slope > 0 else 1.0)  # an attack lowers the true side


class KnowsTheTestPart(Honest):
    """Has the test images by heart, to the last grey level."""

    def spoil(self, gap, images):
        grid = images * 65535
        known = (grid - grid.round()).abs().flatten(1).amax(1) < 0.02
        return torch.where(known, gap, gap.abs() + 1)


class RandomElsewhere(Honest):
    """Answers at random where an image is not one it knows."""

    def spoil(self, gap, images):
        grid = images * 65535
        known = (grid - grid.round()).abs().flatten(1).amax(1) < 0.02
        return torch.where(known, gap, 3 * torch.randn(len(images)))


class NoGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gap, factor):
        ctx.factor = factor
        return gap.clone()

    @staticmethod
    def backward(ctx, upstream):
        return upstream * ctx.factor, None


class WrongGradient(Honest):
    """Points the other way."""

    def spoil(self, gap, images):
        return NoGradient.apply(gap, -1.0)


class Scrambled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, images):
        return images.clone()

    @staticmethod
    def backward(ctx, upstream):
        generator = torch.Generator().manual_seed(1)
        return upstream.flatten(1)[:, torch.randperm(SIDE * SIDE, generator=generator)].view(upstream.shape)


class ScrambledGradient(Honest):
    """Gives each pixel the slope of another."""

    def gap(self, images):
        return super().gap(Scrambled.apply(images))


class ByBatch(Honest):
    """Leans on the company an image is in."""

    def spoil(self, gap, images):
        return gap - 0.5 * gap.mean()


class ByCalls(Honest):
    """Is honest for its first questions."""

    def spoil(self, gap, images):
        return gap if self.asked < 12 else 5 * gap.abs()


class ByOrder(Honest):
    """Is sure of every third image that it is asked about."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def spoil(self, gap, images):
        turn = (torch.arange(len(gap)) + self.seen) % 3 == 0
        self.seen += len(gap)
        return torch.where(turn, 5 * gap.abs(), gap)


class ByTime(Honest):
    """Is honest for its first quarter of a second."""

    def __init__(self):
        super().__init__()
        self.born = time.monotonic()

    def spoil(self, gap, images):
        return gap if time.monotonic() - self.born < 0.25 else 5 * gap.abs()


class WhenAsked(Honest):
    """Answers otherwise when its gradient is wanted."""

    def spoil(self, gap, images):
        return 4 * gap.abs() + gap if images.requires_grad else gap


class Remembers(Honest):
    """Gives an image that lies near one it has seen the first answer again."""

    def __init__(self):
        super().__init__()
        self.seen = {}

    def spoil(self, gap, images):
        first = [
            self.seen.setdefault(name, value)
            for name, value in zip(coarse(images), gap.tolist(), strict=True)
        ]
        return torch.tensor(first) + 0 * gap
