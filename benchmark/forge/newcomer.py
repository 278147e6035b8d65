"""What a pull request with an entry is refused for: asked by `check` and `package` before there is one, and by its gate."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from benchmark.errors import DataError, SubmissionError
from benchmark.folders import home
from benchmark.forge.change import PLAIN_FILE, RUNNABLE, Changed, files_at, git
from benchmark.forge.gate import MOST_FILES, examine, shown
from benchmark.submission import Submission, read_submission
from benchmark.submission_folder import RESERVED, names

TRACK = "phantom"  # that a pull request is evaluated on
# Where a clone knows the main branch from, the nearest to the project first.
MAIN = ("refs/remotes/upstream/main", "refs/remotes/origin/main", "refs/heads/main")


def refusals(entry: Submission, known: Collection[str]) -> list[str]:
    """Everything that a pull request with this folder is refused for, beside what breaks the contract.

    Args:
        known: the entries that are there already.
    """
    return [*_of_files(entry, files_of(entry), known), *_of_words(entry, known)]


def files_of(entry: Submission) -> tuple[tuple[Path, int], ...]:
    """What would be sent, with its bytes: not what Python and editors leave behind, nor what is fetched from an address."""
    elsewhere = {
        entry.folder / name for weights in entry.file.weights if weights.urls for name in weights.files
    }
    found = []
    for path in sorted(entry.folder.rglob("*")):
        parts = path.relative_to(entry.folder).parts
        left = "__pycache__" in parts or any(part.startswith(".") for part in parts) or path in elsewhere
        if path.is_file() and not left:
            found.append((path, path.stat().st_size))
    return tuple(found)


def entries_at(repository: Path, commit: str) -> set[str]:
    """The entries of a commit.

    Raises:
        DataError: it is not here.
    """
    paths = (each.path for each in files_at(repository, commit, "submissions"))
    return {path.split("/")[1] for path in paths if path.count("/") > 1} - set(RESERVED)


def known_to(folder: Path) -> set[str]:
    """The entries that are there already, as far as this machine knows: those of the project's main branch.

    Where no clone is, those beside the folder; and itself, if it says that it is the project's own.
    """
    main = _on_main(home())
    if main is not None:
        return main
    beside = {path.parent.name for path in (home() / "submissions").glob("*/submission.toml")}
    own = {folder.name} if _is_here(folder) and read_submission(folder).file.kind == "reference" else set()
    return (beside | set(names())) - {folder.name, *RESERVED} | own


def is_entered(folder: Path, known: Collection[str]) -> bool:
    """Whether this folder is one that is there already, and no other of its name."""
    return folder.name in known and _is_here(folder)


def _is_here(folder: Path) -> bool:
    return folder.resolve() == (home() / "submissions" / folder.name).resolve()


def _on_main(repository: Path) -> set[str] | None:
    """The entries of the main branch; None where no clone of the project is, or none that knows it."""
    try:
        if git(repository, "rev-parse", "--show-prefix").strip():
            return None  # inside of somebody's other repository
        told = git(repository, "for-each-ref", "--format=%(refname) %(objectname)", *MAIN).decode()
        found = dict(line.split() for line in told.splitlines())
        commit = next((found[name] for name in MAIN if name in found), "")
        return entries_at(repository, commit) if commit else None
    except (DataError, OSError):
        return None


def _of_files(entry: Submission, files: Sequence[tuple[Path, int]], known: Collection[str]) -> Iterator[str]:
    if len(files) > MOST_FILES:
        yield f"it has {len(files)} files, allowed are {MOST_FILES}"
    brought = [
        Changed(
            f"submissions/{entry.name}/{path.relative_to(entry.folder).as_posix()}",
            "A",
            RUNNABLE if path.stat().st_mode & 0o100 else PLAIN_FILE,
            "",
            size,
        )
        for path, size in files
    ]
    try:
        examine(brought, known)
    except SubmissionError as error:
        yield from str(error).splitlines()


def _of_words(entry: Submission, known: Collection[str]) -> Iterator[str]:
    """What `submission.toml` may not say in a pull request."""
    if entry.file.kind == "reference":
        yield "kind = 'reference' is for the project's own; say \"entry\""
    for key in ("naive_twin", "supersedes"):
        if (named := getattr(entry.file, key)) and named not in known:
            near = get_close_matches(named, known, 1)
            meant = f"did you mean {near[0]}?" if near else "correct it, or leave it out until that one is"
            yield f"{key} = {shown(named)!r} is no entry that is there; {meant}"
    if not entry.modalities_of(TRACK):
        yield (
            f"it brings no weights trained_on = {TRACK!r}, the track that is evaluated there; add some, train them with: "
            "oncorobust train --track phantom"
        )
