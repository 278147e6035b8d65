"""Several processes of one thread each: faster here than threads, and the same bits on any number of cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from benchmark.errors import ProtocolError
from benchmark.evaluation.blocks import Job, run_job

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def worker_count(jobs: int, device: str) -> int:
    """Processes to start: one per core, at most one per block; one where the work is on an accelerator.

    ONCOROBUST_WORKERS sets another number.
    """
    if device != "cpu":
        return 1
    named = os.environ.get("ONCOROBUST_WORKERS")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if named and not named.isdecimal():
        raise ProtocolError(f"ONCOROBUST_WORKERS must be a number of processes (got {named!r})")
    return max(1, min(jobs, int(named) if named else cores))


def run_jobs(jobs: Sequence[Job], device: str, done: Callable[[int], None]) -> None:
    """Compute every job, telling `done` the images of each as it ends.

    An interrupt leaves the finished blocks' files and stops the workers.
    """
    workers = worker_count(len(jobs), device)
    if workers == 1:
        for job in jobs:
            done(run_job(job))
        return
    # loky and not concurrent.futures: its workers neither re-run the caller's script nor fork a process
    # that has threads, and it carries models that are defined in a notebook.
    from concurrent.futures import as_completed

    from loky import get_reusable_executor

    executor = get_reusable_executor(workers, timeout=120, env=dict.fromkeys(THREADS, "1"))
    try:
        for future in as_completed([executor.submit(run_job, job) for job in jobs]):
            done(future.result())
    except BaseException:
        executor.shutdown(wait=False, kill_workers=True)
        raise
