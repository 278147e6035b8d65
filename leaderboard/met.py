"""Attacks on survivors, apart from those that have an accuracy of their own: their names, and what they met in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmark.measures import SURVIVORS, Met


def split_attacks(protocol: Mapping[str, Any]) -> tuple[list[str], list[tuple[str, str]]]:
    """The attacks that are asked about every image, and each attack on survivors with each ε where it is run."""
    alone = [spec["name"] for spec in protocol["attacks"] if spec["search"] != SURVIVORS]
    late = [spec for spec in protocol["attacks"] if spec["search"] == SURVIVORS]
    return alone, [
        (spec["name"], epsilon) for spec in late for epsilon in sorted(spec["epsilons"], key=float)
    ]


def met_words(found: Sequence[Met], titles: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each attack on survivors."""
    for attack in dict.fromkeys(met.attack for met in found):
        told = ", ".join(f"{met.words} at ε = {met.epsilon}" for met in found if met.attack == attack)
        yield (
            f"{titles.get(attack, attack)} has no line: it was asked only about images that nothing else broke, at its own "
            f"ε. Broken: {told}"
        )
