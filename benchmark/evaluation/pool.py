"""Several processes of one thread each: faster here than threads, and the same bits on any number of cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from benchmark.errors import ProtocolError, SubmissionError

Task = tuple[Callable[[Any], Any], Any]  # a function, and what it is called with; both can be pickled
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def worker_count(tasks: int, device: str) -> int:
    """Processes to start: one per core, at most one per task; one where the work is on an accelerator.

    ONCOROBUST_WORKERS sets another number.
    """
    if device != "cpu":
        return 1
    named = os.environ.get("ONCOROBUST_WORKERS")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if named and not named.isdecimal():
        raise ProtocolError(f"ONCOROBUST_WORKERS must be a number of processes (got {named!r})")
    return max(1, min(tasks, int(named) if named else cores))


def run_all(tasks: Sequence[Task], device: str, done: Callable[[int], None]) -> list[Any]:
    """Compute every task, telling `done` the number of each as it ends; their results in the tasks' order.

    An interrupt stops the workers; what tasks wrote is there.

    Raises:
        SubmissionError: a worker process was killed from outside, as happens where memory is short.
    """
    workers = worker_count(len(tasks), device)
    if workers == 1:
        results = []
        for number, (function, argument) in enumerate(tasks):
            results.append(function(argument))
            done(number)
        return results
    # loky and not concurrent.futures: its workers neither re-run the caller's script nor fork a process
    # that has threads, and it carries models that are defined in a notebook.
    from concurrent.futures import as_completed

    from loky import get_reusable_executor
    from loky.process_executor import TerminatedWorkerError

    executor = get_reusable_executor(workers, timeout=120, env=dict.fromkeys(THREADS, "1"))
    try:
        futures = {
            executor.submit(function, argument): number for number, (function, argument) in enumerate(tasks)
        }
        for future in as_completed(futures):
            future.result()
            done(futures[future])
        return [future.result() for future in futures]
    except TerminatedWorkerError as error:
        executor.shutdown(wait=False, kill_workers=True)
        raise SubmissionError(
            "a worker process was killed, most likely for want of memory; finished blocks are kept: "
            "run again with ONCOROBUST_WORKERS=1, or with more memory"
        ) from error
    except BaseException:
        executor.shutdown(wait=False, kill_workers=True)
        raise
