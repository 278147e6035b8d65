"""A board: all entries of one track, modality and protocol, the best first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from leaderboard import board_words, figures, paths
from leaderboard.board_rows import Line, Reference, lines_of, references_of, script_data
from leaderboard.columns import Column, columns
from leaderboard.csv_text import as_csv
from leaderboard.downloads import curve_lines, table_json, table_lines
from leaderboard.entries import difference, title
from leaderboard.frame import File, Page
from leaderboard.paper import coverage_lines, paper_lines, paper_view
from leaderboard.published import Published, published
from leaderboard.source import Source
from leaderboard.tables import Gain, Table
from leaderboard.tracks import track_warnings
from leaderboard.views import GainView, PaperView
from leaderboard.words import number


@dataclass(frozen=True)
class Curve:
    """An entry's balanced accuracies over ε, in the worst case and under noise, as text."""

    name: str
    swatch: Markup
    worst: tuple[str, ...]
    noise: tuple[str, ...]


@dataclass(frozen=True)
class BoardPage:
    """<track>/<modality>/index.html.

    shown: the entries that the figure tells apart. data: for the board's script.
    """

    title: str
    track: str
    ranked: bool
    warnings: tuple[str, ...]
    verdict: str
    trust: str
    ties: tuple[str, ...]
    facts: tuple[board_words.Fact, ...]
    protocol: str
    headline: str
    headline_units: str
    epsilons: tuple[str, ...]
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    references: tuple[Reference, ...]
    flagged: bool
    published: Published
    gains: tuple[GainView, ...]
    figure: Markup
    curves: tuple[Curve, ...]
    shown: int
    paper: PaperView | None
    file: str
    json_file: str
    curves_file: str
    citation: board_words.Citation
    data: Markup


def pages(source: Source) -> Iterator[Page | File]:
    """A page for each table, and its downloads."""
    for table in source.tables:
        yield Page(
            paths.board(table),
            "board.html.j2",
            _board(table, source),
            title=f"{table.modality.title}, {table.track} – OncoRobust",
            description=f"Which models keep the right diagnosis under attack: {table.modality.title}, {table.track}.",
            label=board_words.board_label(table),
            home=paths.home(table),
            track=table.track,
        )
        yield File(paths.download(table, ".csv"), as_csv(table_lines(table)))
        yield File(paths.download(table, ".json"), table_json(table))
        yield File(paths.download(table, "-curves.csv"), as_csv(curve_lines(table)))
        if len(lines := paper_lines(table, source.papers)) > 1:
            yield File(paths.download(table, "-paper.csv"), as_csv(lines))
            yield File(paths.download(table, "-coverage.csv"), as_csv(coverage_lines(table, source.papers)))


def _board(table: Table, source: Source) -> BoardPage:
    headline, own = table.protocol["headline"], columns(table)
    name = table.modality.title
    names = {row.submission: title(row) for row in table.rows}
    lines = lines_of(table, own)
    return BoardPage(
        title=name if table.ranked else f"{name} — {table.protocol['name']}: never ranked",
        track=table.track,
        ranked=table.ranked,
        warnings=track_warnings(table.track) + board_words.warnings(table),
        verdict=board_words.verdict(table) if table.ranked else "",
        trust=board_words.trust(table),
        ties=board_words.tie_words(table),
        facts=board_words.facts(table),
        protocol=f"{table.protocol['name']} v{table.protocol['version']}",
        headline=headline,
        headline_units=table.told(headline),
        epsilons=("0", *table.protocol["epsilons"]),
        columns=own,
        lines=lines,
        references=references_of(table, own),
        flagged=any(line.flags for line in lines),
        published=published(),
        gains=tuple(_gain(gain, names) for gain in table.gains),
        figure=figures.curves(
            table,
            paths.table_name(table),
            f"{name}, {table.track}: accuracy over ε",
            "One line per entry: balanced worst-case accuracy at each ε of the grid, with its interval at the "
            "headline. Fainter: the same entry under random noise. The same numbers stand in the table below.",
        ),
        curves=tuple(
            Curve(
                line.name,
                line.swatch,
                tuple(number(point.worst) for point in row.curve),
                tuple(number(point.noise) for point in row.curve),
            )
            for line, row in zip(lines[: figures.SHOWN], table.rows, strict=False)
        ),
        shown=min(len(table.rows), figures.SHOWN),
        paper=paper_view(table, names, source.papers),
        file=paths.download(table, ".csv"),
        json_file=paths.download(table, ".json"),
        curves_file=paths.download(table, "-curves.csv"),
        citation=board_words.citation(table, source),
        data=script_data(table, lines, own),
    )


def _gain(gain: Gain, names: Mapping[str, str]) -> GainView:
    twin = names.get(gain.twin, f"{gain.twin} (no record here)")
    return GainView(names[gain.entry], twin, difference(gain.clean), difference(gain.worst))
