"""What image size, number of training images and training ε change: one thing varied at a time.

Every variant is trained by the same recipe over as many batches, chosen on the validation part at the headline ε, and
judged under PGD on images that nothing was chosen by. The weights are not kept: each is one command away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmark.data.split import LEVELS, Split
from benchmark.data.tracks import load_split, track_name
from benchmark.errors import DataError
from benchmark.evidence.variants import (
    BASE,
    CLEAN,
    EPSILONS,
    IMAGES,
    SIDES,
    Trained,
    Variant,
    read_trained,
    save_trained,
)
from benchmark.models import build
from benchmark.statistics import accuracy_interval
from benchmark.training.checkpoint import keeper_for
from benchmark.training.choosing import verdicts
from benchmark.training.command import Clock, identity
from benchmark.training.course import Epoch
from benchmark.training.log import as_line
from benchmark.training.recipe import Recipe, read_recipe
from benchmark.training.train import CPU, train

JUDGED = 1000  # images
JUDGED_AT = ("0.002", "0.004", "0.008")
STEPS, STEP = 20, 0.25  # of PGD; each step is STEP · ε
SEED = 15  # of its starts


def variants(seeds: int) -> tuple[Variant, ...]:
    """All of them: the base first, then one thing varied at a time; the first seed of all before the second of any."""
    found: dict[Variant, None] = {}
    for seed in range(seeds):
        base = replace(BASE, seed=seed)
        found[base] = None
        found |= dict.fromkeys(replace(base, side=side) for side in SIDES)
        found |= dict.fromkeys(replace(base, images=images) for images in IMAGES)
        found |= dict.fromkeys(replace(base, epsilon=epsilon) for epsilon in EPSILONS)
    return tuple(found)


def run_study(
    modality: str,
    recipe: str,
    architecture: str,
    seeds: int,
    path: Path,
    say: Callable[[str], None] = lambda line: None,
    track: str = "phantom",
    device: torch.device = CPU,
) -> Iterator[Trained]:
    """Train and judge every variant that the table does not hold yet; the table grows by one variant at a time.

    Args:
        recipe: a name, or the path of a TOML file, with an attack. seeds: trainings of each variant.
        path: of the table. say: told each epoch, and which variant is next. track: as in `load_split`.

    Yields:
        The rows of each variant, old and new, in the order of `variants`.

    Raises:
        DataError: a part cannot be used, the table is damaged or cannot be written. ProtocolError: the recipe cannot
            be used, or a training diverged. SubmissionError: the architecture cannot be trained.
    """
    chosen = read_recipe(recipe, modality)
    training, validation = (load_split(modality, track=track, part=part) for part in ("train", "validation"))
    judged = judging_part(modality, track)
    if len(training) < BASE.images:
        raise DataError(
            f"the study takes {BASE.images} training images, {training.name} has {len(training)}; prepare more"
        )
    held = list(read_trained(path))
    wanted = variants(seeds)
    for number, variant in enumerate(wanted, 1):
        parts = tuple(at_side(part, variant.side) for part in (training, validation, judged))
        own = varied(chosen, variant)
        told = identity(
            own, architecture, parts[0].first_patients(variant.images), parts[1], variant.seed, device
        )
        digest = _digest(told, parts[2])
        rows = [row for row in held if row.variant == variant and row.identity == digest]
        if not rows:
            say(f"variant {number} of {len(wanted)}: {described(variant)}")
            weights = _trained(own, architecture, parts, variant, told, track_name(track), device, say)
            rows = list(_judged(weights, architecture, parts[2], variant, own, digest, device))
            held = [row for row in held if row.variant != variant] + rows
            save_trained(held, path)
        yield from rows


def judging_part(modality: str, track: str) -> Split:
    """1,000 images that no weights are chosen by: of the phantom more of the same, elsewhere the test part."""
    part = "large" if track == "phantom" else "test"
    return load_split(modality, track=track, part=part).first_patients(JUDGED)


def described(variant: Variant) -> str:
    """In a reader's words."""
    return f"{variant.images} images of {variant.side} pixels, ε {variant.epsilon}, seed {variant.seed}"


