"""The two files of the further trainings beside a record (see `benchmark.evidence.trainings`)."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import DataError
from benchmark.evidence.files import beside
from benchmark.evidence.trainings import FurtherTraining, Spread, Trainings, again, spreads
from benchmark.files import replace_files
from benchmark.record import Flag, Record
from benchmark.record.files import csv_text, decimal

FORMAT = 1
TRAININGS = "trainings"
ABOUT = (
    "submission",
    "modality",
    "track",
    "protocol",
    "protocol_sha256",
    "headline",
    "engine",
    "split_sha256",
    "reference",
)


def save_trainings(trainings: Trainings, record: Record, folder: Path) -> Path:
    """Write both files beside their record, or neither; returns the JSON's path.

    Raises:
        DataError: the folder cannot be written; what was there still is.
    """
    path, found = beside(record, folder, TRAININGS), spreads(record, trainings)
    table = _table(trainings).encode()
    body = {
        "format": FORMAT,
        **{name: getattr(trainings, name) for name in ABOUT},
        "trainings": [_described(each) for each in trainings.trained],
        "summary": {
            "training_seeds": found.seeds,
            "clean": _summed(found.clean),
            "robust": {epsilon: _summed(spread) for epsilon, spread in found.robust.items()},
            "robust_balanced": _summed(found.balanced),
        },
        "images_sha256": hashlib.sha256(table).hexdigest(),
    }
    text = json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    replace_files({path.with_suffix(".csv"): table, path: text.encode()})
    return path


def read_trainings(record: Record, folder: Path) -> Trainings | None:
    """The further trainings beside a record, of whatever record they are; None where there are none.

    Raises:
        DataError: a file is missing, damaged, of another format, or its verdicts do not follow from its rows.
    """
    path = beside(record, folder, TRAININGS)
    mend = f"; evaluate them again: {again(record)} --fresh"
    if not path.exists() and not path.with_suffix(".csv").exists():
        return None
    try:
        body = json.loads(path.read_bytes())
        if body["format"] != FORMAT:
            raise DataError(f"{path} has format {body['format']}, this version reads {FORMAT}{mend}")
        table = path.with_suffix(".csv").read_bytes()
        if hashlib.sha256(table).hexdigest() != body["images_sha256"]:
            raise DataError(f"{path}: its table was changed or cut short{mend}")
        rows: dict[int, list[dict[str, str]]] = {}
        for row in csv.DictReader(io.StringIO(table.decode())):
            rows.setdefault(int(row["training_seed"]), []).append(row)
        told = {int(each["training_seed"]): each for each in body["trainings"]}
        if list(told) != list(rows) or 0 in told:
            raise ValueError(f"it tells of training seeds {list(told)}, its table of {list(rows)}")
        first = _column(next(iter(rows.values())), "image_id", "patient_id", "label")
        trained = tuple(_trained(told[seed], own, first, body["headline"]) for seed, own in rows.items())
        return Trainings(
            **{name: body[name] for name in ABOUT},
            image_ids=tuple(name for name, _, _ in first),
            patient_ids=tuple(patient for _, patient, _ in first),
            labels=np.array([int(label) for *_, label in first]),
            trained=trained,
        )
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read ({error.strerror}){mend}") from None
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise DataError(f"{path} is damaged ({type(error).__name__}: {error}){mend}") from None


def _described(trained: FurtherTraining) -> dict[str, Any]:
    return {
        "training_seed": trained.training_seed,
        "identity": trained.identity,
        "weights_sha256": trained.weights_sha256,
        "temperature": trained.temperature,
        "provenance": dict(trained.provenance),
        "flags": [asdict(flag) for flag in trained.flags],
    }


def _summed(spread: Spread) -> dict[str, Any]:
    return {"values": spread.values, "mean": spread.mean, "sd": spread.deviation}


def _table(trainings: Trainings) -> str:
    columns: dict[str, list[Any]] = {"training_seed": []}
    for trained in trainings.trained:
        own: Mapping[str, Iterable[Any]] = {
            "training_seed": [trained.training_seed] * len(trainings.labels),
            "image_id": trainings.image_ids,
            "patient_id": trainings.patient_ids,
            "label": [int(label) for label in trainings.labels],
            "clean_margin": map(decimal, trained.clean_margins),
            "minimal_epsilon": map(decimal, trained.minimal_epsilon),
            "robust": [int(stands) for stands in trained.robust(trainings.headline)],
        }
        for name, values in own.items():
            columns.setdefault(name, []).extend(values)
    return csv_text(columns)


def _trained(
    told: Mapping[str, Any], rows: Sequence[Mapping[str, str]], images: Sequence[Any], headline: str
) -> FurtherTraining:
    seed = int(told["training_seed"])
    if _column(rows, "image_id", "patient_id", "label") != images:
        raise ValueError(f"training seed {seed} has other images than the first")
    trained = FurtherTraining(
        training_seed=seed,
        identity=told["identity"],
        weights_sha256=tuple(told["weights_sha256"]),
        temperature=float(told["temperature"]),
        provenance=told["provenance"],
        flags=tuple(Flag(**flag) for flag in told["flags"]),
        clean_margins=np.array([float(row["clean_margin"]) for row in rows], np.float32),
        minimal_epsilon=np.array([float(row["minimal_epsilon"] or "inf") for row in rows]),
    )
    wrong = ~trained.clean_correct & (trained.minimal_epsilon > 0)
    verdicts = np.array([row["robust"] == "1" for row in rows])
    if wrong.any() or (verdicts != trained.robust(headline)).any():
        raise ValueError(f"verdicts of training seed {seed} do not follow from its margins and smallest ε")
    return trained


def _column(rows: Sequence[Mapping[str, str]], *names: str) -> list[tuple[str, ...]]:
    return [tuple(row[name] for name in names) for row in rows]
