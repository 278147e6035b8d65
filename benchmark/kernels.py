"""The same last bits on every x86-64 processor that has AVX2, whatever else it has.

torch and its libraries choose kernels by what the processor can do, and each sums in an order of its own. A training
multiplies such differences until its weights are others; a record's margins differ in their last digits. Held to AVX2,
which all but the oldest processors have, a command gives the same bytes on all of them.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

# Read when torch, oneDNN and MKL compute for the first time. What a person has set is left as it is.
KERNELS = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"}
PROCESSORS = Path("/proc/cpuinfo")


def fix_kernels() -> None:
    """Hold this process and those that it starts to AVX2, where there is that; before torch computes anything.

    For programs, which own their process: it changes the environment.
    """
    if platform.machine() == "x86_64" and _have_avx2():
        for name, value in KERNELS.items():
            os.environ.setdefault(name, value)


def _have_avx2() -> bool:
    try:
        told = PROCESSORS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False  # no Linux
    lines = [line.split() for line in told.splitlines() if line.startswith("flags")]
    return bool(lines) and all("avx2" in line for line in lines)
