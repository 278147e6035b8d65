"""The overview: the modalities side by side, never pooled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmark.statistics import MINIMUM_PATIENTS
from leaderboard import paths
from leaderboard.frame import File, Page
from leaderboard.pages.board import verdict
from leaderboard.source import Source
from leaderboard.tables import Table
from leaderboard.tracks import track_warnings
from leaderboard.words import percent


@dataclass(frozen=True)
class Card:
    """A board in a few words."""

    path: str
    title: str
    best: str
    headline: str
    units: str
    verdict: str


@dataclass(frozen=True)
class Track:
    """The boards of one track, side by side."""

    name: str
    warnings: tuple[str, ...]
    cards: tuple[Card, ...]
    others: tuple[Card, ...]


@dataclass(frozen=True)
class OverviewPage:
    """index.html. others: boards that are never ranked."""

    tracks: tuple[Track, ...]
    minimum_patients: int


def pages(source: Source) -> Iterator[Page | File]:
    """index.html."""
    tracks: dict[str, list[Table]] = {}
    for table in source.tables:
        tracks.setdefault(table.track, []).append(table)
    yield Page(
        paths.OVERVIEW,
        "overview.html.j2",
        OverviewPage(tuple(_track(name, own) for name, own in tracks.items()), MINIMUM_PATIENTS),
        title="OncoRobust leaderboard",
        description="How many images of cancer patients keep their right diagnosis "
        "when an adversary may move every pixel a little.",
        label="overview",
    )


def _track(name: str, tables: list[Table]) -> Track:
    return Track(
        name,
        track_warnings(name),
        tuple(_card(table) for table in tables if table.ranked),
        tuple(_card(table) for table in tables if not table.ranked),
    )


def _card(table: Table) -> Card:
    best = next((row for row in table.rows if row.rank == 1), None)
    name = table.modality.title
    return Card(
        path=paths.board(table),
        title=name if table.ranked else f"{name} — {table.protocol['name']}: never ranked",
        best=f"at most {percent(best.balanced.value)}" if best else "no rank",
        headline=table.protocol["headline"],
        units=table.told(table.protocol["headline"]),
        verdict=verdict(table),
    )
