"""The method page: what was asked of every entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmark.statistics import MINIMUM_PATIENTS
from leaderboard import paths
from leaderboard.frame import File, Page
from leaderboard.protocols import protocol_view
from leaderboard.source import Source
from leaderboard.views import ProtocolView


@dataclass(frozen=True)
class MethodPage:
    """method.html."""

    protocols: tuple[ProtocolView, ...]
    minimum_patients: int


def pages(source: Source) -> Iterator[Page | File]:
    """method.html: every protocol that any table was measured under."""
    protocols: dict[str, ProtocolView] = {}
    for table in source.tables:
        view = protocol_view(table.protocol)
        protocols.setdefault(view.anchor, view)
    yield Page(
        paths.METHOD,
        "method.html.j2",
        MethodPage(tuple(protocols.values()), MINIMUM_PATIENTS),
        title="Method – OncoRobust",
        description="What is asked of every entry: threat model, attacks with every parameter, statistics, words, limits.",
        label="method",
    )
