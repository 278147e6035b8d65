"""From seeds to weights: the same command gives the same file on the same kind of processor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.attacks.two_class import gap, margins
from benchmark.data.split import Split
from benchmark.evaluation.judge import one_thread
from benchmark.models import build
from benchmark.models.vgg import Standardise
from benchmark.progress import progress_bar
from benchmark.training.adversary import pgd
from benchmark.training.batch_norm import folded, normalised
from benchmark.training.recipe import Recipe


@dataclass(frozen=True)
class Epoch:
    """One line of the training log; the accuracies are NaN where not measured."""

    number: int
    loss: float
    validation_clean: float
    validation_robust: float


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
    progress: bool = True,
    report: Callable[[Epoch], None] = lambda epoch: None,
) -> TrainingResult:
    """Train an architecture by a recipe, on one thread so that the weights are the same every time.

    The test part is not an argument. Weights are chosen by validation accuracy, under a freshly made
    attack where the recipe is adversarial.

    Args:
        architecture: a name for `benchmark.models.build`.
        training, validation: parts of one track, of different patients.
        seed: of initialisation, order, augmentation and attack.
        report: told each epoch as it ends.
    """
    with one_thread(), torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return _train(normalised(build(architecture)), recipe, training, validation, seed, progress, report)


def _train(
    model: nn.Module,
    recipe: Recipe,
    training: Split,
    validation: Split,
    seed: int,
    progress: bool,
    report: Callable[[Epoch], None],
) -> TrainingResult:
    images, labels = training.batch()
    _standardise(model, images)
    model = model.to(memory_format=torch.channels_last)  # the faster layout on CPUs
    generator = torch.Generator().manual_seed(seed + 1)
    steps = recipe.epochs * (len(images) // recipe.batch)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=steps, pct_start=recipe.warm_up
    )
    log: list[Epoch] = []
    best: tuple[float, Epoch, dict[str, Tensor]] | None = None
    with progress_bar(f"training {recipe.name} · {training.modality}", steps, progress) as advance:
        for number in range(1, recipe.epochs + 1):
            epsilon = recipe.epsilon_at(number)
            total = 0.0
            order = torch.randperm(len(images), generator=generator)
            for chosen in order.split(recipe.batch)[: len(images) // recipe.batch]:
                x, y = _augmented(images[chosen], generator), labels[chosen]
                if epsilon:
                    # Folded: the same function without dropout, and cheaper to attack.
                    x = pgd(_plain(model), x, y, epsilon, recipe.steps, recipe.step, generator)
                model.train()
                loss = functional.cross_entropy(model(x), y)
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_gradient)
                optimiser.step()
                schedule.step()
                total += float(loss.detach()) * len(chosen)
                advance()
            # Weights from before the full attack cannot be the best of an adversarial recipe.
            eligible = epsilon == recipe.epsilon
            measured = eligible and (number % recipe.validate_every == 0 or number == recipe.epochs)
            plain = _plain(model)
            clean, robust = _validate(plain, recipe, validation, seed) if measured else (float("nan"),) * 2
            epoch = Epoch(number, total / (steps // recipe.epochs * recipe.batch), clean, robust)
            log.append(epoch)
            report(epoch)
            mark = robust if recipe.adversarial else clean
            if measured and (best is None or mark > best[0]):
                best = (mark, epoch, plain.state_dict())
    assert best is not None, "the last epoch is always measured"
    return TrainingResult({key: value.contiguous() for key, value in best[2].items()}, best[1], tuple(log))


def _plain(model: nn.Module) -> nn.Module:
    """The network as it will be used: normalisation folded, eval mode, frozen."""
    return folded(model).requires_grad_(False).to(memory_format=torch.channels_last)


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


def _validate(model: nn.Module, recipe: Recipe, validation: Split, seed: int) -> tuple[float, float]:
    """Clean accuracy, and accuracy under PGD made for these very weights (NaN for naive recipes)."""
    generator = torch.Generator().manual_seed(seed + 2)
    clean, robust = 0, 0
    for start in range(0, len(validation), 100):
        images, labels = validation.batch(start, start + 100)
        with torch.no_grad():
            right = margins(gap(model(images)), labels) > 0
        clean += int(right.sum())
        if recipe.adversarial:
            moved = pgd(model, images, labels, recipe.epsilon, recipe.steps, recipe.step, generator)
            with torch.no_grad():
                robust += int((right & (margins(gap(model(moved)), labels) > 0)).sum())
    n = len(validation)
    return clean / n, robust / n if recipe.adversarial else float("nan")
