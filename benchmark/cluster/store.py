"""Data and weights by checksum, in the cache: a machine that has them, or shares the folder with one, is sent nothing."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.errors import DataError
from benchmark.files import replace_file
from benchmark.folders import cache_folder

CHUNK = 16 << 20  # bytes that travel together
LOOK = 0.1  # seconds between two looks for what another process writes


def store_folder() -> Path:
    """Where they lie: one file each, named by its sha256. Removed by `oncorobust clean cluster`."""
    return cache_folder() / "cluster"


def path_of(sha256: str) -> Path:
    """Where a file of this checksum lies, if it is there."""
    return store_folder() / sha256


def keep(content: bytes) -> str:
    """Put bytes there; their checksum."""
    sha256 = hashlib.sha256(content).hexdigest()
    if not path_of(sha256).exists():
        replace_file(path_of(sha256), content)
    return sha256


def keep_file(path: Path) -> str:
    """Move a file there; its checksum."""
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    path.replace(path_of(sha256))
    return sha256


def missing(sums: Sequence[str]) -> list[str]:
    """Which of them are not here."""
    return [sha256 for sha256 in sums if not path_of(sha256).exists()]


def chunks(sha256: str) -> Iterator[tuple[int, bytes, bool]]:
    """A file in pieces: (offset, bytes, whether it is the last)."""
    size = path_of(sha256).stat().st_size
    with open(path_of(sha256), "rb") as file:
        for offset in range(0, max(size, 1), CHUNK):
            content = file.read(CHUNK)
            yield offset, content, offset + len(content) >= size


def receive(sha256: str, offset: int, content: bytes, last: bool) -> None:
    """Take in a piece; with the last one the file gets its name.

    Raises:
        DataError: it cannot be written, or what came has another checksum.
    """
    if path_of(sha256).exists():  # another who asks has sent it meanwhile
        return
    beside = store_folder() / f".{sha256}.{os.getpid()}"
    try:
        store_folder().mkdir(parents=True, exist_ok=True)
        # Two who ask may send the same bytes at once, each from the beginning: nothing is ever cut off.
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT, 0o644), "wb") as file:
            file.seek(offset)
            file.write(content)
        if last:
            with open(beside, "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != sha256:
                beside.unlink(missing_ok=True)
                raise DataError(f"data arrived damaged: sha256 {found[:12]}…, expected {sha256[:12]}…")
            beside.replace(path_of(sha256))
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise DataError(
            f"cannot write to {store_folder()}: {error.strerror}; make room there, or set ONCOROBUST_CACHE"
        ) from None


def wait_for(sums: Sequence[str], seconds: float) -> None:
    """Until all are here.

    Raises:
        DataError: they did not come in time.
    """
    end = time.monotonic() + seconds
    while lacking := missing(sums):
        if time.monotonic() > end:
            raise DataError(
                f"{len(lacking)} of {len(sums)} files of data did not arrive within {seconds:.0f} s"
            )
        time.sleep(LOOK)


def scratch() -> Path:
    """A folder beside the store for what is being written, on the same disk."""
    store_folder().mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=store_folder(), prefix=".work-"))
