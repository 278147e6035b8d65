"""The case-description CSV files of CBIS-DDSM: which lesion lies in which series, and what pathology found.

The file names in them differ from every download, and crop and mask are often swapped; what holds for all
3,568 rows is that the second and third parts of a path are StudyInstanceUID and SeriesInstanceUID.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.data.collection import LeftOut
from benchmark.errors import DataError

PATHOLOGY = {"MALIGNANT": 1, "BENIGN": 0, "BENIGN_WITHOUT_CALLBACK": 0}  # the last: seen once, never biopsied
PATHS = ("image file path", "cropped image file path", "ROI mask file path")
COLUMNS = (
    "patient_id",
    "left or right breast",
    "image view",
    "abnormality id",
    "abnormality type",
    "pathology",
    *PATHS,
)
NUMBERS = ("breast density", "assessment", "subtlety")  # of the radiologist; no model sees them
LIKE_OURS = 3  # so many of COLUMNS make a CSV a case description; downloaders leave other tables beside it
KEY = re.compile(r"((?:Mass|Calc)-(?:Training|Test)_(P_\d+)_(LEFT|RIGHT)_(CC|MLO))(?:_(\d+))?")
UID = re.compile(r"[0-9]+(?:\.[0-9]+)+")


@dataclass(frozen=True)
class Row:
    """One mass in one view.

    key: the collection's own name of it, such as "Mass-Training_P_00001_LEFT_CC_1".
    film, crop, mask: SeriesInstanceUIDs; those of crop and mask are mostly the same.
    """

    key: str
    patient_id: str
    label: int
    film: str
    crop: str
    mask: str
    facts: Mapping[str, float]


def find_rows(folder: Path) -> tuple[tuple[Row, ...], tuple[LeftOut, ...]]:
    """The masses of all case descriptions below `folder`, by key, and every row that is not one or cannot be used.

    Calcifications are left out, one harmless entry a file. A row that is there twice counts once.

    Raises:
        DataError: there is no case description at all.
    """
    rows: dict[str, Row] = {}
    left_out: list[LeftOut] = []
    clashes = set()
    tables = 0
    for path in sorted(each for each in folder.rglob("*") if each.suffix.lower() == ".csv"):
        found = _read_table(path)
        if found is None:
            continue
        tables += 1
        for entry in found:
            if isinstance(entry, LeftOut):
                left_out.append(entry)
            elif rows.setdefault(entry.key, entry) == entry:
                continue
            else:
                clashes.add(entry.key)
    if not tables:
        raise DataError(
            f"{folder} holds no case description of CBIS-DDSM; "
            "put mass_case_description_train_set.csv and …_test_set.csv into it"
        )
    left_out += [
        LeftOut(key, "rows of the case descriptions contradict each other; keep the files as TCIA gives them")
        for key in sorted(clashes)
    ]
    return tuple(rows[key] for key in sorted(rows.keys() - clashes)), tuple(left_out)


def _read_table(path: Path) -> list[Row | LeftOut] | None:
    """What a CSV says row for row; None where it is another table. It has one entry for all calcifications."""
    try:
        # A byte that is not UTF-8 becomes a mark that no key, UID or pathology allows.
        with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
            records = _records(file)
            _, first = next(records, (1, []))
            header = [_spelt(str(cell)) for cell in first] if not isinstance(first, str) else []
            places = {name: header.index(_spelt(name)) for name in COLUMNS if _spelt(name) in header}
            if len(places) < LIKE_OURS and "case_description" not in path.name:
                return None
            missing = [name for name in COLUMNS if name not in places]
            if missing:
                reason = f"lacks the column(s) {', '.join(missing)}; expected the case description as TCIA gives it"
                return [LeftOut(path.name, reason)]
            return _entries(path.name, header, records)
    except OSError as error:
        return [LeftOut(path.name, f"cannot be read: {error.strerror}; make it readable")]


def _entries(
    name: str, header: list[str], records: Iterator[tuple[int, list[str] | str]]
) -> list[Row | LeftOut]:
    entries: list[Row | LeftOut] = []
    others = Counter[str]()
    for line, cells in records:
        try:
            if isinstance(cells, str):
                raise DataError(f"cannot be told from its neighbours: {cells}")
            if len(cells) != len(header):
                raise DataError(f"has {len(cells)} cells, its header has {len(header)}")
            values = dict(zip(header, cells, strict=True))
            if values["abnormality type"] == "calcification":
                others["calcification"] += 1
                continue
            entries.append(_row(values))
        except DataError as error:
            entries.append(LeftOut(f"{name}, line {line}", f"{error}; download the file again"))
    if others:
        counted = f"{others.total()} calcification(s), which are not this benchmark's task"
        entries.append(LeftOut(name, counted, harmless=True))
    return entries


def _row(values: Mapping[str, str]) -> Row:
    """Raises DataError with all that is wrong in the row."""
    wrong = []
    if values["abnormality type"] != "mass":
        wrong.append(f"abnormality type {values['abnormality type']!r}, expected 'mass' or 'calcification'")
    if values["pathology"] not in PATHOLOGY:
        wrong.append(f"unknown pathology {values['pathology']!r}, expected one of {', '.join(PATHOLOGY)}")
    view = (values["patient id"], values["left or right breast"], values["image view"])
    keys, series = [], []
    for column, number in zip(PATHS, (None, values["abnormality id"], values["abnormality id"]), strict=True):
        parts = values[_spelt(column)].split("/")
        match = KEY.fullmatch(parts[0])
        if len(parts) < 3 or not match or not UID.fullmatch(parts[2]):
            wrong.append(f"{column} {values[_spelt(column)][:80]!r}, expected 'name/study/series/file'")
        elif match.groups()[1:] != (*view, number):
            wrong.append(
                f"{column} names {parts[0]}, the row is of {' '.join(view)}, lesion {values['abnormality id']}"
            )
        else:
            keys.append(parts[0])
            series.append(parts[2])
    if wrong:
        raise DataError("; ".join(wrong))
    facts = {name.replace(" ", "_"): _number(values.get(name, "")) for name in NUMBERS}
    film, crop, mask = series
    return Row(keys[2], view[0], PATHOLOGY[values["pathology"]], film, crop, mask, facts)


def _records(lines: Iterable[str]) -> Iterator[tuple[int, list[str] | str]]:
    """Records of a CSV with the line each begins on; instead of cells, a sentence where quotes do not pair.

    Cells lose the newline that many end with; another means that a quote is missing and rows were joined.
    """
    reader = csv.reader(lines, strict=True)
    while True:
        start = reader.line_num + 1
        try:
            cells = [cell.rstrip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            yield start, f"{error}, up to line {reader.line_num}"
            continue
        if any("\n" in cell or "\r" in cell for cell in cells):
            yield start, f"a quoted cell runs over several lines, up to line {reader.line_num}"
        elif any(cells):
            yield start, [cell.strip() for cell in cells]


def _spelt(column: str) -> str:
    """`breast_density` in two of the files is `breast density` in the others."""
    return " ".join(column.replace("_", " ").lower().split())


def _number(text: str) -> float:
    # The one NaN of math equals itself in a dict: rows without a number are the same in two files.
    return float(text) if text.isascii() and text.isdigit() else math.nan
