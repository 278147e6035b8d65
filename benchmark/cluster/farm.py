"""Every entry on every modality, small ones first, several at once where a cluster computes, until time is up.

What is finished is in files, so the summary can be printed at any time, and whatever stops the farm costs it little.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from benchmark.cluster.crew import Cluster
from benchmark.data.tracks import track_name
from benchmark.errors import BenchmarkError
from benchmark.evaluation.engine import Crew, here
from benchmark.evaluation.entry import entries, loaded, records_folder, run_entry
from benchmark.evaluation.plan import unfinished
from benchmark.evaluation.verify import is_current
from benchmark.files import replace_file
from benchmark.folders import cache_folder
from benchmark.protocol import get_protocol
from benchmark.record import Record
from benchmark.submission import read_submission

AT_ONCE = 4  # evaluations that a cluster is given blocks of: when one ends, the others keep its workers busy


class OutOfTimeError(BenchmarkError):
    """The budget is spent; finished blocks are kept."""


@dataclass(frozen=True)
class Farm:
    """What is asked of every entry."""

    modality: str = "all"
    track: str = "phantom"
    protocol: str = "standard"
    device: str = "auto"
    isolation: str = "auto"
    ran_by: str = ""

    def entries(self) -> list[tuple[str, str]]:
        """(submission, modality), those with the smallest weights first."""
        found = entries(self.modality, self.track)
        return sorted(found, key=lambda entry: (self._bytes(*entry), entry))

    def _bytes(self, name: str, modality: str) -> int:
        submission = read_submission(name)
        try:
            files = submission.weights_for(modality, track_name(self.track)).files
        except BenchmarkError:
            return 0  # it fails soon enough, with a sentence
        return sum(
            (submission.folder / file).stat().st_size for file in files if (submission.folder / file).exists()
        )

    def note(self, name: str, modality: str) -> Path:
        """Where stands why an entry could not be evaluated."""
        folder = cache_folder() / "farm" / track_name(self.track) / self.protocol / modality
        return folder / f"{Path(name).name}.txt"


def run_farm(
    farm: Farm,
    cluster: Cluster | None,
    hours: float | None,
    tell: Callable[[str], None],
    progress: bool = True,
) -> bool:
    """Evaluate, or verify, every entry; one that fails does not stop the others.

    Args:
        cluster: who computes; None: this machine, one entry after the other. hours: after which no block is begun.
        tell: called with a line for each entry that ends.

    Returns:
        Whether all was done in time.
    """
    end = time.monotonic() + hours * 3600 if hours is not None else float("inf")
    waiting: Queue[tuple[int, str, str]] = Queue()
    for rank, entry in enumerate(farm.entries()):
        waiting.put((rank, *entry))
    turn = threading.Lock()  # plans and conclusions one at a time: torch's settings are the whole process's
    work = partial(_work, farm, waiting, end, turn, tell)
    if cluster is None:
        work(None, progress)
    else:
        _several(cluster, work)
    return time.monotonic() < end


def _several(cluster: Cluster, work: Callable[[Cluster, bool], None]) -> None:
    lost: list[BaseException] = []

    def one() -> None:
        try:
            with cluster.another() as own:
                work(own, False)
        except BaseException as error:
            lost.append(error)

    threads = [threading.Thread(target=one, daemon=True) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if lost:
        raise lost[0]


def _work(
    farm: Farm,
    waiting: Queue[tuple[int, str, str]],
    end: float,
    turn: threading.Lock,
    tell: Callable[[str], None],
    who: Cluster | None,
    progress: bool,
) -> None:
    while time.monotonic() < end:
        try:
            rank, name, modality = waiting.get_nowait()
        except Empty:
            return
        with turn:
            crew = partial(who.run, priority=-rank) if who else here
            tell(_one(farm, name, modality, _timed(crew, end, turn), progress))


def _one(farm: Farm, name: str, modality: str, crew: Crew, progress: bool) -> str:
    """Evaluate one entry; what is to be told of it."""
    note, started = farm.note(name, modality), time.monotonic()
    try:
        outcome = run_entry(
            name,
            modality,
            farm.track,
            farm.protocol,
            device=farm.device,
            progress=progress,
            ran_by=farm.ran_by,
            isolation=farm.isolation,
            crew=crew,
        )
    except OutOfTimeError as error:
        return f"{name} · {modality}: {error}"
    except BenchmarkError as error:
        replace_file(note, f"{error}\n".encode())
        return f"{name} · {modality}: failed: {error}"
    note.unlink(missing_ok=True)
    done = "verified" if outcome.verification else "evaluated"
    return f"{name} · {modality}: {done} in {time.monotonic() - started:.0f} s, {_told(outcome.record)}"


def _timed(crew: Crew, end: float, turn: threading.Lock) -> Crew:
    """A crew that lets others plan while it computes, and begins nothing when time is up."""

    def run(plan: Any, jobs: Sequence[Any], beside: Sequence[Any], done: Callable[[int], None]) -> list[Any]:
        def noted(number: int) -> None:
            done(number)
            if time.monotonic() > end and number < len(jobs):
                raise OutOfTimeError(
                    "the budget is spent; finished blocks are kept, the same command goes on from there"
                )

        with _released(turn):
            return crew(plan, jobs, beside, noted)

    return run


@contextmanager
def _released(lock: threading.Lock) -> Iterator[None]:
    lock.release()
    try:
        yield
    finally:
        lock.acquire()


def summary(farm: Farm) -> Iterator[str]:
    """A line for each entry and modality, read from the files alone, whoever wrote them and whether or not they still do."""
    begun = {
        (work.about["submission"], work.about["modality"], work.about["track"], work.about["protocol"]): work
        for work in unfinished()
    }
    found = {"done": 0, "under way": 0, "failed": 0, "waiting": 0}
    for name, modality in farm.entries():
        kind, told = _summed(farm, name, modality, begun)
        found[kind] += 1
        yield f"{Path(name).name} · {modality}: {told}"
    yield ", ".join(f"{count} {kind}" for kind, count in found.items() if count)


def _summed(farm: Farm, name: str, modality: str, begun: dict[tuple[Any, ...], Any]) -> tuple[str, str]:
    own, track = Path(name).name, track_name(farm.track)
    path = records_folder(farm.track, farm.protocol) / modality / f"{own}.json"
    try:
        if path.exists():
            record = Record.load(path)
            model, split = loaded(name, modality, farm.track, get_protocol(farm.protocol), farm.isolation)
            if is_current(record, model, split, farm.protocol):
                return "done", _told(record)
    except BenchmarkError as error:
        return "failed", f"failed: {error}"
    if work := begun.get((own, modality, track, farm.protocol)):
        return "under way", f"{work.finished} of {work.about['blocks']} blocks"
    if farm.note(name, modality).exists():
        return "failed", f"failed: {farm.note(name, modality).read_text('utf-8').strip()}"
    return "waiting", "not begun"


def _told(record: Record) -> str:
    robust = record.robust_accuracy(record.headline)
    missing = ", blocks are missing" if record.missing else ""
    return f"clean {record.clean_accuracy:.3f}, at most {robust:.3f} at ε = {record.headline}{missing}"
