"""Several processes of one thread each: faster here than threads, and the same bits on any number of cores."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from queue import Queue
from typing import Any

from benchmark.errors import SubmissionError
from benchmark.processes import THREADS, worker_count

Task = tuple[Callable[[Any], Any], Any]  # a function, and what it is called with; both can be pickled


def run_all(tasks: Sequence[Task], device: str, done: Callable[[int], None]) -> list[Any]:
    """Compute every task, telling `done` the number of each as it ends; their results in the tasks' order.

    This process computes too, from the end of the list, while the others start up and take from its beginning.
    An interrupt stops the workers; what tasks wrote is there.

    Raises:
        SubmissionError: a worker process was killed from outside, as happens where memory is short.
    """
    helpers = worker_count(len(tasks)) - 1 if device == "cpu" else 0  # an accelerator is not shared
    if helpers == 0:
        results = []
        for number, task in enumerate(tasks):
            results.append(_run(task))
            done(number)
        return results
    # loky and not concurrent.futures: its workers neither re-run the caller's script nor fork a process
    # that has threads, and it carries models that are defined in a notebook.
    from loky import get_reusable_executor
    from loky.process_executor import TerminatedWorkerError

    executor = get_reusable_executor(helpers, timeout=120, env=dict.fromkeys(THREADS, "1"))
    try:
        return _Shared(tasks, executor, done).run(helpers)
    except TerminatedWorkerError as error:
        executor.shutdown(wait=False, kill_workers=True)
        raise SubmissionError(
            "a worker process was killed, most likely for want of memory; finished blocks are kept: "
            "run again with ONCOROBUST_WORKERS=1, or with more memory"
        ) from error
    except BaseException:
        executor.shutdown(wait=False, kill_workers=True)
        raise


class _Shared:
    """Tasks that workers take from the front, one each, and this process from the back."""

    def __init__(self, tasks: Sequence[Task], executor: Executor, done: Callable[[int], None]) -> None:
        self.tasks, self.executor, self.done = tasks, executor, done
        self.waiting = deque(range(len(tasks)))
        self.outside: set[int] = set()
        self.ended: Queue[tuple[int, Future[Any]]] = Queue()
        self.results: dict[int, Any] = {}
        self.lock = threading.Lock()

    def run(self, helpers: int) -> list[Any]:
        """All results, in the tasks' order."""
        for _ in range(helpers):
            self._hand_out()
        while (number := self._take()) is not None:
            self.results[number] = _run(self.tasks[number])
            self.done(number)
            while not self.ended.empty():
                self._take_in()
        while self.outside or not self.ended.empty():
            self._take_in()
        return [self.results[number] for number in range(len(self.tasks))]

    def _take(self) -> int | None:
        with self.lock:
            return self.waiting.pop() if self.waiting else None

    def _hand_out(self) -> None:
        with self.lock:
            if not self.waiting:
                return
            number = self.waiting.popleft()
            self.outside.add(number)
        self.executor.submit(_run, self.tasks[number]).add_done_callback(partial(self._came_back, number))

    def _came_back(self, number: int, future: Future[Any]) -> None:
        """Called by the executor's own thread: the worker gets its next task at once, whatever this process is at."""
        if future.cancelled() or future.exception():
            with self.lock:
                self.waiting.clear()  # `_take_in` raises it soon; until then nothing new is begun
        else:
            self._hand_out()
        self.ended.put((number, future))

    def _take_in(self) -> None:
        number, future = self.ended.get()
        self.results[number] = future.result()
        self.outside.discard(number)
        self.done(number)


def _run(task: Task) -> Any:
    function, argument = task
    return function(argument)
