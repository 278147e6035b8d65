"""Memory that a network frees is kept for its next layer, instead of going back to the kernel and being zeroed again.

On glibc a freed block above a threshold is unmapped at once; a small network allocates and frees such blocks in every
layer, and a fifth of its time went into page faults.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

# mallopt(3): parameters and values. The mapping threshold may not exceed half of a heap, 32 MiB on 64 bits.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
SETTINGS = {MMAP_THRESHOLD: 32 << 20, TRIM_THRESHOLD: 1 << 30, TOP_PAD: 64 << 20}


@cache
def keep_freed_memory() -> bool:
    """Tell the allocator of this process, once; whether it took it (glibc on Linux does)."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return False
    return all(mallopt(parameter, value) == 1 for parameter, value in SETTINGS.items())
