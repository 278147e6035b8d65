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
from benchmark.errors import DataError, SubmissionError
from benchmark.evaluation.blocks import Failure
from benchmark.evaluation.engine import Crew, choose_device, compute, conclude, evaluate, here, save_times
from benchmark.evaluation.plan import Plan, blocks_folder, make_plan, parse_share
from benchmark.evaluation.verify import Verification, is_current, verify
from benchmark.evidence.claims import Claim, compare, save_claims
from benchmark.evidence.facts import save_facts
from benchmark.evidence.runs import checked_name, sign
from benchmark.files import require_writable
from benchmark.folders import results_folder
from benchmark.isolation import sandbox
from benchmark.protocol import AttackSpec, Protocol, get_protocol
from benchmark.record import Record
from benchmark.submission import SubmittedModel, load_submission, names, read_submission
from benchmark.threat_model import parse_epsilon


@dataclass(frozen=True)
class Outcome:
    """What came of one entry on one modality: its record, and how it was come by."""

    record: Record
    path: Path
    seconds: float
    verification: Verification | None
    claims: tuple[Claim, ...] = ()  # what its authors say of these figures

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
        # Who names an entry is told what it lacks; one for the clinical track alone is no entry of the phantom's.
        every = submission.modalities if only or track != "phantom" else submission.modalities_of(track)
        found += [(name, each) for each in every if modality in ("all", each)]
    return found


def run_entry(
    name: str,
    modality: str,
    track: str = "phantom",
    protocol: str = "standard",
    fresh: bool = False,
    device: str = "auto",
    progress: bool = True,
    ran_by: str = "",
    isolation: str = "auto",
    crew: Crew = here,
) -> Outcome:
    """Evaluate one entry on one modality, or verify its record where it has a current one.

    Args:
        name: a submission's name or folder. track: as in `load_split`.
        fresh: evaluate also where there is a current record.
        ran_by: who does it, kept beside a record that is written. isolation, crew: as in `evaluate`.

    Raises:
        BenchmarkError: whatever cannot be read, judged or written; what was written before still stands.
    """
    started = time.perf_counter()
    if ran_by:
        checked_name(ran_by)
    chosen = get_protocol(protocol)
    model, split = loaded(name, modality, track, chosen, isolation)
    folder = records_folder(track, protocol) / modality
    path = folder / f"{model.submission.name}.json"
    if path.exists() and not fresh:
        record = Record.load(path)
        if is_current(record, model, split, protocol):
            with naming(model, modality):
                verification = verify(model, split, record, device)
            return Outcome(
                record, path, time.perf_counter() - started, verification, claims_of(model, record)
            )
    require_writable(folder, "ONCOROBUST_RESULTS")
    with naming(model, modality):
        validation = validation_part(modality, track)
        record = evaluate(model, split, chosen, device, isolation, progress, validation, crew)
    path = finish(record, model, split, folder, device)
    if ran_by:
        sign(record, folder, ran_by)
    seconds = time.perf_counter() - started
    save_times(path, seconds, str(choose_device(device)))
    return Outcome(record, path, seconds, None, claims_of(model, record))


def run_share(
    name: str,
    modality: str,
    track: str,
    protocol: str,
    share: str,
    device: str = "auto",
    isolation: str = "auto",
) -> tuple[int, int, list[Failure]]:
    """Compute one share of the blocks of an entry, as one of several machines on a shared cache folder.

    Args:
        share: "i/n", every n-th block from the i-th on. isolation: as in `evaluate`.

    Returns:
        Blocks that are finished by now, blocks in all, and what failed in this share.

    Raises:
        BenchmarkError: as `run_entry`.
    """
    model, plan = _planned(name, modality, track, protocol, device, isolation)
    with naming(model, modality):
        failures, _ = compute(plan, plan.waiting(parse_share(share)))
    return len(plan.jobs) - len(plan.waiting()), len(plan.jobs), failures


def run_merge(
    name: str,
    modality: str,
    track: str,
    protocol: str,
    device: str = "auto",
    ran_by: str = "",
    isolation: str = "auto",
) -> Outcome:
    """Write the record of an entry whose blocks were computed in shares.

    Args:
        ran_by, isolation: as in `run_entry`.

    Raises:
        DataError: blocks are missing; it says which and how to compute them.
    """
    started = time.perf_counter()
    model, plan = _planned(name, modality, track, protocol, device, isolation)
    folder = records_folder(track, protocol) / modality
    require_writable(folder, "ONCOROBUST_RESULTS")
    waiting = [job.block for job in plan.waiting()]
    if waiting:
        raise DataError(
            f"{len(waiting)} of {len(plan.jobs)} blocks of {model.submission.name} on {modality} are not finished "
            f"({', '.join(map(str, waiting[:8]))}{'…' if len(waiting) > 8 else ''}); compute them first: "
            f"oncorobust evaluate {model.submission.name} --modality {modality} --protocol {protocol} --blocks i/n"
        )
    with naming(model, modality):
        record = conclude(plan, [], [], model, validation_part(modality, track))
    path = finish(record, model, plan.split, folder, device)
    if ran_by:
        sign(record, folder, ran_by)
    return Outcome(record, path, time.perf_counter() - started, None, claims_of(model, record))


