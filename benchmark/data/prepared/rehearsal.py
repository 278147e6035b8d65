"""A manifest for a tree that no frozen manifest knows, such as a phantom's: to rehearse the clinical track.

What it makes is never the clinical track: it goes into another folder of the cache, under another name.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.data.collection import Collection, Sample
from benchmark.data.manifest import Item, Manifest, write_manifest
from benchmark.data.manifests.parts import assign_parts, make_up
from benchmark.errors import DataError

FILE = "rehearsal.csv"


def rehearsal_manifest(collection: Collection, folder: Path, synthetic: str = "") -> Manifest:
    """Read a tree once, give its patients parts by the rule of the frozen manifests, and write rehearsal.csv into it.

    Args:
        synthetic: how its images were made, where they are not of patients.

    Raises:
        DataError: nothing in it can be used, or the manifest cannot be written.
    """
    found: dict[str, list[tuple[str, Sample]]] = {}
    for unit in collection.index(folder).units:
        try:
            samples = collection.read(unit).samples
        except DataError:  # preparing will name it
            continue
        for sample in samples:
            item = sample.image_id.rpartition("/")[0] or sample.image_id
            found.setdefault(item, []).append((unit.key, sample))
    if not found:
        raise DataError(f"{folder} gives no labelled image of {collection.NAME}")
    firsts = [shown[0][1] for shown in found.values()]
    parts = assign_parts(make_up((sample.patient_id, sample.label) for sample in firsts), "rehearsal")
    items = []
    for name, shown in found.items():
        key, first = shown[0]
        labels = {sample.label for _, sample in shown}
        label = labels.pop() if len(labels) == 1 else None
        items.append(Item(parts[first.patient_id], first.patient_id, key, name, label, len(shown)))
    about = {
        "collection": collection.NAME,
        "version": "rehearsal",
        "modality": collection.MODALITY,
        "title": f"a rehearsal of {collection.NAME}",
        **({"synthetic": synthetic} if synthetic else {}),
    }
    return write_manifest(folder / FILE, items, about)
