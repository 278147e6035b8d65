"""What the templates print: frozen records of strings and marks, nothing left to work out."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from leaderboard.evidence import BestKnownView
from leaderboard.trainings import TrainingsView


@dataclass(frozen=True)
class Share:
    """A percentage, its interval as text, and both as a mark."""

    value: str
    interval: str
    bar: Markup


@dataclass(frozen=True)
class Badge:
    """A flag of an entry."""

    entry: str
    id: str
    severity: str
    sentence: str
    measured: str


@dataclass(frozen=True)
class Difference:
    """A difference in points, and its interval as text."""

    value: str
    interval: str


@dataclass(frozen=True)
class EntryView:
    """One entry of a table. path: of its page."""

    anchor: str
    path: str
    submission: str
    title: str
    swatch: Markup
    rank: str
    reason: str
    tied: bool
    training: str
    architecture: str
    kind: str
    authors: str
    clean: Share
    worst: Share
    balanced: Share
    missed_clean: str
    missed: str
    false_alarms: str
    median: str
    median_units: str
    flags: tuple[Badge, ...]
    forward: str
    backward: str
    forward_short: str
    backward_short: str
    seconds: str
    provenance: tuple[tuple[str, str], ...]
    curve: tuple[str, ...]
    noise: tuple[str, ...]
    best_known: BestKnownView | None
    runs: str
    area: str
    sensitivity: Share
    specificity: Share
    to_leader: Difference
    trainings: TrainingsView | None
    claims: tuple[str, ...]


@dataclass(frozen=True)
class GainView:
    """An entry against its naive twin."""

    entry: str
    twin: str
    clean: Difference
    worst: Difference


@dataclass(frozen=True)
class PaperRow:
    """One attack on one entry at the headline ε; shares in percent, as text."""

    entry: str
    swatch: Markup
    attack: str
    value: str
    interval: str
    right_unflipped: str
    wrong_flipped: str
    true_labels: str
    worst: str


@dataclass(frozen=True)
class Drop:
    """What leaving out the most sensitive fifth does to one entry."""

    entry: str
    swatch: Markup
    sentence: str


@dataclass(frozen=True)
class PaperView:
    """What the page says of the paper's protocol under one table."""

    headline: str
    rows: tuple[PaperRow, ...]
    outdated: tuple[str, ...]
    drops: tuple[Drop, ...]
    figure: Markup
    file: str
    coverage_file: str


@dataclass(frozen=True)
class AttackView:
    """One attack of a protocol, settled to the last parameter."""

    title: str
    method: str
    search: str
    parameters: str
    source: str


@dataclass(frozen=True)
class ProtocolView:
    """What was asked of every entry."""

    anchor: str
    title: str
    ranked: bool
    facts: tuple[tuple[str, str], ...]
    attacks: tuple[AttackView, ...]
