"""A plan's blocks onto a cluster and their files back. The scheduler is Dask's; here is what it does not know.

A block is computed at most ATTEMPTS times; trouble of one worker (a full disk, a killed process, a block that takes too
long) sends it to another. Workers may join and leave; each is greeted and sent what it lacks, once. A scheduler that is
lost is looked for, and whatever has no file yet is asked for again: files that are there are never asked for twice.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from benchmark.cluster.address import Local, parse_address
from benchmark.cluster.certificates import security_of
from benchmark.cluster.line import Forgotten, Line, Lost
from benchmark.cluster.order import Order, Written, block_order, draw_order, written
from benchmark.cluster.serve import configure, gpus, local_cluster
from benchmark.errors import ClusterError, DataError
from benchmark.evaluation.blocks import Failure, Job, load_block
from benchmark.evaluation.health import FreshJob, FreshMargins, run_fresh_job
from benchmark.evaluation.plan import Plan
from benchmark.evaluation.pool import Task
from benchmark.files import replace_file

ATTEMPTS = 3
LIMIT = 3600.0  # seconds that a block may take
PATIENCE = 60.0  # seconds that a lost scheduler, or a first worker, is waited for
ANSWER = 10.0  # seconds that a scheduler may take to answer for the first time
LOOK = 1.0  # seconds between two looks for new workers

Tell = Callable[[str], None]


@dataclass
class Piece:
    """One order, and what became of it so far."""

    number: int  # among the results
    kind: str
    order: Order
    subject: Job | FreshJob
    attempts: int = 0
    asked: int = 0  # times
    avoided: set[str] = field(default_factory=set)
    bound: set[str] = field(default_factory=set)  # to these workers; empty where it may go anywhere

    @property
    def key(self) -> tuple[str, int]:
        """Its name at the scheduler: the same whoever asks, so that two who ask share the answer."""
        again = f"-again-{self.asked}" if self.asked else ""
        number = self.subject.block if isinstance(self.subject, Job) else self.subject.draw.seed
        return f"{self.kind}-{self.order['evaluation'][:16]}{again}", number


def complain(line: str) -> None:
    """On stderr, beside the progress bar."""
    print(line, file=sys.stderr)


@contextmanager
def connected(
    text: str,
    certificates: Path | None = None,
    device: str = "cpu",
    limit: float = LIMIT,
    patience: float = PATIENCE,
    tell: Tell = complain,
) -> Iterator[Cluster]:
    """A cluster to compute on.

    Args:
        text: `local:N`, an address, or `@FILE`. device: "cpu" or "cuda", what its workers compute on.
        limit: seconds that a block may take. tell: what is said in between.

    Raises:
        ClusterError: there is none, or it may not be used; before any work.
    """
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise ClusterError(
            "the cluster needs Dask's distributed scheduler: pip install 'oncorobust[cluster]'"
        ) from None
    configure()
    address = parse_address(text, patience)
    if isinstance(address, Local):
        with local_cluster(address.workers, gpus(address.workers, device)) as (url, folder, dashboard):
            tell(f"{address.workers} workers here · dashboard {dashboard}")
            with _dialled(Line(url, folder, limit, patience), address.workers, tell) as cluster:
                yield cluster
        return
    security_of(certificates, address.scheme == "tls", str(address))
    with _dialled(Line(str(address), certificates, limit, patience), 1, tell) as cluster:
        tell(f"{len(cluster.line.workers())} workers at {address}")
        yield cluster


@contextmanager
def _dialled(line: Line, workers: int, tell: Tell) -> Iterator[Cluster]:
    line.dial(ANSWER)
    try:
        line.wait_for_workers(workers)
        yield Cluster(line, tell)
    finally:
        line.hang_up()


class Cluster:
    """Whom blocks are given to. `seconds`: what each piece took on its worker, in the order in which they ended."""

    def __init__(self, line: Line, tell: Tell = complain) -> None:
        self.line, self.tell = line, tell
        self.seconds: list[float] = []

    @contextmanager
    def another(self) -> Iterator[Cluster]:
        """A line of one's own to the same scheduler, for a second evaluation at once."""
        line = self.line
        with _dialled(Line(line.url, line.certificates, line.limit, line.patience), 1, self.tell) as cluster:
            yield cluster

    def run(
        self,
        plan: Plan,
        jobs: Sequence[Job],
        beside: Sequence[Task],
        done: Callable[[int], None],
        priority: float = 0,
    ) -> list[Any]:
        """Have blocks computed, and what can be done beside them; a crew, as `evaluation.engine.here` is one.

        Args:
            priority: of two evaluations that are asked for at once the one of higher priority goes first.

        Raises:
            ClusterError: no worker can take part, or the scheduler is gone for good. DataError: a block cannot be written.
        """
        asked = written(plan)
        pieces = list(_pieces(asked, jobs, beside))
        results: dict[int, Any] = {}
        self.line.greeted.clear()
        begun = False
        while waiting := [piece for piece in pieces if piece.number not in results]:
            try:
                wrong = self.line.greet(asked)
                if wrong and not begun:
                    raise ClusterError("\n".join(wrong))
                begun = True
                for number, result in self._round(asked, waiting, priority):
                    results[number] = result
                    done(number)
            except Lost as lost:
                self._find_again(lost, len(results), len(pieces))
        return [results[number] for number in range(len(pieces))]

    def _find_again(self, lost: Lost, finished: int, of: int) -> None:
        line = self.line
        self.tell(f"the scheduler at {line.url} {lost.told}; looking for it for {line.patience:.0f} s")
        line.hang_up()
        line.greeted.clear()
        try:
            line.dial(line.patience)
            line.wait_for_workers(1)
        except (ClusterError, Lost):
            raise ClusterError(
                f"the scheduler at {line.url} was lost and did not come back within {line.patience:.0f} s; {finished} of "
                f"{of} parts of this evaluation are finished: the same command goes on from there"
            ) from None

    def _round(self, asked: Written, waiting: Sequence[Piece], priority: float) -> Iterator[tuple[int, Any]]:
        """Ask for pieces until all are there; Lost where the scheduler is, or what was asked of it."""
        ended: Queue[tuple[Piece, Any]] = Queue()

        def submit(piece: Piece) -> Any:
            piece.asked += 1
            piece.bound = self.line.greeted - piece.avoided if piece.avoided else set()
            told = partial(_put, ended, piece)
            return self.line.submit(piece.key, asked, piece.order, priority, piece.bound, told)

        # A future that nobody holds is forgotten.
        kept = dict(
            zip(
                (piece.number for piece in waiting),
                self._submit_all(waiting, asked, priority, ended),
                strict=True,
            )
        )
        looked = seen = time.monotonic()
        since: float | None = None  # nobody is at anything
        while kept:
            if time.monotonic() - looked > LOOK:
                for sentence in self.line.look(asked):
                    self.tell(f"{sentence}; it takes no part")
                looked = time.monotonic()
                seen = looked if self.line.greeted else seen
                self._require_workers(looked - seen)
                for piece in waiting:
                    if piece.number in kept and piece.bound and piece.bound.isdisjoint(self.line.greeted):
                        # It would wait for those who are gone for ever.
                        self.line.take_back(kept[piece.number])
                        kept[piece.number] = submit(piece)
                idle = self.line.idle() and ended.empty()
                since = (since or looked) if idle else None
                if since and looked - since > self.line.patience:
                    raise Forgotten(f"{len(kept)} parts are waited for")
            try:
                piece, future = ended.get(timeout=LOOK)
            except Empty:
                continue
            if kept.get(piece.number) is not future:
                continue  # taken back
            result, over = self._judged(piece, self.line.answer(future))
            if over:
                del kept[piece.number]
                yield piece.number, result
            else:
                kept[piece.number] = submit(piece)

    def _submit_all(
        self, waiting: Sequence[Piece], asked: Written, priority: float, ended: Queue[tuple[Piece, Any]]
    ) -> list[Any]:
        futures = self.line.submit_all(
            [piece.key for piece in waiting], asked, [piece.order for piece in waiting], priority
        )
        for piece, future in zip(waiting, futures, strict=True):
            piece.bound = set()
            future.add_done_callback(partial(_put, ended, piece))
        return futures

    def _require_workers(self, seconds: float) -> None:
        if seconds > self.line.patience:
            raise ClusterError(
                f"{self.line.url} has had no worker for {seconds:.0f} s; finished blocks are kept: start a worker, and the "
                "same command goes on from there"
            )

    def _judged(self, piece: Piece, answer: dict[str, Any]) -> tuple[Any, bool]:
        """What became of a piece, and whether that is the end of it."""
        job = piece.subject
        if "failure" in answer and isinstance(job, Job):
            return _failure(job, answer["failure"]), True
        if "file" in answer:
            if hashlib.sha256(answer["file"]).hexdigest() == answer["sha256"]:
                self.seconds.append(answer["seconds"])
                return _taken_in(job, answer["file"]), True
            answer = {**answer, "trouble": "its file arrived damaged"}
        piece.attempts += 1
        piece.avoided |= {answer["worker"]} if "worker" in answer else set()
        trouble = answer.get("trouble") or answer["failure"]
        if piece.attempts < ATTEMPTS and "final" not in answer:
            self.tell(f"{piece.kind} {piece.number}: {trouble}; asked for again")
            return None, False
        if isinstance(job, Job):
            return _failure(job, f"tried {piece.attempts} times: {trouble}"), True
        return run_fresh_job(job), True  # small enough to be done here


def _put(ended: Queue[tuple[Piece, Any]], piece: Piece, future: Any) -> None:
    ended.put((piece, future))


def _pieces(asked: Written, jobs: Sequence[Job], beside: Sequence[Task]) -> Iterator[Piece]:
    for number, job in enumerate(jobs):
        yield Piece(number, "block", block_order(asked, job), job)
    for number, (function, subject) in enumerate(beside, len(jobs)):
        if function is not run_fresh_job:
            raise DataError(f"{function.__name__} is nothing that a cluster can be asked for")
        yield Piece(number, "draw", draw_order(asked, subject), subject)


def _failure(job: Job, reason: str) -> Failure:
    first = job.block * job.protocol.block
    return Failure(job.block, first, first + len(job.split) - 1, reason)


def _taken_in(job: Job | FreshJob, content: bytes) -> FreshMargins | None:
    if isinstance(job, Job):
        replace_file(job.path, content)
        if load_block(job.path) is None:
            raise DataError(f"{job.path} is no block: the worker that sent it has another format; run again")
        return None
    from safetensors.numpy import load

    found = load(content)
    return FreshMargins(found["margins"], found["patients"])
