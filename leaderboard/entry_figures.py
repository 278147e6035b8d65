"""The four figures of an entry's page, each with its numbers: accuracy, direction, smallest change, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from markupsafe import Markup
from scipy.special import expit

from benchmark.measures import BINS
from benchmark.record import Record
from benchmark.statistics import Estimate
from benchmark.statistics.confidence import scores
from leaderboard import figures
from leaderboard.canvas import Canvas, canvas, over_epsilon, swatch
from leaderboard.measured import Measured
from leaderboard.met import met_words
from leaderboard.parts import Cell, Figure, Line, Numbers, share
from leaderboard.tables import Table
from leaderboard.words import number

SIZE = (7.6, 3.7)
NOISE = "noise"


@dataclass(frozen=True)
class EntryFigures:
    """Of all entries of one table: axes are drawn once."""

    table: Table

    def all(self, record: Record, found: Measured) -> tuple[Figure, ...]:
        """Of one entry, in the order of the page."""
        return (
            self._attacks(record, found),
            self._direction(found),
            self._smallest(record),
            self._reliability(record),
        )

    @property
    def _grid(self) -> list[float]:
        return [0.0, *map(float, self.table.protocol["epsilons"])]

    @cached_property
    def _over_epsilon(self) -> dict[str, Canvas]:
        labels = {
            "attacks": "balanced accuracy, at most",
            "direction": "right, at most",
            "smallest": "turned, at least",
        }
        return {
            name: over_epsilon(self.table, SIZE, f"figure-{name}", label) for name, label in labels.items()
        }

    def _attacks(self, record: Record, found: Measured) -> Figure:
        area, curve = self._over_epsilon["attacks"], found.measures.curve
        clean = curve[0].balanced
        worst = [point.balanced for point in curve]
        marks = [_band(area, self._grid, worst, 0), area.line(self._grid, _values(worst), 0, width=2.2)]
        legend = [(swatch(0), "worst case over the battery, with its 95 % interval")]
        lines = [Line("worst case", tuple(map(share, worst)), swatch(0))]
        titles = {spec["name"]: str(spec["title"]) for spec in self.table.protocol["attacks"]}
        at = record.epsilons.index(record.headline)
        for place, (attack, alone) in enumerate(found.by_attack.items(), start=1):
            marks.append(area.line(self._grid, _values([clean, *alone]), place, place, 1.1))
            low, high = alone[at].low, alone[at].high
            if low is not None and high is not None:
                marks.append(area.bar(float(record.headline), 100 * low, 100 * high, place))
            sign = swatch(place, place)
            legend.append((sign, titles.get(attack, attack)))
            lines.append(Line(titles.get(attack, attack), tuple(map(share, (clean, *alone))), sign))
        legend += [(Markup(""), words) for words in met_words(found.measures.survivors, titles)]
        return self._figure(
            "attacks",
            "Accuracy over ε, attack by attack",
            "Balanced accuracy under each attack that was asked about every image, and in the worst case of all of them "
            "with its 95 % interval as a band; upright bars are the intervals of single attacks at the headline "
            f"ε = {record.headline}.",
            area,
            marks,
            legend,
            "Balanced accuracy in percent, at most; in small print its 95 % interval from resampled patients.",
            lines,
        )

    def _direction(self, found: Measured) -> Figure:
        area, curve, modality = self._over_epsilon["direction"], found.measures.curve, self.table.modality
        marks, legend, lines = [], [], []
        for place, (label, name) in enumerate(
            (("sensitivity", modality.positive), ("specificity", modality.negative))
        ):
            shares: list[Estimate | None] = [getattr(point, label) for point in curve]
            there = [each for each in shares if each is not None]
            if len(there) == len(shares):
                marks += [
                    _band(area, self._grid, there, place),
                    area.line(self._grid, _values(there), place, place, 2.0),
                ]
            sign = swatch(place, place)
            legend.append((sign, f"{label}: {name} images still called {name}"))
            lines.append(Line(label, tuple(map(share, shares)), sign))
        lines.append(Line("attack success", tuple(map(share, (p.attack_success for p in curve)))))
        return self._figure(
            "direction",
            "Which way the errors go",
            "Sensitivity and specificity in the worst case over ε, with their 95 % intervals as bands.",
            area,
            marks,
            legend,
            "Percent of the images of a class that keep their right answer, at most. Attack success: percent of the images "
            "right when clean that are turned, at least.",
            lines,
        )

    def _smallest(self, record: Record) -> Figure:
        area, modality, end = self._over_epsilon["smallest"], self.table.modality, self._grid[-1]
        marks, legend, lines = [], [], []
        for place, (label, name) in enumerate(((1, modality.positive), (0, modality.negative))):
            own = np.sort(record.minimal_epsilon[record.labels == label])
            if not len(own):
                continue
            inside = own[own <= end]
            x = [0.0, *inside, end]
            y = 100 * np.array([0.0, *np.arange(1, len(inside) + 1), len(inside)]) / len(own)
            # Where the image was wrong when clean its smallest change is 0, and the line starts above it.
            marks.append(area.steps(x, y, place, place))
            sign = swatch(place, place)
            legend.append((sign, f"{name}: {len(own):,} images"))
            turned = tuple(Cell(number(float((own <= epsilon).mean()))) for epsilon in self._grid)
            lines.append(Line(name, turned, sign))
        return self._figure(
            "smallest",
            "How small a change turns each image",
            "Share of the images of each class for which a change of at most ε was found that turns their answer; images "
            "wrong when clean count from 0 on.",
            area,
            marks,
            legend,
            "Percent of the images of a class turned by a change of at most ε, at least.",
            lines,
        )

    def _figure(
        self,
        name: str,
        title: str,
        description: str,
        area: Canvas,
        marks: Sequence[Any],
        legend: Sequence[Any],
        caption: str,
        lines: Sequence[Line],
    ) -> Figure:
        columns = ("", "clean", *self.table.protocol["epsilons"])
        told = self.table.modality.step(self.table.protocol["headline"], self.table.notes)[1]
        units = Line(
            f"ε in {told}",
            (
                Cell("0"),
                *(
                    Cell(self.table.modality.step(e, self.table.notes)[0])
                    for e in self.table.protocol["epsilons"]
                ),
            ),
        )
        return Figure(
            f"figure-{name}",
            title,
            area.drawn(title, description, marks),
            tuple(legend),
            Numbers(caption, columns, (units, *lines)),
        )

    def _reliability(self, record: Record) -> Figure:
        area, marks, legend = _square(), [], []
        columns, bins = ["probability of disease"], []
        conditions = [("clean", record.clean_margins)]
        if record.lowest_margins is not None:
            conditions.append((f"attacked at ε = {record.headline}, never stopped", record.lowest_margins))
        for place, (name, margins) in enumerate(conditions):
            found = reliability(margins, record.labels)
            bins.append(found)
            x, y = [100 * each.confidence for each in found], [100 * each.observed for each in found]
            sizes = [1.8 + 7 * (each.images / len(record.labels)) ** 0.5 for each in found]
            marks += [area.line(x, y, place, place, 1.2), area.dots(x, y, place, sizes)]
            legend.append((swatch(place, place, dot=True), name))
            columns += [f"{name}: images", "mean probability", "with disease"]
        legend.append((Markup(""), "a dot for each fifteenth of the range, larger where more images lie"))
        lines = []
        for at in range(BINS):
            cells: list[Cell] = []
            for found in bins:
                here = next((each for each in found if each.bin == at), None)
                cells += (
                    [Cell(f"{here.images:,}"), Cell(number(here.confidence)), Cell(number(here.observed))]
                    if here
                    else [Cell("0"), Cell("–"), Cell("–")]
                )
            lines.append(Line(f"{100 * at / BINS:.0f}–{100 * (at + 1) / BINS:.0f} %", tuple(cells)))
        title = "Is its confidence to be believed?"
        description = (
            "Reliability diagram: of the images to which the model gives a probability of disease, the share that have it. "
            "On the dotted diagonal confidence is what it says; under attack every image is pushed to its wrong side."
        )
        caption = (
            f"Images by the probability of disease that they are given, in {BINS} bins; shares in percent."
        )
        return Figure(
            "figure-reliability",
            title,
            area.drawn(title, description, marks),
            tuple(legend),
            Numbers(caption, tuple(columns), tuple(lines)),
        )


@dataclass(frozen=True)
class Bin:
    """Images to which a model gives about the same probability of disease. confidence, observed: means of it, of labels."""

    bin: int
    images: int
    confidence: float
    observed: float


def reliability(margins: np.ndarray, labels: np.ndarray) -> list[Bin]:
    """The bins that hold an image, ascending; the expected calibration error is their weighted mean of |difference|.

    Args:
        margins: (N,), true logit minus the other. labels: (N,), 0 or 1.
    """
    disease = expit(scores(margins, labels))
    inside = np.minimum((disease * BINS).astype(int), BINS - 1)
    return [
        Bin(
            int(at),
            int((inside == at).sum()),
            float(disease[inside == at].mean()),
            float(labels[inside == at].mean()),
        )
        for at in np.unique(inside)
    ]


@cache
def _square() -> Canvas:
    def draw(axes: Any) -> None:
        axes.plot([0, 100], [0, 100], color=figures.INK, linewidth=0.9, alpha=0.45, linestyle=(0, (2, 2)))
        axes.set_xlim(-2, 102)
        axes.set_xticks(range(0, 101, 20), labels=[f"{x} %" for x in range(0, 101, 20)])
        axes.set_xlabel("probability of disease that the model gives", color=figures.INK)
        figures.draw_percent(axes, "images with disease")

    return canvas(draw, SIZE, "figure-reliability")


def _values(estimates: Sequence[Estimate]) -> list[float]:
    return [100 * each.value for each in estimates]


def _band(area: Canvas, x: Sequence[float], estimates: Sequence[Estimate], series: int) -> Any:
    low = [100 * (each.value if each.low is None else each.low) for each in estimates]
    high = [100 * (each.value if each.high is None else each.high) for each in estimates]
    return area.band(x, low, high, series)
