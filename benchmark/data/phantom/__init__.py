"""The phantom track: synthetic images that prove the harness and teach; they say nothing of patients.

Train and validation parts are drawn from published seeds and cached. The test part was drawn
once, after the generators were frozen, and is committed beside this file. The large part is more of
the same for evaluations that are never ranked; its seed is published, so it is no secret either.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np

from benchmark.data.phantom.texture import PhantomImage
from benchmark.data.split import Split
from benchmark.errors import DataError
from benchmark.folders import cache_folder
from benchmark.modality import MODALITIES, get_modality
from benchmark.progress import progress_bar

VERSION = 1  # of the generators; a change of any image is a new version and a new test part
IMAGES = {"train": 1600, "validation": 400, "test": 200, "large": 2000}
SEEDS = {"train": 11, "validation": 12, "large": 14}
TEST_PARTS = Path(__file__).parent / "parts"

Draw = Callable[[np.random.Generator], list[PhantomImage]]


def phantom_split(modality: str, part: str = "test", progress: bool = True) -> Split:
    """A part of the phantom track.

    Args:
        modality: "ct", "mammogram" or "mri". part: "train", "validation", "test" or "large".
        progress: show a bar while a part is drawn for the first time.

    Raises:
        DataError: no such part, or the committed test file is damaged.
    """
    get_modality(modality)
    if part not in IMAGES:
        raise DataError(f"unknown part {part!r} of the phantom track; expected one of {', '.join(IMAGES)}")
    if part == "test":
        return Split.load(test_file(modality))
    path = cache_folder() / "phantom" / f"{modality}-{part}-{VERSION}.safetensors"
    if path.exists():
        try:
            return Split.load(path)
        except DataError:
            path.unlink()  # damaged in the cache: it can be drawn again
    split = draw_split(modality, part, SEEDS[part], IMAGES[part], progress)
    split.save(path)
    return split


def test_file(modality: str) -> Path:
    """Where the committed test part lies."""
    return TEST_PARTS / f"{modality}-test-{VERSION}.safetensors"


def draw_split(modality: str, part: str, seed: int, images: int, progress: bool = False) -> Split:
    """Draw whole patients until there are exactly `images` images.

    The images of patient k depend on (modality, seed, k) alone.
    """
    draw: Draw = import_module(f"benchmark.data.phantom.{modality}").draw_patient
    drawn: list[PhantomImage] = []
    patients: list[str] = []
    ids: list[str] = []
    number = 0
    with progress_bar(f"drawing phantom {modality} {part}", images, progress) as advance:
        while len(drawn) < images:
            patient = draw(np.random.default_rng([list(MODALITIES).index(modality), seed, number]))
            number += 1
            left = images - len(drawn) - len(patient)
            if left < 0 or left == 1:  # no room for all of this patient, or then for none of the next
                continue
            name = f"{modality}-{part}-{number:05d}"
            drawn += patient
            patients += [name] * len(patient)
            ids += [f"{name}-{i}" for i in range(len(patient))]
            advance(len(patient))
    keys = sorted(set().union(*(image.facts for image in drawn)))
    return Split(
        modality,
        np.stack([image.image for image in drawn])[:, None],
        np.array([image.label for image in drawn]),
        patients,
        ids,
        f"phantom-{modality}-{part}-{VERSION}",
        "phantom",
        part,
        {key: [float(image.facts.get(key, "nan")) for image in drawn] for key in keys},
        {"source": "synthetic: drawn by a generator, not from patients", "seed": str(seed)},
    )


def draw_test_part(modality: str) -> Path:
    """Draw and write the test part of a new version, from a seed nobody has used. Refuses to redraw one.

    Raises:
        DataError: the file is there already.
    """
    import secrets

    path = test_file(modality)
    if path.exists():
        raise DataError(
            f"{path.name} was drawn already; a change of the generators is a new VERSION and a new file"
        )
    test = draw_split(modality, "test", secrets.randbits(63), IMAGES["test"], True)
    _audited(modality, test).save(path)
    return path


def audit_test_part(modality: str) -> Path:
    """Write the noise of the committed test part and what its audit finds into its notes. Its checksum stays.

    Raises:
        DataError: the file is damaged, or cannot be written.
    """
    path = test_file(modality)
    _audited(modality, Split.load(path)).save(path)
    return path


def _audited(modality: str, test: Split) -> Split:
    from benchmark.data.audit import audited

    parts = {part: phantom_split(modality, part) for part in ("train", "validation")}
    return audited(parts | {"test": test})["test"]
