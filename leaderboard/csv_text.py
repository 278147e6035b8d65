"""Cells → the text of a CSV file that opens the same in every program, and runs nothing in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from typing import Any


def as_csv(lines: Sequence[Sequence[Any]]) -> str:
    """Lines of cells: numbers in six digits, text so that no spreadsheet takes it for a formula."""
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows([_cell(value) for value in line] for line in lines)
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
