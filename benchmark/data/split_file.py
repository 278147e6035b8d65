"""The file of a split: safetensors, written image by image, so that a split may be larger than the memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.files import replacing

Blocks = Callable[[], Iterable[np.ndarray]]  # (n, 1, H, W) uint16, the same ones each time it is called


def split_sha256(
    modality: str,
    shape: Sequence[int],
    blocks: Iterable[np.ndarray],
    labels: np.ndarray,
    ids: tuple[Sequence[str], Sequence[str]],
) -> str:
    """The checksum of a split: of its pixels, labels, and patients' and images' ids. 64 hexadecimal digits."""
    digest = hashlib.sha256()
    digest.update(json.dumps([modality, list(shape)]).encode())
    for block in blocks:
        digest.update(np.ascontiguousarray(block, dtype="<u2").tobytes())
    digest.update(labels.astype("<i8").tobytes())
    digest.update(json.dumps([list(each) for each in ids]).encode())
    return digest.hexdigest()


def write_split_file(
    path: Path, header: dict[str, Any], shape: Sequence[int], blocks: Blocks, labels: np.ndarray
) -> str:
    """Write what `Split.load` reads, atomically, with one block of images in memory; returns the checksum.

    Args:
        header: all of a split that is not a tensor; the checksum is added to it.
        shape: (N, 1, H, W). blocks: yields the N images in order; it is called twice.

    Raises:
        DataError: the file cannot be written; an old one is still there.
    """
    ids = (header["patient_ids"], header["image_ids"])
    sha256 = split_sha256(header["modality"], shape, blocks(), labels, ids)
    size = 2 * int(np.prod(shape))
    table = json.dumps(
        {
            "__metadata__": {"split": json.dumps({**header, "sha256": sha256})},
            "labels": {"dtype": "I64", "shape": [len(labels)], "data_offsets": [0, 8 * len(labels)]},
            "images": {
                "dtype": "U16",
                "shape": list(shape),
                "data_offsets": [8 * len(labels), 8 * len(labels) + size],
            },
        }
    ).encode()
    table += b" " * (-len(table) % 8)  # so that what follows is aligned
    with replacing(path) as file:
        file.write(len(table).to_bytes(8, "little") + table)
        file.write(labels.astype("<i8").tobytes())
        for block in blocks():
            file.write(np.ascontiguousarray(block, dtype="<u2").tobytes())
    return sha256
