"""load_split: from the name of a track, or a folder of one's own, to a Split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmark.data.collection import COLLECTIONS, get_collection
from benchmark.data.manifest import shipped_manifests
from benchmark.data.prepared.lock import prepared_folder, split_path
from benchmark.data.split import Split
from benchmark.data.tree import tree_split
from benchmark.errors import DataError
from benchmark.modality import get_modality

TRACKS = ("phantom", "clinical")


def load_split(modality: str, track: str = "phantom", part: str = "test") -> Split:
    """The images of one modality of a track.

    Args:
        modality: "ct", "mammogram" or "mri".
        track: "phantom", "clinical" (what `oncorobust data prepare` made of a public collection), or the path of a
            folder: one with `<modality>-<part>.safetensors` files, or a public collection's own files as downloaded,
            which are all one split.
        part: "train", "validation" or "test"; of the phantom also "large".

    Raises:
        DataError: the track has no such split, or its files cannot be used.
    """
    get_modality(modality)
    if track == "phantom":
        from benchmark.data.phantom import phantom_split

        return phantom_split(modality, part)
    if track == "clinical":
        return _clinical(modality, part)
    folder = Path(track).expanduser()
    if not folder.is_dir():
        raise DataError(f"unknown track {track!r}; expected {', '.join(TRACKS)} or a folder of images")
    prepared = split_path(folder, modality, part)
    if prepared.exists():
        return replace(Split.load(prepared), track=track_name(track))
    if part != "test" or any(folder.glob("*.safetensors")):
        raise DataError(f"{folder} holds no {prepared.name}; a tree of downloaded files has a test part only")
    (name,) = (name for name in COLLECTIONS if modality == get_collection(name).MODALITY)
    return replace(tree_split(get_collection(name), folder), track=track_name(track))


def _clinical(modality: str, part: str) -> Split:
    for name, manifest in shipped_manifests().items():
        path = split_path(prepared_folder(manifest), modality, part)
        if manifest.about["modality"] != modality:
            continue
        if path.exists():
            return Split.load(path)
        raise DataError(
            f"the clinical {modality} split {manifest.name}-{part} is not prepared; see `oncorobust data status`, then: "
            f"oncorobust data prepare {name} --source DIR"
        )
    raise DataError(f"there is no clinical track of modality {modality!r} yet")


def track_name(track: str) -> str:
    """How a track is called in records: its own name, or the folder's."""
    return track if track in TRACKS else Path(track).expanduser().resolve().name.lower()


def is_private(track: str) -> bool:
    """Whether results on this track stay outside the repository."""
    return track not in TRACKS
