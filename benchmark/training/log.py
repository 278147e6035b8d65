"""The log of a training: a table that is the same every time, and its picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from math import isnan
from typing import Any

from benchmark.training.course import Epoch

COLUMNS = tuple(field.name for field in fields(Epoch))
DIGITS = {"learning_rate": ".6g", "epsilon": ".6g"}  # the others .4f


def as_csv(log: Sequence[Epoch]) -> bytes:
    """One row an epoch, the columns of `Epoch`; "nan" where nothing was measured. No times: they differ every time."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for epoch in log:
        row = asdict(epoch)
        writer.writerow(
            [format(v, DIGITS.get(k, ".4f")) if isinstance(v, float) else v for k, v in row.items()]
        )
    return text.getvalue().encode()


def as_svg(log: Sequence[Epoch], title: str) -> bytes:
    """Loss above, accuracies of the validation part below, over epochs; shaded where the images were attacked."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # A fixed salt makes the ids, and so the file, the same every time; text stays text.
    with rc_context({"svg.hashsalt": "oncorobust", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(7, 5), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        numbers = [epoch.number for epoch in log]
        above.plot(numbers, [epoch.loss for epoch in log], color="#444444", marker="o", markersize=3)
        above.set_ylabel("training loss")
        above.set_title(title, fontsize=10)
        for name, colour, marker in (("clean", "#0b6e99", "o"), ("robust", "#b3541e", "s")):
            _line(below, log, name, colour, marker)
        below.set_ylim(-0.02, 1.02)
        below.set_ylabel("validation accuracy")
        below.set_xlabel("epoch")
        if below.get_legend_handles_labels()[0]:
            below.legend(loc="lower right", frameon=False)
        attacked = [epoch.number for epoch in log if epoch.epsilon]
        for axes in (above, below):
            axes.grid(alpha=0.25)
            if attacked:
                axes.axvspan(
                    min(attacked) - 0.5, max(attacked) + 0.5, color="#b3541e", alpha=0.06, linewidth=0
                )
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def as_line(epoch: Epoch, epochs: int, left: float) -> str:
    """What the user reads as an epoch ends. left: seconds that the others will take."""
    words = [f"epoch {epoch.number}/{epochs}", f"loss {epoch.loss:.3f}"]
    if epoch.epsilon:
        words.append(f"ε {epoch.epsilon:.4g}")
    if not isnan(epoch.validation_clean):
        words.append(f"validation clean {epoch.validation_clean:.3f}")
    if not isnan(epoch.validation_robust):
        words.append(f"robust {epoch.validation_robust:.3f}")
    if epoch.number < epochs:
        words.append(f"{left / 60:.0f} min left" if left >= 90 else f"{left:.0f} s left")
    return "  ".join(words)


def _line(axes: Any, log: Sequence[Epoch], name: str, colour: str, marker: str) -> None:
    points = [(epoch.number, getattr(epoch, f"validation_{name}")) for epoch in log]
    points = [(number, value) for number, value in points if not isnan(value)]
    if points:
        axes.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=4, label=name)