def _planned(
    name: str, modality: str, track: str, protocol: str, device: str, isolation: str
) -> tuple[SubmittedModel, Plan]:
    chosen = get_protocol(protocol)
    model, split = loaded(name, modality, track, chosen, isolation)
    with naming(model, modality):
        return model, make_plan(model, split, chosen, choose_device(device))


def loaded(
    name: str, modality: str, track: str, protocol: Protocol, isolation: str = "auto"
) -> tuple[SubmittedModel, Split]:
    """The model of an entry, checked but without its weights in memory, and the part of a track that a protocol asks for.

    Whoever computes with it, this process or another, reads two instances of its own (`source.FolderSource`).

    Raises:
        IsolationError: it brings code and no sandbox works here.
    """
    model = load_submission(name, modality, track).to("meta")
    model.isolation = isolation
    if model.submission.code:
        sandbox.chosen(isolation)
    return model, load_split(modality, track, part_of_track(track, protocol))


def part_of_track(track: str, protocol: Protocol) -> str:
    """The part that a protocol asks for; "test" where the track cannot be drawn larger."""
    return protocol.part if track == "phantom" else "test"


def validation_part(modality: str, track: str) -> Split | None:
    """The images that thresholds are set on; None where the track has none."""
    try:
        return load_split(modality, track, "validation")
    except DataError:
        return None


def finish(record: Record, model: SubmittedModel, split: Split, folder: Path, device: str) -> Path:
    """Save a record, and beside it what is known of its images; its blocks are then done with, unless some are missing."""
    path = record.save(folder)
    save_facts(folder, split.sha256, split.image_ids, split.facts)
    save_claims(claims_of(model, record), record, folder)
    forget_blocks(record, model, split, device)
    return path


def claims_of(model: SubmittedModel, record: Record) -> tuple[Claim, ...]:
    """What the entry's authors claim of the test part, held against its record; only where it was trained on that track."""
    said = model.weights.claimed
    if model.weights.trained_on != record.track or not record.protocol["ranked"]:
        return ()
    claimed = {"clean": said.clean_accuracy, "robust": said.robust_accuracy}
    return compare(record, {what: share for what, share in claimed.items() if share is not None})


def forget_blocks(record: Record, model: SubmittedModel, split: Split, device: str) -> None:
    """Remove the blocks that a record was made of, unless some are missing."""
    if not record.missing:
        protocol = get_protocol(record.protocol["name"])
        asked = split.first_patients(protocol.images)
        rmtree(blocks_folder(model, asked, protocol, choose_device(device)), ignore_errors=True)


def run_attack(
    spec: AttackSpec, name: str, modality: str, track: str, epsilons: Sequence[str], device: str = "auto"
) -> Record:
    """One attack outside the protocols, judged like any other; nothing is kept.

    Raises:
        BenchmarkError: as `run_entry`.
    """
    ordered = tuple(sorted(epsilons, key=parse_epsilon))
    protocol = Protocol(f"attack-{spec.name}", 1, ordered, ordered[-1], (spec,), ranked=False)
    model, split = loaded(name, modality, track, protocol)
    with naming(model, modality):
        record = evaluate(model, split, protocol, device)
    rmtree(blocks_folder(model, split, protocol, choose_device(device)), ignore_errors=True)
    return record


@contextmanager
def naming(model: SubmittedModel, modality: str) -> Iterator[None]:
    """Say whose model it was."""
    try:
        yield
    except SubmissionError as error:
        raise SubmissionError(
            f"submission {model.submission.name!r}, {modality}: {error}"
        ) from error.__cause__


def costs(outcomes: Sequence[Outcome]) -> tuple[dict[str, float], dict[str, tuple[int, int]]]:
    """What this run took, as the table wants it: seconds and (forward, backward), by "<modality>/<submission>"."""
    named = {f"{outcome.record.modality}/{outcome.record.submission}": outcome for outcome in outcomes}
    seconds = {name: outcome.seconds for name, outcome in named.items()}
    return seconds, {name: (outcome.forward, outcome.backward) for name, outcome in named.items()}


def records_folder(track: str, protocol: str) -> Path:
    """Where a track's records go: ranked ones are committed and public, the others stay in the cache, by protocol."""
    chosen = get_protocol(protocol)
    if chosen.ranked:
        return results_folder(track_name(track), is_private(track))
    return results_folder(track_name(track), True, chosen.name)
