"""Best known, beside the protocol's number: what others broke, with credit. It never moves a rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.evidence.best_known import BestKnown, best_known
from benchmark.record import Record
from leaderboard.words import number, plain_text


@dataclass(frozen=True)
class CreditView:
    """Who lowered best known, with a link where there is one, and by how many images."""

    name: str
    link: str
    images: str


@dataclass(frozen=True)
class BestKnownView:
    """Best known in percent, balanced and of all images, who showed it, and what to know of it."""

    balanced: str
    worst: str
    credits: tuple[CreditView, ...]
    sentences: tuple[str, ...]


def read_best_known(results_root: Path, records: Sequence[Record]) -> dict[str, BestKnown]:
    """What is best known of every record beside which there is any evidence, keyed "<track>/<modality>/<submission>".

    Args:
        results_root: holds <track>/<modality>/<submission>.json and what stands beside it.

    Raises:
        DataError: a file is damaged.
    """
    found = {}
    for record in records:
        home = f"{record.track}/{record.modality}"
        best = best_known(record, Path(results_root) / home)
        if best.evidence or best.sentences:
            found[f"{home}/{record.submission}"] = best
    return found


def best_known_view(best: BestKnown | None) -> BestKnownView | None:
    """As a template prints it; None where nobody but the battery was asked and nothing was passed over."""
    if best is None:
        return None
    return BestKnownView(
        number(best.accuracy(balanced=True)) if best.evidence else "",
        number(best.accuracy()) if best.evidence else "",
        tuple(CreditView(plain_text(c.name), web(c.link), f"{c.images:,}") for c in best.credits),
        tuple(flag.sentence for flag in best.flags) + best.sentences,
    )


def web(link: str) -> str:
    """An address that a page may lead to; empty where it is none."""
    return link if link.startswith(("https://", "http://")) else ""


def best_known_cells(best: BestKnown | None) -> list[float | None]:
    """Two columns of a table's CSV: best known of all images, and balanced; empty where nobody was asked."""
    return (
        [best.accuracy(), best.accuracy(balanced=True)]
        if best is not None and best.evidence
        else [None, None]
    )
