"""The method page: what was asked of every entry, what flags, figures and words mean, and what may change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.checks import CHECKS
from benchmark.measures import BINS, SPECIFICITY, SURE
from benchmark.protocol import ENGINE
from benchmark.statistics import MINIMUM_PATIENTS, RESAMPLES
from benchmark.statistics.comparison import LEVEL, SIGNS
from leaderboard import paths
from leaderboard.frame import File, Page
from leaderboard.pages.data import epsilon_numbers, fullest_notes
from leaderboard.parts import Cell, Fact, Line, Numbers
from leaderboard.protocols import protocol_view
from leaderboard.source import Source
from leaderboard.stamp import older_boards
from leaderboard.views import ProtocolView
from leaderboard.vocabulary import attack_words, defence_words
from leaderboard.words import percent


@dataclass(frozen=True)
class MethodPage:
    """method.html."""

    protocols: tuple[ProtocolView, ...]
    epsilons: tuple[Numbers, ...]
    statistics: tuple[Fact, ...]
    checks: Numbers
    attacks: Numbers
    defences: Numbers
    engine: int
    minimum_patients: int
    older: tuple[str, ...]


def pages(source: Source) -> Iterator[Page | File]:
    """method.html: every protocol that any table was measured under."""
    protocols: dict[str, ProtocolView] = {}
    described: dict[str, Mapping[str, Any]] = {}
    epsilons: dict[tuple[str, str], Numbers] = {}
    for table in source.tables:
        view = protocol_view(table.protocol)
        protocols.setdefault(view.anchor, view)
        described.setdefault(view.anchor, table.protocol)
        if table.ranked:
            epsilons.setdefault(
                (table.track, table.modality.name), epsilon_numbers(table, fullest_notes(source, table))
            )
    yield Page(
        paths.METHOD,
        "method.html.j2",
        MethodPage(
            protocols=tuple(protocols.values()),
            epsilons=tuple(epsilons.values()),
            statistics=_statistics(),
            checks=check_numbers(),
            attacks=attack_words(list(described.values())),
            defences=defence_words(),
            engine=ENGINE,
            minimum_patients=MINIMUM_PATIENTS,
            older=older_boards(source.results),
        ),
        title="Method – OncoRobust",
        description="What is asked of every entry: threat model, attacks with every parameter, statistics, words, limits.",
        label="method",
    )


def check_numbers() -> Numbers:
    """The health checks as the code names them: what each asks, measures and tolerates."""
    lines = []
    for check in CHECKS.values():
        tolerance = "by case" if check.threshold is None else f"{check.threshold:g}"
        cells = (" or ".join(check.severities), check.asks, check.measure, tolerance, check.source or "ours")
        lines.append(Line(check.id, tuple(map(Cell, cells))))
    return Numbers(
        "Every check there is. A notice informs; a doubt takes the rank away, whatever the number. T is the median clean "
        "logit gap of the model on the split, so that tolerances hold at any scale of the logits.",
        ("flag", "says", "asks", "measured", "raised above", "source"),
        tuple(lines),
        words=True,
    )


def _statistics() -> tuple[Fact, ...]:
    return (
        Fact(
            "the unit",
            "The patient. Images of one patient are drawn, or turned, together in every interval and every test.",
        ),
        Fact(
            "intervals",
            f"95 %, percentiles of {RESAMPLES:,} resamples of patients, widened for their number; where fewer than 30 "
            "effective images of the rarer answer are left, Wilson's with the effective number of images. A mean of two "
            "classes: Zou & Donner 2008.",
        ),
        Fact(
            "comparisons",
            "On the same images, by the clustered test for paired shares (Obuchowski 1998). All pairs of a board are judged "
            f"together (max-T over {SIGNS:,} random turnings of signs; Westfall & Young 1993): the chance that any “better” "
            f"on a board is false is at most {percent(LEVEL)}.",
        ),
        Fact(
            "ranks",
            "1 + the number of entries that are better beyond chance, to the last place that is left when those that are "
            "worse are taken away. Entries that cannot be told apart share ranks.",
        ),
        Fact(
            "confidence",
            f"AUROC (Obuchowski 1997), Brier score, expected calibration error in {BINS} bins; sensitivity at the threshold "
            f"that gave {percent(SPECIFICITY)} specificity on the clean validation part; errors at a confidence above "
            f"{percent(SURE)}. Under attack only from an attack that is never stopped. The calibration error is too large "
            "on few images, and its resamples are so once more: its interval is turned round the figure (basic bootstrap; "
            "Davison & Hinkley 1997, §5.2), and can lie below it.",
        ),
        Fact(
            "small splits",
            f"Below {MINIMUM_PATIENTS} patients there is no interval and no rank.",
        ),
        Fact(
            "several trainings",
            "Their spread stands beside an entry's number and is never mixed into its interval: luck of training and luck "
            "of sampling are two things.",
        ),
    )
