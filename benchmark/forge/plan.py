"""Which evaluations a change asks for, one job each, and the entry as plain files beside the harness that judges it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark.contract.files import file_complaints
from benchmark.data.tracks import load_split
from benchmark.errors import BenchmarkError, SubmissionError
from benchmark.evaluation.verify import is_current
from benchmark.evidence.files import read_external
from benchmark.files import replace_file
from benchmark.folders import attacks_folder
from benchmark.forge.change import PLAIN_FILE, changes, content, files_at
from benchmark.forge.gate import ATTACK, MOST_FILES, Proposal, examine, shown
from benchmark.forge.newcomer import TRACK, entries_at, refusals
from benchmark.record import Record
from benchmark.record.files import table_sha256
from benchmark.submission import load_submission, read_submission
from benchmark.submission_folder import names

PROTOCOL = "standard"
MOST_JOBS = 200  # a matrix of GitHub has at most 256


@dataclass(frozen=True)
class Job:
    """One evaluation: an entry on a modality; or the judging of the adversarial images `file` that were sent against it."""

    entry: str
    modality: str
    file: str = ""

    @property
    def title(self) -> str:
        """A name for its results, of letters, digits and dashes."""
        end = f"-{hashlib.sha256(self.file.encode()).hexdigest()[:12]}" if self.file else ""
        return f"{self.entry}-{self.modality}{end}"


def matrix(jobs: Sequence[Job]) -> dict[str, list[dict[str, str]]]:
    """As GitHub's `strategy.matrix` wants it."""
    return {"include": [asdict(job) | {"title": job.title} for job in jobs[:MOST_JOBS]]}


def propose(repository: Path, base: str, head: str, out: Path) -> tuple[Proposal, tuple[Job, ...]]:
    """Let a pull request through the gate and write what it brings as plain files: what is evaluated, and nothing besides.

    Args:
        repository: holds both commits. base: of the harness that runs this. head: of the pull request.
        out: a folder to be made, laid out as the repository: submissions/<name>/ and submissions/attacks/…

    Raises:
        SubmissionError: it may not be evaluated; with every complaint at once.
    """
    known = entries_at(repository, base)
    proposal = examine(changes(repository, base, head), known)
    if out.exists():
        raise SubmissionError(f"{out} is there already; name a folder to be made")
    if proposal.entry:
        folder = f"submissions/{proposal.entry}"
        brought = files_at(repository, head, folder)
        if len(brought) > MOST_FILES or any(each.mode != PLAIN_FILE for each in brought):
            raise SubmissionError(f"{folder} has {len(brought)} files, allowed are {MOST_FILES} plain ones")
        for each in brought:
            replace_file(out / each.path, content(repository, each.blob))
        return proposal, entry_jobs(out / folder, known)
    for each in changes(repository, base, head):
        replace_file(out / each.path, content(repository, each.blob))
    return proposal, tuple(Job(*attack) for attack in proposal.attacks)


def entry_jobs(folder: Path, known: Collection[str]) -> tuple[Job, ...]:
    """The evaluations of one entry, of which no more is read than its files and `submission.toml`.

    Args:
        known: the entries that are there already.

    Raises:
        SubmissionError: its files or its `submission.toml` break the contract, or say what no pull request may; every
            complaint at once.
    """
    complaints = list(file_complaints(folder))
    said = ""
    try:
        found = read_submission(folder)
        complaints += refusals(found, known)
    except SubmissionError as error:
        said = str(error)
    told = [f"submission {shown(folder.name)}: {each}" for each in complaints]
    if told or said:
        raise SubmissionError("\n".join([*told, *filter(None, [said])]))
    return tuple(Job(found.name, modality) for modality in found.modalities_of(TRACK))


def missing(results: Path, tell: Callable[[str], None] = lambda sentence: None) -> Iterator[Job]:
    """What the main branch lacks: records that are not there or not current, and sent images that nobody has judged.

    An entry that cannot be read is passed over; its own check says why.

    Args:
        tell: called with a sentence for whatever else is passed over.
    """
    for name in names():
        for modality in _modalities(name):
            record = _current(name, modality, results)
            if record is None:
                yield Job(name, modality)
                continue
            try:
                found = read_external(record, results / TRACK / modality)
            except BenchmarkError as error:
                tell(f"images sent against {name} on {modality} are not judged: {error}")
                continue
            judged = {one.sha256 for one in found if _of(one, record)}
            for path in sorted((attacks_folder() / name / modality).glob("*.safetensors")):
                if _sha256(path) not in judged:
                    yield Job(name, modality, f"submissions/attacks/{name}/{modality}/{path.name}")


def _of(one: object, record: Record) -> bool:
    return getattr(one, "record_sha256", "") == table_sha256(record)


def _modalities(name: str) -> tuple[str, ...]:
    try:
        return read_submission(name).modalities_of(TRACK)
    except BenchmarkError:
        return ()


def _current(name: str, modality: str, results: Path) -> Record | None:
    """The record of an entry, if it is of what is here."""
    try:
        record = Record.load(results / TRACK / modality / f"{name}.json")
        model = load_submission(name, modality, TRACK).to("meta")
        return record if is_current(record, model, load_split(modality, TRACK), PROTOCOL) else None
    except BenchmarkError:
        return None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def place_attack(job: Job, attacks: Path) -> Path:
    """Where the images of a job lie under a folder of sent images, <entry>/<modality>/*.safetensors.

    Raises:
        SubmissionError: its path is none that the gate lets through.
    """
    if not ATTACK.fullmatch(job.file):
        raise SubmissionError(f"{shown(job.file)} is no place for sent images")
    return attacks / job.file.removeprefix("submissions/attacks/")
