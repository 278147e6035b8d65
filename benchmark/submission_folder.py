"""The folder of a submission: where it lies, which files of code it brings, and what does not go together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from benchmark.errors import SubmissionError
from benchmark.folders import submissions_folder
from benchmark.submission_file import NAME, SubmissionFile

# Folders beside the entries that are none.
RESERVED = ("template", "attacks")


def folder_of(folder: Path | str) -> Path:
    """Where a submission lies, by its folder or its name in the submissions folder.

    Raises:
        SubmissionError: there is none.
    """
    path = Path(folder)
    if not path.is_dir() and path.name == str(folder):
        path = submissions_folder() / path
    path = path.resolve()
    if not path.is_dir():
        near = get_close_matches(str(folder).lower(), names(), 1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise SubmissionError(
            f"no submission {str(folder)!r}; {meant}there are {', '.join(names()) or 'none'}"
        )
    return path


def checked_name(name: str) -> str:
    """A name that an entry may have.

    Raises:
        SubmissionError: it is none.
    """
    if name in RESERVED:
        raise SubmissionError(
            f"{name!r} is reserved: submissions/{name} is no entry but part of the project; choose another name"
        )
    if not re.fullmatch(NAME, name):
        raise SubmissionError(
            f"{name[:60]!r} cannot be the name of an entry; it must be 2 to 41 lower-case letters, digits and dashes, "
            "a letter or digit first"
        )
    return name


def code_files(folder: Path) -> tuple[str, ...]:
    """The files of code in a folder, relative to it, in order: all that a worker sees of it besides the weights."""
    found = (path.relative_to(folder) for path in folder.rglob("*.py") if path.is_file())
    return tuple(sorted(str(path) for path in found if not any(part.startswith(".") for part in path.parts)))


def folder_complaints(folder: Path, file: SubmissionFile) -> Iterator[str]:
    """What `submission.toml` says, held against what lies beside it."""
    brings = (folder / "model.py").exists()
    if file.architecture and brings:
        yield (
            f"it names architecture {file.architecture!r} and brings code (model.py); remove one of them, "
            "since only one can be what is judged"
        )
    if not file.architecture and not brings:
        yield "it names no architecture and brings no model.py; give it one of them"
    if not file.architecture and file.architecture_options:
        yield "'architecture_options' are for an architecture by name; set what model.py wants in model.py"
    if brings:
        links = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink())
        if links:
            yield f"it holds links ({', '.join(links[:3])}), which could lead out of it; put the files themselves there"
    if brings and not (folder / "model.py").is_file():
        yield "model.py is no ordinary file; put one there"
    for weights in file.weights:
        if file.architecture and not weights.files:
            yield f"the {weights.modality} weights name no files; an architecture needs at least one"
        if len(weights.files) != len(weights.sha256):
            yield (
                f"{weights.modality}: {len(weights.files)} weight files and {len(weights.sha256)} checksums; give one "
                "sha256 for each file"
            )


def names() -> list[str]:
    """The entries in the submissions folder, the template left out."""
    return sorted(
        p.parent.name for p in submissions_folder().glob("*/submission.toml") if p.parent.name != "template"
    )
