"""The same work on many things, in several processes of one thread each, a few at a time in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from benchmark.errors import DataError
from benchmark.processes import THREADS

In = TypeVar("In")
Out = TypeVar("Out")


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
