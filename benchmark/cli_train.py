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
    help="Weights are the same every time on one of them.",
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


@click.command()
@click.option("--modality", type=click.Choice(list(MODALITIES)), default="ct", show_default=True)
@click.option("--recipe", default="n-fgsm", show_default=True, help="As of `oncorobust train`.")
@click.option("--architecture", default="vgg16-slim", show_default=True)
@click.option(
    "--track", default="phantom", show_default=True, help="phantom, clinical, or a folder with all parts."
)
@click.option(
    "--seeds", type=click.IntRange(1, 20), default=1, show_default=True, help="Trainings of each variant."
)
@click.option("--device", type=click.Choice(["cpu", "cuda", "auto"]), default="cpu", show_default=True)
def study(modality: str, recipe: str, architecture: str, track: str, seeds: int, device: str) -> None:
    """Train at other image sizes, on fewer images, against other ε, and say what each of them changes.

    Nine trainings for each seed. What has been trained is kept, so an interrupted run goes on where it stopped; the
    page draws the table beside the records.

    Example: oncorobust study --modality ct --seeds 3
    """
    from benchmark.data.tracks import is_private, track_name
    from benchmark.evaluation.engine import choose_device
    from benchmark.evidence.variants import NAME
    from benchmark.folders import results_folder
    from benchmark.training.study import described, run_study

    path = results_folder(track_name(track), is_private(track)) / modality / NAME
    rows = run_study(modality, recipe, architecture, seeds, path, click.echo, track, choose_device(device))
    for row in rows:
        at = "clean" if row.attacked_at == "0" else f"at ε = {row.attacked_at}"
        interval = (
            "" if row.low is None or row.high is None else f" ({100 * row.low:.1f}–{100 * row.high:.1f})"
        )
        click.echo(f"{described(row.variant)}: {100 * row.accuracy:.1f} %{interval} {at}")
    click.echo(f"wrote {path}")
