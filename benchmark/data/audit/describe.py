"""What a page tells of the images of a track: every part, its audit, the noise, and a small sheet of thumbnails."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from io import BytesIO

from benchmark.data import tracks
from benchmark.data.audit import audit
from benchmark.data.audit.noise import noise_notes
from benchmark.data.audit.show import contact_sheet, is_synthetic
from benchmark.data.split import Split
from benchmark.evidence.described import Described, Part, save_described
from benchmark.folders import results_folder

THUMBNAILS = 12  # of a class
DPI = 72
NOTES = (
    "source",
    "window",
    "unit",
    "stored_bits",
    "level",
    "collection",
    "manifest",
    "seed",
    "licence",
    "citation",
    "doi",
)


def describe_lines(modality: str, track: str, private_thumbnails: bool = False) -> Iterator[str]:
    """Audit all parts of a track that are there, and write what was found beside its records.

    Args:
        private_thumbnails: the owner of private images wants to see them; the sheet stays where the private records are.

    Yields:
        Lines for the user.

    Raises:
        DataError: the track has no part of this modality, or nothing can be written.
    """
    parts = tracks.load_parts(modality, track)
    found = audit(parts)
    shown = parts.get("test") or next(iter(parts.values()))
    sheet = None
    if private_thumbnails or not tracks.is_private(track) or is_synthetic(shown):
        sheet = _sheet(shown)
    notes = {key: shown.notes[key] for key in NOTES if key in shown.notes} | noise_notes(shown)
    described = Described(
        modality=modality,
        track=shown.track,
        parts=tuple(
            Part(
                part,
                split.name,
                split.sha256,
                len(split),
                split.patients,
                int(split.labels.sum()),
                *split.image_size,
                found.described(part),
            )
            for part, split in parts.items()
        ),
        notes=notes,
        warnings=found.warnings,
        sheet_sha256=hashlib.sha256(sheet).hexdigest() if sheet else "",
    )
    name = tracks.track_name(track)
    path = save_described(described, sheet, results_folder(name, tracks.is_private(track)) / modality)
    told = f"a sheet of {len(sheet) / 1000:.0f} kB" if sheet else "no sheet: private images"
    yield f"{modality}: {', '.join(f'{part.part} {part.images}' for part in described.parts)} images; {told}"
    yield f"wrote {path}"


def _sheet(split: Split) -> bytes:
    from PIL import Image

    drawn, out = BytesIO(), BytesIO()
    contact_sheet(split, THUMBNAILS).savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    Image.open(drawn).convert("L").save(out, "PNG", optimize=True)
    return out.getvalue()
