"""What of the clinical track is here, what is missing, and how to get it."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.data.collection import get_collection
from benchmark.data.manifest import PARTS, Manifest, shipped_manifests
from benchmark.data.prepared.lock import LOCK_FILE, Lock, prepared_folder, read_lock, shipped_lock
from benchmark.errors import DataError
from benchmark.modality import get_modality


def status() -> Iterator[str]:
    """Lines for the terminal, a paragraph for each collection; reads no image."""
    for manifest in shipped_manifests().values():
        about, folder = manifest.about, prepared_folder(manifest)
        yield f"{manifest.name}: {about['title']} ({get_modality(about['modality']).title})"
        try:
            lock = read_lock(folder / LOCK_FILE)
        except DataError as error:
            yield f"  {error}"
            lock = None
        for part in PARTS:
            yield f"  {part:10} {_part(manifest, part, lock)}"
        if lock is not None:
            yield f"  in         {folder}"
            if lock.manifest_sha256 != manifest.sha256:
                yield "  prepared by another manifest of this version: prepare it again"
        if lock is None or not all(part in lock.parts and lock.parts[part].complete for part in PARTS):
            needed = about.get("downloads")
            size = (
                f" ({needed['series']:,} series, {needed['files']:,} files, {needed['gigabytes']:g} GB)"
                if needed
                else ""
            )
            yield f"  get it{size}: {get_collection(manifest.collection).SOURCE['how_to_get']}"
            yield f"  then       oncorobust data prepare {manifest.collection} --source DIR"
        published = "published" if shipped_lock(manifest.name) else "not yet published by a maintainer"
        yield f"  checksums  {published}"
        yield f"  licence    {about['licence']}; cite doi {about['doi']}"


def _part(manifest: Manifest, part: str, lock: Lock | None) -> str:
    size = manifest.sizes()[part]
    expected = size["images"]
    asked = f"{size['patients']} patients" + (f", {expected:,} images" if expected >= 0 else "")
    if lock is None or part not in lock.parts:
        return f"not prepared; the manifest has {asked}"
    here = lock.parts[part]
    told = f"{here.patients} patients, {here.images:,} images, {here.positive:,} with disease"
    return f"prepared: {told}" if here.complete else f"in part: {told}; the manifest has {asked}"
