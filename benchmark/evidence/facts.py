"""What is known of a split's images besides their labels (a diameter, a density, a scanner), beside the records made on it.

all.facts.json    one file for all entries of a modality; a record knows by the split's checksum whether it is of its images
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmark.errors import DataError
from benchmark.files import replace_file
from benchmark.record import Record

FORMAT = 1
NAME = "all.facts.json"


def save_facts(
    folder: Path, split_sha256: str, image_ids: Sequence[str], facts: Mapping[str, Sequence[float]]
) -> Path | None:
    """Write the facts of a split beside its records; returns the path, or None where there is nothing to tell.

    Args:
        facts: name → one number for each of `image_ids`, NaN where it is not known.

    Raises:
        DataError: the folder cannot be written; what was there still is.
    """
    if not facts:
        return None
    body = {
        "format": FORMAT,
        "split_sha256": split_sha256,
        "image_ids": list(image_ids),
        "facts": {
            name: [None if math.isnan(float(value)) else float(f"{float(value):.6g}") for value in values]
            for name, values in facts.items()
        },
    }
    path = Path(folder) / NAME
    replace_file(path, (json.dumps(body, sort_keys=True, ensure_ascii=False) + "\n").encode())
    return path


def read_facts(record: Record, folder: Path) -> dict[str, np.ndarray]:
    """The facts of a record's images, name → (N,) float64; empty where none are told of this very split.

    Raises:
        DataError: the file is damaged.
    """
    path = Path(folder) / NAME
    try:
        body = json.loads(path.read_bytes())
        if body["format"] != FORMAT:
            raise ValueError(f"format {body['format']}, this version reads {FORMAT}")
        if body["split_sha256"] != record.split.get("sha256"):
            return {}
        row = {image: place for place, image in enumerate(body["image_ids"])}
        rows = [row[image] for image in record.image_ids]
        return {
            name: np.array([math.nan if values[place] is None else values[place] for place in rows], float)
            for name, values in body["facts"].items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is damaged ({type(error).__name__}: {error}); delete it, the next evaluation writes it again"
        ) from None
