"""From a downloaded collection to its splits: the same bits for everyone who has the same files.

Units are read in parallel, each into one atomic file, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from typing import Any

from benchmark.data.assembly import Chosen, by_reason, choose, complete, describe, write_part
from benchmark.data.collection import Collection, Index, LeftOut
from benchmark.data.lock import (
    LOCK_FILE,
    Lock,
    differences,
    prepared_folder,
    read_lock,
    shipped_lock,
    split_path,
    verify_prepared,
)
from benchmark.data.manifest import PARTS, Manifest
from benchmark.data.shards import Task, open_shard, read_to_shard, shard_file
from benchmark.data.workers import in_parallel, worker_count
from benchmark.errors import DataError
from benchmark.files import replace_file, require_writable
from benchmark.progress import progress_bar


@dataclass(frozen=True)
class Prepared:
    """What came of preparing a collection.

    Args:
        left_out: everything that could not be used. missing: items of the manifest that are not in the splits.
        differing: a sentence on each image that is not as published; None where nothing is published yet.
        read: units read in this run; the others were there already.
    """

    folder: Path
    lock: Lock
    left_out: tuple[LeftOut, ...] = ()
    differing: tuple[str, ...] | None = None
    read: int = 0

    @property
    def exit_code(self) -> int:
        """0: all there, as published. 3: something the manifest expects is missing or differs."""
        return 0 if self.lock.complete and not self.differing else 3


def prepare(
    collection: Collection,
    source: Path,
    manifest: Manifest,
    fresh: bool = False,
    progress: bool = True,
) -> Prepared:
    """Read what the manifest names from a download and write its splits into the cache.

    Args:
        source: holds the collection's files, in any of its layouts.
        fresh: read again also what has been read.

    Raises:
        DataError: the source is no such collection, nothing of the manifest can be prepared, another process
            prepares it at this moment, or the disk is full.
    """
    folder = prepared_folder(manifest)
    require_writable(folder, "ONCOROBUST_CACHE")
    with _alone(folder):
        if not fresh and (there := _already(folder, manifest)):
            return there
        index = collection.index(source)
        units = {unit.key: unit for unit in index.units}
        shards = folder / "shards"
        if fresh or not _same_code(shards, manifest):
            rmtree(shards, ignore_errors=True)
            replace_file(shards / "made-by", _stamp(manifest).encode())
        tasks = []
        for key in manifest.units:
            path = shard_file(shards, key)
            there_already = open_shard(path)
            if key not in units or (there_already and complete(manifest.units[key], there_already)):
                continue
            tasks.append(Task(collection.read, replace(units[key], expected=manifest.expected(key)), path))
        with progress_bar(f"reading {manifest.name}", len(manifest.units), progress) as advance:
            advance(len(manifest.units) - len(tasks))
            for _ in in_parallel(read_to_shard, tasks, worker_count(len(tasks))):
                advance()
        return replace(_assemble(collection, manifest, folder, index), read=len(tasks))


def _assemble(collection: Collection, manifest: Manifest, folder: Path, index: Index) -> Prepared:
    found: dict[str, list[Chosen]] = {part: [] for part in PARTS}
    left_out: dict[str, list[LeftOut]] = {part: [] for part in PARTS}
    for key, items in manifest.units.items():
        part = items[0].part
        shard = open_shard(shard_file(folder / "shards", key))
        if shard is None:
            left_out[part] += [LeftOut(item.name, "is not in the folder: download it") for item in items]
            continue
        if shard.patient_id != items[0].patient_id:
            reason = f"is of patient {shard.patient_id}, the manifest says {items[0].patient_id}"
            left_out[part].append(LeftOut(key, reason))
            continue
        chosen, wrong = choose(items, shard)
        found[part].append(chosen)
        left_out[part] += wrong
    everything = [*index.left_out, *(item for part in PARTS for item in left_out[part])]
    splits: dict[str, Mapping[str, Any]] = {}
    samples: dict[str, str] = {}
    modality = manifest.about["modality"]
    if not any(each.places for part in PARTS for each in found[part]):
        reasons = "; ".join(
            f"{count} × {reason}" for reason, count in list(by_reason(everything).items())[:5]
        )
        raise DataError(f"nothing of {manifest.name} could be prepared: {reasons}")
    for part in PARTS:
        path = split_path(folder, modality, part)
        if not any(each.places for each in found[part]):
            path.unlink(missing_ok=True)
            continue
        notes = describe(manifest, collection.SOURCE, found[part], left_out[part])
        splits[part] = write_part(path, manifest, part, found[part], notes)
        samples |= {s[1]: s[2] for each in found[part] for s in (each.shard.samples[i] for i in each.places)}
    whole = all(item.harmless for part in PARTS for item in left_out[part])
    lock = Lock(manifest.name, manifest.sha256, whole, splits, samples)
    lock.save(folder)
    _write_left_out(folder / "left-out.csv", everything)
    if whole:  # else a mended source is read only where something was missing
        rmtree(folder / "shards", ignore_errors=True)
    return Prepared(folder, lock, tuple(everything), _differing(lock))


def _already(folder: Path, manifest: Manifest) -> Prepared | None:
    with suppress(DataError):  # unreadable: prepare anew
        lock = read_lock(folder / LOCK_FILE)
        if lock and lock.complete and lock.manifest_sha256 == manifest.sha256:
            lock, wrong = verify_prepared(folder, manifest.about["modality"])
            published = _differing(lock)
            if set(wrong) <= set(published or ()):
                return Prepared(folder, lock, (), published)
    return None


def _differing(lock: Lock) -> tuple[str, ...] | None:
    published = shipped_lock(lock.name)
    return tuple(differences(lock, published)) if published else None


def _stamp(manifest: Manifest) -> str:
    """Changes whenever what was read before might be read otherwise now: with the manifest or any code of ours."""
    digest = hashlib.sha256(manifest.sha256.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _same_code(shards: Path, manifest: Manifest) -> bool:
    try:
        return (shards / "made-by").read_text("utf-8") == _stamp(manifest)
    except OSError:
        return False


def _write_left_out(path: Path, left_out: Sequence[LeftOut] | Iterable[LeftOut]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["what", "reason", "harmless"])
    writer.writerows([item.what, item.reason, int(item.harmless)] for item in left_out)
    replace_file(path, text.getvalue().encode())


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".preparing", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise DataError(
            f"another process is preparing into {folder}; wait for it, or name another folder by ONCOROBUST_CACHE"
        ) from None
    try:
        yield
    finally:
        lock.release()
