"""The CSV of a folder of one's own: which file shows which patient, and what is true of them.

    file,label,patient_id,box,part
    scans/a.png,1,P1,40 60 128 128,test

file: path below the folder. label: 1 = disease, 0 = none. patient_id: any text that is the patient's in every row.
box (may be left out): left, top, width and height in pixels of the file. part (may be left out): train, validation or
test; without it everything is the test part.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.data.manifest import PARTS
from benchmark.errors import DataError

REQUIRED = ("file", "label", "patient_id")
OPTIONAL = ("box", "part")
SHOWN = 50  # complaints that are printed one by one

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Row:
    """One line of the CSV: `line` as an editor counts them; `box` left, top, width, height in pixels, or None."""

    line: int
    path: Path
    name: str
    label: int
    patient_id: str
    box: Box | None
    part: str


def read_table(table: Path, folder: Path) -> list[Row]:
    """The rows of the CSV, in its order.

    Args:
        folder: what the files are named from, and which they may not leave.

    Raises:
        DataError: all that is wrong with the CSV at once, by line.
    """
    if not folder.is_dir():
        raise DataError(f"folder {folder} is missing; expected the folder that the CSV's files are in")
    reader = _reader(table)
    rows: list[Row] = []
    wrong: list[str] = []
    try:
        for entry in reader:
            before = len(wrong)
            wrong += [f"line {reader.line_num}: {what}" for what in _complaints(entry, folder)]
            if len(wrong) == before:
                rows.append(_row(reader.line_num, entry, folder))
    except csv.Error as error:
        raise DataError(f"{table}, line {reader.line_num}: {error}; save it again as CSV in UTF-8") from None
    wrong += _contradictions(rows)
    if wrong:
        rest = f"\n  and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise DataError(f"{table} cannot be used:\n  " + "\n  ".join(wrong[:SHOWN]) + rest)
    if not rows:
        raise DataError(f"{table} has no rows; expected one for each image below its header")
    return rows


def _reader(table: Path) -> csv.DictReader[str]:
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(
            f"{table} is missing; write a CSV with the columns {', '.join(REQUIRED)} and, if wanted, "
            f"{', '.join(OPTIONAL)}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table} cannot be read: {error}; save it as CSV in UTF-8") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [(name or "").strip() for name in reader.fieldnames or ()]
    except csv.Error as error:
        raise DataError(f"{table}, line 1: {error}; save it again as CSV in UTF-8") from None
    wrong = [f"column {name} is missing" for name in REQUIRED if name not in columns]
    # A misspelt `parts` that is passed over would quietly test a model on its own training images.
    wrong += [f"column {name!r} is unknown" for name in columns if name not in REQUIRED + OPTIONAL]
    wrong += [f"column {name} stands twice" for name, count in Counter(columns).items() if count > 1]
    if wrong:
        commas = " and commas between them" if len(columns) == 1 else ""
        raise DataError(
            f"{table}: {'; '.join(wrong)}; expected the columns {', '.join(REQUIRED)} and, if wanted, "
            f"{', '.join(OPTIONAL)}{commas}"
        )
    reader.fieldnames = columns
    return reader


def _complaints(entry: Mapping[str | None, str | None], folder: Path) -> Iterator[str]:
    if None in entry or None in entry.values():
        yield "has more or fewer cells than the header; put quotes around a cell that holds a comma"
        return
    cells = {str(key): str(value).strip() for key, value in entry.items()}
    if not cells["file"]:
        yield "names no file"
    else:
        yield from _path_complaints(cells["file"], folder)
    if cells["label"] not in ("0", "1"):
        yield f"label is {cells['label']!r}; expected 0 (no disease) or 1 (disease)"
    if not cells["patient_id"]:
        yield (
            "names no patient_id; images of one patient look alike and must not be counted as several patients: "
            "fill it in from your records"
        )
    if cells.get("box") and _box(cells["box"]) is None:
        yield (
            f"box is {cells['box']!r}; expected left, top, width and height as whole pixels, such as 40 60 128 128"
        )
    if cells.get("part", "test") not in PARTS:
        yield f"part is {cells['part']!r}; expected {', '.join(PARTS)}"


def _path_complaints(name: str, folder: Path) -> Iterator[str]:
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            yield f"file {name} lies outside the folder; move it below {folder}, or name the folder above both"
        elif not path.is_file():
            yield f"file {name} is missing below {folder}"
    except (OSError, ValueError, RuntimeError):  # a name that no file can have, a circle of links
        yield f"file {name!r} is no path; expected one below {folder}"


def _box(text: str) -> Box | None:
    numbers = text.replace(",", " ").split()
    if len(numbers) != 4 or not all(number.isdecimal() and len(number) < 7 for number in numbers):
        return None
    left, top, width, height = map(int, numbers)
    return (left, top, width, height) if width and height else None


def _row(line: int, entry: Mapping[str, str], folder: Path) -> Row:
    cells = {key: value.strip() for key, value in entry.items()}
    return Row(
        line=line,
        path=(folder / cells["file"]).resolve(),
        name=cells["file"],
        label=int(cells["label"]),
        patient_id=cells["patient_id"],
        box=_box(cells.get("box", "")),
        part=cells.get("part", "test"),
    )


def _contradictions(rows: list[Row]) -> Iterator[str]:
    """What is wrong between rows: a picture twice, a patient in two parts, a file of two patients."""
    first: dict[tuple[Path, Box | None], int] = {}
    patient: dict[Path, Row] = {}
    part: dict[str, Row] = {}
    for row in rows:
        before = first.setdefault((row.path, row.box), row.line)
        if before != row.line:
            yield f"line {row.line}: the same file and box as in line {before}; remove one"
        owner = patient.setdefault(row.path, row)
        if owner.patient_id != row.patient_id:
            yield f"line {row.line}: its file is of another patient in line {owner.line}; mend one"
        home = part.setdefault(row.patient_id, row)
        if home.part != row.part:
            yield (
                f"line {row.line}: its patient is in part {row.part}, in line {home.line} in part {home.part}; "
                "a patient belongs to one part"
            )
