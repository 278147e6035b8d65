"""What one thing varied in training changes: a figure and its numbers for each, on the study's page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from benchmark.evidence.variants import BASE, CLEAN, NAME, Trained, Variant, read_trained
from benchmark.statistics import Estimate
from leaderboard import figures
from leaderboard.words import interval, number, plain_text

LINES = ("solid", (0, (7, 1.5)), (0, (4, 1.5, 1, 1.5)), (0, (1, 1.5)))


@dataclass(frozen=True)
class Cell:
    """A share in percent, and in small print its spread over trainings, or its interval where there is one training."""

    value: str
    spread: str


@dataclass(frozen=True)
class Effect:
    """One thing that was varied: its figure, and a line for each of its values."""

    title: str
    axis: str
    figure: Markup
    lines: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class Effects:
    """All of them for one modality, how they came about, and the file that holds every number."""

    words: str
    columns: tuple[str, ...]
    legend: tuple[tuple[Markup, str], ...]
    each: tuple[Effect, ...]
    file: str


@dataclass(frozen=True)
class _Axis:
    title: str
    label: str
    of: Callable[[Variant], Any]
    held: Callable[[Variant], Variant]


AXES = (
    _Axis(
        "Image size",
        "pixels a side, the same field of view",
        lambda v: v.side,
        lambda v: replace(v, side=BASE.side),
    ),
    _Axis(
        "Training images",
        "images, over the same number of batches",
        lambda v: v.images,
        lambda v: replace(v, images=BASE.images),
    ),
    _Axis("Training ε", "ε while training", lambda v: v.epsilon, lambda v: replace(v, epsilon=BASE.epsilon)),
)


def read_effects(results_root: Path) -> dict[str, tuple[Trained, ...]]:
    """The tables of `oncorobust study` under a folder, keyed "<track>/<modality>".

    Raises:
        DataError: one is damaged.
    """
    found = sorted(Path(results_root).glob(f"*/*/{NAME}"))
    return {f"{path.parent.parent.name}/{path.parent.name}": read_trained(path) for path in found}


def effects(rows: Sequence[Trained], anchor: str, title: str, file: str) -> Effects | None:
    """The three figures of one modality; None where nothing was trained.

    Args:
        anchor: unique in the page. title: of the modality. file: name of the CSV with every number.
    """
    if not rows:
        return None
    attacked = sorted({row.attacked_at for row in rows}, key=float)
    columns = tuple("clean" if epsilon == CLEAN else f"at ε = {epsilon}" for epsilon in attacked)
    seeds = len({row.variant.seed for row in rows})
    first = next((row for row in rows if row.variant == BASE), rows[0])  # judged on images as they are
    words = (
        f"{plain_text(first.architecture)} by {plain_text(first.recipe)}, one thing varied at a time from {BASE.images:,} "
        f"images of {BASE.side} pixels and ε = {BASE.epsilon}; {seeds} training{'s' if seeds > 1 else ''} of each. "
        f"Percent of {first.judged_images:,} images ({plain_text(first.judged_on)}) that no weights were chosen by, under "
        "PGD alone: a weaker attack than the battery, so these accuracies are more of an upper bound than the board's."
    )
    return Effects(
        words,
        columns,
        tuple((figures.swatch(place), column) for place, column in enumerate(columns)),
        tuple(_effect(axis, rows, attacked, f"{anchor}-effect-{i}", title) for i, axis in enumerate(AXES)),
        file,
    )


def _effect(axis: _Axis, rows: Sequence[Trained], attacked: Sequence[str], anchor: str, title: str) -> Effect:
    own = [row for row in rows if axis.held(row.variant) == replace(BASE, seed=row.variant.seed)]
    values = sorted({axis.of(row.variant) for row in own}, key=float)
    shares: Mapping[tuple[Any, str], list[Trained]] = {
        (value, epsilon): [r for r in own if axis.of(r.variant) == value and r.attacked_at == epsilon]
        for value in values
        for epsilon in attacked
    }

    def draw(axes: Any) -> None:
        for place, epsilon in enumerate(attacked):
            colour, marker = figures.placeholder(place), figures.MARKERS[place]
            there = [x for x, value in enumerate(values) if shares[value, epsilon]]
            means = [100 * _mean(shares[values[x], epsilon]) for x in there]
            axes.plot(there, means, color=colour, linewidth=1.7, linestyle=LINES[place % len(LINES)])
            points = [(x, 100 * row.accuracy) for x in there for row in shares[values[x], epsilon]]
            axes.plot(
                *zip(*points, strict=True), color=colour, marker=marker, markersize=4.5, linestyle="none"
            )
        axes.set_xlim(-0.3, len(values) - 0.7)
        axes.set_xticks(
            range(len(values)), labels=[f"{value:,}" if isinstance(value, int) else value for value in values]
        )
        axes.set_xlabel(axis.label, color=figures.INK)
        figures.draw_percent(axes, "accuracy, at most")

    words = "A line for each ε of the attack through the mean of the trainings; a mark for each training."
    return Effect(
        axis.title,
        axis.label,
        figures.drawn(draw, (5.2, 3.4), anchor, f"{title}: {axis.title.lower()}", words),
        tuple(
            (
                f"{value:,}" if isinstance(value, int) else value,
                tuple(_cell(shares[value, e]) for e in attacked),
            )
            for value in values
        ),
    )


def _mean(rows: Sequence[Trained]) -> float:
    return sum(row.accuracy for row in rows) / len(rows)


def _cell(rows: Sequence[Trained]) -> Cell:
    if not rows:
        return Cell("–", "")
    found = sorted(row.accuracy for row in rows)
    low, high = (found[0], found[-1]) if len(rows) > 1 else (rows[0].low, rows[0].high)
    mean = _mean(rows)
    return Cell(number(mean), interval(Estimate(mean, low, high)))
