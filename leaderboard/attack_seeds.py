"""How much of an entry's number is the luck of the attacks' draws, in a sentence; apart from the luck of its training."""

from __future__ import annotations

from benchmark.evidence.seeds import AttackSeeds
from leaderboard.words import number, percent


def attack_seeds_words(found: AttackSeeds | None) -> str:
    """Empty where an entry was evaluated under one seed."""
    if found is None:
        return ""
    return (
        f"The same weights under {len(found.rates)} seeds of the attacks: worst case at ε = {found.epsilon} from "
        f"{number(min(found.rates))} to {percent(max(found.rates))} of all images; {found.changing:,} of {found.images:,} "
        "images change their verdict. It is the luck of the attacks' draws, none of it that of a training."
    )
