"""One entry on one modality: evaluate what has no current record, verify what has one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from benchmark.data.split import Split
from benchmark.data.tracks import is_private, load_split, track_name
from benchmark.errors import SubmissionError
from benchmark.evaluation.engine import blocks_folder, choose_device, evaluate, save_times
from benchmark.evaluation.verify import Verification, is_current, verify
from benchmark.files import require_writable
from benchmark.folders import results_folder
from benchmark.protocol import get_protocol
from benchmark.record import Record
from benchmark.submission import SubmittedModel, load_submission, names, read_submission


@dataclass(frozen=True)
class Outcome:
    """What came of one entry on one modality: its record, and how it was come by."""

    record: Record
    path: Path
    seconds: float
    verification: Verification | None

    @property
    def forward(self) -> int:
        """Images that went forward through the model in this run."""
        if self.verification:
            return self.verification.forward
        return len(self.record.labels) + sum(result.forward for result in self.record.attacks.values())

    @property
    def backward(self) -> int:
        """Images whose gradient was taken in this run."""
        if self.verification:
            return self.verification.backward
        return sum(result.backward for result in self.record.attacks.values())


def entries(modality: str, track: str = "phantom", only: str | None = None) -> list[tuple[str, str]]:
    """(submission, modality) of every entry that can be evaluated, in a fixed order.

    Args:
        modality: one name, or "all". track: as in `load_split`. only: one submission's name or folder.

    Raises:
        SubmissionError: an entry's submission.toml cannot be read.
    """
    found = []
    for name in [only] if only else names():
        submission = read_submission(name)
        for each in submission.modalities:
            if modality in ("all", each):
                found.append((name, each))
    return found


def run_entry(
    name: str,
    modality: str,
    track: str = "phantom",
    protocol: str = "standard",
    fresh: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> Outcome:
    """Evaluate one entry on one modality, or verify its record where it has a current one.

    Args:
        name: a submission's name or folder. track: as in `load_split`.
        fresh: evaluate also where there is a current record.

    Raises:
        BenchmarkError: whatever cannot be read, judged or written; what was written before still stands.
    """
    started = time.perf_counter()
    split = load_split(modality, track)
    model = load_submission(name, modality, track)
    folder = records_folder(track, protocol) / modality
    path = folder / f"{model.submission.name}.json"
    if path.exists() and not fresh:
        record = Record.load(path)
        if is_current(record, model, split, protocol):
            with _naming(model, modality):
                verification = verify(model, split, record, device)
            return Outcome(record, path, time.perf_counter() - started, verification)
    require_writable(folder, "ONCOROBUST_RESULTS")
    with _naming(model, modality):
        record = evaluate(model, split, protocol, device, progress=progress)
    path = record.save(folder)
    _forget_blocks(model, split, protocol, device)
    seconds = time.perf_counter() - started
    save_times(path, seconds, str(choose_device(device)))
    return Outcome(record, path, seconds, None)


@contextmanager
def _naming(model: SubmittedModel, modality: str) -> Iterator[None]:
    """Say whose model it was."""
    try:
        yield
    except SubmissionError as error:
        raise SubmissionError(
            f"submission {model.submission.name!r}, {modality}: {error}"
        ) from error.__cause__


def _forget_blocks(model: SubmittedModel, split: Split, protocol: str, device: str) -> None:
    """The record is safe: what is asked again after this is computed again."""
    chosen = get_protocol(protocol)
    if chosen.images is not None:
        split = split.first_patients(chosen.images)
    rmtree(blocks_folder(model, split, chosen, choose_device(device)), ignore_errors=True)


def costs(outcomes: Sequence[Outcome]) -> tuple[dict[str, float], dict[str, tuple[int, int]]]:
    """What this run took, as the table wants it: seconds and (forward, backward), by "<modality>/<submission>"."""
    named = {f"{outcome.record.modality}/{outcome.record.submission}": outcome for outcome in outcomes}
    seconds = {name: outcome.seconds for name, outcome in named.items()}
    return seconds, {name: (outcome.forward, outcome.backward) for name, outcome in named.items()}


def records_folder(track: str, protocol: str) -> Path:
    """Where a track's records go: committed ones are ranked and public, all others stay in the cache."""
    return results_folder(track_name(track), is_private(track) or not get_protocol(protocol).ranked)
