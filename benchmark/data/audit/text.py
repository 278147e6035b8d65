"""An audit as lines of text for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmark.data import tracks
from benchmark.data.audit import Audit, audit
from benchmark.data.audit.label_rules import shipped_rules
from benchmark.data.audit.noise import noise_notes
from benchmark.data.audit.texture import REAL, split_texture
from benchmark.data.split import Split
from benchmark.modality import get_modality

EPSILON = "0.004"  # the headline of the protocols


def audit_lines(modality: str, track: str) -> Iterator[str]:
    """Audit all parts of a track that are there, and say what was found.

    Raises:
        DataError: the track has no part of this modality.
    """
    parts = tracks.load_parts(modality, track)
    found = audit(parts)
    yield f"{get_modality(modality).title} · {', '.join(split.name for split in parts.values())}"
    yield from _parts(found)
    yield from _shortcuts(found)
    yield from _overlaps(found, tracks.is_private(track))
    yield from _units(parts)
    yield from texture_lines(parts)
    if modality == "ct" and track == "clinical":
        yield from rule_lines()
    yield from [f"warning: {sentence}" for sentence in found.warnings] or ["nothing to warn of"]


def _parts(found: Audit) -> Iterator[str]:
    yield (
        f"  {'':12}{'images':>8}{'patients':>10}{'disease':>9}{'both':>6}  {'images per patient':20}"
        f"{'constant':>9}{'black/white':>13}{'alike':>7}"
    )
    for name, part in found.parts.items():
        few, middle, many = part.images_per_patient
        yield (
            f"  {name:12}{part.images:8}{part.patients:10}{part.positive / part.images:9.1%}{part.both_classes:6}  "
            f"{f'{few} to {many}, median {middle:g}':20}{part.constant:9}{part.saturated:13.1%}{part.alike:7}"
        )
    yield "  (both: patients with images of either class; alike: pairs of different patients that look the same)"


def _shortcuts(found: Audit) -> Iterator[str]:
    names = list(found.parts)
    keys = {key for part in found.parts.values() for key in part.shortcuts}
    yield f"  {'baseline that looks at no shape':36}" + "".join(f"{name:>12}" for name in names)
    for key in sorted(
        keys, key=lambda key: -max(part.shortcuts.get(key, 0) for part in found.parts.values())
    ):
        cells = [part.shortcuts.get(key) for part in found.parts.values()]
        yield f"  {'AUC ' + key:36}" + "".join(
            f"{'–' if cell is None else f'{cell:.3f}':>12}" for cell in cells
        )
    fitted = [part.pixel_logistic for part in found.parts.values()]
    if any(value is not None for value in fitted):
        yield f"  {'accuracy, logistic on pixels':36}" + "".join(map(_cell, fitted))


def _cell(value: float | None) -> str:
    return f"{'–' if value is None else f'{value:.3f}':>12}"


def _overlaps(found: Audit, private: bool) -> Iterator[str]:
    for (first, second), each in found.overlaps.items():
        yield (
            f"  {first} and {second}: {each.patients} patients in both, {each.exact} exact copies, "
            f"{each.near} near copies"
        )
        for one, other, similarity in () if private else each.examples:
            yield f"    {one} and {other}: correlation {similarity:.3f}"


def _units(parts: Mapping[str, Split]) -> Iterator[str]:
    split = parts.get("test") or next(iter(parts.values()))
    notes = {**split.notes, **noise_notes(split)}
    modality = get_modality(split.modality)
    bits = notes.get("stored_bits") or 16
    yield f"  ε = {EPSILON} is {modality.told(EPSILON, notes)}; stored at {bits} bits"
    if notes["noise_sigma"] is None:
        yield "  the noise cannot be measured: structure everywhere"
    elif notes.get("noise_measured"):
        yield f"  noise σ {notes['noise_sigma']:.4f}, {notes['noise_measured']}"


def texture_lines(parts: Mapping[str, Split]) -> Iterator[str]:
    """Spectral exponent and local SD of each part, and what is known of real images."""
    yield f"  {'texture: quartiles over images':42}" + "".join(f"{name:>18}" for name in parts)
    found = {name: split_texture(split) for name, split in parts.items()}
    split = next(iter(parts.values()))
    modality = get_modality(split.modality)
    low, high = modality.window(split.notes)
    exponents = [each.exponent for each in found.values()]
    spreads = [tuple((high - low) * value for value in each.local_sd) for each in found.values()]
    for title, rows in (("spectral exponent", exponents), (f"SD in 9 x 9 pixels, {modality.unit}", spreads)):
        cells = (" ".join(_three(value) for value in row) for row in rows)
        yield f"  {title:42}" + "".join(f"{cell:>18}" for cell in cells)
    yield f"  ({REAL[split.modality]})"


def rule_lines() -> Iterator[str]:
    """The committed table of label rules over the whole of LIDC-IDRI."""
    yield (
        f"  {'label rule, all of LIDC-IDRI':38}{'malignant':>10}{'benign':>8}{'dropped':>9}{'patients':>10}"
        f"{'changed':>9}{'AUC of diameter':>17}"
    )
    for row in shipped_rules():
        yield (
            f"  {row.rule:38}{row.malignant:10}{row.benign:8}{row.dropped:9}{row.patients:10}{row.changed:9}"
            f"{_cell(row.diameter_auc):>17}"
        )
    yield "  (changed: nodules that at least three readers outlined and that the first rule treats otherwise)"


def _three(value: float) -> str:
    """A number in three digits, large ones whole."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
