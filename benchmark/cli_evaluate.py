"""The commands about evaluations: evaluate, again, merge, and what they leave in the cache: status, clean."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli_cluster import all_options, cluster_options, crew_of, run_all_entries, with_options
from benchmark.cli_json import SUBMISSION, facts, plain_outcome
from benchmark.errors import BenchmarkError
from benchmark.isolation.choices import CHOICES
from benchmark.modality import MODALITIES
from benchmark.protocol import FULL_GRID, PROTOCOLS

if TYPE_CHECKING:
    from benchmark.evaluation.entry import Outcome

RAN_BY = click.option(
    "--ran-by",
    default="",
    envvar="ONCOROBUST_RAN_BY",
    metavar="NAME",
    help="Who runs this; kept beside the record and shown on the page. Or set ONCOROBUST_RAN_BY.",
)
ISOLATION = click.option(
    "--isolation",
    type=click.Choice(CHOICES),
    default="auto",
    show_default=True,
    help="Of an entry's own code: auto refuses where no sandbox works; none is for your own code, unverified, not ranked.",
)
MODALITY = click.Choice([*MODALITIES, "all"])
ENTRY_OPTIONS = (
    SUBMISSION,
    click.option("--modality", type=MODALITY, default="all", show_default=True),
    click.option("--track", default="phantom", show_default=True, help="phantom, or a folder of images."),
    click.option("--protocol", type=click.Choice(list(PROTOCOLS)), default="standard", show_default=True),
    click.option(
        "--full-grid", is_flag=True, help="Ask every image at every ε: the reference, many times dearer."
    ),
    click.option("--device", default="auto", show_default=True),
)


_entry_options = with_options(ENTRY_OPTIONS)


@click.command()
@click.argument("submission", required=False)
@with_options(ENTRY_OPTIONS[1:])
@all_options
@click.option("--fresh", is_flag=True, help="Evaluate also where there is a current record.")
@click.option("--blocks", metavar="i/n", help="Only compute the i-th of n shares of the blocks; see merge.")
@click.option(
    "--attack-seeds", metavar="K", type=click.IntRange(2), help="Only tell the spread over K seeds."
)
@RAN_BY
@ISOLATION
@click.option(
    "--second-opinion", is_flag=True, help="Then let AutoAttack by its authors try what still stands."
)
@cluster_options
def evaluate(
    submission: str | None,
    modality: str,
    track: str,
    protocol: str,
    full_grid: bool,
    device: str,
    fresh: bool,
    blocks: str | None,
    attack_seeds: int | None,
    ran_by: str,
    isolation: str,
    second_opinion: bool,
    cluster: str | None,
    certificates: Path | None,
    block_limit: float,
    everything: bool,
    budget: float | None,
    summary: bool,
) -> None:
    """Attack SUBMISSION with the whole battery and write its record, or verify the record it has.

    Finished blocks are kept, so an interrupted evaluation goes on where it stopped.

    Example: oncorobust evaluate vgg16-slim-naive --modality ct --protocol quick
    """
    asked = protocol + FULL_GRID if full_grid else protocol
    if everything or submission is None:
        if submission or not everything:
            raise click.UsageError("name one SUBMISSION, or --all of them")
        from benchmark.cluster.farm import Farm

        farm = Farm(modality, track, asked, device, isolation, ran_by)
        run_all_entries(farm, cluster, certificates, block_limit, budget, summary)
        return
    if budget or summary:
        raise click.UsageError("--budget and --summary go with --all")
    if cluster and (blocks or attack_seeds):
        raise click.UsageError("--cluster computes a whole evaluation; leave out --blocks and --attack-seeds")
    entries = entries_of(submission, modality, track)
    if blocks:
        _compute_share(entries, track, asked, blocks, device, isolation)
    elif attack_seeds:
        _tell_spread(entries, track, asked, attack_seeds, device)
    else:
        from benchmark.evaluation.entry import run_entry

        with crew_of(cluster, certificates, block_limit, device) as crew:

            def run(name: str, each: str) -> Outcome:
                return run_entry(
                    name, each, track, asked, fresh, device, ran_by=ran_by, isolation=isolation, crew=crew
                )

            _tell([run(*entry) for entry in entries])
    if second_opinion:
        from benchmark.evaluation.evidence import ask_second_opinion

        for name, each in entries:
            for line in ask_second_opinion(name, each, track, asked, device):
                click.echo(line)


def _compute_share(
    entries: list[tuple[str, str]], track: str, protocol: str, share: str, device: str, isolation: str
) -> None:
    from benchmark.evaluation.entry import run_share

    failed = 0
    for name, each in entries:
        finished, of, failures = run_share(name, each, track, protocol, share, device, isolation)
        failed += len(failures)
        click.echo(f"{name} · {each}: {finished} of {of} blocks are finished")
        for failure in failures:
            click.echo(f"  block {failure.block} failed: {failure.reason}", err=True)
    if failed:
        sys.exit(2)


def _tell_spread(entries: list[tuple[str, str]], track: str, protocol: str, seeds: int, device: str) -> None:
    from benchmark.evaluation.seeds import run_seeds

    for name, each in entries:
        for line in run_seeds(name, each, track, protocol, seeds, device):
            click.echo(line)


@click.command()
@_entry_options
@RAN_BY
def again(
    submission: str, modality: str, track: str, protocol: str, full_grid: bool, device: str, ran_by: str
) -> None:
    """Evaluate SUBMISSION from nothing and say beside its record whether the same verdicts came out.

    The record stays. The page tells who made it, and whether a maintainer has evaluated it anew.

    Example: oncorobust again vgg16-slim-naive --modality ct --ran-by 'A. Reader, St. Elsewhere'
    """
    from benchmark.evaluation.again import run_again

    asked = protocol + FULL_GRID if full_grid else protocol
    for name, each in entries_of(submission, modality, track):
        for line in run_again(name, each, track, ran_by, asked, device):
            click.echo(line)


@click.command()
@_entry_options
@RAN_BY
@ISOLATION
def merge(
    submission: str,
    modality: str,
    track: str,
    protocol: str,
    full_grid: bool,
    device: str,
    ran_by: str,
    isolation: str,
) -> None:
    """Write the record of SUBMISSION from blocks that `evaluate --blocks i/n` computed, on this or other machines.

    All share one cache folder (ONCOROBUST_CACHE). Refused while blocks are missing.

    Example: oncorobust merge vgg16-slim-naive --modality ct --protocol quick
    """
    from benchmark.evaluation.entry import run_merge

    asked = protocol + FULL_GRID if full_grid else protocol
    entries = entries_of(submission, modality, track)
    _tell([run_merge(name, each, track, asked, device, ran_by, isolation) for name, each in entries])


def entries_of(submission: str, modality: str, track: str) -> list[tuple[str, str]]:
    """Name and modality of what a command is asked for. Raises: BenchmarkError if that is nothing."""
    from benchmark.evaluation.entry import entries

    found = entries(modality, track, submission)
    if not found:
        raise BenchmarkError(
            f"submission {submission!r} has no weights for modality {modality!r}; choose one it has, or add [[weights]] "
            "to its submission.toml"
        )
    return found


def _tell(outcomes: list[Outcome]) -> None:
    from benchmark.cluster.forecast import compared
    from benchmark.evaluation.entry import costs
    from leaderboard.terminal import render_text

    seconds, passes = costs(outcomes)
    click.echo(render_text([outcome.record for outcome in outcomes], seconds, passes))
    facts(records=[plain_outcome(outcome) for outcome in outcomes])
    for outcome in outcomes:
        click.echo(f"{'verified' if outcome.verification else 'wrote'} {outcome.path}")
        for claim in outcome.claims:
            click.echo(f"  {outcome.record.submission} · {outcome.record.modality}: {claim.sentence}")
        for line in compared(outcome):
            click.echo(line)


@click.command()
def status() -> None:
    """What the cache holds: unfinished evaluations, adversarial images, drawn splits.

    Example: oncorobust status
    """
    from benchmark.evaluation.housekeeping import lines

    for line in lines():
        click.echo(line)


@click.command()
@click.argument("kinds", nargs=-1, required=True)
def clean(kinds: tuple[str, ...]) -> None:
    """Remove KINDS of things from the cache; `oncorobust status` names them. Records are never touched.

    Example: oncorobust clean blocks adversarial
    """
    from benchmark.evaluation import housekeeping

    for kind in kinds:
        click.echo(f"{kind}: {housekeeping.clean(kind):.1f} MB removed")
