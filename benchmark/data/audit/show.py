"""A sheet of images of a split, by class, with a scale in the modality's unit: one look before any number is believed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.audit.noise import noise_notes
from benchmark.data.private.ids import require_outside_repository
from benchmark.data.split import LEVELS, Split
from benchmark.data.tracks import is_private, load_split
from benchmark.errors import DataError
from benchmark.files import replace_file
from benchmark.modality import get_modality

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EACH = 24  # images of a class
COLUMNS = 12
PIXEL_MM = {"ct": 0.75}  # of the phantom and the clinical split; films have no trustworthy spacing


def show_track(
    modality: str, track: str, part: str, path: Path, private_thumbnails: bool = False, each: int = EACH
) -> Path:
    """Write the sheet of a part of a track.

    Args:
        private_thumbnails: the owner of private images wants to see them, and answers for where the file goes.

    Raises:
        DataError: there is no such part, or its images are private and nobody has asked for thumbnails by name.
    """
    split = load_split(modality, track, part)
    private = is_private(track) and not is_synthetic(split)
    if private and not private_thumbnails:
        raise DataError(
            "the images of this folder are private and a sheet shows them as they are; "
            "give --private-thumbnails if that is meant, and keep the file where the images may be"
        )
    if private:
        require_outside_repository(Path(path), "--out")
    return show(split, path, each)


def show(split: Split, path: Path, each: int = EACH) -> Path:
    """Write a PNG with up to `each` images of either class, of as many patients as can be.

    Raises:
        DataError: the file cannot be written.
    """
    figure = contact_sheet(split, each)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110, metadata={"Software": None})
    replace_file(Path(path), content.getvalue())
    return Path(path)


def chosen(split: Split, label: int, each: int) -> list[int]:
    """Indices of images of a class: the first of every patient, then the second, until there are enough."""
    seen: dict[str, int] = {}
    ranked = []
    for index in np.flatnonzero(split.labels == label).tolist():
        turn = seen.get(split.patient_ids[index], 0)
        seen[split.patient_ids[index]] = turn + 1
        ranked.append((turn, index))
    # Spread over the split, or a sheet would show the beginning of the list of patients.
    first = [index for turn, index in ranked if turn == 0]
    if len(first) > each:
        return [first[i] for i in np.linspace(0, len(first) - 1, each).astype(int)]
    return [index for _, index in sorted(ranked)][:each]


def contact_sheet(split: Split, each: int = EACH) -> Figure:
    """The figure that `show` writes."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    modality = get_modality(split.modality)
    rows = max(1, -(-min(each, int(np.bincount(split.labels, minlength=2).max())) // COLUMNS))
    title = 0.32
    figure = Figure(figsize=(COLUMNS + 1.5, 2 * (rows + title) + 0.75), facecolor="white")
    height, width = figure.get_figheight(), figure.get_figwidth()
    figure.text(0.08 / width, 1 - 0.28 / height, _heading(split), fontsize=13, weight="bold")
    for place, (label, name) in enumerate(((0, modality.negative), (1, modality.positive))):
        top = height - 0.45 - place * (rows + title)
        indices = chosen(split, label, each)
        of_class = int((split.labels == label).sum())
        text = f"{name} (label {label}): {len(indices)} of {of_class} images"
        figure.text(0.08 / width, (top - 0.22) / height, text, fontsize=11)
        for number, index in enumerate(indices):
            row, column = divmod(number, COLUMNS)
            box = ((column + 0.08) / width, (top - title - row - 0.97) / height, 0.97 / width, 0.97 / height)
            axes = figure.add_axes(box)
            axes.imshow(split.images[index, 0] / LEVELS, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_axis_off()
            if number == 0:
                _scale_bar(axes, split)
    low, high = modality.window(split.notes)
    unit = str(split.notes.get("unit") or modality.unit)
    axes = figure.add_axes(((COLUMNS + 0.2) / width, 0.5 / height, 0.15 / width, (height - 1.3) / height))
    bar = figure.colorbar(ScalarMappable(Normalize(low, high), "gray"), cax=axes)
    bar.set_label(unit)
    figure.text(0.08 / width, 0.12 / height, _foot(split), fontsize=9, color="0.25")
    return figure


def is_synthetic(split: Split) -> bool:
    """Whether its notes say that a program drew it."""
    return str(split.notes.get("source", "")).startswith("synthetic: ")


def _heading(split: Split) -> str:
    return f"{get_modality(split.modality).title} · {split.name}" + (
        " · SYNTHETIC, not from patients" if is_synthetic(split) else ""
    )


def _foot(split: Split) -> str:
    height, width = split.image_size
    notes = {**split.notes, **noise_notes(split)}
    bits = split.notes.get("stored_bits") or 16
    return (
        f"{len(split)} images of {split.patients} patients, {height} × {width} pixels, stored at {bits} bits; "
        f"ε = 0.004 is {get_modality(split.modality).told('0.004', notes)}. For research only."
    )


def _scale_bar(axes: Axes, split: Split) -> None:
    """10 mm where pixels have a size, else a quarter of the image's width."""
    from matplotlib.patheffects import withStroke

    height, width = split.image_size
    pixel = None if "window" in split.notes else PIXEL_MM.get(split.modality)
    length = 10 / pixel if pixel else width // 4
    left, bottom = 0.06 * width, 0.93 * height
    axes.plot([left, left + length], [bottom, bottom], color="black", linewidth=4, solid_capstyle="butt")
    axes.plot([left, left + length], [bottom, bottom], color="white", linewidth=2, solid_capstyle="butt")
    text = axes.text(
        left, bottom - 0.04 * height, "10 mm" if pixel else f"{length} px", color="white", fontsize=7
    )
    text.set_path_effects([withStroke(linewidth=2, foreground="black")])
