"""What of an entry goes into a pull request, and what must be uploaded elsewhere first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.contract import check_submission
from benchmark.entering.draft import UNTRAINED
from benchmark.errors import SubmissionError
from benchmark.forge.newcomer import files_of, is_entered, known_to, refusals
from benchmark.remote import NOWHERE, kept
from benchmark.submission import read_submission
from benchmark.submission_folder import folder_of


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
        SubmissionError: it is there already; or, with every complaint at once, it breaks the contract, holds what may not be
            sent, is too large, or names an address that is none yet.
    """
    folder = folder_of(submission)
    known = known_to(folder)
    if is_entered(folder, known):
        raise SubmissionError(
            f"submission {folder.name!r} is there already, and stays as it was evaluated: there is nothing to send; enter a "
            f"changed one under a name of its own, with supersedes = {folder.name!r} if it is yours"
        )
    checked = tuple(check_submission(folder, isolation=isolation))
    entry = read_submission(folder)
    uploads = tuple(
        dict.fromkeys(
            Upload(name, _here(folder / name, sha256), url)
            for weights in entry.file.weights
            for name, sha256, url in zip(weights.files, weights.sha256, weights.urls, strict=False)
        )
    )
    complaints = refusals(entry, known)
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
    return Parcel(entry.name, folder, files_of(entry), uploads, checked)


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
    yield f"  git add {' '.join(_added(found))} && git commit -m 'Enter {found.name}' && git push -u origin HEAD"
    yield "then open the pull request; its check shows the numbers of a preview"


def _added(found: Parcel) -> Iterator[str]:
    """What `git add` is told: the folder, without what lies there and is not sent."""
    sent = {path for path, _ in found.files}
    yield f"submissions/{found.name}"
    for path in sorted(found.folder.rglob("*")):
        if path.is_file() and path not in sent and "__pycache__" not in path.parts:  # which git ignores
            yield f"':!submissions/{found.name}/{path.relative_to(found.folder).as_posix()}'"


def _here(path: Path, sha256: str) -> Path | None:
    return next((place for place in (path, kept(sha256)) if place.exists()), None)
