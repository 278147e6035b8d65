"""Which images of a split fall first, and which last: over several entries, from their records alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.record import Record

EACH = 3  # images of a kind


@dataclass(frozen=True)
class Chosen:
    """An image worth a look: its row in the records, and one of `KINDS`."""

    row: int
    kind: str


KINDS = {
    "most fragile": "turned by the smallest changes",
    "missed disease": "diseased, called healthy by the most entries at the headline ε",
    "false alarm": "healthy, called diseased by the most entries at the headline ε",
    "least fragile": "turned by the largest changes, or by none that was tried",
}


def fragility(records: Sequence[Record]) -> np.ndarray:
    """The median over entries of each image's minimal ε: (N,) float64; inf where half of them or more hold on the grid.

    Args:
        records: of the same images. An image that an entry answers wrongly when clean has a minimal ε of 0 there.
    """
    smallest = np.stack([record.minimal_epsilon for record in records])
    # The upper one of the two in the middle, so that nothing is averaged with infinity.
    return np.sort(smallest, axis=0)[len(records) // 2]


def choose_images(records: Sequence[Record], each: int = EACH) -> tuple[Chosen, ...]:
    """Images that all of these entries answer rightly when clean, `each` of every kind, no two of one patient.

    The choice hangs on the records alone: the same records give the same images.
    """
    first = records[0]
    right = np.logical_and.reduce([record.clean_correct for record in records])
    turned = np.sum([~record.robust(record.headline) for record in records], axis=0)
    order = fragility(records)
    ranking = {
        "most fragile": (right, (order,)),
        "missed disease": (right & (first.labels == 1) & (turned > 0), (-turned, order)),
        "false alarm": (right & (first.labels == 0) & (turned > 0), (-turned, order)),
        "least fragile": (right, (-order,)),
    }
    found: list[Chosen] = []
    patients: set[str] = set()
    for kind, (eligible, keys) in ranking.items():
        names = np.array(first.image_ids)
        ranked = [int(row) for row in np.lexsort((names, *reversed(keys))) if eligible[row]]
        taken = 0
        for row in ranked:
            if taken < each and first.patient_ids[row] not in patients:
                patients.add(first.patient_ids[row])
                found.append(Chosen(row, kind))
                taken += 1
    return tuple(found)
