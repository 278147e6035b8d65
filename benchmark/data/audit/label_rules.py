"""What becomes of LIDC-IDRI's classes under other rules than ours: the label is an opinion, and a rule makes it.

Beside the manifest lies the table for the whole collection, `lidc-idri-1.rules.json`, written with it by
`python -m benchmark.data.manifests`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmark.data.audit.shortcuts import auc
from benchmark.data.manifest import FOLDER
from benchmark.errors import DataError
from benchmark.files import replace_file

FILE = FOLDER / "lidc-idri-1.rules.json"
MIDDLE = 3  # "indeterminate", of ratings from 1 to 5


@dataclass(frozen=True)
class RatedNodule:
    """What label rules need of a nodule; diameter in mm."""

    patient_id: str
    ratings: tuple[int, ...]
    diameter_mm: float


@dataclass(frozen=True)
class RuleResult:
    """What one rule makes of the collection.

    Args:
        readers: outlines that a nodule must have. dropped: nodules that the rule leaves out.
        patients: with a labelled nodule. changed: of the nodules that count under our rule too, those that it treats
            otherwise: labels that ours drops, or drops that ours labels.
        diameter_auc: how well the diameter alone tells the classes apart; None where there is one class.
    """

    rule: str
    readers: int
    malignant: int
    benign: int
    dropped: int
    patients: int
    changed: int
    diameter_auc: float | None


def _around_middle(value: float) -> int | None:
    return None if value == MIDDLE else int(value > MIDDLE)


def _mean(ratings: Sequence[int]) -> float:
    return sum(ratings) / len(ratings)


# ours first: mean rating, at least three readers, exactly 3 left out
RULES: tuple[tuple[str, int, Callable[[Sequence[int]], int | None]], ...] = (
    ("mean rating, 3 left out", 3, lambda ratings: _around_middle(_mean(ratings))),
    ("median rating, 3 left out", 3, lambda ratings: _around_middle(float(np.median(ratings)))),
    ("mean rating, 3 counted as benign", 3, lambda ratings: int(_mean(ratings) > MIDDLE)),
    ("mean rating, 3 counted as malignant", 3, lambda ratings: int(_mean(ratings) >= MIDDLE)),
    ("mean rating, all four readers", 4, lambda ratings: _around_middle(_mean(ratings))),
    ("mean rating, any reader", 1, lambda ratings: _around_middle(_mean(ratings))),
)


def label_rules(nodules: Iterable[RatedNodule]) -> list[RuleResult]:
    """The table of rules; ours is its first line."""
    everyone = list(nodules)
    ours = [RULES[0][2](nodule.ratings) for nodule in everyone]
    table = []
    for title, readers, rule in RULES:
        rated = [
            (nodule, own, rule(nodule.ratings))
            for nodule, own in zip(everyone, ours, strict=True)
            if len(nodule.ratings) >= readers
        ]
        kept = [(nodule, own, label) for nodule, own, label in rated if label is not None]
        labels = np.array([label for _, _, label in kept], dtype=int)
        diameters = np.array([nodule.diameter_mm for nodule, _, _ in kept], dtype=float)
        table.append(
            RuleResult(
                rule=title,
                readers=readers,
                malignant=int((labels == 1).sum()),
                benign=int((labels == 0).sum()),
                dropped=len(rated) - len(kept),
                patients=len({nodule.patient_id for nodule, _, _ in kept}),
                changed=sum(
                    own != label for nodule, own, label in rated if len(nodule.ratings) >= RULES[0][1]
                ),
                diameter_auc=round(auc(diameters, labels), 4) if 0 < labels.sum() < len(labels) else None,
            )
        )
    return table


def shipped_rules() -> list[RuleResult]:
    """The committed table of the whole collection.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        return [RuleResult(**row) for row in json.loads(FILE.read_text("utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{FILE.name} cannot be read: {error}; install the package again") from None


def write_rules(nodules: Iterable[RatedNodule], path: Path = FILE) -> list[RuleResult]:
    """Write the table; the same nodules give the same bytes."""
    table = label_rules(nodules)
    replace_file(path, (json.dumps([asdict(row) for row in table], indent=1) + "\n").encode())
    return table
