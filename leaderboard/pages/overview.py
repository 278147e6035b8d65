"""The overview: the modalities side by side, never pooled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from leaderboard import figures, paths
from leaderboard.board_words import verdict
from leaderboard.entries import title
from leaderboard.frame import File, Page
from leaderboard.source import Source
from leaderboard.tables import Row, Table
from leaderboard.tracks import track_warnings
from leaderboard.words import interval, number, percent

LEADERS = 5


@dataclass(frozen=True)
class Leader:
    """One of the first entries of a board."""

    rank: str
    tied: bool
    name: str
    path: str
    value: str
    interval: str
    mark: Markup


@dataclass(frozen=True)
class Card:
    """A board in a few words and lines. more: how many entries it has besides."""

    path: str
    title: str
    finding: str
    best: str
    bounds: str
    headline: str
    units: str
    verdict: str
    leaders: tuple[Leader, ...]
    more: int


@dataclass(frozen=True)
class Place:
    """An entry on one modality: rank, figure and interval; empty where it has no record."""

    rank: str
    value: str
    interval: str
    path: str


@dataclass(frozen=True)
class Across:
    """An entry on every modality of a track."""

    name: str
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Track:
    """The boards of one track, side by side. others: boards that are never ranked."""

    name: str
    anchor: str
    warnings: tuple[str, ...]
    cards: tuple[Card, ...]
    others: tuple[Card, ...]
    modalities: tuple[str, ...]
    across: tuple[Across, ...]


@dataclass(frozen=True)
class OverviewPage:
    """index.html."""

    tracks: tuple[Track, ...]


def pages(source: Source) -> Iterator[Page | File]:
    """index.html."""
    tracks: dict[str, list[Table]] = {}
    for table in source.tables:
        tracks.setdefault(table.track, []).append(table)
    yield Page(
        paths.OVERVIEW,
        "overview.html.j2",
        OverviewPage(tuple(_track(place, own) for place, own in enumerate(tracks.values()))),
        title="OncoRobust leaderboard",
        description="How many images of cancer patients keep their right diagnosis "
        "when an adversary may move every pixel a little.",
        label="overview",
    )


def _track(place: int, tables: Sequence[Table]) -> Track:
    ranked = [table for table in tables if table.ranked]
    return Track(
        name=tables[0].track,
        anchor=f"track-{place}",
        warnings=track_warnings(tables[0].track),
        cards=tuple(map(_card, ranked)),
        others=tuple(_card(table) for table in tables if not table.ranked),
        modalities=tuple(table.modality.title.split(":")[0] for table in ranked),
        across=_across(ranked) if len(ranked) > 1 else (),
    )


def _card(table: Table) -> Card:
    best = next((row for row in table.rows if row.rank == 1), None)
    short, _, finding = table.modality.title.partition(": ")
    ranked = [row for row in table.rows if row.rank is not None]
    return Card(
        path=paths.board(table),
        title=short if table.ranked else f"{short} — {table.protocol['name']}: never ranked",
        finding=finding,
        best=f"at most {percent(best.balanced.value)}" if best else "no rank",
        bounds=interval(best.balanced) if best else "",
        headline=table.protocol["headline"],
        units=table.told(table.protocol["headline"]),
        verdict=verdict(table),
        leaders=tuple(_leader(table, row) for row in ranked[:LEADERS]),
        more=len(table.rows) - len(ranked[:LEADERS]),
    )


def _leader(table: Table, row: Row) -> Leader:
    rank = row.standing.rank
    return Leader(
        rank=rank.words if rank else "–",
        tied=rank is not None and rank.first < rank.last,
        name=title(row),
        path=paths.entry(table, row.submission),
        value=number(row.balanced.value),
        interval=interval(row.balanced),
        mark=figures.forest(row.balanced_clean, row.balanced),
    )


def _across(tables: Sequence[Table]) -> tuple[Across, ...]:
    """Entries by their names: an order by any figure would pool what may not be pooled."""
    names: dict[str, str] = {}
    for table in tables:
        for row in table.rows:
            names.setdefault(row.submission, title(row))
    rows = [{row.submission: row for row in table.rows} for table in tables]
    return tuple(
        Across(
            name,
            tuple(_place(table, own.get(submission)) for table, own in zip(tables, rows, strict=True)),
        )
        for submission, name in sorted(names.items(), key=lambda item: (item[1].casefold(), item[0]))
    )


def _place(table: Table, row: Row | None) -> Place:
    if row is None:
        return Place("", "", "", "")
    rank = row.standing.rank
    return Place(
        rank=f"rank {rank.words}" if rank else row.unranked_because,
        value=number(row.balanced.value),
        interval=interval(row.balanced),
        path=paths.entry(table, row.submission),
    )
