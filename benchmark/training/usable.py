"""What is refused before minutes are spent: parts that share patients or hold one class, networks that cannot be trained."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import nn

from benchmark.data.split import Split
from benchmark.errors import DataError, SubmissionError
from benchmark.evaluation.judge import judged_gaps
from benchmark.training.recipe import Recipe


def require_usable(recipe: Recipe, training: Split, validation: Split) -> None:
    """Patients of one part only, two classes in each, enough images for a batch.

    The audit that a prepared split carries speaks of the test part too, which is never read here.

    Raises:
        DataError: every complaint.
    """
    wrong = list(_complaints(recipe, training, validation))
    if wrong:
        raise DataError(f"{training.name} and {validation.name} cannot be trained on: " + "; ".join(wrong))


def _complaints(recipe: Recipe, training: Split, validation: Split) -> Iterator[str]:
    both = len(set(training.patient_ids) & set(validation.patient_ids))
    if both:
        yield f"{both} patients are in the train and the validation part; split by patient"
    for split, part in ((training, "train"), (validation, "validation")):
        for other, found in sorted(split.notes.get("audit", {}).get("overlap", {}).items()):
            if found.get("patients") and not (both and {part, other} == {"train", "validation"}):
                yield f"its audit found {found['patients']} patients in the {part} and the {other} part; split by patient"
        classes = np.unique(split.labels).tolist()
        if len(classes) < 2:
            yield f"the {part} part holds images of class {classes[0]} alone; give it both classes"
    if training.image_size != validation.image_size or training.modality != validation.modality:
        yield (
            f"the train part is {training.modality} at {training.image_size}, the validation part "
            f"{validation.modality} at {validation.image_size}; prepare both alike"
        )
    if len(training) < recipe.batch:
        yield f"a batch of {recipe.batch} is more than the {len(training)} training images; lower batch in the recipe"


def require_trainable(model: nn.Module, architecture: str, training: Split) -> None:
    """One look at two images, before any of them is learnt from.

    Raises:
        SubmissionError: the network raises on (N, 1, H, W), gives no one or two finite logits, or has no weights.
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise SubmissionError(f"architecture {architecture!r} has no weights to train; name another one")
    was = [(layer, layer.training) for layer in model.modules()]
    images, _ = training.batch(0, 2)
    try:
        judged_gaps(model.eval(), images, 2)
    except SubmissionError as error:
        raise SubmissionError(f"architecture {architecture!r} cannot be trained here: {error}") from None
    for layer, flag in was:
        layer.training = flag


def guard_images(training: Split, count: int) -> Split:
    """`count` images spread evenly over the train part: always the same, so that a fall is the network's."""
    rows = np.unique(np.linspace(0, len(training) - 1, min(count, len(training))).astype(int))
    return training.chosen(rows.tolist())
