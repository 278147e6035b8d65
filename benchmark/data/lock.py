"""The checksums of what was prepared, and of what everyone else prepared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.data.manifest import FOLDER, PARTS, Manifest
from benchmark.data.split import Split
from benchmark.errors import DataError
from benchmark.files import replace_file
from benchmark.folders import cache_folder

LOCK_FILE = "lock.json"


@dataclass(frozen=True)
class Lock:
    """What a folder of prepared splits holds.

    Args:
        name: of the manifest. complete: every item of the manifest is there.
        splits: by part: sha256 of the split, and how many images, patients and images with disease it has.
        samples: sha256 of each image with its label and ids, by image id.
    """

    name: str
    manifest_sha256: str
    complete: bool
    splits: Mapping[str, Mapping[str, Any]]
    samples: Mapping[str, str]

    def save(self, folder: Path) -> None:
        """Write lock.json."""
        replace_file(folder / LOCK_FILE, (json.dumps(asdict(self), indent=0) + "\n").encode())


def prepared_folder(manifest: Manifest) -> Path:
    """Where the splits of a manifest are kept: only the frozen manifests make up the clinical track."""
    return cache_folder() / ("clinical" if manifest.shipped else "rehearsal") / manifest.name


def split_path(folder: Path, modality: str, part: str) -> Path:
    """The file of one part."""
    return folder / f"{modality}-{part}.safetensors"


def read_lock(path: Path) -> Lock | None:
    """A lock file; None where there is none.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return Lock(**json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"lock file {path} cannot be read: {error}; prepare the collection again") from None


def shipped_lock(name: str) -> Lock | None:
    """The checksums that a maintainer has published for a manifest; None while nobody has."""
    return read_lock(FOLDER / f"{name}.lock.json")


def differences(here: Lock, published: Lock) -> list[str]:
    """A sentence on each image and split that is not as it was published."""
    told = [f"image {name} is missing" for name in published.samples.keys() - here.samples.keys()]
    told += [
        f"image {name} is not in the published split"
        for name in here.samples.keys() - published.samples.keys()
    ]
    told += [
        f"image {name} differs: sha256 {here.samples[name][:12]}…, published {sha256[:12]}…"
        for name, sha256 in published.samples.items()
        if here.samples.get(name, sha256) != sha256
    ]
    told.sort()
    for part, split in published.splits.items():
        found = here.splits.get(part, {}).get("sha256")
        if found and found != split["sha256"]:
            told.append(f"split {part} differs: sha256 {found[:12]}…, published {split['sha256'][:12]}…")
    return told


def verify_prepared(folder: Path, modality: str) -> tuple[Lock, list[str]]:
    """Read every file of a prepared collection, and a sentence on each that is not what its lock says.

    Raises:
        DataError: nothing is prepared there.
    """
    lock = read_lock(folder / LOCK_FILE)
    if lock is None:
        raise DataError(
            f"nothing is prepared in {folder}; run: oncorobust data prepare COLLECTION --source DIR"
        )
    wrong = []
    for part in PARTS:
        path = split_path(folder, modality, part)
        if part not in lock.splits:
            if path.exists():
                wrong.append(f"{path.name} is not in {LOCK_FILE}; delete it or prepare again")
            continue
        try:
            sha256 = Split.load(path).sha256
        except DataError as error:
            wrong.append(str(error))
            continue
        if sha256 != lock.splits[part]["sha256"]:
            wrong.append(f"{path.name} is not the split of {LOCK_FILE}; prepare again")
    published = shipped_lock(lock.name)
    return lock, wrong + (differences(lock, published) if published else [])
