"""What of an entry goes into a pull request, and what must be uploaded elsewhere first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.contract import check_submission
from benchmark.entering.draft import NOWHERE, UNTRAINED
from benchmark.errors import SubmissionError
from benchmark.forge.change import PLAIN_FILE, RUNNABLE, Changed
from benchmark.forge.gate import MOST_FILES, examine
from benchmark.remote import kept
from benchmark.submission import read_submission
from benchmark.submission_folder import folder_of, names


@dataclass(frozen=True)
class Upload:
    """A file of weights that lies at an address: where it is here, if it is, and where it must be."""

    name: str
    here: Path | None
    url: str

    @property
    def ready(self) -> bool:
        """Whether the address is one that somebody typed."""
        return NOWHERE not in self.url


@dataclass(frozen=True)
class Parcel:
    """The files of a pull request, with their bytes, and the uploads."""

    name: str
    folder: Path
    files: tuple[tuple[Path, int], ...]
    uploads: tuple[Upload, ...]
    checked: tuple[str, ...]


def parcel(submission: str, isolation: str = "auto") -> Parcel:
    """Check an entry as the pull request will be, and say what belongs to it.

    Raises:
        SubmissionError: with every complaint at once: it breaks the contract, holds what may not be sent, is too large, or
            names an address that is none yet.
    """
    folder = folder_of(submission)
    checked = tuple(check_submission(folder, isolation=isolation))
    entry = read_submission(folder)
    uploads = tuple(
        dict.fromkeys(
            Upload(name, _here(folder / name, sha256), url)
            for weights in entry.file.weights
            for name, sha256, url in zip(weights.files, weights.sha256, weights.urls, strict=False)
        )
    )
    files = tuple((path, path.stat().st_size) for path in sorted(_files(folder)))
    complaints = list(_at_the_gate(entry.name, folder, files))
    complaints += [
        f"{each.name} has no address yet; upload {each.here or 'it'} to Hugging Face or Zenodo, and write its address "
        f"into 'urls' of submission.toml"
        for each in uploads
        if not each.ready
    ]
    if "Your Name" in entry.file.authors:
        complaints.append("its authors are still 'Your Name'; say in submission.toml who you are")
    untrained = sorted(
        {name for weights in entry.file.weights for name in weights.files if name == UNTRAINED}
    )
    if untrained and entry.file.training.kind != "none":
        complaints.append(
            f"{UNTRAINED} holds the weights that new-submission made; put trained ones in its place, under another name, or "
            "take out the modalities that have none"
        )
    if complaints:
        raise SubmissionError("\n".join(f"submission {entry.name!r}: {told}" for told in complaints))
    return Parcel(entry.name, folder, files, uploads, checked)


def _at_the_gate(name: str, folder: Path, files: Sequence[tuple[Path, int]]) -> Iterator[str]:
    """What the gate of a pull request would say of these files."""
    if len(files) > MOST_FILES:
        yield f"it has {len(files)} files, allowed are {MOST_FILES}"
    brought = [
        Changed(
            f"submissions/{name}/{path.relative_to(folder).as_posix()}",
            "A",
            RUNNABLE if path.stat().st_mode & 0o111 else PLAIN_FILE,
            "",
            size,
        )
        for path, size in files
    ]
    try:
        examine(brought, {Path(each).name for each in names()} - {name})
    except SubmissionError as error:
        yield from str(error).splitlines()


def parcel_lines(found: Parcel) -> Iterator[str]:
    """What to do, in words and commands."""
    yield from found.checked
    yield "the pull request holds these files and no others:"
    yield from (
        f"  submissions/{found.name}/{path.relative_to(found.folder).as_posix()}  {size:,} bytes"
        for path, size in found.files
    )
    for each in found.uploads:
        yield f"{each.name} is fetched from {each.url}" + (f"; here it is {each.here}" if each.here else "")
    yield "records and pages are written by the project when it is merged; leave leaderboard/ as it is. In your fork:"
    yield f"  git switch -c enter-{found.name}"
    yield f"  git add submissions/{found.name} && git commit -m 'Enter {found.name}' && git push -u origin HEAD"
    yield "then open the pull request; its check shows the numbers of a preview"


def _files(folder: Path) -> Iterator[Path]:
    """What would be sent: not what Python and editors leave behind."""
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and "__pycache__" not in parts and not any(part.startswith(".") for part in parts):
            yield path


def _here(path: Path, sha256: str) -> Path | None:
    return next((place for place in (path, kept(sha256)) if place.exists()), None)
