"""Results under the paper's protocol → what stands beside a table: both numbers, and what dropping images does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

from benchmark.paper_result import KEPT, PaperResult
from benchmark.record import Record
from benchmark.statistics import Estimate
from leaderboard import figures
from leaderboard.paths import download, table_name
from leaderboard.tables import Table
from leaderboard.views import Drop, PaperRow, PaperView
from leaderboard.words import interval, number, percent

COLUMNS = ("papers_protocol", "right_and_unflipped", "wrong_and_flipped", "true_labels", "worst_case")


@dataclass(frozen=True)
class Paper:
    """An entry's result under the paper's protocol, and the record that it stands beside."""

    result: PaperResult
    record: Record

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Every figure of both sides, as `PaperResult.summary` gives them; asked for many times, computed once."""
        return self.result.summary(self.record)


def read_papers(results_root: Path, records: Sequence[Record]) -> dict[str, Paper]:
    """The results under the paper's protocol that stand beside records, keyed "<track>/<modality>/<submission>".

    Raises:
        DataError: one is damaged.
    """
    papers = {}
    for record in records:
        home = f"{record.track}/{record.modality}/{record.submission}"
        path = Path(results_root) / f"{home}.paper.json"
        if path.exists():
            papers[home] = Paper(PaperResult.load(path), record)
    return papers


def paper_view(table: Table, titles: Mapping[str, str], papers: Mapping[str, Paper]) -> PaperView | None:
    """The view of one table, or None where no entry has a result.

    Args:
        titles: submission → what the page calls it.
    """
    found = [
        (place, papers[home])
        for place, row in enumerate(table.rows)
        if (home := _home(table, row.submission)) in papers
    ]
    current = [(place, paper) for place, paper in found if paper.result.belongs_to(paper.record)]
    if not found:
        return None
    rows, drops, lines = [], [], []
    for place, paper in current:
        summary = paper.summary
        title = titles[paper.result.submission] + (" (in doubt)" if paper.result.doubt else "")
        for spec in paper.result.asked["attacks"]:
            side = summary["attacks"][spec["name"]][table.protocol["headline"]]
            value = Estimate(**side["papers_protocol"])
            rows.append(
                PaperRow(
                    entry=title,
                    swatch=figures.swatch(place),
                    attack=_title(table, spec["name"]),
                    value=number(value.value),
                    interval=interval(value) or "no interval",
                    right_unflipped=number(side["right_and_unflipped"]),
                    wrong_flipped=number(side["wrong_and_flipped"]),
                    true_labels=number(side["true_labels"]),
                    worst=number(side["worst_case"]),
                )
            )
        drops.append(Drop(title, figures.swatch(place), _dropped(summary["dropping_the_most_sensitive"])))
        clean = paper.result.curve(paper.result.right)
        attacked = paper.result.curve(paper.record.robust(paper.record.headline))
        marks = (clean.row(KEPT), clean.row(1))
        lines.append(figures.CoverageLine(place, clean.coverage, clean.accuracy, attacked.accuracy, marks))
    return PaperView(
        headline=table.protocol["headline"],
        rows=tuple(rows),
        outdated=tuple(
            titles[paper.result.submission] for _, paper in found if not paper.result.belongs_to(paper.record)
        ),
        drops=tuple(drops),
        figure=figures.coverage(
            lines,
            KEPT,
            f"{table_name(table)}-coverage",
            f"{table.modality.title}: accuracy over coverage",
            "One line per entry: accuracy of the images that are answered, when those that the smallest change flips "
            "are left out first. Fainter and dashed: the same images in the worst case at the headline ε.",
        ),
        file=download(table, "-paper.csv"),
        coverage_file=download(table, "-coverage.csv"),
    )


def paper_lines(table: Table, papers: Mapping[str, Paper]) -> list[list[object]]:
    """Every entry, attack and ε, both numbers side by side: the header, then the lines of a CSV."""
    lines: list[list[object]] = [
        ["submission", "attack", "epsilon", "papers_protocol", "low", "high", *COLUMNS[1:]]
    ]
    for paper in _current(table, papers):
        for attack, by_epsilon in paper.summary["attacks"].items():
            for epsilon, side in by_epsilon.items():
                value = side["papers_protocol"]
                line = [paper.result.submission, attack, epsilon, value["value"], value["low"], value["high"]]
                lines.append([*line, *(side[column] for column in COLUMNS[1:])])
    return lines


def coverage_lines(table: Table, papers: Mapping[str, Paper]) -> list[list[object]]:
    """Accuracy over coverage of every entry: the header, then the lines of a CSV."""
    lines: list[list[object]] = [["submission", "coverage", "clean", "worst_case"]]
    for paper in _current(table, papers):
        clean = paper.result.curve(paper.result.right)
        attacked = paper.result.curve(paper.record.robust(paper.record.headline))
        for share, right, robust in zip(clean.coverage, clean.accuracy, attacked.accuracy, strict=True):
            lines.append([paper.result.submission, float(share), float(right), float(robust)])
    return lines


def paper_text(result: PaperResult, record: Record) -> str:
    """Both numbers at every ε and the dropping of images, for a terminal, without colour."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as TextTable

    summary, epsilons = result.summary(record), list(result.starts)
    name = "".join(filter(str.isprintable, result.submission))
    title = f"{name} · {result.modality} · {result.track} · the paper's protocol beside ours, never ranked · percent"
    table = TextTable(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    table.add_column("attack")
    table.add_column("labels")
    for epsilon in epsilons:
        table.add_column(epsilon, justify="right")
    for attack, sides in summary["attacks"].items():
        own = [number(sides[epsilon]["papers_protocol"]["value"]) for epsilon in epsilons]
        table.add_row(attack, "none: the paper's", *own)
        table.add_row("", "true: robust accuracy", *(number(sides[e]["true_labels"]) for e in epsilons))
    table.add_row("worst case", "true", *(number(record.robust_accuracy(epsilon)) for epsilon in epsilons))
    out = StringIO()
    console = Console(file=out, width=160, color_system=None, markup=False, emoji=False, highlight=False)
    console.print(table)
    lowest = number(summary["lowest_possible"])
    console.print(
        f"Clean {number(summary['clean']['value'])}. "
        f"Flipping every answer would leave {lowest} without labels, 0.0 with them."
    )
    console.print(_dropped(summary["dropping_the_most_sensitive"]))
    if result.doubt:
        console.print(f"In doubt: {result.doubt.sentence}.")
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _dropped(found: Mapping[str, Mapping[str, float]]) -> str:
    clean, worst = found["clean"], found["worst_case"]
    return (
        f"With the most sensitive fifth left out, clean accuracy goes from {percent(clean['all'])} to "
        f"{percent(clean['kept'])} and worst case from {percent(worst['all'])} to {percent(worst['kept'])}. Area under the "
        f"clean risk–coverage curve (AURC) {clean['aurc']:.3f}; by the plain margin {clean['aurc_by_margin']:.3f}, "
        f"by chance {clean['aurc_by_chance']:.3f}, at best {clean['aurc_smallest']:.3f}."
    )


def _current(table: Table, papers: Mapping[str, Paper]) -> list[Paper]:
    found = [papers[home] for row in table.rows if (home := _home(table, row.submission)) in papers]
    return [paper for paper in found if paper.result.belongs_to(paper.record)]


def _home(table: Table, submission: str) -> str:
    return f"{table.track}/{table.modality.name}/{submission}"


def _title(table: Table, attack: str) -> str:
    titles = {spec["name"]: str(spec["title"]) for spec in table.protocol["attacks"]}
    return titles.get(attack, attack)
