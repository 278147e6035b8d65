"""The transfer matrix beside the records, as a page reads it (`benchmark.evaluation.transfer` makes it)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import DataError
from benchmark.record import Record
from benchmark.record.files import table_sha256

FORMAT = 1
NAME = "all.transfer.json"


@dataclass(frozen=True)
class Transfers:
    """How often the images of one entry (outer) turn another (inner), of those that it answers rightly when clean.

    success: None where an entry's images were not at hand. median, known: of the rates between two entries that are there,
    and how many these are. outdated: entries whose record is another one by now; they
    are left out.
    """

    epsilon: str
    submissions: tuple[str, ...]
    success: Mapping[str, Mapping[str, float | None]]
    median: float | None
    known: int
    outdated: tuple[str, ...]


def read_transfers(folder: Path, records: Sequence[Record]) -> Transfers | None:
    """What is known of these records; None where nothing is.

    Args:
        folder: of the records. records: of one table.

    Raises:
        DataError: the file is damaged.
    """
    path = Path(folder) / NAME
    try:
        body = json.loads(path.read_bytes())
        if body["format"] != FORMAT:
            raise ValueError(f"format {body['format']}, this version reads {FORMAT}")
        here = {record.submission: record for record in records}
        named = [name for name in body["submissions"] if name in here]
        current = [name for name in named if body["records"][name] == table_sha256(here[name])]
        success = {one: {other: _share(body["success"][one][other]) for other in current} for one in current}
        epsilon = str(body["epsilon"])
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path} is damaged ({type(error).__name__}: {error}); delete it and make it again: oncorobust transfer"
        ) from None
    off = sorted(
        rate
        for one in current
        for other in current
        if one != other and (rate := success[one][other]) is not None
    )
    middle = len(off) // 2
    median = None if not off else (off[middle] if len(off) % 2 else (off[middle - 1] + off[middle]) / 2)
    outdated = tuple(name for name in named if name not in current)
    return Transfers(epsilon, tuple(current), success, median, len(off), outdated) if current else None


def _share(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"a rate of {value!r}")
    return float(value)
