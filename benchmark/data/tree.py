"""A download of a collection as it lies there, all of it one split: no manifest, no parts, nothing kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmark.data.collection import Collection, Sample
from benchmark.data.split import Split
from benchmark.errors import DataError
from benchmark.modality import get_modality


def tree_split(collection: Collection, folder: Path, progress: Callable[[str], None] | None = None) -> Split:
    """All images that a collection's reader finds below `folder`, ordered by patient.

    Args:
        folder: the collection's files at any depth; its name becomes the track's.
        progress: called with a sentence after every unit.

    Returns:
        Split; `notes["left_out"]` names everything that could not be used, and why. One unit is in memory at a time
        besides the images.

    Raises:
        DataError: the folder is missing, or nothing in it can be used; with all reasons.
    """
    folder = Path(folder)
    found = collection.index(folder)
    left_out = [item.reason for item in found.left_out]
    samples: list[Sample] = []
    noise: list[float] = []
    counted: Counter[str] = Counter()
    for number, unit in enumerate(found.units, 1):
        try:
            reading = collection.read(unit)
        except DataError as error:
            left_out.append(f"{unit.patient_id or 'no patient'}, {unit.key}: {error}")
            continue
        samples += reading.samples
        noise += reading.noise
        counted.update(reading.notes)
        left_out += [f"{item.what}: {item.reason}" for item in reading.left_out]
        if progress:
            progress(f"{number} of {len(found.units)}: {unit.patient_id}, {len(reading.samples)} images")
    if not samples:
        reasons = left_out or ["its reader found nothing with a label"]
        raise DataError("; ".join([f"{folder} gives no labelled image of {collection.NAME}", *reasons]))
    modality = get_modality(collection.MODALITY)
    sigma = float(np.median(noise)) if noise else None
    keys = sorted({key for sample in samples for key in sample.facts})
    return Split(
        modality=collection.MODALITY,
        images=np.stack([sample.pixels for sample in samples])[:, None],
        labels=np.array([sample.label for sample in samples]),
        patient_ids=[sample.patient_id for sample in samples],
        image_ids=[sample.image_id for sample in samples],
        name=f"{folder.resolve().name}-{collection.MODALITY}",
        track=folder.resolve().name,
        facts={key: [float(sample.facts.get(key, "nan")) for sample in samples] for key in keys},
        notes={
            **counted,
            **collection.SOURCE,
            "source": collection.SOURCE["title"],
            "stored_bits": 16,
            "unit": modality.unit,
            "noise_sigma_unit": sigma,
            "noise_sigma": sigma and sigma / (modality.high - modality.low),
            "left_out": left_out,
        },
    )
