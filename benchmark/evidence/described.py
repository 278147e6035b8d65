"""What is known of the images of a track, beside the records made on them: parts, audit, noise, and a sheet of thumbnails.

<folder>/all.data.json    one file for a modality (`oncorobust data describe` makes it); no ids of patients or images
<folder>/all.data.png     the contact sheet, if there is one
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import DataError
from benchmark.files import replace_files

FORMAT = 1
NAME, SHEET = "all.data.json", "all.data.png"


@dataclass(frozen=True)
class Part:
    """One part of a split: how much it holds, and what its audit found (`Audit.described`)."""

    part: str
    name: str
    sha256: str
    images: int
    patients: int
    positive: int
    height: int
    width: int
    audit: Mapping[str, Any]


@dataclass(frozen=True)
class Described:
    """All parts of one modality of a track.

    notes: of the test part: window, unit, noise_sigma in [0, 1], stored_bits, source, as far as known. warnings: a sentence
    on everything that a reader must know. sheet_sha256: of the contact sheet; empty without one.
    """

    modality: str
    track: str
    parts: tuple[Part, ...]
    notes: Mapping[str, Any]
    warnings: tuple[str, ...]
    sheet_sha256: str

    def part(self, name: str) -> Part | None:
        """A part by its name."""
        return next((part for part in self.parts if part.part == name), None)


def save_described(found: Described, sheet: bytes | None, folder: Path) -> Path:
    """Write it beside the records, all or none; returns the JSON's path.

    Raises:
        DataError: the folder cannot be written; what was there still is.
    """
    path = Path(folder) / NAME
    text = (
        json.dumps({"format": FORMAT, **asdict(found)}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    )
    replace_files({path: text.encode()} | ({} if sheet is None else {Path(folder) / SHEET: sheet}))
    if sheet is None:
        (Path(folder) / SHEET).unlink(missing_ok=True)
    return path


def read_described(folder: Path) -> tuple[Described, bytes | None] | None:
    """What is known of the images of a folder's records, and the contact sheet; None where nothing is told.

    Raises:
        DataError: a file is damaged.
    """
    path = Path(folder) / NAME
    try:
        body = json.loads(path.read_bytes())
        if body.pop("format") != FORMAT:
            raise ValueError("another format than this version's")
        parts = tuple(Part(**part) for part in body["parts"])
        found = Described(**body | {"parts": parts, "warnings": tuple(body["warnings"])})
        sheet = (Path(folder) / SHEET).read_bytes() if found.sheet_sha256 else None
    except FileNotFoundError as error:
        if Path(str(error.filename)).name == NAME:
            return None
        raise _damaged(path, f"{SHEET} is missing") from None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from None
    if sheet is not None and hashlib.sha256(sheet).hexdigest() != found.sheet_sha256:
        raise _damaged(path, f"{SHEET} has another checksum")
    return found, sheet


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path} is damaged ({what}); delete it or make it again: oncorobust data describe")
