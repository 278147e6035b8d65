"""A fixed set of images with true labels and patients, kept as 16-bit integers in one checksummed file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.data.split_file import split_sha256, write_split_file
from benchmark.errors import BenchmarkError, DataError
from benchmark.modality import get_modality

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
LEVELS = 65535  # stored integer of an image value of 1


@dataclass(frozen=True)
class Split:
    """Images, true labels, and who they belong to.

    Args:
        modality: "ct", "mammogram" or "mri".
        images: (N, 1, H, W); float in [0, 1], or uint16 where 65535 stands for 1.
            Floats are rounded to the 16-bit grid, which is what is evaluated.
        labels: (N,), 0 or 1; 1 = disease.
        patient_ids: N names; the unit of splitting, resampling and testing.
        image_ids: N different names.
        name: of the split, such as "phantom-ct-test-1".
        track: "phantom", "clinical", or the name of one's own folder.
        facts: per-image columns that no model sees (a diameter, a scanner).
        notes: what a reader must know: source, licence, noise σ.

    Raises:
        DataError: shapes, ranges or ids do not fit; all that is wrong in one message.
    """

    modality: str
    images: np.ndarray
    labels: np.ndarray
    patient_ids: Sequence[str]
    image_ids: Sequence[str]
    name: str
    track: str = "private"
    part: str = "test"
    facts: Mapping[str, Sequence[float]] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        get_modality(self.modality)
        images, labels = np.asanyarray(self.images), np.asarray(self.labels)
        wrong = list(_complaints(images, labels, self.patient_ids, self.image_ids))
        if wrong:
            raise DataError(f"split {self.name!r}: " + "; ".join(wrong))
        if images.dtype != np.uint16:
            images = np.rint(images.astype(np.float64) * LEVELS).astype(np.uint16)
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", labels.astype(np.int64))
        object.__setattr__(self, "patient_ids", tuple(map(str, self.patient_ids)))
        object.__setattr__(self, "image_ids", tuple(map(str, self.image_ids)))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.images.shape[2], self.images.shape[3]

    @property
    def patients(self) -> int:
        """How many patients there are."""
        return len(set(self.patient_ids))

    def batch(self, start: int = 0, stop: int | None = None) -> tuple[Tensor, Tensor]:
        """Images `start` to `stop`, decoded: (n, 1, H, W) float32 in [0, 1] and (n,) int64."""
        import torch

        stored = np.asarray(self.images[start:stop]).astype(np.float32)
        return torch.from_numpy(stored / np.float32(LEVELS)), torch.from_numpy(self.labels[start:stop].copy())

    @cached_property
    def sha256(self) -> str:
        """Of the pixels, labels and ids: what a result depends on. 64 hexadecimal digits."""
        ids = (self.patient_ids, self.image_ids)
        return split_sha256(self.modality, self.images.shape, self._blocks(), self.labels, ids)

    def _blocks(self) -> Iterator[np.ndarray]:
        yield from (self.images[start : start + 256] for start in range(0, len(self), 256))

    def part_of(self, start: int, stop: int) -> Split:
        """Images `start` to `stop` as a split of their own."""
        return Split(
            self.modality,
            self.images[start:stop],
            self.labels[start:stop],
            self.patient_ids[start:stop],
            self.image_ids[start:stop],
            f"{self.name}[{start}:{min(stop, len(self))}]",
            self.track,
            self.part,
            {key: list(values)[start:stop] for key, values in self.facts.items()},
            self.notes,
        )

    def chosen(self, rows: Sequence[int] | np.ndarray) -> Split:
        """The images `rows`, in that order, as a split of their own."""
        rows = [int(row) for row in rows]
        return replace(
            self,
            images=self.images[rows],
            labels=self.labels[rows],
            patient_ids=[self.patient_ids[row] for row in rows],
            image_ids=[self.image_ids[row] for row in rows],
            facts={key: [values[row] for row in rows] for key, values in self.facts.items()},
        )

    def first_patients(self, images: int | None) -> Split:
        """The first `images` images, rounded down to whole patients (at least one); None: all of them."""
        if images is None:
            return self
        ends = [i for i in range(1, len(self)) if self.patient_ids[i] != self.patient_ids[i - 1]]
        ends.append(len(self))
        cut = max([end for end in ends if end <= images], default=ends[0])
        return self if cut == len(self) else self.part_of(0, cut)

    def save(self, path: Path) -> None:
        """One safetensors file, written atomically, that `load` maps into memory."""
        header = {
            "format": FORMAT,
            "modality": self.modality,
            "name": self.name,
            "track": self.track,
            "part": self.part,
            "patient_ids": self.patient_ids,
            "image_ids": self.image_ids,
            "facts": {key: list(values) for key, values in self.facts.items()},
            "notes": dict(self.notes),
        }
        write_split_file(path, header, self.images.shape, self._blocks, self.labels)

    @classmethod
    def load(cls, path: Path, verify: bool = True) -> Split:
        """Read what `save` wrote; images stay on disk, mapped.

        Raises:
            DataError: the file is missing, damaged, of another format, or its checksum differs.
        """
        try:
            with open(path, "rb") as file:
                size = int.from_bytes(file.read(8), "little")
                if size > Path(path).stat().st_size:
                    raise ValueError("its header is longer than the file")
                table = json.loads(file.read(size))
            header = json.loads(table["__metadata__"]["split"])
            if header["format"] != FORMAT:
                raise ValueError(f"format {header['format']}, this version reads {FORMAT}")
            images = _mapped(path, size + 8, table["images"], np.uint16)
            labels = np.array(_mapped(path, size + 8, table["labels"], np.int64))
        except FileNotFoundError:
            raise DataError(f"split file {path} is missing; prepare the split again") from None
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise DataError(f"split file {path} cannot be read: {error}; prepare the split again") from None
        try:
            expected = header.pop("sha256")
            header.pop("format")
            split = cls(images=images, labels=labels, **header)
        except (BenchmarkError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"split file {path} is damaged: {error}; prepare the split again") from None
        if verify and split.sha256 != expected:
            raise DataError(
                f"split file {path} is damaged: sha256 {split.sha256[:12]}…, expected {expected[:12]}…; prepare it again"
            )
        return split


def _mapped(path: Path, offset: int, entry: dict[str, Any], dtype: type) -> np.ndarray:
    start = offset + entry["data_offsets"][0]
    return np.memmap(path, np.dtype(dtype).newbyteorder("<"), "r", start, tuple(entry["shape"]))


def _complaints(images: np.ndarray, labels: np.ndarray, patients: Sequence[str], ids: Sequence[str]):
    if images.ndim != 4 or images.shape[1] != 1 or len(images) == 0:
        yield f"images have shape {images.shape}, expected (N, 1, H, W) with N ≥ 1"
        return
    if images.dtype == np.uint16:
        pass
    elif not np.issubdtype(images.dtype, np.floating):
        yield f"images are {images.dtype}, expected floats in [0, 1] or uint16"
    elif not np.isfinite(images).all():
        yield f"{int((~np.isfinite(images)).any((1, 2, 3)).sum())} images hold NaN or infinity"
    elif images.min() < 0 or images.max() > 1:
        yield (
            f"images lie in [{images.min():.4g}, {images.max():.4g}], expected [0, 1]: "
            "apply the modality's window first (CT: (HU + 1000) / 1400, clipped)"
        )
    if labels.shape != (len(images),):
        yield f"labels have shape {labels.shape}, expected ({len(images)},)"
    elif not np.isin(labels, (0, 1)).all():
        yield f"labels hold {sorted(set(labels.tolist()) - {0, 1})[:5]}, expected 0 (no disease) and 1 (disease)"
    if len(patients) != len(images) or len(ids) != len(images):
        yield f"{len(patients)} patient ids and {len(ids)} image ids for {len(images)} images"
    elif len(set(ids)) != len(ids):
        yield f"{len(ids) - len(set(ids))} image ids are used twice"
