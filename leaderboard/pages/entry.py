"""An entry's page: what it is, what was measured, and how to run it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from leaderboard import paths
from leaderboard.entries import entry_view
from leaderboard.frame import File, Page
from leaderboard.source import Source
from leaderboard.tables import Table
from leaderboard.tracks import track_warnings
from leaderboard.views import EntryView


@dataclass(frozen=True)
class EntryPage:
    """<track>/<modality>/<entry>.html."""

    entry: EntryView
    board: str
    modality: str
    track: str
    warnings: tuple[str, ...]


def pages(source: Source) -> Iterator[Page | File]:
    """A page for each entry of each table."""
    for table in source.tables:
        for place in range(len(table.rows)):
            yield _page(table, place)


def _page(table: Table, place: int) -> Page:
    entry = entry_view(table, place)
    return Page(
        entry.path,
        "entry.html.j2",
        EntryPage(entry, paths.board(table), table.modality.title, table.track, track_warnings(table.track)),
        title=f"{entry.title}: {table.modality.title}, {table.track} – OncoRobust",
        description=f"How robust {entry.title} is on {table.modality.title}, and how it was measured.",
        home=paths.home(table),
        track=table.track,
    )
