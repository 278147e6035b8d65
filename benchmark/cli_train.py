"""The command `oncorobust train`."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.modality import MODALITIES


@click.command()
@click.option("--modality", type=click.Choice(list(MODALITIES)), required=True)
@click.option(
    "--recipe", required=True, help="A recipe of benchmark/training/recipes, or the path of a .toml file."
)
@click.option("--architecture", default="vgg16-slim", show_default=True)
@click.option(
    "--track", default="phantom", show_default=True, help="phantom, clinical, or a folder with both parts."
)
@click.option("--seed", default=0, show_default=True, help="Of initialisation, order and attack.")
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda", "auto"]),
    default="cpu",
    show_default=True,
    help="Weights are the same every time on one kind of device.",
)
@click.option("--fresh", is_flag=True, help="Begin anew where an earlier run was interrupted.")
@click.option(
    "--half",
    is_flag=True,
    help="Write the weights in float16, half the bytes; the accuracies told are then those of the rounded weights.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder for the weights and the log."
)
def train(
    modality: str,
    recipe: str,
    architecture: str,
    track: str,
    seed: int,
    device: str,
    fresh: bool,
    half: bool,
    out: Path,
) -> None:
    """Train an architecture on a track's train part; the test part is never read.

    Writes OUT/MODALITY.safetensors, its log as .log.csv and .log.svg, and prints the checksum for submission.toml.
    A run that was killed goes on after its last epoch when the same command is given again.

    Example: oncorobust train --modality ct --recipe naive --out submissions/vgg16-slim-naive
    """
    from benchmark.training.command import train_to_files

    for line in train_to_files(
        modality, recipe, architecture, seed, out, click.echo, track, device, fresh, half
    ):
        click.echo(line)
