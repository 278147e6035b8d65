"""The commands of one who enters a model: new-submission, convert, package, schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from benchmark.cli_evaluate import ISOLATION
from benchmark.cli_json import SUBMISSION, facts
from benchmark.errors import SubmissionError
from benchmark.modality import MODALITIES

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("new-submission")
@click.argument("name")
@click.option("--architecture", help="A name of submissions/README.md; vgg16-slim unless given.")
@click.option("--from-timm", metavar="NAME", help="Short for --architecture timm:NAME.")
@click.option("--code", is_flag=True, help="Bring model.py instead of an architecture's name.")
@click.option(
    "--option", "options", multiple=True, metavar="KEY=VALUE", help="Of the architecture; may be given again."
)
@click.option(
    "--modality", "modalities", type=click.Choice(list(MODALITIES)), multiple=True, help="All unless given."
)
@click.option(
    "--weights",
    multiple=True,
    metavar="MODALITY=FILE",
    help="Trained weights, safetensors; fresh ones unless given.",
)
@click.option("--title", default="", help="As the page shall call it.")
@click.option("--author", "authors", multiple=True, help="May be given again.")
@click.option("--licence", default="Apache-2.0", show_default=True, help="Of the weights.")
@ISOLATION
def new_submission(
    name: str,
    architecture: str | None,
    from_timm: str | None,
    code: bool,
    options: tuple[str, ...],
    modalities: tuple[str, ...],
    weights: tuple[str, ...],
    title: str,
    authors: tuple[str, ...],
    licence: str,
    isolation: str,
) -> None:
    """Write a folder for a new entry, NAME, that passes `check` as it is.

    Weights that are too large for the repository are put into the cache, with an address to fill in.

    Example: oncorobust new-submission my-resnet --from-timm resnet18 --option channels=[16,32,64,128]
    """
    from benchmark.entering.draft import Draft
    from benchmark.entering.draft import new_submission as write
    from benchmark.folders import submissions_folder

    ways = {"--architecture": architecture, "--from-timm": from_timm, "--code": code}
    if len(given := [way for way, value in ways.items() if value]) > 1:
        raise click.UsageError(f"{' and '.join(given)} exclude each other; the network is one of them")
    if code and (extra := [way for way, value in (("--option", options), ("--weights", weights)) if value]):
        raise click.UsageError(
            f"{' and '.join(extra)} go with an architecture by name; with --code write your network into model.py first, "
            "then put its safetensors into the folder and name them in [[weights]]"
        )
    brought = dict(_pair(text, "--weights", "ct=weights.safetensors") for text in weights)
    if unknown := sorted(brought.keys() - set(MODALITIES)):
        raise SubmissionError(f"--weights of {unknown[0]!r}; expected one of {', '.join(MODALITIES)}")
    asked = {key: _value(value) for key, value in (_pair(text, "--option", "in_chans=1") for text in options)}
    chosen = f"timm:{from_timm}" if from_timm else architecture or "vgg16-slim"
    if chosen.startswith("timm:"):
        asked = {"in_chans": 1, **asked}
    draft = Draft(
        name,
        "" if code else chosen,
        {} if code else asked,
        modalities or tuple(brought) or tuple(MODALITIES),
        {modality: Path(file) for modality, file in brought.items()},
        title,
        authors,
        licence,
        isolation,
    )
    for line in write(draft):
        click.echo(line)
    facts(folder=str(submissions_folder() / name))


@click.command()
@click.argument("checkpoint", type=FILE)
@click.option("--out", type=FILE, help="The file to write; beside the checkpoint unless given.")
@click.option("--key", default="", help="Where the weights lie in a checkpoint that holds more.")
@click.option(
    "--half", is_flag=True, help="Write float16, half the bytes; computed with in float32 all the same."
)
def convert(checkpoint: Path, out: Path | None, key: str, half: bool) -> None:
    """Make safetensors of the weights in CHECKPOINT, which torch.save wrote. None of its code runs.

    Example: oncorobust convert checkpoint.pt --out ct.safetensors
    """
    from benchmark.entering.convert import convert as make

    done = make(checkpoint, out or checkpoint.with_suffix(".safetensors"), key, half)
    facts(path=str(done.path), sha256=done.sha256, parameters=done.parameters)
    if done.taken_from:
        click.echo(f"taken from {done.taken_from!r} of the checkpoint")
    if done.stripped:
        click.echo(f"without {', '.join(done.stripped)} before every name")
    click.echo(f"wrote {done.path}: {done.tensors} tensors, {done.parameters:,} numbers")
    click.echo(f'sha256 = ["{done.sha256}"]')


@click.command()
@SUBMISSION
@ISOLATION
def package(submission: str, isolation: str) -> None:
    """Say what of SUBMISSION goes into a pull request, after checking it as the pull request will be.

    Example: oncorobust package vgg16-slim-naive
    """
    from benchmark.entering.parcel import parcel, parcel_lines

    found = parcel(submission, isolation)
    facts(
        files=[str(path) for path, _ in found.files],
        bytes=sum(size for _, size in found.files),
        uploads=[each.url for each in found.uploads],
    )
    for line in parcel_lines(found):
        click.echo(line)


@click.command()
@click.option("--out", type=FILE, help="The file to write, instead of printing it.")
def schema(out: Path | None) -> None:
    """Print the JSON schema of submission.toml, for editors and for programs that write one.

    Example: oncorobust schema
    """
    from benchmark.entering.draft import schema_text
    from benchmark.files import replace_file

    if out:
        replace_file(out, schema_text().encode())
        click.echo(f"wrote {out}")
    else:
        click.echo(schema_text(), nl=False)


def _pair(text: str, option: str, example: str) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if not (key and found and value):
        raise SubmissionError(f"{option} {text!r} is no pair; expected something like {option} {example}")
    return key, value


def _value(text: str) -> Any:
    """A number, a list, true or false as TOML has them; anything else is a word."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
