"""The study: what the paper did, on a track of ours; from the same records, on a page of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from benchmark.evidence.trainings import Spreads
from benchmark.evidence.variants import Trained
from benchmark.measures import positive_words
from benchmark.record import Record
from benchmark.statistics import Estimate, accuracy_interval
from leaderboard import figures
from leaderboard.effects import Effects, effects
from leaderboard.groups import PUBLIC_TRACKS
from leaderboard.paper import Paper
from leaderboard.published import published
from leaderboard.tables import Table
from leaderboard.tracks import track_warnings
from leaderboard.trainings import trainings_words
from leaderboard.words import interval, number, plain_text, slug

ATTACKS = {"fgsm": "FGSM", "bim": "BIM", "pgd": "PGD"}  # the paper's
LINES = {"fgsm": (0, (1, 1.5)), "bim": (0, (5, 1.5)), "pgd": (0, (7, 1.5, 1, 1.5)), None: "solid"}
PAPERS_NETWORK = "vgg16"  # of any width
PAPERS_RECIPES = ("pgd-at", "paper-two-stage")  # PGD adversarial training, and the paper's two stages of ε
QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Abstract:
    """A line of the abstract's table: as published, under the paper's protocol here, and in the worst case here."""

    modality: str
    entry: str
    swatch: Markup
    published: str
    clean: str
    paper: str
    paper_interval: str
    worst: str
    worst_interval: str
    trainings: str


@dataclass(frozen=True)
class Sensitivity:
    """Quartiles of the smallest change that breaks an image that is right when clean: ε, and the same in a unit."""

    entry: str
    swatch: Markup
    quartiles: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Modality:
    """The figures of one modality."""

    name: str
    anchor: str
    title: str
    unit: str
    positive: str
    curves: Markup
    sensitivity: Markup
    quartiles: tuple[Sensitivity, ...]
    legend: tuple[tuple[Markup, str], ...]
    effects: Effects | None


@dataclass(frozen=True)
class Study:
    """study.html of one track."""

    track: str
    warning: str
    headline: str
    citation: str
    url: str
    note: str
    abstract: tuple[Abstract, ...]
    modalities: tuple[Modality, ...]


@dataclass(frozen=True)
class Subject:
    """An entry of the study: its place in its table, and whether it is the naive one."""

    place: int
    title: str
    naive: bool
    record: Record
    paper: Paper | None
    trainings: Spreads | None


def study(
    tables: Sequence[Table],
    records: Sequence[Record],
    papers: Mapping[str, Paper],
    trained: Mapping[str, Sequence[Trained]] | None = None,
) -> Study | None:
    """The study of the first public track on which a trained entry stands beside its naive twin; None without one.

    Args:
        trained: what `oncorobust study` measured, as `read_effects` gives it.
    """
    for track in PUBLIC_TRACKS:
        found = [
            (table, who)
            for table in tables
            if table.track == track and table.ranked and (who := subjects(table, records, papers))
        ]
        if found:
            return Study(
                track=track,
                warning=" ".join(track_warnings(track)),
                headline=found[0][0].protocol["headline"],
                citation=published().citation,
                url=published().url,
                note=published().note,
                abstract=tuple(line for table, who in found for line in _abstract(table, who)),
                modalities=tuple(_modality(table, who, trained or {}) for table, who in found),
            )
    return None


def subjects(table: Table, records: Sequence[Record], papers: Mapping[str, Paper]) -> tuple[Subject, ...]:
    """Naive twins that have a record, then the entries trained against attacks, each in the table's order."""
    own = {
        record.submission: record
        for record in records
        if (record.track, record.modality, record.protocol["name"])
        == (table.track, table.modality.name, table.protocol["name"])
    }
    twins = {gain.twin for gain in table.gains if gain.twin in own}
    trained = {gain.entry for gain in table.gains if gain.twin in own}
    found = [
        Subject(
            place,
            plain_text(row.description.get("title")) or row.submission,
            row.submission in twins,
            own[row.submission],
            _current(papers.get(f"{table.track}/{table.modality.name}/{row.submission}")),
            row.trainings if row.trainings and row.trainings.seeds else None,
        )
        for place, row in enumerate(table.rows)
        if row.submission in twins | trained
    ]
    return tuple(sorted(found, key=lambda subject: not subject.naive))


def study_lines(
    tables: Sequence[Table], records: Sequence[Record], papers: Mapping[str, Paper]
) -> list[list[Any]]:
    """Accuracy of each entry of the study under each of the paper's attacks and in the worst case: a CSV."""
    header = ["track", "modality", "submission", "naive", "attack", "epsilon", "accuracy", "papers_protocol"]
    lines: list[list[Any]] = [[*header, "trainings", "mean_of_trainings", "sd_of_trainings"]]
    for table in tables:
        for subject in subjects(table, records, papers) if table.ranked else ():
            record = subject.record
            head = [record.track, record.modality, record.submission, subject.naive]
            for attack in LINES:
                for epsilon in record.epsilons:
                    value = record.robust_accuracy(epsilon, attack)
                    paper = _paper_value(subject, attack, epsilon)
                    name = attack or "worst case"
                    spread = subject.trainings.robust[epsilon] if subject.trainings and not attack else None
                    several = [len(spread.values), spread.mean, spread.deviation] if spread else [None] * 3
                    lines.append([*head, name, epsilon, value, paper and paper.value, *several])
    return lines


