"""From a downloaded collection to its splits: the same bits for everyone who has the same files.

Units are read in parallel, each into one atomic file, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree

from benchmark.data.audit import audit_files
from benchmark.data.collection import Collection, Index, LeftOut
from benchmark.data.manifest import PARTS, Manifest
from benchmark.data.prepared.assembly import Chosen, by_reason, choose, complete, describe, write_part
from benchmark.data.prepared.lock import (
    LOCK_FILE,
    Lock,
    PartLock,
    differences,
    prepared_folder,
    read_lock,
    shipped_lock,
    split_path,
    verify_prepared,
)
from benchmark.data.prepared.shards import Task, alone, code_sha256, open_shard, read_to_shard, shard_file
from benchmark.errors import DataError
from benchmark.files import replace_file, require_writable
from benchmark.processes import in_parallel, worker_count
from benchmark.progress import progress_bar

LEFT_OUT = "left-out.csv"
SHOWN = 10  # differing images told on the terminal


@dataclass(frozen=True)
class Prepared:
    """What came of preparing a collection.

    Args:
        parts: those that were asked for. left_out: everything that could not be used.
        differing: a sentence on each image that is not as published; None where nothing is published yet.
        read: units read in this run; the others were there already.
        empty: parts that the manifest itself has nothing of, as that of a small rehearsal.
    """

    folder: Path
    lock: Lock
    parts: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()
    differing: tuple[str, ...] | None = None
    read: int = 0
    empty: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0: all there, as published. 3: something the manifest expects is missing or differs."""
        wanted = set(self.parts) - set(self.empty)
        whole = all(part in self.lock.parts and self.lock.parts[part].complete for part in wanted)
        return 0 if whole and not self.differing else 3

    def lines(self) -> Iterator[str]:
        """What to tell on the terminal."""
        told = f"{self.read} units read" if self.read else "there already; --fresh reads it again"
        yield f"{self.lock.name} in {self.folder}, {told}"
        for part in self.parts:
            if part in self.empty:
                yield f"  {part:10} none in the manifest"
                continue
            here = self.lock.parts.get(part)
            told = (
                f"{here.images} images of {here.patients} patients, {here.positive} with disease"
                if here
                else "none"
            )
            yield f"  {part:10} {told}" + ("" if here and here.complete else "; not all of the manifest")
        wanting = [item for item in self.left_out if not item.harmless]
        harmless = [item for item in self.left_out if item.harmless]
        for title, items in (("left out", wanting), ("left out as the rules say", harmless)):
            for reason, count in by_reason(items).items():
                yield f"  {title}: {count} × {reason}"
        if self.left_out:
            yield f"  each by name: {self.folder / LEFT_OUT}"
        yield f"  evaluate with --track {'clinical' if self.folder.parent.name == 'clinical' else self.folder}"
        if self.folder.parent.name != "clinical":
            return
        if self.differing is None:
            yield "  no maintainer has published checksums of this version yet: nothing to compare with"
        elif not self.differing:
            yield "  every checksum is as published"
        for line in (self.differing or ())[:SHOWN]:
            yield f"  {line}"
        if len(self.differing or ()) > SHOWN:
            yield f"  and {len(self.differing or ()) - SHOWN} more: oncorobust data verify {self.lock.name}"


def prepare(
    collection: Collection,
    source: Path,
    manifest: Manifest,
    parts: Sequence[str] = PARTS,
    fresh: bool = False,
    progress: bool = True,
) -> Prepared:
    """Read what the manifest names from a download and write its splits into the cache.

    Args:
        source: holds the collection's files, in any of its layouts.
        parts: which to prepare; an evaluation needs the test part alone.
        fresh: read again also what has been read.

    Raises:
        DataError: the source is no such collection, nothing of the manifest can be prepared, another process
            prepares it at this moment, or the disk is full.
    """
    folder = prepared_folder(manifest)
    require_writable(folder, "ONCOROBUST_CACHE")
    with alone(folder, "ONCOROBUST_CACHE"):
        if not fresh and (there := _already(folder, manifest, parts)):
            return there
        index = collection.index(source)
        units = {unit.key: unit for unit in index.units}
        shards = folder / "shards"
        if fresh or not _same_code(shards, manifest):
            rmtree(shards, ignore_errors=True)
            replace_file(shards / "made-by", code_sha256(manifest.sha256).encode())
        tasks = []
        wanted = {key: items for key, items in manifest.units.items() if items[0].part in parts}
        for key in wanted:
            path = shard_file(shards, key)
            there_already = open_shard(path)
            if key not in units or (there_already and complete(manifest.units[key], there_already)):
                continue
            tasks.append(Task(collection.read, replace(units[key], expected=manifest.expected(key)), path))
        with progress_bar(f"reading {manifest.name}", len(wanted), progress) as advance:
            advance(len(wanted) - len(tasks))
            for _ in in_parallel(read_to_shard, tasks, worker_count(len(tasks))):
                advance()
        return replace(_assemble(collection, manifest, folder, index, parts), read=len(tasks))


