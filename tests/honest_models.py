"""Small models with nothing to hide, briefly trained on phantom images at half resolution, and how they are judged."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from models import APGD, BIM, FAB, FGSM, NOISE, PGD, SQUARE, small_protocol
from torch import nn
from torch.nn import functional

from benchmark.data.phantom import draw_split
from benchmark.data.split import LEVELS, Split
from benchmark.data.tracks import load_split

SIDE = 32
MODALITIES = ("ct", "mammogram", "mri")
# The attacks of the standard protocol in its order, with fewer starts, steps and queries; APGD as long as there,
# because one of the checks asks whether it had come to an end.
LONG_APGD = replace(APGD, parameters={**APGD.parameters, "steps": 100})
SHORT = small_protocol(NOISE, FGSM, BIM, PGD, LONG_APGD, FAB, SQUARE, block=64, pursuit="apgd", proof=20)


def halved(split):
    """Every 2×2 pixels become one; a track of its own, on which nothing is drawn afresh."""
    n, _, height, width = split.images.shape
    images = np.asarray(split.images, np.float64).reshape(n, 1, height // 2, 2, width // 2, 2).mean((3, 5))
    return Split(
        split.modality, images / LEVELS, split.labels, split.patient_ids, split.image_ids, split.name, "small"
    )


@cache
def training_images(modality, count=320):
    """Images of the train part's kind: (N, 1, 32, 32) and labels."""
    return halved(draw_split(modality, "train", 11, count)).batch()


@cache
def judged_images(modality, count=60):
    """The first patients of the public test part."""
    return halved(load_split(modality).first_patients(count))


@dataclass(frozen=True)
class Recipe:
    """How an honest model is made."""

    build: object
    epsilon: float = 0.0  # of adversarial training


class Standardised(nn.Module):
    """A network behind fixed brightness and contrast."""

    def __init__(self, network, mean, deviation):
        super().__init__()
        self.network, self.mean, self.deviation = network, mean, deviation

    def forward(self, images):
        return self.network((images - self.mean) / self.deviation)


class Residual(nn.Module):
    """x + f(x)."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.layers(x)


class Attention(nn.Module):
    """Self-attention over 16 patches of 8×8 pixels, with LayerNorm: a very small vision transformer."""

    def __init__(self, width=32):
        super().__init__()
        self.embed = nn.Conv2d(1, width, 8, 8)
        self.place = nn.Parameter(torch.randn(1, 16, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, 4, 64, 0.1, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2))

    def forward(self, x):
        tokens = self.embed(x).flatten(2).transpose(1, 2) + self.place
        return self.head(self.layers(tokens).mean(1))


def _cnn(norm=lambda channels: nn.Identity(), activation=nn.ReLU, pool=nn.AdaptiveMaxPool2d, outputs=2):
    layers, before = [], 1
    for channels in (8, 16, 32):
        layers += [nn.Conv2d(before, channels, 3, 2, 1), norm(channels), activation()]
        before = channels
    return nn.Sequential(*layers, pool(1), nn.Flatten(), nn.Linear(before, outputs))


def _depthwise():
    layers = [nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU()]
    for _ in range(2):
        layers += [
            nn.Conv2d(16, 16, 3, 2, 1, groups=16),
            nn.Conv2d(16, 16, 1),
            nn.BatchNorm2d(16),
            nn.ReLU6(),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 2))


def _residual():
    block = [nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1)]
    stem = [nn.Conv2d(1, 16, 4, 4), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, Residual(*block), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 64, 2))


def _mlp(norm=nn.Identity, activation=nn.ReLU):
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(SIDE**2, 48),
        norm(48),
        activation(),
        nn.Linear(48, 24),
        activation(),
        nn.Linear(24, 2),
    )


HONEST = {
    "linear": Recipe(lambda: nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 2))),
    "mlp": Recipe(_mlp),
    "mlp-layernorm": Recipe(lambda: _mlp(nn.LayerNorm, nn.GELU)),
    "cnn": Recipe(_cnn),
    "cnn-batchnorm": Recipe(lambda: _cnn(nn.BatchNorm2d)),
    "cnn-groupnorm": Recipe(lambda: _cnn(lambda channels: nn.GroupNorm(4, channels))),
    "cnn-average-pool": Recipe(lambda: _cnn(activation=nn.SiLU, pool=nn.AdaptiveAvgPool2d)),
    "cnn-one-logit": Recipe(lambda: _cnn(outputs=1)),
    "cnn-adversarial": Recipe(_cnn, 0.004),
    "mlp-adversarial": Recipe(_mlp, 0.004),
    "depthwise": Recipe(_depthwise),
    "residual": Recipe(_residual),
    "attention": Recipe(Attention),
}


def trained(name, modality, seed, steps=150):
    """The model of that name after a brief training: Adam on shuffled, mirrored images."""
    images, labels = training_images(modality)
    recipe = HONEST[name]
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = Standardised(recipe.build(), float(images.mean()), float(images.std())).train()
        optimizer = torch.optim.Adam(model.parameters(), 3e-3, weight_decay=1e-4)
        for step in range(steps):
            rows = torch.randint(0, len(images), (48,))
            batch, truth = images[rows], labels[rows]
            batch = batch.flip(3) if step % 2 else batch
            if recipe.epsilon:
                batch = _moved(model, batch, truth, recipe.epsilon)
            optimizer.zero_grad()
            _loss(model(batch), truth).backward()
            optimizer.step()
    return model.eval()


def _moved(model, images, labels, epsilon):
    """One step from a random start (Wong et al. 2020)."""
    start = (images + epsilon * (torch.rand_like(images) * 2 - 1)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(_loss(model(start), labels), start)
    moved = start.detach() + 1.25 * epsilon * gradient.sign()
    return torch.clamp(moved, images - epsilon, images + epsilon).clamp(0, 1)


def _loss(logits, labels):
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(logits[:, 0], labels.float())
    return functional.cross_entropy(logits, labels)
