"""Small recipes, splits and networks for the tests of training."""

import numpy as np
from models import make_split

from benchmark.training.recipe import Recipe

PLAIN = {
    "name": "tiny",
    "title": "Tiny",
    "sources": ["the tests"],
    "naive_epochs": 3,
    "batch": 8,
    "learning_rate": 1e-3,
    "weight_decay": 5e-4,
    "warm_up": 0.3,
    "clip_gradient": 1.0,
    "batch_norm": True,
    "validation": {"every": 1},
}
ATTACKS = {
    "pgd": {"method": "pgd", "steps": 2, "step": 0.5, "start": 1.0},
    "n-fgsm": {"method": "n-fgsm", "step": 1.0, "start": 2.0},
    "trades": {"method": "trades", "steps": 2, "step": 0.5, "start": 0.0323, "beta": 6.0},
}


def naive(**changes):
    return Recipe.model_validate({**PLAIN, **changes})


def adversarial(method="pgd", every=1, stages=({"epsilon": 0.02, "epochs": 2},), **changes):
    """Two clean epochs, then two at ε = 0.02, validated after each of these."""
    return naive(
        **{
            "naive_epochs": 2,
            "attack": {**ATTACKS[method], "stages": stages},
            "validation": {"every": every, "epsilon": 0.02, "steps": 2, "step": 0.5},
            **changes,
        }
    )


TOML = """
title = "Tiny"
sources = ["the tests"]
naive_epochs = 1
batch = 8
learning_rate = 1e-3
weight_decay = 5e-4
warm_up = 0.3
clip_gradient = 1.0
batch_norm = true
[attack]
method = "trades"
steps = 1
step = 0.5
start = 0.1
beta = 6.0
stages = [{ epsilon = 0.02, epochs = 4 }]
[validation]
every = 1
epsilon = 0.02
steps = 1
step = 0.5
[averaging]
decay = 0.9
[guard]
images = 8
steps = 1
step = 0.5
fall = 0.9
slow_down = 0.5
times = 1
"""


def bright_split(seed, images=16, **about):
    """Images of 32 pixels that are a little brighter with disease."""
    random = np.random.default_rng(seed)
    labels = np.arange(images) % 2
    drawn = random.normal(0.4, 0.05, (images, 1, 32, 32)) + 0.2 * labels[:, None, None, None]
    about.setdefault("patient_ids", [f"{seed}-{number}" for number in range(images)])
    return make_split(drawn.clip(0, 1), labels, **about)
