"""How near a training comes to the bare passes it cannot do without, both measured in turn in one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import click
import torch

from benchmark.attacks.two_class import gap
from benchmark.data.tracks import load_split
from benchmark.modality import MODALITIES
from benchmark.models import build
from benchmark.training.batch_norm import normalised, plain
from benchmark.training.course import Course
from benchmark.training.effort import attack_passes, lesson_passes
from benchmark.training.objective import cross_entropy
from benchmark.training.randomness import reproducible
from benchmark.training.recipe import Recipe, read_recipe
from benchmark.training.train import learn

CPU = torch.device("cpu")


def seconds_of(work: Callable[[], object]) -> float:
    """Of this thread's processor, which other programs do not lengthen by waiting."""
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


def measured(recipe: Recipe, architecture: str, modality: str, batches: int) -> tuple[float, float, int]:
    """Median seconds of a batch of the last epoch, of its bare passes, and images forward in a batch.

    Bare are the passes of the folded network for the gradient of its input, as many as the attack makes, and those
    of the network in training for the gradient of its weights, as many as the loss takes. There is no folding, start,
    step, projection, flip, clipping, optimiser or average in them.
    """
    with reproducible(0, CPU):
        model = build(architecture)
        if recipe.batch_norm:
            model = normalised(model)
        model = model.to(memory_format=torch.channels_last)
        images, labels = load_split(modality, part="train").batch(0, recipe.batch)
        course = Course(model, recipe, 10 * batches + 10, 0, CPU)
        last = recipe.epochs
        attack, lesson = attack_passes(recipe, last), lesson_passes(recipe, last)
        frozen = plain(model)

        def bare() -> None:
            for number in range(attack.forward):
                asked = images.clone().requires_grad_(number < attack.backward)
                gaps = gap(frozen(asked))
                if number < attack.backward:
                    torch.autograd.grad(gaps.sum(), asked)
            model.train()
            for _ in range(lesson.forward):
                model.zero_grad()
                cross_entropy(model, images, labels).backward()

        def whole() -> None:
            learn(course, recipe, last, images, labels)

        for work in (bare, whole):
            work()
        # In turn, so that a change of the machine's pace meets both alike.
        pairs = [(seconds_of(whole), seconds_of(bare)) for _ in range(batches)]
    return median(p[0] for p in pairs), median(p[1] for p in pairs), attack.forward + lesson.forward


@click.command()
@click.argument("recipe", default="pgd-at")
@click.option("--modality", type=click.Choice(list(MODALITIES)), default="ct", show_default=True)
@click.option("--architecture", default="vgg16-slim", show_default=True)
@click.option("--batches", type=click.IntRange(3), default=15, show_default=True)
def main(recipe: str, modality: str, architecture: str, batches: int) -> None:
    """Print the pace of a training by RECIPE and of its bare forward and backward passes, on one thread.

    Example: python -m benchmark.training.speed pgd-at
    """
    chosen = read_recipe(recipe, modality)
    whole, bare, passes = measured(chosen, architecture, modality, batches)
    images = passes * chosen.batch
    click.echo(
        f"{chosen.name} on {modality}, {architecture}, one thread: {images / whole:.0f} images forward a second, "
        f"bare passes {images / bare:.0f}: {bare / whole:.1%} of the bare rate"
    )


if __name__ == "__main__":
    main()
