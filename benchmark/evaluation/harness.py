"""Which harness made a record: a checksum of its own code."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from benchmark.folders import ROOT


@lru_cache(maxsize=1)
def harness_sha256() -> str:
    """sha256 over the names and contents of every Python file of the package, in order."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "benchmark").rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
