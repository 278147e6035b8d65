"""The data page: which images, how many of whom, what an audit finds in them, what ε is on them, and whose they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.data.manifest import PARTS, Manifest, shipped_manifests
from benchmark.evidence.described import Described, read_described
from benchmark.measures import positive_words
from benchmark.modality import get_modality
from leaderboard import paths
from leaderboard.evidence import web
from leaderboard.frame import File, Page
from leaderboard.parts import Cell, Fact, Line, Numbers, facts
from leaderboard.source import Source
from leaderboard.tables import Table
from leaderboard.tracks import track_warnings
from leaderboard.words import plain_text, slug

STRONG = 6  # shortcuts that are listed
BITS = (8, 12, 16)


@dataclass(frozen=True)
class SplitView:
    """The images of one modality of a track. sheet: the path of the contact sheet, empty without one."""

    anchor: str
    title: str
    track: str
    positive: str
    warnings: tuple[str, ...]
    facts: tuple[Fact, ...]
    parts: Numbers | None
    shortcuts: Numbers | None
    overlaps: Numbers | None
    epsilons: Numbers
    sheet: str
    sheet_words: str


@dataclass(frozen=True)
class CollectionView:
    """A public collection whose splits are fixed by a manifest."""

    name: str
    title: str
    facts: tuple[Fact, ...]
    parts: Numbers


@dataclass(frozen=True)
class DataPage:
    """data.html."""

    splits: tuple[SplitView, ...]
    collections: tuple[CollectionView, ...]


def pages(source: Source) -> Iterator[Page | File]:
    """data.html, and the contact sheets."""
    views, seen = [], set()
    for table in source.tables:
        folder = source.folder(table)
        if folder in seen:  # a board of another protocol is of the same images
            continue
        seen.add(folder)
        found = read_described(folder)
        current = found if found and _is_of(found[0], table) else None
        views.append(_split(source, table, current[0] if current else None))
        if current and current[1] is not None:
            yield File(_sheet(table), current[1])
    yield Page(
        paths.DATA,
        "data.html.j2",
        DataPage(tuple(views), tuple(_collection(each) for each in shipped_manifests().values())),
        title="Data – OncoRobust",
        description="The images that models are judged on: parts, audit, thumbnails, licences, and what ε is on them.",
        label="data",
    )


def _is_of(found: Described, table: Table) -> bool:
    """Whether what was described are the images of the table, and not those of an earlier draw."""
    return any(part.sha256 == table.split.get("sha256") for part in found.parts)


def _sheet(table: Table) -> str:
    return f"data/{slug(table.track)}-{slug(table.modality.name)}.png"


def _split(source: Source, table: Table, found: Described | None) -> SplitView:
    notes = found.notes if found else fullest_notes(source, table)
    warnings = found.warnings if found else notes.get("audit", {}).get("warnings", ())
    modality, split = table.modality, table.split
    low, high = modality.window(notes)
    noise = notes.get("noise_sigma")
    unit = notes.get("noise_sigma_unit")
    sigma = f"{noise:.4f} of the range" if noise else ""
    if noise and unit:
        sigma += f", {unit:.3g} {notes.get('unit') or modality.unit}"
    measured = plain_text(notes.get("noise_measured"))
    return SplitView(
        anchor=f"{slug(table.track)}-{slug(modality.name)}",
        title=modality.title,
        track=table.track,
        positive=positive_words(modality.name, table.track),
        warnings=track_warnings(table.track) + merged(warnings),
        facts=facts(
            (
                "split",
                f"{split.get('name', '')}, {table.images:,} images of {table.patients:,} patients judged",
            ),
            ("source", plain_text(notes.get("source"))),
            ("a positive is", positive_words(modality.name, table.track)),
            ("image size", _size(split)),
            (
                "window",
                f"0 is {low:,g} and 1 is {high:,g} {notes.get('unit') or modality.unit}".replace("-", "−"),
            ),
            ("stored at", f"{notes.get('stored_bits') or 16} bits"),
            ("noise σ", f"{sigma}; {measured}" if sigma and measured else sigma or measured),
            ("sha256", str(split.get("sha256", ""))),
            code=("sha256",),
        ),
        parts=_parts(found),
        shortcuts=_shortcuts(found),
        overlaps=_overlaps(found),
        epsilons=epsilon_numbers(table, notes),
        sheet=_sheet(table) if found and found.sheet_sha256 else "",
        sheet_words=f"Thumbnails of {modality.title}, {table.track}: images of either class in the split's window, with "
        f"a scale in {notes.get('unit') or modality.unit}",
    )


def merged(warnings: Iterable[str]) -> tuple[str, ...]:
    """Sentences of warnings as a page says them: what is found in several parts once, commands without their ticks.

    >>> merged(["train: much is black (`data show`)", "test: much is black (`data show`)", "train and test: a copy"])
    ('train, test: much is black (data show).', 'train and test: a copy.')
    """
    found: dict[str, list[str]] = {}
    for warning in warnings:
        part, _, sentence = warning.replace("`", "").partition(": ")
        if part in PARTS:
            found.setdefault(f": {sentence}.", []).append(part)
        else:
            found[f"{part}: {sentence}." if sentence else f"{part}."] = []
    return tuple(", ".join(parts) + sentence for sentence, parts in found.items())


def fullest_notes(source: Source, table: Table) -> Mapping[str, Any]:
    """The fullest notes that any record of the table carries: older ones say less."""
    return max((record.split.get("notes", {}) for record in source.of(table)), key=len)


def _size(split: Mapping[str, Any]) -> str:
    height, width = split.get("height"), split.get("width")
    return f"{height} × {width} pixels" if height and width else ""


def _parts(found: Described | None) -> Numbers | None:
    if found is None:
        return None
    lines = []
    for part in found.parts:
        few, middle, many = part.audit["images_per_patient"]
        lines.append(
            Line(
                part.part,
                (
                    Cell(f"{part.images:,}"),
                    Cell(f"{part.patients:,}"),
                    Cell(f"{100 * part.positive / part.images:.1f} %"),
                    Cell(f"{few} to {many}", f"median {middle:g}"),
                    Cell(f"{part.audit['patients_with_both_classes']:,}"),
                    Cell(f"{part.audit['constant_images']:,}"),
                    Cell(f"{100 * part.audit['saturated']:.1f} %"),
                    Cell(f"{part.audit['alike_within']:,}"),
                ),
            )
        )
    return Numbers(
        "The parts are disjoint by patient. Black or white: pixels at either end of the window. Alike: pairs of pictures of "
        "different patients that look the same.",
        (
            "part",
            "images",
            "patients",
            "positive",
            "images per patient",
            "patients with both classes",
            "constant images",
            "black or white",
            "alike",
        ),
        tuple(lines),
    )


def _shortcuts(found: Described | None) -> Numbers | None:
    if found is None:
        return None
    keys = {key for part in found.parts for key in part.audit["shortcut_auc"]}
    best = {key: max(part.audit["shortcut_auc"].get(key, 0) for part in found.parts) for key in keys}
    lines = [
        Line(
            f"AUROC of {key}",
            tuple(_three(part.audit["shortcut_auc"].get(key)) for part in found.parts),
        )
        for key in sorted(keys, key=lambda key: (-best[key], key))[:STRONG]
    ]
    fitted = [part.audit.get("pixel_logistic_accuracy") for part in found.parts]
    if any(value is not None for value in fitted):
        lines.append(Line("accuracy of a logistic regression on pixels", tuple(map(_three, fitted))))
    return Numbers(
        "How far one gets without looking at any shape: the strongest single numbers, and a linear model.",
        ("", *(part.part for part in found.parts)),
        tuple(lines),
    )


def _three(value: float | None) -> Cell:
    return Cell("–" if value is None else f"{value:.3f}")


def _overlaps(found: Described | None) -> Numbers | None:
    if found is None or len(found.parts) < 2:
        return None
    lines = []
    for place, part in enumerate(found.parts):
        for other in found.parts[place + 1 :]:
            if each := part.audit["overlap"].get(other.part):
                counts = (each["patients"], each["exact_copies"], each["near_copies"])
                lines.append(Line(f"{part.part} and {other.part}", tuple(Cell(f"{n:,}") for n in counts)))
    return Numbers(
        "What two parts have in common, and should not.",
        ("parts", "patients", "exact copies", "near copies"),
        tuple(lines),
    )


def epsilon_numbers(table: Table, notes: Mapping[str, Any]) -> Numbers:
    """Every ε of the grid in the unit of the images, in multiples of their noise, and in grey levels of three depths."""
    modality, noise = table.modality, notes.get("noise_sigma")
    unit = modality.step(table.protocol["headline"], notes)[1]
    lines = []
    for epsilon in table.protocol["epsilons"]:
        sigmas = [Cell(f"{float(epsilon) / noise:.2g}")] if noise else []
        levels = [Cell(_digits(float(epsilon) * (2**bits - 1))) for bits in BITS]
        head = f"{epsilon}, the headline" if epsilon == table.protocol["headline"] else epsilon
        lines.append(Line(head, (Cell(modality.step(epsilon, notes)[0]), *sigmas, *levels)))
    return Numbers(
        f"What ε is on {modality.title.split(':')[0]} images of the {table.track} track.",
        (
            "ε",
            f"in {unit}",
            *(("in σ of the noise",) if noise else ()),
            *(f"in levels of {bits} bits" for bits in BITS),
        ),
        tuple(lines),
    )


def _digits(value: float) -> str:
    """A number in three digits, large ones whole."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _collection(manifest: Manifest) -> CollectionView:
    about, modality = manifest.about, get_modality(str(manifest.about["modality"]))
    doi, downloads = str(about.get("doi", "")), about.get("downloads") or {}
    told = [
        Fact("modality", modality.title),
        Fact("licence", plain_text(about.get("licence"))),
        Fact("citation", plain_text(about.get("citation"))),
        Fact("doi", doi, link=web(f"https://doi.org/{doi}") if doi else ""),
        Fact("labels", plain_text(about.get("labels"))),
        Fact("a positive is", positive_words(modality.name, "clinical")),
        Fact("parts", plain_text(about.get("parts"))),
        Fact("to download", f"{downloads['gigabytes']:g} GB" if downloads.get("gigabytes") else ""),
        Fact("manifest, sha256", manifest.sha256, code=True),
    ]
    sizes = manifest.sizes()
    lines = tuple(
        Line(
            part,
            tuple(
                Cell("from the download" if sizes[part][name] < 0 else f"{sizes[part][name]:,}")
                for name in ("patients", "items", "positive", "images")
            ),
        )
        for part in PARTS
    )
    return CollectionView(
        manifest.name,
        plain_text(about.get("title")) or manifest.collection,
        tuple(fact for fact in told if fact.text),
        Numbers(
            f"Fixed before any image is read: manifest {manifest.name}.",
            ("part", "patients", "nodules, lesions or cases", "positive", "images"),
            lines,
        ),
    )
