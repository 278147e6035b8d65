"""load_split: from the name of a track, or a folder of one's own, to a Split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmark.data.split import Split
from benchmark.errors import DataError
from benchmark.modality import get_modality

TRACKS = ("phantom", "clinical")


def load_split(modality: str, track: str = "phantom", part: str = "test") -> Split:
    """The images of one modality of a track.

    Args:
        modality: "ct", "mammogram" or "mri".
        track: "phantom", "clinical", or the path of a folder: one with `<modality>-<part>.safetensors`
            files written by `Split.save`, or (CT) a tree of LIDC-IDRI DICOM files and annotations.
        part: "train", "validation" or "test"; of the phantom also "large".

    Raises:
        DataError: the track has no such split, or its files cannot be used.
    """
    get_modality(modality)
    if track == "phantom":
        from benchmark.data.phantom import phantom_split

        return phantom_split(modality, part)
    if track == "clinical":
        raise DataError(
            "the clinical splits are not prepared: give the folder of your own LIDC-IDRI download instead, "
            "--track /path/to/LIDC-IDRI"
        )
    folder = Path(track).expanduser()
    if not folder.is_dir():
        raise DataError(f"unknown track {track!r}; expected {', '.join(TRACKS)} or a folder of images")
    prepared = folder / f"{modality}-{part}.safetensors"
    if prepared.exists():
        return replace(Split.load(prepared), track=track_name(track))
    if modality == "ct":
        from benchmark.data.lidc import lidc_split

        return replace(lidc_split(folder), track=track_name(track))
    raise DataError(
        f"{folder} holds no {prepared.name}; write one with benchmark.Split(...).save(path). "
        "Only CT is read from DICOM (LIDC-IDRI) so far"
    )


def track_name(track: str) -> str:
    """How a track is called in records: its own name, or the folder's."""
    return track if track in TRACKS else Path(track).expanduser().resolve().name.lower()


def is_private(track: str) -> bool:
    """Whether results on this track stay outside the repository."""
    return track not in TRACKS