def _current(paper: Paper | None) -> Paper | None:
    return paper if paper is not None and paper.result.belongs_to(paper.record) else None


def _paper_value(subject: Subject, attack: str | None, epsilon: str) -> Estimate | None:
    if subject.paper is None or attack is None:
        return None
    by_epsilon = subject.paper.summary["attacks"].get(attack, {})
    return Estimate(**by_epsilon[epsilon]["papers_protocol"]) if epsilon in by_epsilon else None


def _abstract(table: Table, who: Sequence[Subject]) -> Iterator[Abstract]:
    headline = table.protocol["headline"]
    numbers = {n.training: f"{n.accuracy:.1f}" for n in published().of(table.modality.name)}
    for subject in who:
        record = subject.record
        paper = _paper_value(subject, "pgd", headline)
        worst = accuracy_interval(record.robust(headline), record.labels, record.patient_ids)
        yield Abstract(
            modality=table.modality.title,
            entry=subject.title,
            swatch=figures.swatch(subject.place),
            published=numbers.get(_published_kind(subject), "–"),
            clean=number(record.clean_accuracy),
            paper=number(paper.value if paper else None),
            paper_interval=interval(paper),
            worst=number(worst.value),
            worst_interval=interval(worst),
            trainings=trainings_words(spread, spread.robust[headline])
            if (spread := subject.trainings)
            else "",
        )


def _published_kind(subject: Subject) -> str:
    """Which of the paper's numbers stands beside an entry of its network: naive, of its own training, or none."""
    if not str(subject.record.description.get("architecture", "")).startswith(PAPERS_NETWORK):
        return ""
    if subject.naive:
        return "naive"
    training = subject.record.description.get("training")
    recipe = training.get("recipe") if isinstance(training, Mapping) else None
    return "adversarial" if recipe in PAPERS_RECIPES else ""


def _modality(table: Table, who: Sequence[Subject], trained: Mapping[str, Sequence[Trained]]) -> Modality:
    anchor = f"study-{slug(table.modality.name)}"
    home = f"{table.track}/{table.modality.name}"
    return Modality(
        name=table.modality.name,
        anchor=anchor,
        title=table.modality.title,
        unit=table.modality.step(table.protocol["headline"], table.notes)[1],
        positive=positive_words(table.modality.name, table.track),
        curves=_curves(table, who, anchor),
        sensitivity=_sensitivity(table, who, anchor),
        quartiles=tuple(_quartiles(table, subject) for subject in who),
        legend=tuple((figures.swatch(subject.place), subject.title) for subject in who),
        effects=effects(trained.get(home, ()), anchor, table.modality.title, f"{anchor}-trainings.csv"),
    )


def _curves(table: Table, who: Sequence[Subject], anchor: str) -> Markup:
    def draw(axes: Any) -> None:
        for subject in who:
            record = subject.record
            x = [0.0, *map(float, record.epsilons)]
            for attack, dashes in LINES.items():
                shares = [record.robust_accuracy(epsilon, attack) for epsilon in record.epsilons]
                y = [100 * share for share in (record.clean_accuracy, *shares)]
                look = {"linewidth": 1.9 if attack is None else 1.1, "linestyle": dashes}
                axes.plot(x, y, color=figures.placeholder(subject.place), **look)
        figures.draw_epsilons(axes, table)
        figures.draw_percent(axes, "accuracy, at most")

    return figures.drawn(
        draw,
        (7.6, 3.8),
        f"{anchor}-curves",
        f"{table.modality.title}: accuracy over ε, attack by attack",
        "For each entry four lines: FGSM dotted, BIM dashed, PGD dash-dotted, the worst case over the battery solid.",
    )


def _sensitivity(table: Table, who: Sequence[Subject], anchor: str) -> Markup:
    end = float(table.protocol["epsilons"][-1])

    def draw(axes: Any) -> None:
        for subject in who:
            smallest = np.sort(subject.record.minimal_epsilon)
            share = 100 * np.arange(1, len(smallest) + 1) / len(smallest)
            inside = smallest <= end
            x = [0.0, *smallest[inside], end]
            y = [0.0, *share[inside], 100 * inside.mean()]
            axes.step(x, y, where="post", color=figures.placeholder(subject.place), linewidth=1.7)
        figures.draw_epsilons(axes, table)
        figures.draw_percent(axes, "images broken, at least")

    return figures.drawn(
        draw,
        (7.6, 3.2),
        f"{anchor}-sensitivity",
        f"{table.modality.title}: how small a change breaks each image",
        "For each entry the share of images for which a change of at most ε was found that breaks them; images that "
        "are wrong to begin with count from 0 on.",
    )


def _quartiles(table: Table, subject: Subject) -> Sensitivity:
    record, end = subject.record, table.protocol["epsilons"][-1]
    right = np.sort(record.minimal_epsilon[record.clean_correct])
    told = []
    for share in QUARTILES:
        # The quantile that is one of the images', so that a censored one is not averaged with others.
        value = float(right[min(len(right) - 1, int(share * len(right)))]) if len(right) else float("nan")
        inside = value <= float(end)
        epsilon = f"{value:.4f}" if inside else end
        sign = "" if inside else ">\N{NO-BREAK SPACE}"
        told.append((f"{sign}{epsilon}", f"{sign}{table.modality.step(epsilon, table.notes)[0]}"))
    return Sensitivity(subject.title, figures.swatch(subject.place), tuple(told))
