"""What evaluations and trainings leave in the cache. What is there, and how to be rid of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from benchmark.errors import DataError
from benchmark.evaluation.plan import unfinished
from benchmark.folders import cache_folder

# Kind → where it lies, and what is lost with it.
KINDS = {
    "blocks": "finished blocks of evaluations that have no record yet",
    "adversarial": "worst images of evaluations; needed for transfer, made again by --fresh",
    "second-opinion": "finished parts of second opinions that are not written yet",
    "paper": "finished blocks of the published protocol that have no result yet",
    "training": "epochs of interrupted trainings that have no weights yet",
    "weights": "weights that lie at an address; fetched again when asked for",
    "layouts": "which memory layout was faster for a model",
    "cluster": "data and weights by checksum, for a cluster's workers; sent again when asked for",
    "phantom": "drawn train, validation and large parts; drawn again when asked for",
}


@dataclass(frozen=True)
class Kept:
    """One kind of thing in the cache."""

    kind: str
    meaning: str
    files: int
    megabytes: float


def kept() -> list[Kept]:
    """How much there is of each kind."""
    found = []
    for kind, meaning in KINDS.items():
        files = _files(kind)
        found.append(Kept(kind, meaning, len(files), sum(path.stat().st_size for path in files) / 1e6))
    return found


def lines() -> Iterator[str]:
    """What `oncorobust status` prints."""
    yield f"cache {cache_folder()}"
    for each in kept():
        yield f"  {each.kind:14} {each.files:6} files {each.megabytes:9.1f} MB   {each.meaning}"
    waiting = unfinished()
    if not waiting:
        yield "no unfinished evaluation"
    for work in waiting:
        about = work.about
        yield (
            f"  {about['submission']} · {about['modality']} · {about['track']} · {about['protocol']}: "
            f"{work.finished} of {about['blocks']} blocks ({work.megabytes:.1f} MB)"
        )


def clean(kind: str) -> float:
    """Remove all of one kind; returns the megabytes freed.

    Raises:
        DataError: no such kind, or a file cannot be removed.
    """
    if kind not in KINDS:
        raise DataError(f"unknown kind {kind!r}; expected one of {', '.join(KINDS)}")
    freed = sum(path.stat().st_size for path in _files(kind)) / 1e6
    try:
        if (cache_folder() / kind).exists():
            rmtree(cache_folder() / kind)
    except OSError as error:
        raise DataError(f"{error.filename} cannot be removed: {error.strerror}") from None
    return freed


def _files(kind: str) -> list[Path]:
    return [path for path in (cache_folder() / kind).rglob("*") if path.is_file()]
