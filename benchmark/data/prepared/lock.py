"""The checksums of what was prepared, and of what everyone else prepared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark.data.manifest import FOLDER, PARTS, Manifest
from benchmark.data.split import Split
from benchmark.errors import DataError
from benchmark.folders import cache_folder

LOCK_FILE = "lock.json"


@dataclass(frozen=True)
class PartLock:
    """One part: its split's checksum and size, and the sha256 of each image with its label and ids, by image id.

    complete: every item that the manifest puts into the part is there.
    """

    sha256: str
    images: int
    patients: int
    positive: int
    complete: bool
    samples: Mapping[str, str]


@dataclass(frozen=True)
class Lock:
    """What a folder of prepared splits holds: the manifest's name and checksum, and its parts."""

    name: str
    manifest_sha256: str
    parts: Mapping[str, PartLock]

    def text(self) -> bytes:
        """What lock.json holds."""
        return (json.dumps(asdict(self), indent=0) + "\n").encode()


def prepared_folder(manifest: Manifest) -> Path:
    """Where the splits of a manifest are kept: only the frozen manifests make up the clinical track."""
    return cache_folder() / ("clinical" if manifest.shipped else "rehearsal") / manifest.name


def split_path(folder: Path, modality: str, part: str) -> Path:
    """The file of one part."""
    return folder / f"{modality}-{part}.safetensors"


def parse_lock(text: bytes) -> Lock:
    """The opposite of `Lock.text`.

    Raises:
        ValueError: it is no lock.
    """
    try:
        told = json.loads(text)
        parts = {part: PartLock(**each) for part, each in told["parts"].items()}
        return Lock(str(told["name"]), str(told["manifest_sha256"]), parts)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"it is no lock ({error})") from None


def read_lock(path: Path) -> Lock | None:
    """A lock file; None where there is none.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return parse_lock(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"lock file {path} cannot be read: {error}; prepare the collection again") from None


def shipped_lock(name: str) -> Lock | None:
    """The checksums that a maintainer has published for a manifest; None while nobody has."""
    return read_lock(FOLDER / f"{name}.lock.json")


def differences(here: Lock, published: Lock) -> list[str]:
    """A sentence on each image and split, of the parts that are here, that is not as it was published."""
    told = []
    for part in [part for part in PARTS if part in here.parts and part in published.parts]:
        own, other = here.parts[part], published.parts[part]
        lines = [f"image {name} is missing" for name in other.samples.keys() - own.samples.keys()]
        lines += [
            f"image {name} is not in the published split"
            for name in own.samples.keys() - other.samples.keys()
        ]
        lines += [
            f"image {name} differs: sha256 {own.samples[name][:12]}…, published {sha256[:12]}…"
            for name, sha256 in other.samples.items()
            if own.samples.get(name, sha256) != sha256
        ]
        if own.sha256 != other.sha256:
            lines.append(f"split {part} differs: sha256 {own.sha256[:12]}…, published {other.sha256[:12]}…")
        told += sorted(lines)
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
        if part not in lock.parts:
            if path.exists():
                wrong.append(f"{path.name} is not in {LOCK_FILE}; delete it or prepare again")
            continue
        try:
            sha256 = Split.load(path).sha256
        except DataError as error:
            wrong.append(str(error))
            continue
        if sha256 != lock.parts[part].sha256:
            wrong.append(f"{path.name} is not the split of {LOCK_FILE}; prepare again")
    published = shipped_lock(lock.name)
    return lock, wrong + (differences(lock, published) if published else [])


def verify_folder(folder: Path) -> tuple[str, int, list[str]]:
    """The same of any folder of splits: its name, how many images it has, and the sentences.

    Without a lock, as one's own images are prepared, each split is held against the checksum that it carries.

    Raises:
        DataError: there are no splits.
    """
    paths = sorted(folder.glob("*-*.safetensors"))
    if not paths:
        raise DataError(
            f"nothing is prepared in {folder}: it holds no MODALITY-PART.safetensors; "
            "run: oncorobust data prepare COLLECTION --source DIR"
        )
    if (folder / LOCK_FILE).exists():
        lock, wrong = verify_prepared(folder, paths[0].name.partition("-")[0])
        return lock.name, sum(part.images for part in lock.parts.values()), wrong
    images, wrong = 0, []
    for path in paths:
        try:
            images += len(Split.load(path))
        except DataError as error:
            wrong.append(str(error))
    return folder.name, images, wrong
