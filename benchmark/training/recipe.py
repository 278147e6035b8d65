"""A recipe: one frozen TOML file with everything that shapes the weights, and where it comes from."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from benchmark.errors import ProtocolError

FOLDER = Path(__file__).parent / "recipes"
RECIPES = tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


@dataclass(frozen=True)
class Recipe:
    """How to train.

    `epochs` of AdamW with one cycle of the learning rate. The first `naive_epochs` see clean
    images, the others are attacked by `steps` steps of PGD inside L∞ `epsilon` (random start,
    step `step` · ε), which is reached over `ramp_epochs` epochs. Every `validate_every` epochs the
    weights are scored on the validation part, attacked afresh where the recipe is adversarial,
    and the best are kept.
    """

    name: str
    title: str
    source: str
    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    warm_up: float
    clip_gradient: float
    validate_every: int
    naive_epochs: int = 0
    ramp_epochs: int = 0
    epsilon: float = 0.0
    steps: int = 0
    step: float = 0.25

    @property
    def adversarial(self) -> bool:
        """Whether it trains on attacked images."""
        return self.epsilon > 0

    def epsilon_at(self, epoch: int) -> float:
        """ε of the attack in an epoch, counted from 1; 0 while the images stay clean."""
        attacked = epoch - self.naive_epochs
        if not self.adversarial or attacked <= 0:
            return 0.0
        return self.epsilon * min(1.0, attacked / (self.ramp_epochs + 1))


def read_recipe(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        ProtocolError: there is none of that name.
    """
    path = FOLDER / f"{name}.toml"
    if name not in RECIPES:
        raise ProtocolError(f"unknown recipe {name!r}; expected one of {', '.join(RECIPES)}")
    table = tomllib.loads(path.read_text("utf-8"))
    unknown = set(table) - {field.name for field in fields(Recipe)}
    if unknown:
        raise ProtocolError(f"recipe {path.name} has unknown keys {', '.join(sorted(unknown))}")
    return Recipe(name=name, **table)
