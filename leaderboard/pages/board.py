"""A board: all entries of one track, modality and protocol, the best first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from benchmark.measures import positive_words
from benchmark.statistics import MINIMUM_PATIENTS
from leaderboard import figures, paths
from leaderboard.csv_text import as_csv
from leaderboard.downloads import curve_lines, table_json, table_lines
from leaderboard.entries import difference, entry_view, title
from leaderboard.frame import File, Page
from leaderboard.paper import coverage_lines, paper_lines, paper_view
from leaderboard.published import Published, published
from leaderboard.source import Source
from leaderboard.tables import Gain, Table
from leaderboard.tracks import track_warnings
from leaderboard.views import Badge, EntryView, GainView, PaperView
from leaderboard.words import number, unbroken


@dataclass(frozen=True)
class Reference:
    """A published number of this modality, as text."""

    title: str
    accuracy: str


@dataclass(frozen=True)
class BoardPage:
    """<track>/<modality>/index.html."""

    anchor: str
    title: str
    track: str
    ranked: bool
    warnings: tuple[str, ...]
    verdict: str
    facts: tuple[tuple[str, str], ...]
    protocol: str
    headline: str
    headline_units: str
    positive: str
    attack_titles: tuple[str, ...]
    epsilons: tuple[str, ...]
    timed: bool
    entries: tuple[EntryView, ...]
    flags: tuple[Badge, ...]
    gains: tuple[GainView, ...]
    published: Published
    references: tuple[Reference, ...]
    figure: Markup
    file: str
    json_file: str
    curves_file: str
    paper: PaperView | None
    smallest: str


def pages(source: Source) -> Iterator[Page | File]:
    """A page for each table, and its downloads."""
    for table in source.tables:
        home = paths.home(table)
        yield Page(
            paths.board(table),
            "board.html.j2",
            _board(table, source),
            title=f"{table.modality.title}, {table.track} – OncoRobust",
            description=f"Which models keep the right diagnosis under attack: {table.modality.title}, {table.track}.",
            label=board_label(table),
            home=home,
            track=table.track,
        )
        yield File(paths.download(table, ".csv"), as_csv(table_lines(table)))
        yield File(paths.download(table, ".json"), table_json(table))
        yield File(paths.download(table, "-curves.csv"), as_csv(curve_lines(table)))
        if len(lines := paper_lines(table, source.papers)) > 1:
            yield File(paths.download(table, "-paper.csv"), as_csv(lines))
            yield File(paths.download(table, "-coverage.csv"), as_csv(coverage_lines(table, source.papers)))


def board_label(table: Table) -> str:
    """What the navigation calls a board: "CT", "CT, quick"."""
    short = table.modality.title.split(":")[0]
    return short if table.protocol["name"] == paths.PLAIN else f"{short}, {table.protocol['name']}"


def _board(table: Table, source: Source) -> BoardPage:
    anchor, modality, headline = paths.table_name(table), table.modality, table.protocol["headline"]
    entries = tuple(entry_view(table, place) for place in range(len(table.rows)))
    name = modality.title if table.ranked else f"{modality.title} — {table.protocol['name']}: never ranked"
    names = {row.submission: title(row) for row in table.rows}
    return BoardPage(
        anchor=anchor,
        title=name,
        track=table.track,
        ranked=table.ranked,
        warnings=track_warnings(table.track) + _size_warnings(table) + _audit_warnings(table),
        verdict=verdict(table),
        facts=(
            ("images", f"{table.images:,}"),
            ("patients", f"{table.patients:,}"),
            ("split", f"{table.split.get('name', '')} · sha256 {str(table.split.get('sha256', ''))[:12]}"),
        ),
        protocol=f"{table.protocol['name']} v{table.protocol['version']}",
        headline=headline,
        headline_units=table.told(headline),
        positive=positive_words(modality.name, table.track),
        attack_titles=tuple(unbroken(str(spec["title"])) for spec in table.protocol["attacks"]),
        epsilons=("0", *table.protocol["epsilons"]),
        timed=any(row.seconds is not None for row in table.rows),
        entries=entries,
        flags=tuple(badge for entry in entries for badge in entry.flags),
        gains=tuple(_gain(gain, names) for gain in table.gains),
        published=published(),
        references=tuple(Reference(n.title, str(n.accuracy)) for n in published().of(modality.name))
        if table.ranked
        else (),
        figure=figures.curves(
            table,
            anchor,
            f"{name}, {table.track}: accuracy over ε",
            "One line per entry: balanced worst-case accuracy at each ε of the grid, with its interval at the "
            "headline. Fainter: the same entry under random noise. The same numbers stand in the table below.",
        ),
        file=paths.download(table, ".csv"),
        json_file=paths.download(table, ".json"),
        curves_file=paths.download(table, "-curves.csv"),
        paper=paper_view(table, names, source.papers),
        smallest=_smallest(table),
    )


def verdict(table: Table) -> str:
    """Which is best, and is it a tie: the first question of a reader."""
    ranked = [row for row in table.rows if row.rank is not None]
    if not ranked:
        return "No entry is ranked here."
    best, *tied = [row for row in ranked if row.rank == 1]
    if len(ranked) == 1:
        return f"{title(best)} is the only ranked entry."
    if tied:
        others = ", ".join(title(row) for row in tied)
        return f"A tie: {title(best)} leads, but these patients do not tell it from {others}."
    return f"{title(best)} comes first, better than every other ranked entry beyond chance."


def _smallest(table: Table) -> str:
    """How large a difference must be to be found here: of this board, or of these images alone."""
    found = table.board.smallest_difference
    if table.patients < MINIMUM_PATIENTS:
        return f"none: under {MINIMUM_PATIENTS} patients"
    if found is None:
        planned = number(table.board.planned_difference)
        return f"about {planned} points, for two entries that disagree on a fifth of the images"
    return f"{number(found)} points, in four of five samples like this one"


def _gain(gain: Gain, names: Mapping[str, str]) -> GainView:
    twin = names.get(gain.twin, f"{gain.twin} (no record here)")
    return GainView(names[gain.entry], twin, difference(gain.clean), difference(gain.worst))


def _size_warnings(table: Table) -> tuple[str, ...]:
    few = table.patients < MINIMUM_PATIENTS
    return (
        (f"Only {table.patients} patients: no interval and no rank below {MINIMUM_PATIENTS}.",) if few else ()
    )


def _audit_warnings(table: Table) -> tuple[str, ...]:
    found = table.notes.get("audit", {}).get("warnings", ())
    return tuple(f"The audit of these images: {sentence}." for sentence in found)
