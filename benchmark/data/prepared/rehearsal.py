"""A manifest for a tree that no frozen manifest knows, such as a phantom's: to rehearse the clinical track.

What it makes is never the clinical track: it goes into another folder of the cache, under another name.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmark.data.collection import Collection, Sample
from benchmark.data.manifest import Item, Manifest, read_manifest, write_manifest
from benchmark.data.manifests.parts import assign_parts, assign_rest, make_up
from benchmark.errors import DataError

FILE = "rehearsal.csv"


def rehearsal_manifest(
    collection: Collection, folder: Path, synthetic: str = "", part: str | None = None
) -> Manifest:
    """Read a tree once, give its patients parts by the rule of the frozen manifests, and write rehearsal.csv into it.

    Where the collection brings a test part of its own, that is the test part.

    Args:
        synthetic: how its images were made, where they are not of patients.
        part: what all of them belong to, where they are one part already.

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
    patients = make_up((sample.patient_id, sample.label) for sample in firsts)
    if part:
        parts = dict.fromkeys(patients, part)
    elif official := getattr(collection, "OFFICIAL_TEST", ""):
        tested = {shown[0][1].patient_id for name, shown in found.items() if name.startswith(official)}
        parts = assign_rest(patients, tested, "rehearsal")
    else:
        parts = assign_parts(patients, "rehearsal")
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


def is_synthetic(folder: Path, patients: Iterable[str], images: Iterable[str]) -> bool:
    """Whether everything that was read in a tree is what a phantom's manifest in it says was drawn."""
    try:
        manifest = read_manifest(folder / FILE)
    except DataError:
        return False
    items = {item.name for item in manifest.items}
    return (
        bool(manifest.about.get("synthetic"))
        and {item.patient_id for item in manifest.items}.issuperset(patients)
        and all(image in items or image.rpartition("/")[0] in items for image in images)
    )
