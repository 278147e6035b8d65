"""How fast a collection is prepared and how much memory that takes: `python -m benchmark.data.speed COLLECTION DIR`.

Measured in seconds of one core, which do not depend on what else the machine does; a slow disk comes on top.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmark.data.collection import COLLECTIONS, get_collection
from benchmark.data.dicom.index import find_dicom
from benchmark.data.manifest import shipped_manifest
from benchmark.data.prepared.shards import Task, read_to_shard, shard_file

WHOLE = {"lidc-idri": 243_958}  # CT images of the whole collection, in the index of the Imaging Data Commons


@dataclass(frozen=True)
class Speed:
    """What was measured: files, seconds of a core to look through them and to read them, most memory in megabytes."""

    files: int
    look: float
    read: float
    megabytes: float

    @property
    def per_second(self) -> float:
        """Files a second of one core, looked through and read."""
        return self.files / (self.look + self.read)

    def seconds_for(self, looked_through: int, read: int) -> float:
        """On one core, for so many files."""
        return (looked_through * self.look + read * self.read) / self.files


def measure(name: str, source: Path, repeats: int = 3) -> Speed:
    """Index a tree and read all of its units, `repeats` times; the fastest counts.

    Raises:
        DataError: the tree is no such collection.
    """
    os.environ["ONCOROBUST_WORKERS"] = "1"
    collection, manifest = get_collection(name), shipped_manifest(name)
    files, _ = find_dicom(source, progress=False)
    looks, reads = [], []
    for _ in range(repeats):
        started = time.process_time()
        units = collection.index(source).units
        looks.append(time.process_time() - started)
        with TemporaryDirectory() as folder:
            started = time.process_time()
            for unit in units:
                expected = manifest.expected(unit.key) if unit.key in manifest.units else ()
                path = shard_file(Path(folder), unit.key)
                read_to_shard(Task(collection.read, replace(unit, expected=expected), path))
            reads.append(time.process_time() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return Speed(len(files), min(looks), min(reads), peak)


@click.command()
@click.argument("collection", type=click.Choice(list(COLLECTIONS)))
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(collection: str, source: Path) -> None:
    """Print files a second on one core, the most memory, and what the whole collection would take."""
    speed = measure(collection, source)
    click.echo(
        f"{speed.files} files: looked through at {speed.files / speed.look:.0f} a second, "
        f"read at {speed.files / speed.read:.0f}, together {speed.per_second:.0f} a second and core; "
        f"at most {speed.megabytes:.0f} MB"
    )
    needed = shipped_manifest(collection).about.get("downloads")
    if needed and collection in WHOLE:
        for what, count in (("only what is needed", needed["files"]), ("all of it", WHOLE[collection])):
            minutes = speed.seconds_for(count, needed["files"]) / 60
            click.echo(f"a download of {what}: {count:,} files, {minutes:.0f} minutes of one core")


if __name__ == "__main__":
    main()
