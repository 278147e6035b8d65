"""A prepared test part in one file, so that one person prepares a collection and every machine evaluates on it."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmark.data.collection import Sample
from benchmark.data.manifest import Manifest, shipped_manifests
from benchmark.data.prepared.lock import (
    LOCK_FILE,
    Lock,
    differences,
    parse_lock,
    prepared_folder,
    read_lock,
    shipped_lock,
    split_path,
    verify_prepared,
)
from benchmark.data.prepared.shards import sample_sha256
from benchmark.data.split import Split
from benchmark.errors import DataError
from benchmark.files import replace_file, replace_files

LICENCES = {  # those that let images be passed on, and where they can be read
    "CC BY 3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC BY 4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC0 1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
}
PART = "test"
MOST = 2**31  # bytes of a file in a pack; test parts are tens of megabytes


def pack(manifest: Manifest, path: Path) -> str:
    """Write the test part of a prepared collection with its licence and citation into one zip file.

    The same split gives the same bytes, whenever and wherever it is packed. Returns the file's sha256.

    Raises:
        DataError: it is not prepared whole, is damaged, differs from the published checksums, or its licence
            does not let it be passed on.
    """
    about, folder = manifest.about, prepared_folder(manifest)
    if not manifest.shipped or about.get("licence") not in LICENCES:
        raise DataError(
            f"{manifest.name} has licence {about.get('licence')!r} and cannot be packed; only public collections of "
            f"{', '.join(LICENCES)} may be passed on: prepare it on each machine"
        )
    lock, wrong = verify_prepared(folder, about["modality"])
    if PART not in lock.parts or not lock.parts[PART].complete:
        wrong.append(f"its {PART} part is not prepared whole: see `oncorobust data status`")
    if lock.manifest_sha256 != manifest.sha256:
        wrong.append("it was prepared by another manifest: prepare it again")
    if wrong:
        raise DataError(f"{manifest.name} cannot be packed: " + "; ".join(wrong[:5]))
    split = split_path(folder, about["modality"], PART)
    own = replace(lock, parts={PART: lock.parts[PART]})
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, data in (
            ("LICENCE.txt", _licence(manifest).encode()),
            (LOCK_FILE, own.text()),
            (split.name, split.read_bytes()),
        ):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    replace_file(path, content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()


def import_pack(path: Path) -> tuple[Manifest, Lock]:
    """Verify what `pack` wrote and put it where an evaluation finds it; other parts that are there stay.

    Raises:
        DataError: the file is no pack, damaged, of a manifest that this version does not have, or its images are not
            those of the manifest or of the published checksums.
    """
    manifest, lock, content = _open(path)
    folder = prepared_folder(manifest)
    target = split_path(folder, manifest.about["modality"], PART)
    incoming = target.with_name(f".incoming-{target.name}")
    replace_file(incoming, content)
    try:
        wrong = list(_complaints(Split.load(incoming), manifest, lock))
    except DataError:
        wrong = ["its split is damaged; get it again"]
    finally:
        incoming.unlink()
    if wrong:
        raise DataError(f"{path} was not taken: " + "; ".join(wrong[:5]))
    old = read_lock(folder / LOCK_FILE)
    others = old.parts if old and old.manifest_sha256 == manifest.sha256 else {}
    merged = Lock(lock.name, lock.manifest_sha256, {**others, PART: lock.parts[PART]})
    replace_files({target: content, folder / LOCK_FILE: merged.text()})
    return manifest, merged


def _open(path: Path) -> tuple[Manifest, Lock, bytes]:
    manifests = {manifest.name: manifest for manifest in shipped_manifests().values()}
    try:
        with zipfile.ZipFile(path) as archive:
            if max((info.file_size for info in archive.infolist()), default=0) > MOST:
                raise ValueError("a file of it is larger than any test part")
            lock = parse_lock(archive.read(LOCK_FILE))
            if lock.name not in manifests:
                raise ValueError(f"it is of {lock.name!r}, this version has {', '.join(manifests)}")
            manifest = manifests[lock.name]
            if PART not in lock.parts:
                raise ValueError(f"it has no {PART} part")
            return manifest, lock, archive.read(f"{manifest.about['modality']}-{PART}.safetensors")
    except FileNotFoundError:
        raise DataError(f"pack {path} is missing; name the file that `oncorobust data pack` wrote") from None
    # zipfile has an exception of its own for each kind of damage, and raises some of Python's besides
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is not a whole pack: {error}; get it again") from None


def _complaints(split: Split, manifest: Manifest, lock: Lock) -> Iterator[str]:
    """A sentence on each thing in a pack that is not as its lock, the manifest or the published checksums say."""
    if lock.manifest_sha256 != manifest.sha256:
        yield f"it was prepared by another manifest than {manifest.name} of this version"
    if split.sha256 != lock.parts[PART].sha256 or split.modality != manifest.about["modality"]:
        yield "its split is not the one that its lock names"
    items = {item.name: item for item in manifest.items if item.part == PART}
    strangers = []
    columns = zip(split.image_ids, split.patient_ids, split.labels.tolist(), strict=True)
    for name, patient, label in columns:
        item = items.get(name) or items.get(name.rpartition("/")[0])
        if item is None or item.patient_id != patient or item.label not in (None, label):
            strangers.append(name)
    if strangers:
        yield f"{len(strangers)} images are not as the manifest says, such as {strangers[0]}"
    for place, name in enumerate(split.image_ids):
        sample = Sample(
            split.images[place, 0], int(split.labels[place]), split.patient_ids[place], split.image_ids[place]
        )
        if lock.parts[PART].samples.get(name) != sample_sha256(sample):
            yield f"image {name} is not the one that its lock names"
    published = shipped_lock(lock.name)
    yield from differences(lock, published) if published else ()


def _licence(manifest: Manifest) -> str:
    about = manifest.about
    return (
        f"{about['title']}\n\n"
        f"Licence: {about['licence']} ({LICENCES[about['licence']]})\nDOI: {about['doi']}\nCite: {about['citation']}\n\n"
        "Changes: small fields were cut from the images, resampled, windowed and stored at 16 bit by OncoRobust, "
        f"by its manifest {manifest.name} (sha256 {manifest.sha256}). Labels: {about['labels']}.\n"
        "Research use only, not for clinical decisions.\n"
    )
