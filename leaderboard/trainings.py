"""How an entry's numbers spread over trainings from several seeds, beside its row. Ranked is the record alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.evidence.trainings import Spread, Spreads, spreads
from benchmark.evidence.trainings_files import read_trainings
from benchmark.record import Record
from leaderboard.words import number


@dataclass(frozen=True)
class TrainingsView:
    """Words under the row's two numbers in the worst case, sentences for the card; where outdated a warning alone."""

    balanced: str
    worst: str
    sentences: tuple[str, ...]
    warning: str


def read_all_trainings(results_root: Path, records: Sequence[Record]) -> dict[str, Spreads]:
    """What the trainings beside records come to, keyed "<track>/<modality>/<submission>".

    Raises:
        DataError: a file is damaged.
    """
    found = {}
    for record in records:
        home = f"{record.track}/{record.modality}"
        trainings = read_trainings(record, Path(results_root) / home)
        if trainings is not None:
            found[f"{home}/{record.submission}"] = spreads(record, trainings)
    return found


def trainings_view(found: Spreads | None, headline: str) -> TrainingsView | None:
    """As a template prints it; None where an entry was trained once."""
    if found is None:
        return None
    if not found.seeds:
        return TrainingsView("", "", (), found.warning)
    worst = found.robust[headline]
    count = f"over {len(found.seeds)} trainings (seeds {', '.join(map(str, found.seeds))})"
    sentences = (
        f"worst case {count}, balanced: {_told(found.balanced)}",
        f"of all images: {_told(worst)}",
        f"clean: {_told(found.clean)}",
    )
    doubts = f"in doubt: training seed {', '.join(map(str, found.doubts))}"
    return TrainingsView(
        trainings_words(found, found.balanced),
        trainings_words(found, worst),
        (*sentences, doubts) if found.doubts else sentences,
        "",
    )


def trainings_words(found: Spreads, spread: Spread) -> str:
    """Under a number: what it is on average over the trainings, and by how much they differ."""
    return f"{len(found.seeds)} trainings: mean {number(spread.mean)}, SD {number(spread.deviation)}"


def trainings_cells(found: Spreads | None, headline: str) -> list[float | int | None]:
    """Five columns of a table's CSV: how many trainings, then mean and SD in the worst case, of all images and balanced."""
    if found is None or not found.seeds:
        return [None] * 5
    worst, balanced = found.robust[headline], found.balanced
    return [len(found.seeds), worst.mean, worst.deviation, balanced.mean, balanced.deviation]


def _told(spread: Spread) -> str:
    """
    >>> _told(Spread((0.84, 0.855, 0.86)))
    '84.0, 85.5, 86.0 (mean 85.2, SD 1.0)'
    """
    values = ", ".join(map(number, spread.values))
    return f"{values} (mean {number(spread.mean)}, SD {number(spread.deviation)})"
