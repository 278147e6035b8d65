"""Squares that were cut out before, kept beside the splits: an interrupted run goes on where it stopped.

A shard has a name that only the key of this place can make, and holds no label, id, name or path: the CSV says those.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path

from benchmark.data.collection import LeftOut, Reading, Sample
from benchmark.data.folder.cut import Cut, Task, cut_square
from benchmark.data.prepared.shards import open_shard, sample_sha256, shard_file, write_shard
from benchmark.data.private.ids import keyed_id
from benchmark.errors import DataError

KINDS = ("dicom", "png", "tiff", "numpy")


def kept_at(folder: Path, key: bytes, code: str, task: Task) -> Path:
    """Where the square of a task is kept: elsewhere once its file, the way it is cut or the code has changed.

    Args:
        key: of private ids. code: `code_sha256()`.
    """
    row, file = task.row, [str(task.row.path)]
    with suppress(OSError):  # gone since the CSV was read: cutting will say so
        found = row.path.stat()
        file += [str(found.st_size), str(found.st_mtime_ns), str(found.st_ctime_ns)]
    told = json.dumps([code, file, row.box, task.modality, astuple(task.window), task.size])
    return shard_file(folder, keyed_id(key, "shard", told))


def cut_once(work: tuple[Task, Path]) -> Cut | LeftOut:
    """The square of a task, read from where it is kept, else cut out and kept there.

    What cannot be used is not kept: it is looked at again, for somebody may have mended it.

    Raises:
        DataError: it cannot be written.
    """
    task, path = work
    if kept := _kept(task, path):
        return kept
    found = cut_square(task)
    if isinstance(found, Cut):
        notes = {found.kind: 1.0, "bits": found.bits, "level": found.level}
        write_shard(path, "", Reading([_sample(found, path)], notes=notes))
    return found


def forget_others(folder: Path, kept: Collection[Path]) -> None:
    """Remove what is kept of other runs than the one that needs `kept`, and what a killed one left half-written."""
    for path in set(folder.iterdir()) - set(kept) if folder.is_dir() else ():
        with suppress(OSError):
            path.unlink()


def _sample(cut: Cut, path: Path) -> Sample:
    return Sample(cut.pixels, 0, "", path.stem, cut.facts)


def _kept(task: Task, path: Path) -> Cut | None:
    shard = open_shard(path)
    if shard is None:
        return None
    with suppress(DataError, StopIteration, LookupError):  # damaged, so it is cut out again
        _, _, sha256, facts = shard.samples[0]
        kind = next(kind for kind in KINDS if kind in shard.notes)
        bits, level = int(shard.notes["bits"]), float(shard.notes["level"])
        cut = Cut(task.row, shard.pixels()[0], kind, bits, level, dict(facts))
        if sample_sha256(_sample(cut, path)) == sha256:
            return cut
    return None
