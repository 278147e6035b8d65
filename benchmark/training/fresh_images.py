"""How trained entries do on about 1,000 images that none of them was trained on, chosen by or ranked on."""

from __future__ import annotations

import click
import torch

from benchmark.allocator import keep_freed_memory
from benchmark.data.split import Split
from benchmark.kernels import fix_kernels
from benchmark.modality import MODALITIES
from benchmark.protocol import get_protocol
from benchmark.submission import load_submission
from benchmark.training.choosing import verdicts
from benchmark.training.study import SEED, STEP, STEPS, judging_part
from benchmark.training.train import CPU


def accuracy_of(submission: str, judged: Split, epsilon: str) -> tuple[float, float]:
    """Clean accuracy, and accuracy under PGD with the true labels, as the study's variants are judged."""
    model = load_submission(submission, judged.modality, judged.track).to(memory_format=torch.channels_last)
    clean, robust = verdicts(model, judged, float(epsilon), STEPS, STEP, SEED, CPU)
    assert robust is not None, "asked for at an ε"
    return float(clean.mean()), float(robust.mean())


@click.command()
@click.argument("submissions", nargs=-1, required=True)
@click.option("--modality", type=click.Choice(list(MODALITIES)), default="ct", show_default=True)
def main(submissions: tuple[str, ...], modality: str) -> None:
    """Print the accuracy of SUBMISSIONS on the phantom's images beyond its parts, and how it differs from the first's.

    Example: python -m benchmark.training.fresh_images vgg16-slim-pgd-at vgg16-slim-n-fgsm
    """
    keep_freed_memory()
    judged, epsilon = judging_part(modality, "phantom"), get_protocol("standard").headline
    before: float | None = None
    for submission in submissions:
        clean, robust = accuracy_of(submission, judged, epsilon)
        before = robust if before is None else before
        click.echo(
            f"{submission} on {len(judged)} images of {judged.name}: clean {clean:.3f}, "
            f"PGD-{STEPS} at {epsilon} {robust:.3f} ({robust - before:+.3f})"
        )


if __name__ == "__main__":
    fix_kernels()
    main()
