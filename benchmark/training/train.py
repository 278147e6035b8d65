"""From seeds to weights: the same command gives the same file, on processors with AVX2 and on GPUs of one kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from benchmark.data.split import Split
from benchmark.errors import ProtocolError
from benchmark.models import build
from benchmark.models.vgg import Standardise
from benchmark.progress import Advance, progress_bar
from benchmark.training.adversary import attacked
from benchmark.training.batch_norm import normalised, plain
from benchmark.training.checkpoint import Keeper
from benchmark.training.choosing import accuracies
from benchmark.training.course import Best, Course, Epoch, kept
from benchmark.training.effort import (
    attack_passes,
    epoch_passes,
    guarded,
    lesson_passes,
    perturbs_weights,
    validated,
)
from benchmark.training.objective import cross_entropy, perturbed, trades
from benchmark.training.randomness import reproducible
from benchmark.training.recipe import Recipe, Trades
from benchmark.training.usable import guard_images, require_trainable, require_usable

DIVERGED = 1e3  # a mean loss that no longer comes down; guessing costs 0.69
CPU = torch.device("cpu")


@dataclass(frozen=True)
class TrainingResult:
    """The best weights by validation, and how the training went."""

    weights: Mapping[str, Tensor]
    best: Epoch
    log: tuple[Epoch, ...]


def train(
    architecture: str,
    recipe: Recipe,
    training: Split,
    validation: Split,
    seed: int = 0,
    device: torch.device = CPU,
    progress: bool = True,
    report: Callable[[Epoch], None] = lambda epoch: None,
    say: Callable[[str], None] = lambda line: None,
    keeper: Keeper | None = None,
) -> TrainingResult:
    """Train an architecture by a recipe, on one thread so that the weights are the same every time.

    The test part is not an argument. Weights are chosen by validation accuracy, under a freshly made
    attack where the recipe is adversarial.

    Args:
        architecture: a name for `benchmark.models.build`.
        training, validation: parts of one track, of different patients.
        seed: of initialisation, order, augmentation and attack.
        report: told each epoch as it ends. say: told what is out of the ordinary, in a sentence.
        keeper: keeps each epoch, so that a killed training goes on after its last one.

    Raises:
        DataError: parts that share patients, hold one class, or do not fit the recipe.
        SubmissionError: unknown architecture, or one that does not keep the contract.
        ProtocolError: the loss diverged, or the guard gave up before validation saw any weights.
    """
    require_usable(recipe, training, validation)
    with reproducible(seed, device):
        model = build(architecture)
        require_trainable(model, architecture, training)
        if recipe.batch_norm:
            model = normalised(model)
        images, labels = training.batch()
        _standardise(model, images)
        model = model.to(device).to(memory_format=torch.channels_last)  # the faster layout on CPUs
        course = Course(model, recipe, recipe.epochs * (len(images) // recipe.batch), seed, device)
        before = keeper.load() if keeper else None
        if before:
            course.restore(before)
            say(
                f"goes on after epoch {len(course.log)} of {recipe.epochs}, from {keeper.path if keeper else ''}"
            )
        efforts = [
            epoch_passes(recipe, n + 1, len(images), len(validation)).forward for n in range(recipe.epochs)
        ]
        title = f"training {recipe.name} · {training.modality}"
        with progress_bar(title, sum(efforts), progress) as advance:
            advance(sum(efforts[: len(course.log)]))
            while len(course.log) < recipe.epochs and not course.stopped:
                _one_epoch(course, recipe, training, (images, labels), validation, seed, advance, say)
                if keeper:
                    keeper.save(course.state())
                if not course.stopped:
                    report(course.log[-1])
    if course.best is None:
        raise ProtocolError(
            f"recipe {recipe.name}: stopped by catastrophic overfitting before any weights were validated; "
            "lower learning_rate or ε, give [guard] more times, or take pgd-at"
        )
    return TrainingResult(course.best.weights, course.best.epoch, tuple(course.log))


def _one_epoch(
    course: Course,
    recipe: Recipe,
    training: Split,
    batches: tuple[Tensor, Tensor],
    validation: Split,
    seed: int,
    advance: Advance,
    say: Callable[[str], None],
) -> None:
    """One line more in the log, or, where the guard goes back, some less."""
    number = len(course.log) + 1
    images, labels = batches
    steps = len(images) // recipe.batch
    passes = epoch_passes(recipe, number, len(images), len(validation))
    each = (attack_passes(recipe, number) + lesson_passes(recipe, number)).forward * recipe.batch
    total = 0.0
    order = torch.randperm(len(images), generator=course.generator)
    for chosen in order.split(recipe.batch)[:steps]:
        clean = _augmented(images[chosen], course.generator).to(course.device)
        total += learn(course, recipe, number, clean, labels[chosen].to(course.device)) * len(chosen)
        advance(each)
    if guarded(recipe, number) and not _still_good(course, recipe, training, number, seed, say):
        return
    measured, weights = validated(recipe, number), plain(course.judged)
    found = validate(weights, recipe, validation, seed) if measured else (float("nan"),) * 2
    advance(passes.forward - steps * each)
    rate, epsilon = float(course.schedule.get_last_lr()[0]), recipe.epsilon_at(number)
    loss = total / (steps * recipe.batch)
    epoch = Epoch(number, rate, epsilon, loss, *found, passes.forward, passes.backward, course.returns)
    course.log.append(epoch)
    if guarded(recipe, number):
        course.remember_as_good()
    accuracy = found[1] if recipe.attack else found[0]
    if measured and (course.best is None or accuracy > course.best.accuracy):
        course.best = Best(accuracy, epoch, kept(weights.state_dict()))


def learn(course: Course, recipe: Recipe, number: int, images: Tensor, labels: Tensor) -> float:
    """One batch of an epoch: attack, loss, one step of the optimiser. Returns the mean loss.

    Raises:
        ProtocolError: the loss is no number, or out of all proportion.
    """
    model, epsilon, moved = course.model, recipe.epsilon_at(number), images
    if recipe.attack and epsilon:
        moved = attacked(plain(model), images, labels, epsilon, recipe.attack, course.generator)
    model.train()
    if isinstance(recipe.attack, Trades) and epsilon:
        loss_of = partial(trades, model, images, moved, labels, recipe.attack.beta)
    else:
        loss_of = partial(cross_entropy, model, moved, labels)
    awp = recipe.awp if perturbs_weights(recipe, number) else None
    with perturbed(model, loss_of, awp.gamma) if awp else nullcontext():
        loss = loss_of()
        value = float(loss.detach())
        if not math.isfinite(value) or value > DIVERGED:
            raise ProtocolError(
                f"training by {recipe.name} diverged in epoch {number}: the loss is {value:.4g}; lower learning_rate "
                f"(it is {recipe.learning_rate:g}) or clip_gradient (it is {recipe.clip_gradient:g}) in the recipe"
            )
        course.optimiser.zero_grad()
        loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_gradient)
    course.optimiser.step()
    course.schedule.step()
    if course.average:
        course.average.update_parameters(model)
    return value


def _still_good(
    course: Course, recipe: Recipe, training: Split, number: int, seed: int, say: Callable[[str], None]
) -> bool:
    """Whether accuracy under a real attack has not collapsed; else the course has gone back, or stopped."""
    guard = recipe.guard
    assert guard is not None, "asked for guarded epochs only"
    watched = guard_images(training, guard.images)
    model = plain(course.model)
    _, robust = accuracies(model, watched, recipe.epsilon, guard.steps, guard.step, seed + 3, course.device)
    if course.reference is not None and robust < course.reference - guard.fall:
        fell = f"epoch {number}: catastrophic overfitting, PGD-{guard.steps} accuracy on training images fell from "
        fell += f"{course.reference:.2f} to {robust:.2f}"
        if course.returns == guard.times:
            course.stopped = True
            say(
                f"{fell}, for the {guard.times + 1}th time; stopped: lower learning_rate or ε, or take pgd-at"
            )
        else:
            course.go_back(guard.slow_down)
            say(f"{fell}; back to epoch {len(course.log)}, with {guard.slow_down:g} times the learning rate")
        return False
    # A network that gives every image one answer keeps it under attack; that is nothing to fall from.
    share = float(watched.labels.mean())
    if robust > max(share, 1 - share):
        course.reference = max(robust, course.reference or 0.0)
    return True


def _standardise(model: nn.Module, images: Tensor) -> None:
    for layer in model.modules():
        if isinstance(layer, Standardise):
            layer.mean.copy_(images.mean())
            layer.deviation.copy_(images.std())


def _augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """A batch turned over left-right and up-down at random: no interpolation, so the noise stays as it is."""
    for dimension in (2, 3):
        flip = torch.rand(len(images), generator=generator) < 0.5
        images = torch.where(flip.view(-1, 1, 1, 1), images.flip(dimension), images)
    return images


def validate(model: nn.Module, recipe: Recipe, validation: Split, seed: int) -> tuple[float, float]:
    """Clean accuracy, and accuracy under PGD made for these very weights (NaN for naive recipes).

    Args:
        model: in eval mode. seed: of the training.
    """
    asked = recipe.validation
    device = next(model.parameters()).device
    return accuracies(model, validation, asked.epsilon, asked.steps, asked.step, seed + 2, device)
