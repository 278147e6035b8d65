"""Models and images whose robustness is known, and models that misbehave in one way each."""

import numpy as np
import torch
from torch import nn

from benchmark.data.split import LEVELS, Split
from benchmark.models import build
from benchmark.protocol import AttackSpec, Protocol

SIDE = 16
EPSILONS = ("0.001", "0.002", "0.004", "0.008")

NOISE = AttackSpec("noise", "Noise", "sign_noise", "grid", {"draws": 2}, white_box=False)
FGSM = AttackSpec("fgsm", "FGSM", "FGSM", "grid", {})
BIM = AttackSpec("bim", "BIM", "BIM", "grid", {"steps": 10}, step=0.1)
PGD = AttackSpec("pgd", "PGD", "PGD", "bisection", {"steps": 10, "random_start": True}, step=0.25, starts=2)
APGD = AttackSpec(
    "apgd",
    "APGD",
    "APGD",
    "bisection",
    {"norm": "Linf", "steps": 20, "n_restarts": 1, "loss": "ce", "eot_iter": 1, "rho": 0.75},
)
FAB = AttackSpec(
    "fab",
    "FAB",
    "FAB",
    "minimum",
    {
        "norm": "Linf",
        "steps": 30,
        "n_restarts": 1,
        "alpha_max": 0.1,
        "eta": 1.05,
        "beta": 0.9,
        "multi_targeted": True,
        "n_classes": 2,
    },
)
SQUARE = AttackSpec(
    "square",
    "Square",
    "Square",
    "survivors",
    {
        "norm": "Linf",
        "n_queries": 50,
        "n_restarts": 1,
        "p_init": 0.8,
        "loss": "margin",
        "resc_schedule": True,
    },
    epsilons=("0.004",),
    white_box=False,
)
BATTERY = (NOISE, FGSM, BIM, PGD, APGD, FAB, SQUARE)


def small_protocol(*attacks, **changes):
    """A protocol like the standard one, with fewer steps; all of the battery unless attacks are named."""
    given = {
        "name": "small",
        "version": 1,
        "epsilons": EPSILONS,
        "headline": "0.004",
        "ranked": True,
        "block": 8,
    }
    return Protocol(attacks=attacks or BATTERY, **given | changes)


# -- models --------------------------------------------------------------------------------


class Linear(nn.Module):
    """g = w·(x − 1/2) + b: the smallest perturbation that flips an image is |g| / ‖w‖₁, away from 0 and 1."""

    def __init__(self, scale=1.0, cube=False, columns=2):
        super().__init__()
        weight = np.random.default_rng(3).normal(size=SIDE * SIDE)
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float32))
        self.bias = nn.Parameter(torch.tensor(0.01))
        self.scale, self.cube, self.columns = scale, cube, columns

    def forward(self, images):
        g = (images - 0.5).flatten(1) @ self.weight + self.bias
        g = (g**3 if self.cube else g) * self.scale
        return g[:, None] if self.columns == 1 else torch.stack((-g / 2, g / 2), 1)

    def exact_gaps(self, split):
        """g of the stored images in float64, before scale and cube."""
        images = split.images.reshape(len(split), -1) / LEVELS
        return (images - 0.5) @ self.weight.detach().double().numpy() + float(self.bias.detach())

    def smallest_epsilon(self, split):
        """(N,) float64: what it takes to flip each image, 0 where the clean image is wrong."""
        gaps = self.exact_gaps(split)
        right = np.where(split.labels == 1, gaps, -gaps) > 0
        return np.where(right, np.abs(gaps) / np.abs(self.weight.detach().double().numpy()).sum(), 0.0)


class Wobbly(nn.Module):
    """A linear model bent by a sine: smooth, and no attack is exact on it."""

    def __init__(self):
        super().__init__()
        weights = np.random.default_rng(4).normal(size=(2, SIDE * SIDE)) / 10
        self.weights = nn.Parameter(torch.tensor(weights, dtype=torch.float32))

    def forward(self, images):
        first, second = ((images - 0.5).flatten(1) @ self.weights.T).unbind(1)
        g = first + 0.01 * torch.sin(40 * second)
        return torch.stack((-g / 2, g / 2), 1)


class Mild(nn.Module):
    """What the faulty models below are built on: a linear gap that they spoil."""

    def __init__(self):
        super().__init__()
        self.oracle = Linear()

    def spoil(self, g, images):
        return g

    def forward(self, images):
        g = self.spoil(self.oracle(images)[:, 1] * 2, images)
        return torch.stack((-g / 2, g / 2), 1)


