"""A folder of one's own: images and a CSV become splits that every command takes by `--track PATH`.

They are private. Ids are keyed hashes, images stand in the order of these, and nothing that the splits say of
themselves holds a path, a name or an id; they are written outside the repository.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np

from benchmark.data.audit import audited
from benchmark.data.collection import LeftOut
from benchmark.data.folder.cut import Cut, Task, Window
from benchmark.data.folder.kept import cut_once, forget_others, kept_at
from benchmark.data.folder.table import read_table
from benchmark.data.manifest import PARTS
from benchmark.data.prepared.lock import split_path
from benchmark.data.prepared.shards import alone, code_sha256
from benchmark.data.private.ids import (
    keyed_id,
    private_folder,
    private_key,
    require_outside_repository,
)
from benchmark.data.split import Split
from benchmark.errors import DataError, ProtocolError
from benchmark.files import require_writable
from benchmark.modality import get_modality
from benchmark.processes import in_parallel, worker_count
from benchmark.progress import progress_bar

SIZES = {"ct": 64, "mammogram": 128, "mri": 128}  # pixels, as the clinical splits have them
SMALLEST, LARGEST = 16, 1024


@dataclass(frozen=True)
class PreparedFolder:
    """What came of it: the splits by part, where they are, and the rows that could not be used."""

    folder: Path
    splits: dict[str, Split]
    left_out: tuple[LeftOut, ...]

    @property
    def exit_code(self) -> int:
        """0: every row was used. 3: some were left out."""
        return 3 if self.left_out else 0


def prepare_folder(
    source: Path,
    table: Path,
    modality: str,
    window: Window,
    size: int | None = None,
    name: str = "own",
    out: Path | None = None,
    progress: bool = True,
) -> PreparedFolder:
    """Read the images that a CSV names and write a split for each part.

    A box, or the whole image, is widened to a square around its middle, which keeps its aspect, and becomes
    `size` x `size` pixels by area-weighted linear interpolation. Beyond the image there is what the window makes 0.

    Squares are kept in the folder `shards` beside the splits, each as one whole file. So an interrupted run goes on
    where it stopped, and a later one reads only what is new or has changed. Splits take their places when all are written.

    A window of percentiles is taken of each image file: two slices of one MRI volume get two windows, while the public
    MRI collection has one for each volume. Where slices are to share a window, give it in stored values, which
    must then mean the same in all files, or bring the volumes to one scale before they are cut into files.

    Args:
        source: the folder that the CSV's files are named from. table: the CSV; see `folder/table.py`.
        size: pixels a side; as in the clinical split of the modality unless given.
        name: of the track in records. It is not hashed: let it say nothing of the place.
        out: where the splits go; the private part of the cache unless given.

    Raises:
        DataError: the CSV cannot be used, with all reasons by line; no image can be used; images of several kinds or
            depths, for which one window would mean several things; `out` lies in the repository, cannot be written, or
            another process prepares into it.
    """
    get_modality(modality)
    side = size or SIZES[modality]
    if not SMALLEST <= side <= LARGEST:
        raise ProtocolError(f"size {side}; expected {SMALLEST} to {LARGEST} pixels")
    if not name or name != Path(name).name or name.startswith("."):
        raise ProtocolError(f"name {name!r}; expected a plain name such as own")
    folder = Path(out).expanduser() if out else private_folder() / "tracks" / name
    require_outside_repository(folder, "--out or ONCOROBUST_CACHE")
    rows = read_table(Path(table), Path(source))
    require_writable(folder, "--out")
    key = private_key()
    with alone(folder, "--out"):
        tasks = [Task(row, modality, window, side) for row in rows]
        found, left_out = _cut_all(tasks, folder / "shards", key, progress)
        if not found:
            reasons = "; ".join(f"{item.what} {item.reason}" for item in left_out[:5])
            raise DataError(f"no image of {table} can be used: {reasons}")
        _require_one_kind(found)
        parts = sorted({image.row.part for image in found})
        splits = {
            part: _split(
                part,
                [image for image in found if image.row.part == part],
                left_out,
                modality,
                window,
                name,
                key,
            )
            for part in parts
        }
        splits = audited(splits)
        _replace_splits(folder, modality, splits)
    return PreparedFolder(folder, splits, tuple(left_out))


def _cut_all(
    tasks: Sequence[Task], shards: Path, key: bytes, progress: bool
) -> tuple[list[Cut], list[LeftOut]]:
    """The squares of all tasks, from `shards` where they are kept there, and the rows that cannot be used, by line."""
    code = code_sha256()
    work = [(task, kept_at(shards, key, code, task)) for task in tasks]
    found: list[Cut] = []
    left_out: list[LeftOut] = []
    with progress_bar("reading images", len(work), progress) as advance:
        for result in in_parallel(cut_once, work, worker_count(len(work))):
            if isinstance(result, Cut):
                found.append(result)
            else:
                left_out.append(result)
            advance()
    forget_others(shards, [path for _, path in work])
    left_out.sort(key=lambda item: int(item.what.removeprefix("line ")))
    return found, left_out


def _replace_splits(folder: Path, modality: str, splits: Mapping[str, Split]) -> None:
    """All parts are written before any takes its place: parts of two tables would share patients."""
    beside = folder / ".new"
    for part, split in splits.items():
        split.save(split_path(beside, modality, part))
    for part in PARTS:
        if part in splits:
            split_path(beside, modality, part).replace(split_path(folder, modality, part))
        else:
            split_path(folder, modality, part).unlink(missing_ok=True)
    rmtree(beside, ignore_errors=True)


def _require_one_kind(found: Sequence[Cut]) -> None:
    """One window fits one kind of stored value. DICOM says itself what its values mean, whatever its bits."""
    kinds = Counter((image.kind == "dicom", 0 if image.kind == "dicom" else image.bits) for image in found)
    if len(kinds) < 2:
        return
    usual = kinds.most_common(1)[0][0]
    told = sorted(
        (image.row.line, f"{image.kind} of {image.bits or 'floating'} bits")
        for image in found
        if (image.kind == "dicom", 0 if image.kind == "dicom" else image.bits) != usual
    )
    listed = ", ".join(f"line {line}: {what}" for line, what in told[:20])
    raise DataError(
        f"one window cannot fit images of several kinds; most are {'DICOM' if usual[0] else f'of {usual[1]} bits'}, but "
        f"{listed}{' …' if len(told) > 20 else ''}: prepare them apart"
    )


def _split(
    part: str,
    images: Sequence[Cut],
    left_out: Sequence[LeftOut],
    modality: str,
    window: Window,
    name: str,
    key: bytes,
) -> Split:
    named = [
        (
            keyed_id(key, "patient", image.row.patient_id),
            keyed_id(key, "image", f"{image.row.name}\0{image.row.box}"),
            image,
        )
        for image in images
    ]
    named.sort(key=lambda item: item[:2])  # the CSV's own order may be the order of names
    ordered = [image for _, _, image in named]
    return Split(
        modality=modality,
        images=np.stack([image.pixels for image in ordered])[:, None],
        labels=np.array([image.row.label for image in ordered]),
        patient_ids=[patient for patient, _, _ in named],
        image_ids=[image for _, image, _ in named],
        name=f"{name}-{modality}-{part}",
        track=name,
        part=part,
        facts={fact: [image.facts[fact] for image in ordered] for fact in ordered[0].facts},
        notes=_notes(ordered, left_out, modality, window),
    )


def _notes(
    images: Sequence[Cut], left_out: Sequence[LeftOut], modality: str, window: Window
) -> dict[str, Any]:
    dicom = images[0].kind == "dicom"
    bits = min(image.bits for image in images)
    if window.percentiles:
        told: dict[str, Any] = {"unit": "% of the image's range", "window": [0.0, 100.0]}
    elif modality == "ct" and dicom:
        told = {"unit": "HU", "window": [window.low, window.high]}
    else:
        unit = f"grey levels ({bits} bit)" if bits else "stored units"
        told = {"unit": unit, "window": [window.low, window.high]}
    return {
        "source": "private images",
        **told,
        "stored_bits": bits or None,
        "level": float(np.median([image.level for image in images])) or None,
        "outside_window": float(np.mean([image.facts["share outside the window"] for image in images])),
        "enlarged": int(sum(image.facts["stored pixels per pixel"] < 1 for image in images)),
        # Only counted: a reason may quote what a damaged header says.
        "left_out": {"images that could not be used": len(left_out)} if left_out else {},
    }
