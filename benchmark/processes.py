"""How many processes share a piece of work, and that each of them has one thread."""

from __future__ import annotations

import os
import sys

from benchmark.errors import ProtocolError

# Set to 1 in every worker: libraries that start threads of their own slow each other down.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

# How a program of ours starts another: found by this interpreter, though no `oncorobust` be on the path.
OWN_COMMAND = (sys.executable, "-c", "from benchmark.cli import main; main()")


def worker_count(tasks: int) -> int:
    """Processes to start: one per core, at most one per task. ONCOROBUST_WORKERS sets another number.

    Raises:
        ProtocolError: ONCOROBUST_WORKERS is no number.
    """
    named = os.environ.get("ONCOROBUST_WORKERS")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if named and not named.isdecimal():
        raise ProtocolError(f"ONCOROBUST_WORKERS must be a number of processes (got {named!r})")
    return max(1, min(tasks, int(named) if named else cores))
