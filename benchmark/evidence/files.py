"""The files of evidence, and the only code that knows them (see `benchmark.evidence`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import DataError
from benchmark.evidence import Broken, ExternalImages, Run, Runs, SecondOpinion
from benchmark.files import replace_file
from benchmark.record import Record
from benchmark.statistics import balanced_accuracy

FORMAT = 1
SECOND_OPINION, EXTERNAL, TRANSFER, RUNS = "second-opinion", "external", "transfer", "runs"


def save_second_opinion(opinion: SecondOpinion, record: Record, folder: Path) -> Path:
    """Write it beside its record, with the accuracies that follow; returns the path.

    Raises:
        DataError: the folder cannot be written; what was there still is.
    """
    standing = record.robust(record.headline)
    fallen = np.isin(record.image_ids, [broken.image_id for broken in opinion.broken])
    best = standing & ~fallen
    body = _head(record) | asdict(opinion)
    body["robust_accuracy"] = {
        "battery": float(standing.mean()),
        "battery_balanced": balanced_accuracy(standing, record.labels),
        "best_known": float(best.mean()),
        "best_known_balanced": balanced_accuracy(best, record.labels),
    }
    return _write(beside(record, folder, SECOND_OPINION), body)


def read_second_opinion(record: Record, folder: Path) -> SecondOpinion | None:
    """The second opinion beside a record, of whatever record it is; None where there is none.

    Raises:
        DataError: the file is damaged.
    """
    path = beside(record, folder, SECOND_OPINION)
    body = _read(path)
    if body is None:
        return None
    try:
        body.setdefault("apart", 0.0)  # files from before there was a second trial
        given = {name: body[name] for name in SecondOpinion.__dataclass_fields__}
        given |= {name: tuple(given[name]) for name in ("attacks", "warnings")}
        return SecondOpinion(**given | {"broken": _broken(given["broken"])})
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None


def add_external(images: ExternalImages, record: Record, folder: Path) -> Path:
    """Add a file's verdicts to those of earlier files; the same file given again replaces its own.

    Raises:
        DataError: the folder cannot be written, or the file there is damaged.
    """
    others = [old for old in read_external(record, folder) if old.sha256 != images.sha256]
    body = _head(record) | {"files": [asdict(one) for one in (*others, images)]}
    return _write(beside(record, folder, EXTERNAL), body)


def read_external(record: Record, folder: Path) -> tuple[ExternalImages, ...]:
    """All files of external images beside a record, of whatever record they are, the first first.

    Raises:
        DataError: the file is damaged.
    """
    path = beside(record, folder, EXTERNAL)
    body = _read(path)
    if body is None:
        return ()
    try:
        return tuple(ExternalImages(**one | {"broken": _broken(one["broken"])}) for one in body["files"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None


def save_runs(runs: Runs, record: Record, folder: Path) -> Path:
    """Write who ran an entry beside its record; returns the path.

    Raises:
        DataError: the folder cannot be written; what was there still is.
    """
    return _write(beside(record, folder, RUNS), _head(record) | asdict(runs))


def read_runs(record: Record, folder: Path) -> Runs | None:
    """Who ran the entry of a record, of whatever record of it; None where nobody said so.

    Raises:
        DataError: the file is damaged.
    """
    path = beside(record, folder, RUNS)
    body = _read(path)
    if body is None:
        return None
    try:
        made = body["made"] and Run(**body["made"])
        return Runs(body["record_sha256"], made, tuple(Run(**one) for one in body["again"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None


def save_transfer(body: Mapping[str, Any], folder: Path) -> Path:
    """Write the transfer matrix of a modality beside its records; returns the path.

    Raises:
        DataError: the folder cannot be written; what was there still is.
    """
    return _write(folder / f"all.{TRANSFER}.json", {"format": FORMAT, **body})


def beside(record: Record, folder: Path, kind: str) -> Path:
    """Where a file of one kind stands beside a record."""
    return Path(folder) / f"{record.submission}.{kind}.json"


def _head(record: Record) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "submission": record.submission,
        "modality": record.modality,
        "track": record.track,
        "protocol": record.protocol["name"],
    }


def _write(path: Path, body: Mapping[str, Any]) -> Path:
    replace_file(path, (json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())
    return path


def _read(path: Path) -> dict[str, Any] | None:
    try:
        body = json.loads(path.read_bytes())
        if body["format"] != FORMAT:
            raise ValueError(f"format {body['format']}, this version reads {FORMAT}")
        return body
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None


def _broken(rows: list[dict[str, Any]]) -> tuple[Broken, ...]:
    return tuple(Broken(**one) for one in rows)


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} is damaged ({type(error).__name__}: {error}); delete it and make it again: it stands beside a record "
        "and nothing else depends on it"
    )
