"""`python -P -m benchmark.forge …`: what the jobs of `.github/workflows/` call. Each command calls one function."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from benchmark.errors import BenchmarkError
from benchmark.forge import plan as planning
from benchmark.forge.plan import Job
from benchmark.forge.summary import preview, refusal, words

# Of the verdicts of a record: attacks go other ways on another processor's rounding.
DIFFERING = 0.01
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def main() -> None:
    """From a pull request to a row; run from a commit that the project trusts."""


@main.command()
@click.option("--base", required=True, help="The commit of the harness that runs this.")
@click.option("--head", required=True, help="The last commit of the pull request.")
@click.option("--repository", type=FOLDER, default=Path())
@click.option("--out", type=FOLDER, required=True, help="A folder to be made, for what is evaluated.")
def propose(base: str, head: str, repository: Path, out: Path) -> None:
    """Let a pull request through the gate, or say why not; write its files and its matrix of jobs."""
    try:
        _, jobs = planning.propose(repository, base, head, out)
    except BenchmarkError as error:
        _refused(error)
    _give_matrix(jobs)


@main.command()
@click.option(
    "--one", is_flag=True, help="One of all entries, drawn at random, whether it has a record or not."
)
def missing(one: bool) -> None:
    """Write the matrix of what has no current record on this branch."""
    from benchmark.evaluation.entry import entries
    from benchmark.folders import results_folder

    try:
        if one:
            every = [Job(Path(name).name, modality) for name, modality in entries("all", planning.TRACK)]
            jobs = [random.SystemRandom().choice(every)]
        else:
            jobs = list(planning.missing(results_folder(planning.TRACK).parent, _aside))
    except BenchmarkError as error:
        _refused(error)
    _give_matrix(jobs)


@main.command()
@click.option("--entry", required=True)
@click.option("--modality", required=True)
@click.option("--file", default="", help="Of adversarial images; empty: evaluate the entry.")
@click.option("--fresh", is_flag=True, help="Evaluate also what has a current record.")
def evaluate(entry: str, modality: str, file: str, fresh: bool) -> None:
    """Do one job: check and evaluate an entry, or judge images that were sent. Entries with code need a sandbox."""
    from benchmark.contract import check_submission
    from benchmark.evaluation.entry import run_entry
    from benchmark.evaluation.evidence import add_files
    from benchmark.folders import attacks_folder
    from benchmark.isolation.choices import BUBBLEWRAP

    job = Job(entry, modality, file)
    try:
        if job.file:
            _bring_records(job)
            for line in add_files(entry, modality, [planning.place_attack(job, attacks_folder())]):
                click.echo(words(line))
                _tell(f"{words(line)}\n\n")
            return
        for line in check_submission(entry, planning.TRACK, BUBBLEWRAP):
            click.echo(words(line))
        done = run_entry(
            entry, modality, planning.TRACK, planning.PROTOCOL, fresh, "cpu", isolation=BUBBLEWRAP
        )
        _tell(preview([done.path]))
    except BenchmarkError as error:
        _refused(error)


@main.command()
@click.option("--entry", required=True)
@click.option("--modality", required=True)
def again(entry: str, modality: str) -> None:
    """Evaluate an entry from nothing, keep nothing of it, and exit with 3 where its record does not come out again."""
    from benchmark.evaluation.again import run_again
    from benchmark.evidence.files import read_runs
    from benchmark.folders import results_folder
    from benchmark.forge.receive import RAN_BY
    from benchmark.record import Record

    try:
        for line in run_again(entry, modality, planning.TRACK, RAN_BY, planning.PROTOCOL, "cpu"):
            click.echo(words(line))
            _tell(f"{words(line)}\n\n")
        folder = results_folder(planning.TRACK) / modality
        runs = read_runs(Record.load(folder / f"{entry}.json"), folder)
    except BenchmarkError as error:
        _refused(error)
    differing = runs.again[-1].differing / max(runs.again[-1].verdicts, 1) if runs and runs.again else 1.0
    sys.exit(3 if differing > DIFFERING else 0)


@main.command()
@click.option("--matrix", "given", required=True, help="As `missing` gave it.")
@click.option("--returned", type=FOLDER, required=True, help="A folder for each job, by its title.")
@click.option("--repository", type=FOLDER, default=Path())
@click.option("--branch", default="main", show_default=True)
def publish(given: str, returned: Path, repository: Path, branch: str) -> None:
    """Commit and push what holds of what the jobs gave back; exit code 3 where something of it did not."""
    from benchmark.forge.publish import publish as push

    left_out = False
    try:
        for line in push(repository, _jobs(given), returned, branch=branch):
            click.echo(words(line))
            _tell(f"{words(line)}\n\n")
            left_out |= line.startswith("left out")
    except BenchmarkError as error:
        _refused(error)
    sys.exit(3 if left_out else 0)


def _refused(error: BenchmarkError) -> NoReturn:
    """Say on the run's page and in its log why nothing is done."""
    _tell(refusal(error))
    for line in str(error).splitlines():
        click.echo(f"refused: {words(line)}", err=True)
    sys.exit(2)


def _aside(sentence: str) -> None:
    """What is left for later, on the run's page and in its log."""
    click.echo(words(sentence), err=True)
    _tell(f"{words(sentence)}\n\n")


def _bring_records(job: Job) -> None:
    """The records that images are judged against, where what comes of this job is written elsewhere."""
    from benchmark.folders import home, results_folder

    kept, here = home() / "leaderboard" / "results" / planning.TRACK, results_folder(planning.TRACK)
    if not (here / job.modality / f"{job.entry}.json").exists() and kept.is_dir():
        shutil.copytree(kept / job.modality, here / job.modality, dirs_exist_ok=True)


def _jobs(matrix: str) -> list[Job]:
    return [
        Job(each["entry"], each["modality"], each.get("file", "")) for each in json.loads(matrix)["include"]
    ]


def _give_matrix(jobs: Sequence[Job]) -> None:
    """For the next jobs, as outputs of this step; and for a reader."""
    if len(jobs) > planning.MOST_JOBS:
        _aside(
            f"{len(jobs)} evaluations are asked for; the first {planning.MOST_JOBS} are done, the nightly run goes on"
        )
    text = json.dumps(planning.matrix(jobs), separators=(",", ":"))
    # What follows stands in a workflow's expressions, so that not even a bug may let other characters through.
    if not re.fullmatch(r"[A-Za-z0-9_./{}\[\]\",: -]*", text):
        raise BenchmarkError("a job has a name that no job may have")
    if output := os.environ.get("GITHUB_OUTPUT"):
        with open(output, "a", encoding="utf-8") as file:
            file.write(f"matrix={text}\nany={'true' if jobs else 'false'}\n")
    click.echo(text)


def _tell(markdown: str) -> None:
    """On the page of the run, where there is one."""
    if page := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(page, "a", encoding="utf-8") as file:
            file.write(markdown)


if __name__ == "__main__":
    main()
