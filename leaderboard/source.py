"""Files of results → everything that the pages are made from, read once."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmark.errors import DataError
from benchmark.evidence.best_known import BestKnown
from benchmark.evidence.claims import Claim, read_claims
from benchmark.evidence.runs import Runs
from benchmark.evidence.trainings import Spreads
from benchmark.evidence.variants import Trained
from benchmark.folders import site_address
from benchmark.record import Record
from leaderboard.effects import read_effects
from leaderboard.evidence import read_best_known
from leaderboard.groups import check_current
from leaderboard.paper import Paper, read_papers
from leaderboard.runs import read_all_runs
from leaderboard.tables import Row, Table, collect
from leaderboard.trainings import read_all_trainings


@dataclass(frozen=True)
class Source:
    """All that a page may be made from.

    tables: one for each track, modality and protocol, the rows in the order of the board.
    Mappings are keyed "<track>/<modality>/<submission>", `trained` "<track>/<modality>".
    dates: the day on which an evaluation ended, as YYYY-MM-DD, where that is known. address: of the site, where that is.
    """

    results: Path
    tables: tuple[Table, ...]
    records: tuple[Record, ...]
    papers: Mapping[str, Paper]
    best: Mapping[str, BestKnown]
    runs: Mapping[str, Runs]
    trainings: Mapping[str, Spreads]
    trained: Mapping[str, Sequence[Trained]]
    dates: Mapping[str, str]
    address: str = ""

    def record(self, table: Table, row: Row) -> Record:
        """The record that a row was computed from."""
        return self._records[table.track, table.modality.name, table.protocol["name"]][row.submission]

    def of(self, table: Table) -> tuple[Record, ...]:
        """The records of one table, by their names."""
        return tuple(self._records[table.track, table.modality.name, table.protocol["name"]].values())

    @cached_property
    def _records(self) -> dict[tuple[str, str, str], dict[str, Record]]:
        """By table, then by submission."""
        found: dict[tuple[str, str, str], dict[str, Record]] = {}
        for record in self.records:
            table = (record.track, record.modality, str(record.protocol["name"]))
            found.setdefault(table, {})[record.submission] = record
        return found

    def folder(self, table: Table) -> Path:
        """Where the records of a table and what stands beside them lie."""
        return self.results / table.track / table.modality.name


def key(table: Table, row: Row) -> str:
    """What the mappings of a source call a row."""
    return f"{table.track}/{table.modality.name}/{row.submission}"


def source_of(results_root: Path, records: Sequence[Record], seconds: Mapping[str, float]) -> Source:
    """Read what stands beside the records of a folder, and compute the tables.

    Args:
        results_root: holds <track>/<modality>/<submission>.json. records, seconds: as `read_records` reads them there.

    Raises:
        DataError: a file is damaged, records cannot be compared, or they answer another version of a protocol.
    """
    best, runs = read_best_known(results_root, records), read_all_runs(results_root, records)
    trainings = read_all_trainings(results_root, records)
    tables = collect(records, seconds, best, runs, trainings, _claims(results_root, records))
    # Records of one table that differ among themselves have been named by now, with those that stay.
    check_current(records)
    return Source(
        results=Path(results_root),
        tables=tables,
        records=tuple(records),
        papers=read_papers(results_root, records),
        best=best,
        runs=runs,
        trainings=trainings,
        trained=read_effects(results_root),
        dates=_dates(results_root, records),
        address=site_address(),
    )


def read_records(results_root: Path) -> tuple[list[Record], dict[str, float]]:
    """Every record under a folder, and what each took in seconds where that is known.

    Returns:
        The records, and seconds keyed "<track>/<modality>/<submission>".

    Raises:
        DataError: a record is damaged, or lies in a folder of another track or modality.
    """
    records, seconds = [], {}
    for path in sorted(Path(results_root).glob("*/*/*.json")):
        # Timings, second opinions and the like stand beside a record, with a second ending.
        if "." in path.stem:
            continue
        record = Record.load(path)
        home = f"{path.parent.parent.name}/{path.parent.name}/{path.stem}"
        if home != f"{record.track}/{record.modality}/{record.submission}":
            raise DataError(
                f"record {path} says that it is {record.track}/{record.modality}/{record.submission}; "
                "move it to that folder, or evaluate the submission again (pytest benchmark/ --fresh)"
            )
        records.append(record)
        took = _times(path.with_suffix(".times.json")).get("seconds")
        if isinstance(took, int | float) and math.isfinite(took):
            seconds[home] = float(took)
    return records, seconds


def _claims(results_root: Path, records: Sequence[Record]) -> dict[str, tuple[Claim, ...]]:
    found = {}
    for record in records:
        home = f"{record.track}/{record.modality}"
        found[f"{home}/{record.submission}"] = read_claims(record, Path(results_root) / home)
    return found


def _dates(results_root: Path, records: Sequence[Record]) -> dict[str, str]:
    found = {}
    for record in records:
        home = f"{record.track}/{record.modality}/{record.submission}"
        date = _times(Path(results_root) / f"{home}.times.json").get("date")
        if isinstance(date, str) and len(date) == len("2026-01-31"):
            found[home] = date
    return found


def _times(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(
            f"timings {path} are damaged ({error}); delete the file, it only tells costs"
        ) from None
    if not isinstance(found, dict):
        raise DataError(f"timings {path} hold no table; delete the file, it only tells costs")
    return found
