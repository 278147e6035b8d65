"""The worst image of each original at the headline ε, in the cache: one safetensors file named by its checksum."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.errors import DataError
from benchmark.evaluation.blocks import load_block
from benchmark.folders import cache_folder
from benchmark.record import Record


def keep_images(blocks: Sequence[Path], count: int, size: tuple[int, int]) -> str:
    """Write the worst images of finished blocks one after the other, one block in memory at a time.

    Args:
        blocks: their files, in order. count: images in all. size: height and width.

    Returns:
        sha256 of the file.

    Raises:
        DataError: a block is missing, or the disk is full.
    """
    folder = cache_folder() / "adversarial"
    entry = {"dtype": "F32", "shape": [count, 1, *size], "data_offsets": [0, count * size[0] * size[1] * 4]}
    header = json.dumps({"images": entry}).encode()
    header += b" " * (-len(header) % 8)
    digest = hashlib.sha256()
    written = Path()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".images-", delete=False) as file:
            written = Path(file.name)
            for part in (len(header).to_bytes(8, "little"), header):
                digest.update(part)
                file.write(part)
            for path in blocks:
                block = load_block(path)
                if block is None:
                    raise DataError(f"block {path.name} is missing or damaged; run again")
                images = np.ascontiguousarray(block[1], dtype="<f4")
                digest.update(images.data)
                file.write(images.data)
        written.replace(adversarial_file(digest.hexdigest()))
    except OSError as error:
        raise DataError(f"adversarial images cannot be written to {folder}: {error.strerror}") from None
    finally:
        if written.name and written.exists():
            written.unlink()
    return digest.hexdigest()


def adversarial_file(sha256: str) -> Path:
    """Where images of this checksum lie, if they were made on this machine."""
    return cache_folder() / "adversarial" / f"{sha256}.safetensors"


def mapped(sha256: str) -> np.ndarray:
    """The images of this checksum, mapped into memory: (N, 1, H, W) float32.

    Raises:
        FileNotFoundError, ValueError: they are not here, or the file is not one of ours.
    """
    path = adversarial_file(sha256)
    with open(path, "rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        shape = json.loads(file.read(start - 8))["images"]["shape"]
    return np.memmap(path, np.dtype("<f4"), "r", start, tuple(shape))


def load_adversarial(record: Record) -> np.ndarray:
    """The worst images of a record at its headline ε, mapped into memory: (N, 1, H, W) float32.

    Raises:
        DataError: they are not in the cache of this machine.
    """
    sha256 = record.provenance["adversarial_sha256"]
    try:
        return mapped(sha256)
    except (OSError, ValueError, KeyError):
        raise DataError(
            f"the adversarial images of {record.submission} on {record.modality} are not in the cache "
            f"({adversarial_file(sha256)}); make them again: "
            f"oncorobust evaluate {record.submission} --modality {record.modality} --fresh"
        ) from None
