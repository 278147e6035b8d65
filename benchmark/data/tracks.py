"""load_split: from the name of a track, or a folder of one's own, to a Split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmark.data.collection import COLLECTIONS, get_collection
from benchmark.data.manifest import PARTS, shipped_manifests
from benchmark.data.prepared.lock import prepared_folder, split_path
from benchmark.data.prepared.rehearsal import is_synthetic
from benchmark.data.private.ids import keyed_id, private_key
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
            which are all one split. The ids of such files become keyed hashes, and images stand in their order: nobody
            can tell a download of a public collection from a hospital's own files. A phantom's tree keeps its ids.
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
    found = replace(tree_split(get_collection(name), folder), track=track_name(track))
    return found if is_synthetic(folder, found.patient_ids, found.image_ids) else _keyed(found)


def load_parts(modality: str, track: str) -> dict[str, Split]:
    """All parts of one modality that a track has: "train", "validation", "test" → Split, as `load_split` gives them.

    Raises:
        DataError: it has none.
    """
    found: dict[str, Split] = {}
    missing: list[DataError] = []
    for part in PARTS:
        try:
            found[part] = load_split(modality, track, part)
        except DataError as error:
            missing.append(error)
    if not found:
        raise missing[-1]
    return found


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


def _keyed(split: Split) -> Split:
    """The same images under ids that nobody outside can turn back; what was left out is only counted."""
    key = private_key()
    patients = [keyed_id(key, "patient", name) for name in split.patient_ids]
    images = [keyed_id(key, "image", name) for name in split.image_ids]
    order = sorted(range(len(split)), key=lambda row: (patients[row], images[row]))
    left_out = len(split.notes["left_out"])
    ordered = split.chosen(order)
    return replace(
        ordered,
        patient_ids=[patients[row] for row in order],
        image_ids=[images[row] for row in order],
        notes={
            **split.notes,
            "left_out": {"files and findings that could not be used": left_out} if left_out else {},
        },
    )


def track_name(track: str) -> str:
    """How a track is called in records: its own name, or the folder's."""
    return track if track in TRACKS else Path(track).expanduser().resolve().name.lower()


def is_private(track: str) -> bool:
    """Whether results on this track stay outside the repository."""
    return track not in TRACKS
