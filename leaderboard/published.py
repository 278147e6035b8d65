"""Numbers from papers: shown beside ours, never ranked."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PUBLISHED = Path(__file__).with_name("published.toml")


@dataclass(frozen=True)
class Number:
    """An accuracy under attack as its authors printed it, in percent."""

    modality: str
    training: str
    title: str
    accuracy: float


@dataclass(frozen=True)
class Published:
    """A paper's numbers, where they stand, and why they are not comparable with ours."""

    citation: str
    doi: str
    note: str
    numbers: tuple[Number, ...]

    @property
    def url(self) -> str:
        """Where the paper is found."""
        return f"https://doi.org/{self.doi}"

    def of(self, modality: str) -> tuple[Number, ...]:
        """Those of one modality."""
        return tuple(number for number in self.numbers if number.modality == modality)


@cache
def published() -> Published:
    """What published.toml holds."""
    found = tomllib.loads(PUBLISHED.read_text(encoding="utf-8"))
    numbers = tuple(Number(**number) for number in found["number"])
    return Published(found["citation"], found["doi"], found["note"], numbers)
