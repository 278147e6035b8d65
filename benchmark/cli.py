"""The command `oncorobust`. Each command calls one function; this file only reads and prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from benchmark.cli_bench import bench
from benchmark.cli_data import data
from benchmark.cli_evaluate import again, attack, clean, evaluate, merge, status
from benchmark.cli_evidence import external, transfer
from benchmark.cli_paper import paper
from benchmark.errors import BenchmarkError
from benchmark.modality import MODALITIES


class _Sentences(click.Group):
    """Errors that someone can mend are printed as their sentence, with exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BenchmarkError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            click.echo("interrupted; finished blocks are kept, the same command goes on from there", err=True)
            sys.exit(130)


@click.group(cls=_Sentences, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="oncorobust")
def main() -> None:
    """Can a deep model of oncologic images be trusted when pixels move a little?"""


@main.command()
@click.argument("submission")
def check(submission: str) -> None:
    """Check that SUBMISSION keeps the contract, for every modality it brings.

    Example: oncorobust check vgg16-slim-naive
    """
    from benchmark.contract import check_submission

    for line in check_submission(submission):
        click.echo(line)


@main.command()
@click.option("--modality", type=click.Choice(list(MODALITIES)), required=True)
@click.option("--recipe", required=True, help="A recipe of benchmark/training/recipes.")
@click.option("--architecture", default="vgg16-slim", show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder for the weights and the log."
)
def train(modality: str, recipe: str, architecture: str, seed: int, out: Path) -> None:
    """Train an architecture on the phantom track's train part; the test part is never read.

    Writes OUT/MODALITY.safetensors and OUT/MODALITY.log.csv and prints the checksum for submission.toml.

    Example: oncorobust train --modality ct --recipe naive --out submissions/vgg16-slim-naive
    """
    from benchmark.training.command import train_to_files

    for line in train_to_files(modality, recipe, architecture, seed, out, click.echo):
        click.echo(line)


@main.command()
@click.option("--out", type=click.Path(path_type=Path), help="Where to build; leaderboard/site by default.")
def leaderboard(out: Path | None) -> None:
    """Build the static page from the committed records.

    Example: oncorobust leaderboard
    """
    from benchmark.folders import results_folder, site_folder
    from leaderboard.build import build

    click.echo(f"built {build(results_folder('phantom').parent, out or site_folder())}")


for command in (evaluate, again, merge, attack, external, transfer, paper, bench, status, clean, data):
    main.add_command(command)
