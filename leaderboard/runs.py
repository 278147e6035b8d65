"""Who ran an entry, and whether a maintainer evaluated it anew, in one sentence beside its row."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from benchmark.evidence import Run, Runs
from benchmark.evidence.runs import runs_of
from benchmark.record import Record
from leaderboard.words import plain_text

MAINTAINERS = Path(__file__).with_name("maintainers.toml")


def read_all_runs(results_root: Path, records: Sequence[Record]) -> dict[str, Runs]:
    """Who ran each record, as far as files say so of this very record, keyed "<track>/<modality>/<submission>".

    Raises:
        DataError: a file is damaged.
    """
    found = {}
    for record in records:
        home = f"{record.track}/{record.modality}"
        if runs := runs_of(record, Path(results_root) / home):
            found[f"{home}/{record.submission}"] = runs
    return found


def runs_words(runs: Runs | None, track: str) -> str:
    """Who made a row's record, and whether a maintainer came to the same verdicts.

    Of the phantom track, which everybody can run, nothing is said where nothing was signed.
    """
    if runs is None:
        return "" if track == "phantom" else "not told who ran it; not run again by a maintainer"
    made = f"run by {_name(runs.made)}" if runs.made else "not told who ran it"
    run = confirmation(runs)
    if run is None:
        return f"{made}; not run again by a maintainer"
    differ = (
        f"{run.differing:,} of {run.verdicts:,} verdicts differ" if run.differing else "the same verdicts"
    )
    return f"{made}; run again by a maintainer, {_name(run)}: {differ}"


def runs_cells(runs: Runs | None) -> list[str | int | None]:
    """Three columns of a table's CSV: who made the record, which maintainer ran it again, how many verdicts differed."""
    if runs is None:
        return ["", "", None]
    made, run = runs.made.by if runs.made else "", confirmation(runs)
    return [made, run.by, run.differing] if run else [made, "", None]


def confirmation(runs: Runs) -> Run | None:
    """The last run of a maintainer; who made the record cannot confirm it."""
    maker = runs.made.by if runs.made else None
    return next((run for run in reversed(runs.again) if run.by in maintainers() and run.by != maker), None)


@cache
def maintainers() -> frozenset[str]:
    """The names of those whose runs count."""
    return frozenset(tomllib.loads(MAINTAINERS.read_text("utf-8"))["names"])


def _name(run: Run) -> str:
    return f"{plain_text(run.by)} on {run.date} ({plain_text(run.device)})"
