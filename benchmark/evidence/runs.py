"""Who ran an entry: the name of the one who made its record, and what came of evaluating it anew."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmark.errors import DataError
from benchmark.evidence import Run, Runs
from benchmark.evidence.files import read_runs, save_runs
from benchmark.record import Record
from benchmark.record.files import table_sha256


def checked_name(by: str) -> str:
    """A name as the page may show it: on one line, 2 to 120 characters.

    Raises:
        DataError: it is no such name.
    """
    name = " ".join(by.split())
    if not 2 <= len(name) <= 120 or not name.isprintable():
        raise DataError(
            f"{by!r} does not say who runs this; expected a name of 2 to 120 characters, best with the institution: "
            "--ran-by 'A. Reader, St. Elsewhere' (or the environment variable ONCOROBUST_RAN_BY)"
        )
    return name


def sign(record: Record, folder: Path, by: str) -> Path:
    """Say beside a record who made it; returns the file's path.

    Raises:
        DataError: `by` is no name, or the folder cannot be written.
    """
    return save_runs(Runs(table_sha256(record), _run(record, by)), record, folder)


def runs_of(record: Record, folder: Path) -> Runs | None:
    """Who ran the entry, as far as the file beside it speaks of this very record.

    Raises:
        DataError: the file is damaged.
    """
    runs = read_runs(record, folder)
    return runs if runs and runs.record_sha256 == table_sha256(record) else None


def add_run(record: Record, fresh: Record, folder: Path, by: str) -> Path:
    """Say beside a record that somebody evaluated the entry anew, and how many verdicts came out otherwise.

    A second run of the same name replaces its first.

    Raises:
        DataError: `by` is no name, the file there is damaged, or the folder cannot be written.
    """
    runs = runs_of(record, folder) or Runs(table_sha256(record), None)
    differing, verdicts = compared(record, fresh)
    run = replace(_run(fresh, by), differing=differing, verdicts=verdicts)
    others = tuple(one for one in runs.again if one.by != run.by)
    return save_runs(replace(runs, again=(*others, run)), record, folder)


def compared(record: Record, fresh: Record) -> tuple[int, int]:
    """How many verdicts of two records of the same images and protocol differ, and how many there are.

    A verdict is whether an image stands against one attack at one ε; whether it is right when clean is one more.
    """
    pairs = [(record.clean_correct, fresh.clean_correct)]
    pairs += [
        (record.robust(epsilon, attack), fresh.robust(epsilon, attack))
        for attack in record.attacks
        for epsilon in record.epsilons
    ]
    return sum(int(np.sum(a != b)) for a, b in pairs), sum(len(a) for a, _ in pairs)


def _run(record: Record, by: str) -> Run:
    return Run(checked_name(by), time.strftime("%Y-%m-%d", time.gmtime()), record.provenance["device"])
