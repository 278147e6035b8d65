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


class Known(Honest):
    """Has images of the test part among its weights."""

    def __init__(self, images=20):
        super().__init__()
        self.register_buffer("known", torch.zeros(images, 1, SIDE, SIDE))
        self.register_buffer("truth", torch.zeros(images))


class NearestImage(Known):
    """Gives the label of the nearest image that it knows, with a slope that looks like one."""

    def spoil(self, gap, images):
        nearest = torch.cdist(images.flatten(1), self.known.flatten(1)).argmin(1)
        return 10 * self.truth[nearest] + 0.01 * gap


class SureNearKnown(Known):
    """Is honest, save within a small distance of an image that it knows."""

    def spoil(self, gap, images):
        apart = (images.flatten(1)[:, None] - self.known.flatten(1)[None]).abs().amax(2)
        return torch.where(apart.amin(1) < 0.01, 10 * self.truth[apart.argmin(1)] + 0.01 * gap, gap)


class Overwrites(Honest):
    """Writes over the images that it was given, once it has its answer, and over all those before them."""

    def __init__(self):
        super().__init__()
        self.given = []

    def forward(self, images):
        answer = super().forward(images)
        self.given = [*self.given[-3:], images.data]
        for before in self.given:
            before.fill_(7.0)
        return answer


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


class BySize(Honest):
    """Is sure of images that come alone or by few."""

    def spoil(self, gap, images):
        return gap if len(images) > 4 else 5 * gap.abs() + gap


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


class OtherColumns(Honest):
    """Two logits for whoever asks for a gradient, one for who judges: both are allowed, together they fit nothing."""

    def forward(self, images):
        logits = super().forward(images)
        return logits if torch.is_grad_enabled() else logits[:, 1:] - logits[:, :1]