class Random(Mild):
    """Other logits every time."""

    def spoil(self, g, images):
        return g + 0.02 * torch.randn_like(g)


class Stateful(Mild):
    """Its logits drift with every question."""

    asked = 0

    def spoil(self, g, images):
        self.asked += 1
        return g * (1 + 0.01 * self.asked)


class BatchDependent(Mild):
    """Its logits lean on the mean of the batch."""

    def spoil(self, g, images):
        return g - 0.5 * g.mean()


class Masked(Mild):
    """The image is rounded first, so there is no gradient to follow."""

    def forward(self, images):
        return super().forward(torch.round(images * 4096) / 4096)


class Detached(Mild):
    """The gradient is cut off."""

    def spoil(self, g, images):
        return g.detach()


class WrongGradient(Mild):
    """The gradient is there and points the other way."""

    def spoil(self, g, images):
        return 2 * g.detach() - g


class Probabilities(Mild):
    """Softmax outputs where logits are expected."""

    def forward(self, images):
        return torch.softmax(super().forward(images) * 5, 1)


class NotANumber(Mild):
    """NaN logits, always, or only where the image is not on the split's 16-bit grid."""

    def __init__(self, only_attacked=False):
        super().__init__()
        self.only_attacked = only_attacked

    def spoil(self, g, images):
        levels = images * LEVELS
        moved = (levels - levels.round()).abs().flatten(1).amax(1) > 0.1
        return torch.where(moved, torch.nan, g) if self.only_attacked else g * torch.nan


class FarApart(NotANumber):
    """Finite logits whose difference float32 cannot hold, always or only under attack."""

    def forward(self, images):
        logits = super().forward(images)
        return torch.where(logits.isnan(), logits.new_tensor([-3e38, 3e38]), logits)


class ThreeColumns(Mild):
    """Three logits for two classes."""

    def forward(self, images):
        return torch.cat([super().forward(images)] * 2, 1)[:, :3]


class Failing(Mild):
    """Raises on every image."""

    def forward(self, images):
        raise RuntimeError("expected input[8, 1, 16, 16] to have 3 channels, but got 1 channels instead")


# -- images --------------------------------------------------------------------------------


def make_split(images, labels, **changes):
    """A split of images, two to a patient."""
    n = len(images)
    given = {
        "modality": "ct",
        "patient_ids": [f"p{i // 2}" for i in range(n)],
        "image_ids": [f"i{i}" for i in range(n)],
        "name": "toy",
        "track": "toy",
    }
    return Split(images=images, labels=labels, **given | changes)


def oracle_split(model, wrong=2):
    """Images around 1/2, of both classes, whose thresholds of `model` lie between the ε of the grid.

    The last `wrong` images are misclassified.
    """
    random = np.random.default_rng(5)
    weight = model.weight.detach().double().numpy()
    thresholds = np.repeat([0.0005, 0.0008, 0.0012, 0.0017, 0.0025, 0.0035, 0.0045, 0.007, 0.009, 0.012], 2)
    labels = np.arange(len(thresholds)) % 2
    wanted = thresholds * np.abs(weight).sum() * np.where(labels == 1, 1, -1)
    if wrong:
        wanted[-wrong:] *= -1
    images = 0.5 + 0.02 * random.standard_normal((len(thresholds), SIDE * SIDE))
    found = (images - 0.5) @ weight + float(model.bias.detach())
    images += ((wanted - found) / (weight**2).sum())[:, None] * weight
    return make_split(images.reshape(-1, 1, SIDE, SIDE), labels)


def tiny_split(model, images=20):
    """Images around 1/2 with the label that `model` gives them, the last two turned over."""
    random = np.random.default_rng(6)
    drawn = 0.5 + 0.08 * random.standard_normal((images, 1, SIDE, SIDE))
    stored = torch.from_numpy(np.rint(drawn * LEVELS) / LEVELS).float()
    with torch.no_grad():
        logits = model(stored)
    labels = (logits[:, 1] > logits[:, 0]).long().numpy()
    labels[-2:] = 1 - labels[-2:]
    return make_split(drawn, labels)


def random_split(images=12, side=32, seed=7, **changes):
    """Uniform noise in [0.3, 0.7], labels in turn, two images to a patient."""
    random = np.random.default_rng(seed)
    drawn = random.uniform(0.3, 0.7, (images, 1, side, side))
    return make_split(drawn, np.arange(images) // 2 % 2, **changes)


def vgg_weights(seed):
    """Fresh weights of the smallest VGG."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return build("vgg16-slim", {"divisor": 64}).state_dict()
