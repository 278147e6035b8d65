"""From the shards of a collection to its splits: what the manifest names, in its order, one unit in memory."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.collection import LeftOut
from benchmark.data.manifest import Item, Manifest
from benchmark.data.prepared.lock import PartLock
from benchmark.data.prepared.shards import Shard
from benchmark.data.split import FORMAT
from benchmark.data.split_file import write_split_file
from benchmark.errors import DataError
from benchmark.modality import get_modality

NOT_OF_IMAGES = ("how_to_get", "besides")  # of a collection's SOURCE: what only they need who have not got it


@dataclass(frozen=True)
class Chosen:
    """The images of one shard that go into a split: their places in the shard, in order."""

    shard: Shard
    places: tuple[int, ...]


def choose(items: Sequence[Item], shard: Shard) -> tuple[Chosen, list[LeftOut]]:
    """The images that a unit's items ask for, and what is wrong with the others.

    An item without images is left out, for the reason that the reader gave of it or its unit where it gave one.
    """
    left_out = list(shard.left_out)
    told = [item.what for item in left_out]
    places: list[int] = []
    for item in items:
        own = [i for i, sample in enumerate(shard.samples) if _belongs(sample[1], item.name)]
        wrong = [i for i in own if item.label not in (None, shard.samples[i][0])]
        if wrong:
            left_out.append(
                LeftOut(item.name, f"has label {shard.samples[wrong[0]][0]}, the manifest says {item.label}")
            )
        elif item.images is not None and own and len(own) != item.images:
            left_out.append(LeftOut(item.name, f"gave {len(own)} images, the manifest says {item.images}"))
        elif not own and item.unit not in told and not any(_belongs(what, item.name) for what in told):
            left_out.append(LeftOut(item.name, "gave no image"))
        if not wrong:
            places += own
    known = {i for item in items for i, s in enumerate(shard.samples) if _belongs(s[1], item.name)}
    others = [sample[1] for i, sample in enumerate(shard.samples) if i not in known]
    left_out += [LeftOut(name, "is not in the manifest", harmless=True) for name in others]
    return Chosen(shard, tuple(sorted(places))), left_out


def _belongs(name: str, item: str) -> bool:
    return name == item or name.startswith(f"{item}/")


def complete(items: Sequence[Item], shard: Shard) -> bool:
    """Whether a unit gave all that the manifest expects of it."""
    return all(item.harmless for item in choose(items, shard)[1])


def write_part(
    path: Path, manifest: Manifest, part: str, chosen: Sequence[Chosen], notes: Mapping[str, Any], whole: bool
) -> PartLock:
    """Write the split of one part; what a lock says of it.

    Args:
        whole: all that the manifest expects of the part is there.

    Raises:
        DataError: images of several sizes, ids twice, or the file cannot be written.
    """
    samples = [each.shard.samples[i] for each in chosen for i in each.places]
    patients = [each.shard.patient_id for each in chosen for _ in each.places]
    sizes = {each.shard.shape for each in chosen if each.places}
    twice = [name for name, count in Counter(sample[1] for sample in samples).items() if count > 1]
    if len(sizes) != 1 or None in sizes or twice:
        raise DataError(
            f"{manifest.name} {part}: images of {sizes or 'no size'}, ids used twice: {twice[:3] or 'none'}"
        )
    height, width = next(iter(sizes)) or (0, 0)
    labels = np.array([sample[0] for sample in samples], dtype=np.int64)
    keys = sorted({key for sample in samples for key in sample[3]})
    header = {
        "format": FORMAT,
        "modality": manifest.about["modality"],
        "name": f"{manifest.name}-{part}",
        "track": "clinical" if manifest.shipped else manifest.name,
        "part": part,
        "patient_ids": patients,
        "image_ids": [sample[1] for sample in samples],
        "facts": {key: [float(sample[3].get(key, "nan")) for sample in samples] for key in keys},
        "notes": dict(notes),
    }

    def blocks() -> Iterator[np.ndarray]:
        for each in chosen:
            if each.places:
                yield each.shard.pixels()[list(each.places)][:, None]

    sha256 = write_split_file(path, header, (len(samples), 1, height, width), blocks, labels)
    checksums = {sample[1]: sample[2] for sample in samples}
    return PartLock(sha256, len(samples), len(set(patients)), int(labels.sum()), whole, checksums)


def describe(
    manifest: Manifest, source: Mapping[str, str], chosen: Sequence[Chosen], left_out: Iterable[LeftOut]
) -> dict[str, Any]:
    """The notes of a part: where its images come from, how noisy they are, and what was left out by reason."""
    modality = get_modality(manifest.about["modality"])
    told: dict[str, Any] = {"source": source.get("title", manifest.collection)}
    told |= {key: text for key, text in source.items() if key not in NOT_OF_IMAGES}
    told |= {
        key: manifest.about[key] for key in ("title", "doi", "licence", "citation") if key in manifest.about
    }
    if manifest.about.get("synthetic"):
        told["source"] = f"synthetic: {manifest.about['synthetic']}; not from patients"
    noise = [value for each in chosen if each.places for value in each.shard.noise]
    sigma = float(np.median(noise)) if noise else None
    told |= {
        "manifest": manifest.name,
        "manifest_sha256": manifest.sha256,
        "stored_bits": 16,
        "unit": modality.unit,
        "noise_sigma_unit": sigma,
        "noise_sigma": sigma and sigma / (modality.high - modality.low),
        "left_out": by_reason(left_out),
    }
    counted: Counter[str] = Counter()
    for each in chosen:
        counted.update(each.shard.notes)
    return {**counted, **told}


def by_reason(left_out: Iterable[LeftOut]) -> dict[str, int]:
    """How many were left out for each reason, most first; names, paths and numbers are taken out of the reasons.

    >>> by_reason([LeftOut("a", "/x/1.dcm is not DICOM"), LeftOut("b", "/x/2.dcm is not DICOM")])
    {'… is not DICOM': 2}
    """
    return dict(Counter(_kind(item) for item in left_out).most_common())


def _kind(item: LeftOut) -> str:
    plain = re.sub(r"\S*[/\d]\S*", "…", item.reason.replace(item.what, "…"))
    return re.sub(r"(…,? ?)+", "… ", plain).strip()