def _assemble(
    collection: Collection, manifest: Manifest, folder: Path, index: Index, parts: Sequence[str]
) -> Prepared:
    everything = list(index.left_out)
    modality = manifest.about["modality"]
    found: dict[str, tuple[list[Chosen], list[LeftOut]]] = {}
    for part in parts:
        found[part] = _gather(manifest, part, folder)
        everything += found[part][1]
    if len(_empty(manifest, parts)) == len(parts):
        raise DataError(
            f"the manifest {manifest.name} has nothing of {' and '.join(parts)}; name another --part"
        )
    if not any(each.places for chosen, _ in found.values() for each in chosen):
        reasons = "; ".join(
            f"{count} × {reason}" for reason, count in list(by_reason(everything).items())[:5]
        )
        raise DataError(f"nothing of {manifest.name} could be prepared: {reasons}")
    locks = _other_parts(folder, manifest, parts)
    for part, (chosen, left_out) in found.items():
        path = split_path(folder, modality, part)
        if not any(each.places for each in chosen):
            path.unlink(missing_ok=True)
            continue
        notes = describe(manifest, collection.SOURCE, chosen, left_out)
        whole = all(item.harmless for item in left_out)
        locks[part] = write_part(path, manifest, part, chosen, notes, whole)
    lock = Lock(manifest.name, manifest.sha256, {part: locks[part] for part in PARTS if part in locks})
    replace_file(folder / LOCK_FILE, lock.text())
    _write_left_out(folder / LEFT_OUT, everything)
    audit_files({part: split_path(folder, modality, part) for part in lock.parts})
    done = Prepared(
        folder, lock, tuple(parts), tuple(everything), _differing(lock), empty=_empty(manifest, parts)
    )
    if done.exit_code == 0:  # else a mended source is read only where something was missing
        for chosen, _ in found.values():
            for each in chosen:
                each.shard.path.unlink(missing_ok=True)
    return done


def _gather(manifest: Manifest, part: str, folder: Path) -> tuple[list[Chosen], list[LeftOut]]:
    """What the shards have for one part, and what is wrong."""
    found: list[Chosen] = []
    left_out: list[LeftOut] = []
    for key, items in manifest.units.items():
        if items[0].part != part:
            continue
        shard = open_shard(shard_file(folder / "shards", key))
        if shard is None:
            left_out += [LeftOut(item.name, "is not in the folder: download it") for item in items]
        elif shard.patient_id != items[0].patient_id:
            reason = f"is of patient {shard.patient_id}, the manifest says {items[0].patient_id}"
            left_out.append(LeftOut(key, reason))
        else:
            chosen, wrong = choose(items, shard)
            found.append(chosen)
            left_out += wrong
    return found, left_out


def _other_parts(folder: Path, manifest: Manifest, parts: Sequence[str]) -> dict[str, PartLock]:
    """What was prepared before of the parts that are not asked for now."""
    with suppress(DataError):
        lock = read_lock(folder / LOCK_FILE)
        if lock and lock.manifest_sha256 == manifest.sha256:
            return {part: each for part, each in lock.parts.items() if part not in parts}
    return {}


def _already(folder: Path, manifest: Manifest, parts: Sequence[str]) -> Prepared | None:
    with suppress(DataError):  # unreadable: prepare anew
        lock = read_lock(folder / LOCK_FILE)
        if lock is None or lock.manifest_sha256 != manifest.sha256:
            return None
        done = Prepared(folder, lock, tuple(parts), (), _differing(lock), empty=_empty(manifest, parts))
        if done.exit_code == 0 and not verify_prepared(folder, manifest.about["modality"])[1]:
            return done
    return None


def _empty(manifest: Manifest, parts: Sequence[str]) -> tuple[str, ...]:
    there = {item.part for item in manifest.items}
    return tuple(part for part in parts if part not in there)


def _differing(lock: Lock) -> tuple[str, ...] | None:
    published = shipped_lock(lock.name)
    return tuple(differences(lock, published)) if published else None


def _same_code(shards: Path, manifest: Manifest) -> bool:
    try:
        return (shards / "made-by").read_text("utf-8") == code_sha256(manifest.sha256)
    except OSError:
        return False


def _write_left_out(path: Path, left_out: Sequence[LeftOut]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["what", "reason", "harmless"])
    writer.writerows([item.what, item.reason, int(item.harmless)] for item in left_out)
    replace_file(path, text.getvalue().encode())
