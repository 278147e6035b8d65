"""What a training costs, counted in images that go forward and backward through the network."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.training.recipe import NFgsm, Pgd, Recipe, Trades


@dataclass(frozen=True)
class Passes:
    """Images forward, and backward."""

    forward: int = 0
    backward: int = 0

    def __add__(self, other: Passes) -> Passes:
        return Passes(self.forward + other.forward, self.backward + other.backward)

    def __mul__(self, count: int) -> Passes:
        return Passes(self.forward * count, self.backward * count)


def attack_passes(recipe: Recipe, epoch: int) -> Passes:
    """Of the attack on one training image; for the input's gradient alone."""
    match recipe.attack if recipe.epsilon_at(epoch) else None:
        case Pgd(steps=steps):
            return Passes(steps, steps)
        case NFgsm():
            return Passes(1, 1)
        case Trades(steps=steps):
            return Passes(steps + 1, steps)
    return Passes()


def lesson_passes(recipe: Recipe, epoch: int) -> Passes:
    """Of the loss of one training image; for the gradient of the weights."""
    both = isinstance(recipe.attack, Trades) and recipe.epsilon_at(epoch) > 0
    return Passes(1, 1) * (2 if both else 1) * (2 if perturbs_weights(recipe, epoch) else 1)


def perturbs_weights(recipe: Recipe, epoch: int) -> bool:
    """Whether an epoch is one of AWP."""
    return recipe.awp is not None and epoch > recipe.awp.warm_up_epochs


def validated(recipe: Recipe, epoch: int) -> bool:
    """Whether weights of an epoch may be the best: attacked in full, and the recipe looks at them."""
    due = epoch % recipe.validation.every == 0 or epoch == recipe.epochs
    return due and recipe.epsilon_at(epoch) == recipe.epsilon


def guarded(recipe: Recipe, epoch: int) -> bool:
    """Whether an epoch ends with a look for catastrophic overfitting."""
    return recipe.guard is not None and recipe.epsilon_at(epoch) > 0


def asked_passes(steps: int | None, count: int) -> Passes:
    """Of clean accuracy and, where there is an attack, robust accuracy on `count` images."""
    return Passes(count) if steps is None else Passes(steps + 2, steps) * count


def epoch_passes(recipe: Recipe, epoch: int, training: int, validation: int) -> Passes:
    """Of a whole epoch on `training` images in whole batches, with what is asked at its end."""
    seen = training // recipe.batch * recipe.batch
    passes = (attack_passes(recipe, epoch) + lesson_passes(recipe, epoch)) * seen
    if recipe.guard and guarded(recipe, epoch):
        passes += asked_passes(recipe.guard.steps, min(recipe.guard.images, training))
    if validated(recipe, epoch):
        passes += asked_passes(recipe.validation.steps, validation)
    return passes
