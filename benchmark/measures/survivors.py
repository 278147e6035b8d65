"""Attacks that met only what all others had left standing: how many images they were asked about, and broke.

Such an attack has no accuracy of its own. What it was never asked about it did not break, and that says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.record import Record

SURVIVORS = "survivors"  # of `benchmark.protocol.Search`


@dataclass(frozen=True)
class Met:
    """What an attack on survivors met at one ε. asked, patients: the images it was asked about, and whose they are."""

    attack: str
    epsilon: str
    asked: int
    patients: int
    broken: int

    @property
    def words(self) -> str:
        """How many of them it broke.

        >>> Met("square", "0.004", 12, 9, 1).words, Met("square", "0.004", 0, 0, 0).words
        ('1 of 12', 'none asked')
        """
        return f"{self.broken:,} of {self.asked:,}" if self.asked else "none asked"


def attacks_alone(record: Record) -> tuple[str, ...]:
    """The attacks that were asked about every image that was right when clean, in the record's order."""
    late = _late(record)
    return tuple(attack for attack in record.attacks if attack not in late)


def met_survivors(record: Record) -> tuple[Met, ...]:
    """What each attack on survivors met, at each ε where the protocol runs it, ascending."""
    patients = np.asarray(record.patient_ids)
    found = []
    for attack, epsilons in _late(record).items():
        result = record.attacks[attack]
        for epsilon in epsilons:
            asked = np.isfinite(result.margins.get(epsilon, np.full(len(patients), np.nan)))
            broken = asked & (result.linf <= float(epsilon))
            found.append(
                Met(attack, epsilon, int(asked.sum()), len(np.unique(patients[asked])), int(broken.sum()))
            )
    return tuple(found)


def _late(record: Record) -> dict[str, tuple[str, ...]]:
    """Attack on survivors → where on the grid it is run."""
    return {
        spec["name"]: tuple(sorted(spec["epsilons"], key=float))
        for spec in record.protocol["attacks"]
        if spec["search"] == SURVIVORS and spec["name"] in record.attacks
    }
