"""The same work on many things in several processes of one thread each: how many, and a few things at a time in memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

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

    with _executor(workers) as executor:
        here, waiting = _settings(), iter(jobs)
        running = {executor.submit(_within, here, work, job) for job in islice(waiting, 2 * workers)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {executor.submit(_within, here, work, job) for job in islice(waiting, len(done))}
            for future in done:
                yield future.result()


@contextmanager
def meanwhile(work: Callable[[In], object], jobs: Iterable[In], workers: int) -> Iterator[None]:
    """Have `work` done while what stands in the `with` goes on; what it finds it keeps, and what it raises is dropped.

    Whatever is asked of as many workers afterwards comes after it. An interrupt or an error within stops the workers.
    """
    from threadpoolctl import threadpool_limits

    with _executor(workers) as executor:
        here = _settings()
        for job in jobs:
            executor.submit(_within, here, work, job)
        # The cores are the workers': a second thread here would wait for a core while it burns the other.
        with threadpool_limits(1):
            yield


@contextmanager
def _executor(workers: int) -> Iterator[Any]:
    """Workers that stay for who asks next."""
    from loky import get_reusable_executor
    from loky.process_executor import TerminatedWorkerError

    executor = get_reusable_executor(workers, timeout=60, env=dict.fromkeys(THREADS, "1"))
    try:
        yield executor
    except TerminatedWorkerError:
        raise DataError(
            "a worker process was killed, most likely because memory ran out; the same command goes on from here: "
            "set ONCOROBUST_WORKERS to fewer"
        ) from None
    except BaseException:
        executor.shutdown(wait=False, kill_workers=True)
        raise


def _settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("ONCOROBUST_")}


def _within(settings: dict[str, str], work: Callable[[In], Out], job: In) -> Out:
    """In a worker: under the settings of who asks, which may have changed since the worker was started."""
    for name in set(_settings()) - set(settings):
        del os.environ[name]
    os.environ.update(settings)
    return work(job)
