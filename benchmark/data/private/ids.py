"""Names of patients and images that nobody outside can turn back: keyed hashes.

An ordinary hash of a patient number is undone by hashing every number there is; with a key that stays where the data
are it is not (HMAC-SHA256, RFC 2104). The same key gives the same hashes, so that records of one place can be compared.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from benchmark.errors import DataError
from benchmark.folders import ROOT, cache_folder

SHORTEST = 16  # characters of a key that a person chose
KEY_FILE = "key"
DIGITS = 20  # hexadecimal; 80 bits: no two of a million patients meet by chance


def private_folder() -> Path:
    """Where splits and records of one's own images are kept, for its owner alone; made where it is not there.

    Raises:
        DataError: it cannot be made.
    """
    folder = cache_folder() / "private"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be made for its owner alone: {error.strerror}; name another cache by ONCOROBUST_CACHE"
        ) from None
    return folder


def require_outside_repository(path: Path, setting: str) -> None:
    """Nothing private enters the repository, not even by mistake.

    Args:
        setting: what names another place.

    Raises:
        DataError: the path lies in the repository that this code runs from.
    """
    if (ROOT / ".git").exists() and path.resolve().is_relative_to(ROOT):
        raise DataError(
            f"{path} lies in the repository, where private images must not be; name another place by {setting}"
        )


def private_key() -> bytes:
    """The key: ONCOROBUST_KEY where it is set, else the one in the cache, which is made the first time.

    Raises:
        DataError: the key set is too short, or the file can be read by others, is empty or cannot be written.
    """
    named = os.environ.get("ONCOROBUST_KEY")
    if named is not None:
        if len(named) < SHORTEST:
            raise DataError(
                f"ONCOROBUST_KEY has {len(named)} characters; expected at least {SHORTEST}: "
                'make one with: python -c "import secrets; print(secrets.token_hex(32))"'
            )
        return named.encode()
    path = private_folder() / KEY_FILE
    try:
        with suppress(FileExistsError):
            _write_once(path, secrets.token_hex(32).encode())
        mode, key = stat.S_IMODE(path.stat().st_mode), path.read_bytes()
    except OSError as error:
        raise DataError(
            f"the key of private ids {path} cannot be used: {error.strerror}; "
            "make its folder writable, or set ONCOROBUST_KEY"
        ) from None
    if os.name == "posix" and mode & 0o077:
        raise DataError(
            f"the key of private ids {path} can be read by others (mode {mode:o}); run: chmod 600 {path}"
        )
    if len(key) < SHORTEST:
        raise DataError(
            f"the key of private ids {path} is damaged; delete it, and prepare your own folders again: ids will differ"
        )
    return key


def _write_once(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all; FileExistsError where there is one already."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(beside, path)  # unlike a rename it fails where two processes make a key at once
    finally:
        beside.unlink()


def keyed_id(key: bytes, kind: str, name: str) -> str:
    """A name as 20 hexadecimal digits; the same text as a patient and as an image gives different ones.

    >>> keyed_id(b"0123456789abcdef", "patient", "P1") == keyed_id(b"0123456789abcdef", "image", "P1")
    False
    """
    return hmac.new(key, f"{kind}\0{name}".encode(), hashlib.sha256).hexdigest()[:DIGITS]
