"""A few images of a split as they are, attacked, and what was changed: small PNGs in a folder beside the records.

    <folder>/all.images/images.json     what is shown, of which records, checked how; a checksum of every PNG
    <folder>/all.images/<n>.png         an image in its window, 8 bits
    <folder>/all.images/<n>-<submission>.png, <n>-<submission>-change.png

A page shows only what is of the very records that it is built from: `read_pictures` leaves out the rest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark.errors import DataError
from benchmark.files import replace_files
from benchmark.record import Record
from benchmark.record.files import table_sha256

FORMAT = 1
FOLDER, NAME = "all.images", "images.json"
MAKE = "oncorobust show-images"


@dataclass(frozen=True)
class Attacked:
    """One entry's worst image of an original: margins before and after, achieved ‖δ‖∞, and the names of two PNGs.

    change: grey is no change, black −ε, white +ε.
    """

    submission: str
    clean_margin: float
    margin: float
    linf: float
    image: str
    change: str


@dataclass(frozen=True)
class Picture:
    """One image of the split: why it was chosen, the name of its PNG, and what each entry's attack made of it."""

    image_id: str
    label: int
    kind: str
    image: str
    attacked: tuple[Attacked, ...]


@dataclass(frozen=True)
class Pictures:
    """What is shown of one modality. records: submission → checksum of the table of the record that was attacked.

    attack: that made them all, never stopped. difference: how far its margins lie from those of the records, in T, at most.
    """

    modality: str
    track: str
    protocol: str
    epsilon: str
    split_sha256: str
    attack: str
    difference: float
    height: int
    width: int
    records: Mapping[str, str]
    pictures: tuple[Picture, ...]
    files: Mapping[str, str]  # PNG → sha256


def save_pictures(shown: Pictures, files: Mapping[str, bytes], folder: Path) -> Path:
    """Write the PNGs and what they show, all or none; PNGs of an earlier choice go. Returns the path of the JSON.

    Raises:
        DataError: the folder cannot be written; what was there still is.
    """
    home = Path(folder) / FOLDER
    body = (json.dumps({"format": FORMAT, **asdict(shown)}, indent=1, sort_keys=True) + "\n").encode()
    replace_files({home / name: content for name, content in files.items()} | {home / NAME: body})
    for path in home.glob("*.png"):
        if path.name not in files:
            path.unlink()
    return home / NAME


def read_pictures(folder: Path, records: Sequence[Record]) -> tuple[Pictures, dict[str, bytes]] | None:
    """What is shown beside these records, and its PNGs; None where there is nothing.

    Entries whose record is another one by now are left out, and pictures of which no entry is left.

    Args:
        folder: of the records. records: of one table.

    Raises:
        DataError: a file is damaged or missing.
    """
    home = Path(folder) / FOLDER
    try:
        body = json.loads((home / NAME).read_bytes())
        if body.pop("format") != FORMAT:
            raise ValueError("another format than this version's")
        body["pictures"] = tuple(
            Picture(**one | {"attacked": tuple(Attacked(**each) for each in one["attacked"])})
            for one in body["pictures"]
        )
        shown = Pictures(**body)
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(home / NAME, f"{type(error).__name__}: {error}") from None
    kept = _of(shown, records)
    return (kept, {name: _png(home, name, sha256) for name, sha256 in kept.files.items()}) if kept else None


def _of(shown: Pictures, records: Sequence[Record]) -> Pictures | None:
    """What is of these very records."""
    current = {
        record.submission
        for record in records
        if record.protocol["name"] == shown.protocol
        and record.split.get("sha256") == shown.split_sha256
        and shown.records.get(record.submission) == table_sha256(record)
    }
    if not current:
        return None
    pictures = tuple(
        Picture(
            one.image_id,
            one.label,
            one.kind,
            one.image,
            tuple(each for each in one.attacked if each.submission in current),
        )
        for one in shown.pictures
    )
    names = {one.image for one in pictures}
    names |= {name for one in pictures for each in one.attacked for name in (each.image, each.change)}
    return Pictures(
        **{
            **{name: getattr(shown, name) for name in Pictures.__dataclass_fields__},
            "records": {name: sha for name, sha in shown.records.items() if name in current},
            "pictures": pictures,
            "files": {name: sha for name, sha in shown.files.items() if name in names},
        }
    )


def _png(home: Path, name: str, sha256: str) -> bytes:
    # A name from a file must not lead out of its folder.
    if Path(name).name != name or not name.endswith(".png"):
        raise _damaged(home / NAME, f"{name!r} is no name of a picture")
    path = home / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _damaged(path, "its checksum is another one")
    return content


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path} is damaged ({what}); delete {path.parent} or make it again: {MAKE}")
