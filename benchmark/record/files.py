"""The files of a record, and the only code that knows them.

    <submission>.json             what was asked, provenance, flags, and a summary that can be recomputed
    <submission>.csv              one row per image: true label, clean margin, and per attack the smallest
                                  ‖δ‖∞ that broke it and the margins that were judged
    <submission>.validation.csv   one row per image of the validation part: true label, clean margin

Times and the machine stand in `<submission>.times.json`, so that the record itself is
the same, byte for byte, wherever it was computed.
"""

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
from benchmark.files import replace_files
from benchmark.record import AttackResult, Flag, Record, Validation

# 1: the first. 2: how low the margin goes, stored depths, validation margins.
FORMAT = 2
AGAIN = "; evaluate the submission again (pytest benchmark/ --fresh)"


def write(record: Record, folder: Path) -> Path:
    """Write the files of a record, all or none; returns the JSON's path.

    Raises:
        DataError: the folder cannot be written; what was there still is.
    """
    path = folder / f"{record.submission}.json"
    tables = {path.with_suffix(".csv"): table_text(record).encode()}
    body = {
        "format": FORMAT,
        "submission": record.submission,
        "description": dict(record.description),
        "modality": record.modality,
        "track": record.track,
        "split": dict(record.split),
        "protocol": dict(record.protocol),
        "provenance": dict(record.provenance),
        "passes": {
            name: {"forward": r.forward, "backward": r.backward} for name, r in record.attacks.items()
        },
        "flags": [asdict(flag) for flag in record.flags],
        "summary": record.summary(),
        "images_sha256": hashlib.sha256(tables[path.with_suffix(".csv")]).hexdigest(),
    }
    if record.validation:
        table = _validation_table(record.validation).encode()
        tables[path.with_suffix(".validation.csv")] = table
        body["validation"] = {
            "name": record.validation.name,
            "split_sha256": record.validation.sha256,
            "images_sha256": hashlib.sha256(table).hexdigest(),
        }
    text = json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    replace_files(tables | {path: text.encode()})
    return path


def read(path: Path) -> Record:
    """Read a record back.

    Raises:
        DataError: the file or its tables are missing, damaged, or of another format.
    """
    try:
        body = json.loads(path.read_bytes())
        if body["format"] != FORMAT:
            raise DataError(f"record {path} has format {body['format']}, this version reads {FORMAT}{AGAIN}")
        columns = _columns(path.with_suffix(".csv"), body["images_sha256"])
        record = Record(
            submission=body["submission"],
            modality=body["modality"],
            track=body["track"],
            protocol=body["protocol"],
            split=body["split"],
            provenance=body["provenance"],
            labels=np.array(list(map(int, columns["label"]))),
            patient_ids=columns["patient_id"],
            image_ids=columns["image_id"],
            clean_margins=np.array(list(map(float, columns["clean_margin"]))).astype(np.float32),
            attacks={
                spec["name"]: _result(spec["name"], body, columns) for spec in body["protocol"]["attacks"]
            },
            flags=tuple(Flag(**flag) for flag in body["flags"]),
            description=body["description"],
            lowest_margins=_column(columns["lowest_margin"]) if "lowest_margin" in columns else None,
            stored_margins={
                int(name.removeprefix("stored_").removesuffix("bit_margin")): _column(texts)
                for name, texts in columns.items()
                if name.startswith("stored_")
            },
            validation=_validation(path, body["validation"]) if "validation" in body else None,
        )
        # Of the bytes that were just read; to write them again costs more than all else that a page asks of a record.
        vars(record)["table_sha256"] = body["images_sha256"]
        return record
    except FileNotFoundError as error:
        raise DataError(f"record file {error.filename} is missing{AGAIN}") from None
    except OSError as error:
        raise DataError(f"record {path} cannot be read ({error.strerror}){AGAIN}") from None
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"record {path} is damaged ({type(error).__name__}: {error}){AGAIN}") from None


def table_sha256(record: Record) -> str:
    """Of the table that `write` writes: by it the files beside a record say which record they are of."""
    return record.table_sha256


def _columns(path: Path, sha256: str) -> dict[str, tuple[str, ...]]:
    table = path.read_bytes()
    if hashlib.sha256(table).hexdigest() != sha256:
        raise DataError(f"record table {path} was changed or cut short{AGAIN}")
    names, *rows = csv.reader(io.StringIO(table.decode()))
    if not rows:
        raise ValueError(f"its table {path.name} has no rows")
    if any(len(row) != len(names) for row in rows):
        raise ValueError(f"its table {path.name} has rows of different lengths")
    return dict(zip(names, zip(*rows, strict=True), strict=True))


def table_text(record: Record) -> str:
    """The rows of a record as CSV."""
    columns: dict[str, Iterable[Any]] = {
        "image_id": record.image_ids,
        "patient_id": record.patient_ids,
        "label": record.labels,
        "clean_margin": map(decimal, record.clean_margins),
    }
    for name, result in record.attacks.items():
        columns[f"{name}_linf"] = [decimal(x) for x in result.linf]
        for epsilon in record.epsilons:
            if epsilon in result.margins and np.isfinite(result.margins[epsilon]).any():
                columns[f"{name}@{epsilon}"] = [decimal(x) for x in result.margins[epsilon]]
    if record.lowest_margins is not None:
        columns["lowest_margin"] = map(decimal, record.lowest_margins)
    for bits, stored in sorted(record.stored_margins.items()):
        columns[f"stored_{bits}bit_margin"] = map(decimal, stored)
    return csv_text(columns)


def _validation_table(validation: Validation) -> str:
    return csv_text(
        {
            "image_id": validation.image_ids,
            "patient_id": validation.patient_ids,
            "label": validation.labels,
            "clean_margin": map(decimal, validation.margins),
        }
    )


def csv_text(columns: Mapping[str, Iterable[Any]]) -> str:
    """Columns of one length, each under its name, as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue()


def _validation(path: Path, body: Mapping[str, str]) -> Validation:
    columns = _columns(path.with_suffix(".validation.csv"), body["images_sha256"])
    return Validation(
        body["name"],
        body["split_sha256"],
        np.array(list(map(int, columns["label"]))),
        _column(columns["clean_margin"]),
        columns["patient_id"],
        columns["image_id"],
    )


def decimal(x: np.floating[Any]) -> str:
    """The shortest decimal that reads back as the same number; empty where there is none."""
    return "" if not np.isfinite(x) else np.format_float_positional(x, unique=True, trim="-")


def _column(texts: Sequence[str]) -> np.ndarray:
    """(N,) float32, NaN where nothing is written."""
    return _numbers(texts, np.nan).astype(np.float32)


def _numbers(texts: Sequence[str], empty: float) -> np.ndarray:
    # Most columns of a record say a few numbers many times, and to look one up is faster than to read it.
    known = {text: float(text) if text else empty for text in set(texts)}
    return np.array([known[text] for text in texts])


def _result(name: str, body: Mapping[str, Any], columns: Mapping[str, Sequence[str]]) -> AttackResult:
    nothing = ("",) * len(columns["label"])
    return AttackResult(
        linf=_numbers(columns[f"{name}_linf"], np.inf),
        margins={
            epsilon: _column(columns.get(f"{name}@{epsilon}", nothing))
            for epsilon in body["protocol"]["epsilons"]
        },
        **body["passes"][name],
    )
