"""Which images a split is made of, and which part each patient belongs to: fixed before any image is read.

A manifest is a CSV file, one line for each nodule, lesion or case, and a JSON file of the same name that says
where it comes from. Those that ship were written by `python -m benchmark.data.manifests` from public metadata.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmark.data.collection import Expected
from benchmark.errors import DataError
from benchmark.files import replace_files

PARTS = ("train", "validation", "test")
COLUMNS = ("part", "patient", "unit", "item", "label", "images")
FOLDER = Path(__file__).parent / "manifests"


@dataclass(frozen=True)
class Item:
    """One nodule, lesion or case.

    Args:
        unit: the key of the collection's unit that shows it. name: its id, with which its images' ids begin.
        label: 1 = disease; None where the public metadata do not say. images: how many; None likewise.
        facts: the collection's own columns, as text.
    """

    part: str
    patient_id: str
    unit: str
    name: str
    label: int | None = None
    images: int | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """The items of one version of a collection's splits. A repaired manifest is a new version.

    about: collection, version, modality, title, doi, licence, citation, and what it was made from.
    """

    items: tuple[Item, ...]
    sha256: str
    about: Mapping[str, Any]

    @property
    def collection(self) -> str:
        """Name of the collection."""
        return str(self.about["collection"])

    @property
    def name(self) -> str:
        """Collection and version, such as "lidc-idri-1"."""
        return f"{self.collection}-{self.about['version']}"

    @property
    def shipped(self) -> bool:
        """Whether it is one of the frozen ones, whose splits are the clinical track."""
        path = FOLDER / f"{self.name}.csv"
        return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == self.sha256

    @cached_property
    def units(self) -> dict[str, tuple[Item, ...]]:
        """Items by the unit that shows them, ordered by patient and unit."""
        found: dict[str, list[Item]] = {}
        for item in sorted(self.items, key=lambda item: (item.patient_id, item.unit)):
            found.setdefault(item.unit, []).append(item)
        return {unit: tuple(items) for unit, items in found.items()}

    def expected(self, unit: str) -> tuple[Expected, ...]:
        """What a reader may know of a unit."""
        return tuple(Expected(item.name, item.label, item.facts) for item in self.units[unit])

    def sizes(self) -> dict[str, dict[str, int]]:
        """By part: patients, items, items with disease, images; -1 where the metadata do not say."""
        table = {}
        for part in PARTS:
            items = [item for item in self.items if item.part == part]
            table[part] = {
                "patients": len({item.patient_id for item in items}),
                "items": len(items),
                "positive": _total(item.label for item in items),
                "images": _total(item.images for item in items),
            }
        return table


def _total(values: Iterable[int | None]) -> int:
    listed = list(values)
    return -1 if None in listed else sum(value or 0 for value in listed)


def shipped_manifests() -> dict[str, Manifest]:
    """The newest frozen manifest of each collection, by the collection's name."""
    newest: dict[str, Manifest] = {}
    for path in FOLDER.glob("*.csv"):
        manifest = read_manifest(path)
        older = newest.get(manifest.collection)
        if older is None or int(older.about["version"]) < int(manifest.about["version"]):
            newest[manifest.collection] = manifest
    return dict(sorted(newest.items()))


def shipped_manifest(collection: str) -> Manifest:
    """The newest frozen manifest of a collection.

    Raises:
        DataError: there is none.
    """
    manifests = shipped_manifests()
    if collection not in manifests:
        raise DataError(
            f"no manifest of collection {collection!r}; there are {', '.join(manifests) or 'none'}"
        )
    return manifests[collection]


def read_manifest(path: Path) -> Manifest:
    """Read a manifest and the JSON file beside it.

    Raises:
        DataError: a file is missing or is no manifest, or a patient is in two parts; all that is wrong at once.
    """
    try:
        content = Path(path).read_bytes()
        about = json.loads(Path(path).with_suffix(".json").read_text("utf-8"))
        rows = list(csv.DictReader(io.StringIO(content.decode())))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"manifest {path} cannot be read with its .json file: {error}") from None
    absent = [key for key in ("collection", "version", "modality") if key not in about]
    absent += [column for column in COLUMNS if not rows or column not in rows[0]]
    if absent:
        raise DataError(f"manifest {path} lacks {', '.join(absent)}; write it with write_manifest")
    try:
        items = tuple(_item(row) for row in rows)
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"manifest {path} holds a line that cannot be read: {error}") from None
    if wrong := _complaints(items):
        raise DataError(f"manifest {path}: " + "; ".join(wrong))
    return Manifest(items, hashlib.sha256(content).hexdigest(), about)


def write_manifest(path: Path, items: Sequence[Item], about: Mapping[str, Any]) -> Manifest:
    """Write a manifest and its JSON file; the same items give the same bytes.

    Raises:
        DataError: the items do not make a manifest, or the files cannot be written.
    """
    if wrong := _complaints(items):
        raise DataError(f"manifest {path}: " + "; ".join(wrong))
    own = list(dict.fromkeys(key for item in items for key in item.facts))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *own])
    for item in sorted(items, key=lambda item: (item.patient_id, item.unit, item.name)):
        numbers = ["" if value is None else value for value in (item.label, item.images)]
        facts = [item.facts.get(key, "") for key in own]
        writer.writerow([item.part, item.patient_id, item.unit, item.name, *numbers, *facts])
    content = text.getvalue().encode()
    sha256 = hashlib.sha256(content).hexdigest()
    made = Manifest(tuple(items), sha256, dict(about))
    told = {**about, "sizes": made.sizes(), "csv_sha256": sha256}
    beside = (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode()
    replace_files({Path(path): content, Path(path).with_suffix(".json"): beside})
    return read_manifest(path)


def _item(row: Mapping[str, str]) -> Item:
    label, images = (int(row[key]) if row[key] else None for key in ("label", "images"))
    facts = {key: value for key, value in row.items() if key not in COLUMNS}
    return Item(row["part"], row["patient"], row["unit"], row["item"], label, images, facts)


def _complaints(items: Sequence[Item]) -> list[str]:
    wrong = []
    parts: dict[str, set[str]] = {}
    for item in items:
        parts.setdefault(item.patient_id, set()).add(item.part)
    if odd := sorted({item.part for item in items} - set(PARTS)):
        wrong.append(f"parts {', '.join(odd)}, expected {', '.join(PARTS)}")
    if odd := sorted(patient for patient, found in parts.items() if len(found) > 1):
        wrong.append(f"{len(odd)} patients in more than one part, such as {odd[0]}")
    owners: dict[str, set[tuple[str, str]]] = {}
    for item in items:
        owners.setdefault(item.unit, set()).add((item.part, item.patient_id))
    if odd := sorted(unit for unit, found in owners.items() if len(found) > 1):
        wrong.append(f"units whose items are in two parts or of two patients, such as {odd[0]}")
    if len({item.name for item in items}) != len(items):
        wrong.append("items are named twice")
    if any(item.label not in (0, 1, None) for item in items):
        wrong.append("labels other than 0 and 1")
    if not all(item.patient_id and item.unit and item.name for item in items):
        wrong.append("a line without patient, unit or item")
    return wrong
