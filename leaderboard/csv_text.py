"""Cells → the text of a CSV file that opens the same in every program, and runs nothing in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any


def as_csv(lines: Sequence[Sequence[Any]]) -> str:
    """Lines of cells: numbers in six digits, text so that no spreadsheet takes it for a formula."""
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows(
        [_CELLS.get(type(v), _cell)(v) for v in line] for line in lines
    )
    return out.getvalue()


def _number(value: float) -> str:
    return f"{value:.6g}"


def _text(value: str) -> str:
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _cell(value: Any) -> Any:
    """Of a kind of its own, as numpy's."""
    if isinstance(value, float):
        return _number(value)
    return _text(value) if isinstance(value, str) else value


# By kind, since a file of all pairs has hundreds of thousands of cells.
_CELLS: dict[type, Callable[[Any], Any]] = {float: _number, str: _text, int: int}
