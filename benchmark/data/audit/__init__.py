"""What a reader must know before believing a figure on a split: overlaps, copies, odd images, balance, shortcuts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.audit.duplicates import SAME, Sketch, exact_copies, near_copies, sketch
from benchmark.data.audit.noise import noise_notes
from benchmark.data.audit.shortcuts import pixel_logistic, shortcut_aucs
from benchmark.data.split import LEVELS, Split
from benchmark.errors import DataError

STRONG = 0.75  # AUC of a single number from which on it is warned of
SATURATED = 0.5  # share of pixels at 0 or 1 from which on the window is doubtful
LOPSIDED = 0.2  # share of the smaller class below which accuracy alone misleads
FEWEST = 20  # patients below which there is no interval and no rank


@dataclass(frozen=True)
class PartAudit:
    """One part.

    Args:
        patients_by_class: with an image with disease, with one without. images_per_patient: fewest, median, most.
        constant: images of one value. saturated: mean share of pixels at 0 or 1.
        alike: pairs of pictures of different patients of this part that are the same picture.
        shortcuts: AUC of single numbers. pixel_logistic: accuracy of a logistic regression on pixels, fitted on
            the train part; None where there is none.
    """

    images: int
    patients: int
    positive: int
    patients_by_class: tuple[int, int]
    images_per_patient: tuple[int, float, int]
    constant: int
    saturated: float
    alike: int
    shortcuts: Mapping[str, float]
    pixel_logistic: float | None

    @property
    def both_classes(self) -> int:
        """Patients with images of either class."""
        return sum(self.patients_by_class) - self.patients


@dataclass(frozen=True)
class Overlap:
    """Two parts: patients of both, pairs of pictures with the same pixels, pairs that look the same.

    examples: ids of pictures that look the same, most alike first; for the terminal, never for a record.
    """

    patients: int
    exact: int
    near: int
    examples: tuple[tuple[str, str, float], ...] = ()


@dataclass(frozen=True)
class Audit:
    """Of a set of parts; overlaps by the names of two of them."""

    parts: Mapping[str, PartAudit]
    overlaps: Mapping[tuple[str, str], Overlap]

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence on everything that a reader must know."""
        return tuple(f"{' and '.join(names)}: {sentence}" for names, sentence in _warnings(self))

    def described(self, part: str) -> dict[str, Any]:
        """What the metadata of one part's split say: plain data, without ids."""
        own = self.parts[part]
        others = {
            next(name for name in pair if name != part): overlap
            for pair, overlap in self.overlaps.items()
            if part in pair
        }
        return {
            "images_per_patient": list(own.images_per_patient),
            "patients_with_both_classes": own.both_classes,
            "constant_images": own.constant,
            "saturated": round(own.saturated, 4),
            "alike_within": own.alike,
            "shortcut_auc": {key: round(value, 3) for key, value in _ordered(own.shortcuts)},
            "pixel_logistic_accuracy": own.pixel_logistic and round(own.pixel_logistic, 3),
            "overlap": {
                name: {"patients": each.patients, "exact_copies": each.exact, "near_copies": each.near}
                for name, each in others.items()
            },
            "warnings": [sentence for names, sentence in _warnings(self) if part in names],
        }


def audit(parts: Mapping[str, Split]) -> Audit:
    """Look at the parts of one track, and at each pair of them.

    NaN needs no looking for: a split keeps integers, and refuses NaN when it is made.

    Args:
        parts: by name; one alone will do.

    Raises:
        DataError: none, or of several modalities.
    """
    if len({split.modality for split in parts.values()}) != 1:
        raise DataError(
            f"an audit is of one modality; got {sorted({s.modality for s in parts.values()}) or 'none'}"
        )
    sketches = {name: sketch(split) for name, split in parts.items()}
    overlaps = {
        (first, second): overlap(parts[first], parts[second], sketches[first], sketches[second])
        for first, second in combinations(parts, 2)
    }
    training = parts.get("train")
    others = [
        name
        for name, split in parts.items()
        if training and split is not training and split.image_size == training.image_size
    ]
    fitted = pixel_logistic(training, [parts[name] for name in others]) if training and others else []
    logistic = dict(zip(others, fitted, strict=True))
    return Audit(
        {name: _part(split, sketches[name], logistic.get(name)) for name, split in parts.items()}, overlaps
    )


