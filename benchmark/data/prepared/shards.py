"""What was read of one unit, kept on the disk: preparing goes on from there after an interrupt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import data
from benchmark.data.collection import LeftOut, Reading, Sample, Unit
from benchmark.errors import DataError
from benchmark.files import replace_file


@dataclass(frozen=True)
class Shard:
    """All of a unit's reading but the pixels, and where those are.

    samples: (label, image id, sha256, facts) of each image. shape: (H, W), None without images.
    """

    path: Path
    patient_id: str
    samples: tuple[tuple[int, str, str, Mapping[str, float]], ...]
    left_out: tuple[LeftOut, ...]
    noise: tuple[float, ...]
    notes: Mapping[str, float]
    shape: tuple[int, int] | None

    @property
    def whole(self) -> bool:
        """Whether all that was expected of the unit could be used."""
        return all(item.harmless for item in self.left_out)

    def pixels(self) -> np.ndarray:
        """(n, H, W) uint16."""
        from safetensors.numpy import load_file

        try:
            return load_file(self.path)["images"]
        except Exception as error:  # safetensors has an error of its own for each kind of damage
            raise DataError(f"{self.path} is damaged: {error}; delete it and prepare again") from None


@dataclass(frozen=True)
class Task:
    """One unit to read into one file."""

    read: Callable[[Unit], Reading]
    unit: Unit
    path: Path


def shard_file(folder: Path, key: str) -> Path:
    """Where a unit's shard lies; keys are made of characters that a file's name may not have."""
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"


def code_sha256(also: str = "") -> str:
    """Changes whenever what was read before might be read otherwise now: with any module of `benchmark.data`."""
    digest = hashlib.sha256(also.encode())
    for path in sorted(Path(data.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@contextmanager
def alone(folder: Path, setting: str) -> Iterator[None]:
    """While this lasts nobody else prepares into `folder`.

    Args:
        setting: what names another folder.

    Raises:
        DataError: somebody does already.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".preparing", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise DataError(
            f"another process is preparing into {folder}; wait for it, or name another folder by {setting}"
        ) from None
    try:
        yield
    finally:
        lock.release()


def sample_sha256(sample: Sample) -> str:
    """Of the pixels, label and ids of one image. 64 hexadecimal digits."""
    told = [sample.image_id, sample.patient_id, int(sample.label), list(sample.pixels.shape)]
    digest = hashlib.sha256(json.dumps(told).encode())
    digest.update(np.ascontiguousarray(sample.pixels, dtype="<u2").tobytes())
    return digest.hexdigest()


def read_to_shard(task: Task) -> None:
    """Read a unit and write its shard. Whatever is wrong with the unit is written there too.

    Raises:
        DataError: the shard cannot be written.
    """
    unit = task.unit
    try:
        reading = task.read(unit)
        wrong = _complaint(reading.samples)
    except DataError as error:
        reading, wrong = Reading((), [LeftOut(unit.key, str(error))]), ""
    # One file among thousands must not stop the others, whatever it holds; the name tells us what to mend.
    except Exception as error:
        reading, wrong = Reading(()), f"reading it failed unexpectedly ({type(error).__name__}: {error})"
    if wrong:
        reading = Reading((), [LeftOut(unit.key, f"{wrong}; please report it with the file's name")])
    write_shard(task.path, unit.patient_id, reading)


def _complaint(samples: Sequence[Sample]) -> str:
    for sample in samples:
        if sample.pixels.dtype != np.uint16 or sample.pixels.ndim != 2 or sample.label not in (0, 1):
            return f"the reader gave {sample.pixels.dtype} {sample.pixels.shape} with label {sample.label}"
    if len({sample.pixels.shape for sample in samples}) > 1:
        return "the reader gave images of different sizes"
    return ""


def write_shard(path: Path, patient_id: str, reading: Reading) -> None:
    """Write what was read of a unit, atomically."""
    from safetensors.numpy import save

    told = {
        "patient_id": patient_id,
        "samples": [[int(s.label), s.image_id, sample_sha256(s), dict(s.facts)] for s in reading.samples],
        "left_out": [[item.what, item.reason, item.harmless] for item in reading.left_out],
        "noise": [float(value) for value in reading.noise],
        "notes": dict(reading.notes),
    }
    images = np.stack([s.pixels for s in reading.samples]) if reading.samples else np.zeros((0, 1, 1), "<u2")
    replace_file(path, save({"images": np.ascontiguousarray(images)}, {"shard": json.dumps(told)}))


def open_shard(path: Path) -> Shard | None:
    """A shard without its pixels; None where there is none that can be used."""
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 0 < size <= path.stat().st_size:
                return None
            table: dict[str, Any] = json.loads(file.read(size))
        told = json.loads(table["__metadata__"]["shard"])
        shape, (_, end) = table["images"]["shape"], table["images"]["data_offsets"]
        if path.stat().st_size != 8 + size + end:
            return None
        return Shard(
            path,
            told["patient_id"],
            tuple((label, name, sha, facts) for label, name, sha, facts in told["samples"]),
            tuple(LeftOut(*item) for item in told["left_out"]),
            tuple(told["noise"]),
            told["notes"],
            (shape[1], shape[2]) if shape[0] else None,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
