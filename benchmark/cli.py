"""The command `oncorobust`. Each command calls one function; this file only reads and prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from benchmark.cli_attack import attack
from benchmark.cli_bench import bench
from benchmark.cli_cluster import cluster, plan, slurm
from benchmark.cli_data import data
from benchmark.cli_enter import convert, new_submission, package, schema
from benchmark.cli_evaluate import ISOLATION, again, clean, evaluate, merge, status
from benchmark.cli_evidence import external, show_images, trainings, transfer, verify
from benchmark.cli_export import export, methods
from benchmark.cli_json import EXIT_CODES, INTERRUPTED, SUBMISSION, Answering, facts, with_json
from benchmark.cli_paper import paper
from benchmark.cli_train import study, train
from benchmark.errors import BenchmarkError
from benchmark.kernels import fix_kernels


class _Sentences(Answering):
    """Errors that someone can mend are printed as their sentence, with exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BenchmarkError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            click.echo(INTERRUPTED, err=True)
            sys.exit(130)


@click.group(cls=_Sentences, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(package_name="oncorobust")
def main() -> None:
    """Can a deep model of oncologic images be trusted when pixels move a little?"""
    fix_kernels()


@main.command()
@SUBMISSION
@click.option("--track", help="Also try the validation part of this track: are the classes swapped?")
@ISOLATION
def check(submission: str, track: str | None, isolation: str) -> None:
    """Check that SUBMISSION keeps the contract, for every modality it brings: its files, and how its model behaves.

    A new entry is also held to what the gate of a pull request lets through.

    Example: oncorobust check vgg16-slim-naive
    """
    from benchmark.entering.checked import check_entry

    for line in check_entry(submission, track, isolation):
        click.echo(line)


@main.command()
@click.option("--out", type=click.Path(path_type=Path), help="Where to build; leaderboard/site by default.")
@click.option("--serve", is_flag=True, help="Then show it at an address of this machine, until Ctrl-C.")
@click.option("--port", default=8000, show_default=True, help="Of that address; 0 takes any that is free.")
def leaderboard(out: Path | None, serve: bool, port: int) -> None:
    """Build the static site from the committed records.

    Example: oncorobust leaderboard --serve
    """
    from benchmark.folders import results_folder, site_folder
    from leaderboard.build import build
    from leaderboard.serve import serving, wait

    index = build(results_folder("phantom").parent, out or site_folder())
    facts(page=str(index))
    click.echo(f"built {index}")
    if serve:
        with serving(index.parent, port) as server:
            click.echo(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)")
            wait()


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete commands, options and names of entries at a press of Tab.

    For instance, in ~/.bashrc: eval "$(oncorobust completion bash)"

    Example: oncorobust completion bash
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(main, {}, "oncorobust", "_ONCOROBUST_COMPLETE").source())


for command in (
    new_submission,
    convert,
    package,
    schema,
    evaluate,
    verify,
    again,
    merge,
    attack,
    external,
    transfer,
    trainings,
    show_images,
    paper,
    export,
    methods,
    bench,
    cluster,
    slurm,
    plan,
    status,
    clean,
    data,
    train,
    study,
):
    main.add_command(command)
with_json(main)
