"""Files that are either whole or not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from benchmark.errors import DataError


def replace_file(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a reader, or a crash, sees the old file or the new one.

    Raises:
        DataError: the folder cannot be written, or the disk is full; the old file is still there.
    """
    replace_files({Path(path): content})


def replace_files(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together: all are written in full beside their places before any takes its own.

    Raises:
        DataError: one cannot be written; the old files are still there.
    """
    written: dict[Path, Path] = {}
    path = Path()
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
                written[path] = Path(file.name)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            written[path].chmod(0o644)
        for path, temporary in written.items():
            temporary.replace(path)
    except OSError as error:
        for temporary in written.values():
            with suppress(OSError):
                temporary.unlink()
        raise _unwritten(path, error) from None


def keep_first(path: Path, content: bytes) -> bytes:
    """Write `content` to `path` unless somebody was first; what stands there now, the same for all who ask.

    A hard link is made or not made in one step, on NFS as well, and needs no lock.

    Raises:
        DataError: the folder cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    replace_file(beside, content)
    try:
        with suppress(FileExistsError):
            os.link(beside, path)
        return path.read_bytes()
    except OSError as error:
        raise _unwritten(path, error) from None
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write piece by piece, which takes the place of `path` when all of it is on the disk.

    Raises:
        DataError: as `replace_file`; any other error leaves the old file too.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()
        if isinstance(error, OSError):
            raise _unwritten(path, error) from None
        raise


def _unwritten(path: Path, error: OSError) -> DataError:
    return DataError(
        f"cannot write {path}: {error.strerror or error}; nothing was changed. "
        "Make the folder writable, or name another one"
    )


def require_writable(folder: Path, setting: str) -> None:
    """Find out before minutes of work, not after, that nothing can be written.

    Args:
        folder: made if it is not there. setting: what names another one.

    Raises:
        DataError: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DataError(
            f"cannot write to {folder}: {error.strerror}; make it writable, or name another folder by {setting}"
        ) from None
