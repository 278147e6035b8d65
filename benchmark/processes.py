"""The same work on many things in several processes of one thread each: how many, and a few things at a time in memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from benchmark.errors import DataError, ProtocolError

In = TypeVar("In")
Out = TypeVar("Out")

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


def in_parallel(work: Callable[[In], Out], jobs: Iterable[In], workers: int) -> Iterator[Out]:
    """The results of `work`, as they end. An interrupt or an error stops the workers.

    Raises:
        DataError: a worker was killed from outside; and whatever `work` raises.
    """
    if workers == 1:
        yield from map(work, jobs)
        return
    from concurrent.futures import FIRST_COMPLETED, wait

    from loky import get_reusable_executor
    from loky.process_executor import TerminatedWorkerError

    executor = get_reusable_executor(workers, timeout=60, env=dict.fromkeys(THREADS, "1"))
    waiting = iter(jobs)
    try:
        running = {executor.submit(work, job) for job in islice(waiting, 2 * workers)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {executor.submit(work, job) for job in islice(waiting, len(done))}
            for future in done:
                yield future.result()
    except TerminatedWorkerError:
        raise DataError(
            "a worker process was killed, most likely because memory ran out; the same command goes on from here: "
            "set ONCOROBUST_WORKERS to fewer"
        ) from None
    except BaseException:
        executor.shutdown(wait=False, kill_workers=True)
        raise
