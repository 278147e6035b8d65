"""Whether one entry's adversarial images turn another, on an entry's page."""

from __future__ import annotations

from collections.abc import Mapping

from benchmark.evidence.transfers import Transfers
from leaderboard.parts import Cell, Line, Numbers
from leaderboard.words import number, percent


def transfer_table(found: Transfers | None, submission: str, titles: Mapping[str, str]) -> Numbers | None:
    """Between this entry and every other; None where nothing is known of it.

    Args:
        titles: of the entries, by submission.
    """
    if found is None or submission not in found.submissions:
        return None
    others = [name for name in found.submissions if name != submission]
    if not others:
        return None
    gives = [found.success[submission][other] for other in others]
    takes = [found.success[other][submission] for other in others]
    return Numbers(
        "Percent of the images right when clean that are turned by the worst images made for another entry, at ε = "
        f"{found.epsilon}. A dash: those images were not at hand.",
        ("", *(titles[other] for other in others)),
        (
            Line("its images turn the other", tuple(Cell(number(value)) for value in gives)),
            Line("the other's images turn it", tuple(Cell(number(value)) for value in takes)),
        ),
    )


def transfer_words(found: Transfers | None) -> str:
    """The median over the board, and over how many of its pairs it is taken. Empty where there is none."""
    if found is None or found.median is None:
        return ""
    count = len(found.submissions)
    pairs = count * (count - 1)
    over = f"all {pairs:,}" if found.known == pairs else f"{found.known:,} of {pairs:,}"
    return f"Median over {over} pairs of these entries, each in either direction: {percent(found.median)}."
