"""The same evaluation under other attack seeds, as a page reads it (`benchmark.evaluation.seeds` makes it).

<folder>/<submission>.seeds.json
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import DataError
from benchmark.record import Record


@dataclass(frozen=True)
class AttackSeeds:
    """Robust accuracy at the headline ε, over all images, under each seed; how many images' verdicts differ of how many."""

    epsilon: str
    rates: tuple[float, ...]
    changing: int
    images: int


def read_attack_seeds(record: Record, folder: Path) -> AttackSeeds | None:
    """What is known beside a record; None where nothing is, or it is of other weights, another protocol, other images.

    Raises:
        DataError: the file is damaged.
    """
    path = Path(folder) / f"{record.submission}.seeds.json"
    try:
        body = json.loads(path.read_bytes())
        mine = (record.provenance.get("identity"), record.protocol.get("sha256"), len(record.labels))
        if (body["identity"], body["protocol_sha256"], body["images"]) != mine:
            return None
        rates = tuple(_share(each["robust_accuracy"]) for each in body["seeds"])
        found = AttackSeeds(
            str(body["headline"]), rates, int(body["images_that_change"]), int(body["images"])
        )
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path} is damaged ({type(error).__name__}: {error}); delete it and make it again: "
            "oncorobust evaluate --attack-seeds"
        ) from None
    return found if len(rates) > 1 else None


def _share(value: object) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"a rate of {value!r}")
    return float(value)