def at_side(split: Split, side: int) -> Split:
    """The same field of view in `side` × `side` pixels: each the mean, weighted by a triangle, of what it covers.

    A split of that size is given back as it is.
    """
    if split.image_size == (side, side):
        return split
    images, _ = split.batch()
    small = torch.nn.functional.interpolate(images, (side, side), mode="bilinear", antialias=True)
    stored = (small.clamp(0, 1) * LEVELS).round().numpy().astype("uint16")
    return replace(split, images=stored, name=f"{split.name}-{side}px")


def varied(recipe: Recipe, variant: Variant) -> Recipe:
    """The recipe with the variant's ε in its last stage, and as many epochs as give the base's number of batches."""
    longer = BASE.images / variant.images

    def scaled(epochs: int) -> int:
        return round(epochs * longer)

    stages = recipe.attack.stages if recipe.attack else ()
    moved = [
        stage.model_copy(
            update={
                "epochs": scaled(stage.epochs),
                "ramp_epochs": scaled(stage.ramp_epochs),
                "epsilon": stage.epsilon * float(variant.epsilon) / float(BASE.epsilon),
            }
        )
        for stage in stages
    ]
    validation = recipe.validation.model_copy(update={"every": scaled(recipe.validation.every)})
    update: dict[str, Any] = {"naive_epochs": scaled(recipe.naive_epochs), "validation": validation}
    if recipe.attack:
        update["attack"] = recipe.attack.model_copy(update={"stages": tuple(moved)})
    if recipe.awp:
        update["awp"] = recipe.awp.model_copy(update={"warm_up_epochs": scaled(recipe.awp.warm_up_epochs)})
    return recipe.model_copy(update=update)


def _digest(told: Mapping[str, Any], judged: Split) -> str:
    whole = {**told, "judged images": judged.sha256, "PGD": [JUDGED_AT, STEPS, STEP, SEED]}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:12]


def _trained(
    recipe: Recipe,
    architecture: str,
    parts: tuple[Split, ...],
    variant: Variant,
    told: Mapping[str, Any],
    track: str,
    device: torch.device,
    say: Callable[[str], None],
) -> Mapping[str, torch.Tensor]:
    training, validation, _ = parts
    name = (
        f"{track}-{training.modality}-study-{recipe.name}-{variant.side}-{variant.images}-{variant.epsilon}"
    )
    keeper = keeper_for(f"{name}-seed{variant.seed}", told, say)

    training = training.first_patients(variant.images)
    clock = Clock(recipe, len(training), len(validation))

    def report(epoch: Epoch) -> None:
        say(as_line(epoch, recipe.epochs, clock.left(epoch)))

    result = train(
        architecture,
        recipe,
        training,
        validation,
        variant.seed,
        device,
        report=report,
        say=say,
        keeper=keeper,
    )
    keeper.remove()
    return result.weights


def _judged(
    weights: Mapping[str, torch.Tensor],
    architecture: str,
    judged: Split,
    variant: Variant,
    recipe: Recipe,
    digest: str,
    device: torch.device,
) -> Iterator[Trained]:
    from safetensors.torch import save

    model = build(architecture)
    model.load_state_dict(dict(weights))
    model = model.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
    sha256 = hashlib.sha256(save(dict(weights))).hexdigest()
    for epsilon in (CLEAN, *JUDGED_AT):
        asked = None if epsilon == CLEAN else float(epsilon)
        clean, robust = verdicts(model, judged, asked, STEPS, STEP, SEED, device)
        right = clean if robust is None else robust
        share = accuracy_interval(right, judged.labels, judged.patient_ids)
        yield Trained(
            variant,
            recipe.name,
            architecture,
            digest,
            sha256,
            judged.name,
            len(judged),
            judged.patients,
            epsilon,
            share.value,
            share.low,
            share.high,
        )
