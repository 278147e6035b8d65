"""What the authors of an entry claim, beside what was measured: in a file of its own, never in the record.

<folder>/<submission>.claims.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark.errors import DataError
from benchmark.files import replace_file
from benchmark.record import Record
from benchmark.record.files import table_sha256
from benchmark.statistics import accuracy_interval

FORMAT = 1


@dataclass(frozen=True)
class Claim:
    """One claimed share of right answers, and the measured one with its interval (None below 20 patients).

    what: "clean" or "robust", the worst case at the headline ε; over all images of the test part.
    """

    what: str
    claimed: float
    measured: float
    low: float | None
    high: float | None

    @property
    def outside(self) -> bool:
        """Whether the claim lies outside of the interval; without an interval nobody can say."""
        return self.low is not None and self.high is not None and not self.low <= self.claimed <= self.high

    @property
    def sentence(self) -> str:
        """In words."""
        told = f"claimed {100 * self.claimed:.1f} % {self.what}, measured {100 * self.measured:.1f} %"
        if self.low is None or self.high is None:
            return told
        where = "outside of" if self.outside else "inside"
        return f"{told}: {where} the interval ({100 * self.low:.1f}–{100 * self.high:.1f})"


def compare(record: Record, claimed: Mapping[str, float]) -> tuple[Claim, ...]:
    """Claims held against a record.

    Args:
        claimed: "clean", "robust" → share in [0, 1]; what is not claimed is left out.
    """
    right = {"clean": record.clean_correct, "robust": record.robust(record.headline)}
    found = []
    for what, share in claimed.items():
        interval = accuracy_interval(right[what], record.labels, record.patient_ids)
        found.append(Claim(what, share, interval.value, interval.low, interval.high))
    return tuple(found)


def save_claims(claims: tuple[Claim, ...], record: Record, folder: Path) -> Path | None:
    """Write claims beside their record; where there are none, an older file of them goes. Returns the path.

    Raises:
        DataError: the folder cannot be written.
    """
    path = Path(folder) / f"{record.submission}.claims.json"
    if not claims:
        path.unlink(missing_ok=True)
        return None
    body = {
        "format": FORMAT,
        "record_sha256": table_sha256(record),
        "claims": [asdict(claim) | {"outside": claim.outside} for claim in claims],
    }
    replace_file(path, (json.dumps(body, indent=1, sort_keys=True) + "\n").encode())
    return path


def read_claims(record: Record, folder: Path) -> tuple[Claim, ...]:
    """The claims beside a record, measured anew from its rows; none where the file is of another record.

    Raises:
        DataError: the file is damaged.
    """
    path = Path(folder) / f"{record.submission}.claims.json"
    try:
        body = json.loads(path.read_bytes())
        if body["format"] != FORMAT:
            raise ValueError(f"format {body['format']}, this version reads {FORMAT}")
        if body["record_sha256"] != table_sha256(record):
            return ()
        return compare(record, {str(one["what"]): float(one["claimed"]) for one in body["claims"]})
    except FileNotFoundError:
        return ()
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is damaged ({type(error).__name__}: {error}); delete it and evaluate the entry again"
        ) from None
