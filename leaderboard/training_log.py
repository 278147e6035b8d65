"""The log of a training, as `oncorobust train` writes it to submissions/<entry>/<modality>.log.csv, where it is there."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from leaderboard import figures
from leaderboard.canvas import Canvas, canvas, swatch
from leaderboard.parts import Cell, Figure, Line, Numbers

LARGEST = 200_000  # bytes
EPOCH = ("number", "epoch")  # what the column of epochs is called
SHARES = {"validation_clean": "clean", "validation_robust": "under the attack of the training"}
WORDS = {
    "learning_rate": "learning rate",
    "epsilon": "ε while training",
    "loss": "loss",
    "validation_clean": "clean, validation",
    "validation_robust": "attacked, validation",
    "forward": "forward passes",
    "backward": "backward passes",
    "returns": "steps back",
}


def log_file(submissions: Path, submission: str, modality: str) -> Path:
    """Where the log of an entry's training on a modality lies, if it has one."""
    return Path(submissions) / submission / f"{modality}.log.csv"


def training_figure(path: Path) -> Figure | None:
    """Accuracy on the validation part over epochs, and every column as a table; None without a log that can be read.

    A submitter's file must not stop the page of everybody: what is no such log is passed over.
    """
    rows = _rows(path)
    if not rows:
        return None
    name = next(name for name in EPOCH if name in rows[0])
    epochs = [row[name] for row in rows]
    area = _axes(int(max(epochs)))
    marks, legend = [], []
    for place, (column, words) in enumerate(SHARES.items()):
        points = [(x, 100 * row.get(column, math.nan)) for x, row in zip(epochs, rows, strict=True)]
        points = [(x, y) for x, y in points if math.isfinite(y)]
        if points:
            x, y = [x for x, _ in points], [y for _, y in points]
            marks += [area.line(x, y, place, place), area.dots(x, y, place)]
            legend.append((swatch(place, place, dot=True), words))
    columns = [column for column in rows[0] if column != name]
    title = "How it was trained"
    return Figure(
        "figure-training",
        title,
        area.drawn(title, "Accuracy on the validation part over the epochs of the training.", marks),
        tuple(legend),
        Numbers(
            f"The log of the training as the entry carries it ({path.parent.name}/{path.name}).",
            ("epoch", *(WORDS.get(column, column.replace("_", " ")) for column in columns)),
            tuple(Line(f"{row[name]:.0f}", tuple(_cell(row[c], c) for c in columns)) for row in rows),
        ),
    )


def _rows(path: Path) -> list[Mapping[str, float]]:
    try:
        if path.stat().st_size > LARGEST:
            return []
        read = csv.DictReader(io.StringIO(path.read_text("utf-8")))
        rows = [{str(key): float(value) for key, value in row.items()} for row in read]
    except (OSError, ValueError, TypeError, csv.Error):
        return []
    named = [name for name in EPOCH if rows and name in rows[0]]
    whole = named and all(1 <= row[named[0]] <= 1e5 for row in rows)
    return list(rows) if whole else []


def _cell(value: float, column: str) -> Cell:
    if not math.isfinite(value):
        return Cell("–")
    if column in SHARES:
        return Cell(f"{100 * value:.1f}")
    return Cell(f"{value:,.0f}" if value == int(value) and abs(value) >= 1 else f"{value:.4g}")


@lru_cache(maxsize=16)
def _axes(epochs: int) -> Canvas:
    """Entries of the same number of epochs share them."""

    def draw(axes: Any) -> None:
        axes.set_xlim(0, epochs + 0.5)
        ticks = sorted({1, *(int(x) for x in np.linspace(0, epochs, 6)[1:])} - {0})
        axes.set_xticks(ticks, labels=[str(x) for x in ticks])
        axes.set_xlabel("epoch", color=figures.INK)
        figures.draw_percent(axes, "accuracy, validation part")

    return canvas(draw, (7.6, 3.0), "figure-training")