def audited(parts: Mapping[str, Split]) -> dict[str, Split]:
    """The same splits with what was found, and their noise, in their notes; their checksums stay."""
    found = audit(parts)
    return {
        name: replace(split, notes={**split.notes, **noise_notes(split), "audit": found.described(name)})
        for name, split in parts.items()
    }


def audit_files(paths: Mapping[str, Path]) -> None:
    """Audit prepared splits by part and write what was found into their files.

    A part that is not there or damaged is passed over: `oncorobust data verify` names it.

    Raises:
        DataError: a file cannot be written.
    """
    parts = {}
    for part, path in paths.items():
        with suppress(DataError):
            parts[part] = Split.load(path)
    for part, split in audited(parts).items() if parts else ():
        split.save(paths[part])


def overlap(first: Split, second: Split, sketch_first: Sketch, sketch_second: Sketch) -> Overlap:
    """What two parts have in common and should not."""
    pairs = near_copies(sketch_first, sketch_second)
    examples = [
        (first.image_ids[pair.first], second.image_ids[pair.second], pair.similarity) for pair in pairs[:5]
    ]
    return Overlap(
        len(set(first.patient_ids) & set(second.patient_ids)),
        len(exact_copies(first, second)),
        len(pairs),
        tuple(examples),
    )


def _part(split: Split, own: Sketch, logistic: float | None) -> PartAudit:
    counts = Counter(split.patient_ids)
    classes: dict[str, set[int]] = {}
    for patient, label in zip(split.patient_ids, split.labels.tolist(), strict=True):
        classes.setdefault(patient, set()).add(label)
    constant, saturated = 0, []
    for image in split.images[:, 0]:
        constant += bool((image == image[0, 0]).all())
        saturated.append(float(((image == 0) | (image == LEVELS)).mean()))
    return PartAudit(
        images=len(split),
        patients=len(counts),
        positive=int(split.labels.sum()),
        patients_by_class=(
            sum(1 in found for found in classes.values()),
            sum(0 in found for found in classes.values()),
        ),
        images_per_patient=(
            min(counts.values()),
            float(np.median(list(counts.values()))),
            max(counts.values()),
        ),
        constant=constant,
        saturated=float(np.mean(saturated)),
        alike=len(near_copies(own)),
        shortcuts=shortcut_aucs(split),
        pixel_logistic=logistic,
    )


def _ordered(numbers: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(numbers.items(), key=lambda item: (-item[1], item[0]))


def _warnings(found: Audit) -> Iterator[tuple[tuple[str, ...], str]]:
    for pair, each in found.overlaps.items():
        if each.patients:
            yield pair, f"{each.patients} patients are in both; a model may have learnt them by heart"
        if each.exact or each.near:
            yield (
                pair,
                f"{each.exact} pairs of pictures have the same pixels, {each.near} pairs of different patients look "
                f"the same (correlation of at least {SAME})",
            )
    for name, part in found.parts.items():
        for sentence in _part_warnings(part):
            yield (name,), sentence


def _part_warnings(part: PartAudit) -> Iterator[str]:
    smaller = min(part.positive, part.images - part.positive) / part.images
    if part.patients < FEWEST:
        yield f"{part.patients} patients; below {FEWEST} there is no interval and no rank"
    if smaller < LOPSIDED:
        yield f"the smaller class has {smaller:.0%} of the images; look at balanced accuracy"
    if part.constant:
        yield f"{part.constant} images have one value everywhere"
    if part.saturated > SATURATED:
        yield (
            f"{part.saturated:.0%} of the pixels are black or white: background that was taken away, or a window that "
            "does not fit (`oncorobust data show` tells which)"
        )
    if part.alike:
        yield f"{part.alike} pairs of pictures of different patients look the same; are they one patient?"
    # By chance alone few patients give large AUCs; three standard errors of a blind number (Mann-Whitney) are not.
    with_disease, without = part.patients_by_class
    chance = 3 * ((with_disease + without + 1) / (12 * max(1, with_disease) * max(1, without))) ** 0.5
    for key, value in _ordered(part.shortcuts):
        if value >= max(STRONG, 0.5 + chance):
            yield f"{key} alone tells the classes apart with AUC {value:.3f}; a model may look at nothing else"
