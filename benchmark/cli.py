"""The command `oncorobust`. Each command calls one function; this file only reads and prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.errors import BenchmarkError
from benchmark.modality import MODALITIES
from benchmark.protocol import FULL_GRID, PROTOCOLS

if TYPE_CHECKING:
    from benchmark.evaluation.entry import Outcome

MODALITY = click.Choice([*MODALITIES, "all"])


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


PROTOCOL = click.Choice([*PROTOCOLS])
ENTRY_OPTIONS = (
    click.argument("submission"),
    click.option("--modality", type=MODALITY, default="all", show_default=True),
    click.option("--track", default="phantom", show_default=True, help="phantom, or a folder of images."),
    click.option("--protocol", type=PROTOCOL, default="standard", show_default=True),
    click.option("--device", default="auto", show_default=True),
)


def _entry_options(command: Any) -> Any:
    for option in reversed(ENTRY_OPTIONS):
        command = option(command)
    return command


@main.command()
@_entry_options
@click.option("--fresh", is_flag=True, help="Evaluate also where there is a current record.")
@click.option(
    "--full-grid", is_flag=True, help="Ask every image at every ε: the reference, many times dearer."
)
@click.option("--blocks", metavar="i/n", help="Compute the i-th of n shares of the blocks only; see merge.")
@click.option(
    "--attack-seeds", metavar="K", type=click.IntRange(2), help="Repeat with K seeds and tell the spread."
)
def evaluate(
    submission: str,
    modality: str,
    track: str,
    protocol: str,
    device: str,
    fresh: bool,
    full_grid: bool,
    blocks: str | None,
    attack_seeds: int | None,
) -> None:
    """Attack SUBMISSION with the whole battery and write its record, or verify the record it has.

    Finished blocks are kept, so an interrupted evaluation goes on where it stopped.

    Example: oncorobust evaluate vgg16-slim-naive --modality ct --protocol quick
    """
    from benchmark.evaluation.entry import run_entry, run_share

    asked = protocol + FULL_GRID if full_grid else protocol
    if blocks:
        for name, each in _entries(submission, modality, track):
            finished, of, failures = run_share(name, each, track, asked, blocks, device)
            click.echo(f"{name} · {each}: {finished} of {of} blocks are finished")
            for failure in failures:
                click.echo(f"  block {failure.block} failed: {failure.reason}", err=True)
        return
    if attack_seeds:
        from benchmark.evaluation.seeds import run_seeds

        for name, each in _entries(submission, modality, track):
            for line in run_seeds(name, each, track, asked, attack_seeds, device):
                click.echo(line)
        return
    _tell(
        [
            run_entry(name, each, track, asked, fresh, device)
            for name, each in _entries(submission, modality, track)
        ]
    )


@main.command()
@_entry_options
def merge(submission: str, modality: str, track: str, protocol: str, device: str) -> None:
    """Write the record of SUBMISSION from blocks that `evaluate --blocks i/n` computed, on this or other machines.

    All share one cache folder (ONCOROBUST_CACHE). Refused while blocks are missing.

    Example: oncorobust merge vgg16-slim-naive --modality ct --protocol quick
    """
    from benchmark.evaluation.entry import run_merge

    _tell(
        [
            run_merge(name, each, track, protocol, device)
            for name, each in _entries(submission, modality, track)
        ]
    )


def _entries(submission: str, modality: str, track: str) -> list[tuple[str, str]]:
    from benchmark.evaluation.entry import entries

    found = entries(modality, track, submission)
    if not found:
        raise BenchmarkError(f"submission {submission!r} has no weights for modality {modality!r}")
    return found


def _tell(outcomes: list[Outcome]) -> None:
    from benchmark.evaluation.entry import costs
    from leaderboard.terminal import render_text

    seconds, passes = costs(outcomes)
    click.echo(render_text([outcome.record for outcome in outcomes], seconds, passes))
    for outcome in outcomes:
        click.echo(f"{'verified' if outcome.verification else 'wrote'} {outcome.path}")


@main.command()
@click.argument("submission")
@click.argument("attack")
@click.option("--modality", type=MODALITY, default="all", show_default=True)
@click.option("--track", default="phantom", show_default=True, help="phantom, or a folder of images.")
@click.option(
    "--epsilon", "epsilons", multiple=True, default=("0.004",), show_default=True, help="May be repeated."
)
@click.option("--starts", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the attack; may be repeated.",
)
@click.option("--device", default="auto", show_default=True)
def attack(
    submission: str,
    attack: str,
    modality: str,
    track: str,
    epsilons: tuple[str, ...],
    starts: int,
    settings: tuple[str, ...],
    device: str,
) -> None:
    """Try one L∞ ATTACK of torchattacks, by its name there, on SUBMISSION: outside the protocols, judged like any other.

    Example: oncorobust attack vgg16-slim-naive VMIFGSM --modality ct --set steps=5
    """
    from benchmark.attacks.battery import named
    from benchmark.evaluation.entry import run_attack

    spec = named(attack, starts, **dict(_setting(text) for text in settings))
    for name, each in _entries(submission, modality, track):
        record = run_attack(spec, name, each, track, epsilons, device)
        click.echo(f"{record.submission} · {each}: clean {record.clean_accuracy:.3f}")
        for epsilon in record.epsilons:
            click.echo(f"  {attack} ε = {epsilon}: {record.robust_accuracy(epsilon):.3f} robust")


def _setting(text: str) -> tuple[str, Any]:
    import ast

    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


@main.command()
def status() -> None:
    """What the cache holds: unfinished evaluations, adversarial images, drawn splits.

    Example: oncorobust status
    """
    from benchmark.evaluation.housekeeping import lines

    for line in lines():
        click.echo(line)


@main.command()
@click.argument("kinds", nargs=-1, required=True)
def clean(kinds: tuple[str, ...]) -> None:
    """Remove KINDS of things from the cache: blocks, adversarial, layouts, phantom. Records are never touched.

    Example: oncorobust clean blocks adversarial
    """
    from benchmark.evaluation import housekeeping

    for kind in kinds:
        click.echo(f"{kind}: {housekeeping.clean(kind):.1f} MB removed")


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


@main.group()
def data() -> None:
    """Splits: what they hold, and how far shortcuts get on them."""


@data.command("audit")
@click.option("--modality", type=MODALITY, default="all", show_default=True)
@click.option("--part", type=click.Choice(["train", "validation", "test"]), default="test", show_default=True)
def audit_command(modality: str, part: str) -> None:
    """Print the shortcut baselines of the phantom track: single numbers (AUC) and a logistic regression on pixels.

    Example: oncorobust data audit --modality ct
    """
    from benchmark.data.audit import audit
    from benchmark.data.tracks import load_split

    for name in MODALITIES if modality == "all" else [modality]:
        result = audit(
            load_split(name, part=part), load_split(name, part="train") if part != "train" else None
        )
        click.echo(
            f"{name} {part}: {result.images} images of {result.patients} patients, {result.positives} with disease"
        )
        if result.pixel_logistic is not None:
            click.echo(f"  logistic regression on pixels   accuracy {result.pixel_logistic:.3f}")
        for key, value in sorted(result.shortcuts.items(), key=lambda item: -item[1]):
            click.echo(f"  {key:31} AUC {value:.3f}")


@data.command("draw-test")
@click.argument("modality", type=click.Choice(list(MODALITIES)))
def draw_test(modality: str) -> None:
    """Draw the phantom test part of a new generator version, once, from a seed nobody has used.

    Example: oncorobust data draw-test ct
    """
    from benchmark.data.phantom import draw_test_part
    from benchmark.data.split import Split

    path = draw_test_part(modality)
    click.echo(f"wrote {path}\nsha256 of the split {Split.load(path).sha256}")
