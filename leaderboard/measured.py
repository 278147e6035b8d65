"""Every figure of a record, computed once: intervals take a tenth of a second a record, and a board has hundreds.

What was computed is kept in the cache under the checksum of all that it follows from: the record's tables, the facts of
its images, and the code of the statistics. Whatever changes of these, it is computed anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

import benchmark.directions
import benchmark.measures
import benchmark.record
import benchmark.statistics
from benchmark.errors import DataError
from benchmark.evidence.facts import read_facts
from benchmark.files import replace_file
from benchmark.folders import cache_folder
from benchmark.measures import Measures, measure
from benchmark.processes import in_parallel, worker_count
from benchmark.record import Record
from benchmark.record.files import table_sha256
from benchmark.statistics import Estimate, accuracy_intervals, bootstrap
from benchmark.statistics.patients import Patients

MANY = 24  # records from which on starting workers costs less than they save


@dataclass(frozen=True)
class Measured:
    """by_attack: balanced accuracy under each attack alone at every ε of the grid, ascending."""

    measures: Measures
    by_attack: dict[str, tuple[Estimate, ...]]


def measured(record: Record, folder: Path) -> Measured:
    """The figures of a record, from the cache where they are there.

    Args:
        folder: of the record, where what is known of its images lies too.

    Raises:
        DataError: what is known of its images is damaged.
    """
    facts = read_facts(record, folder)
    path = _path(record, facts)
    try:
        return _reader().validate_json(path.read_bytes())
    except (OSError, ValidationError):
        found = Measured(measure(record, facts), _by_attack(record))
    _keep(path, _reader().dump_json(found))
    return found


def measure_missing(asked: Iterable[tuple[Record, Path]]) -> None:
    """Compute what the cache lacks of these records, in several processes where it is much; `measured` then has it.

    Args:
        asked: records, each with its folder.

    Raises:
        DataError: what is known of some images is damaged, or a worker was killed.
    """
    missing = []
    for record, folder in asked:
        facts = read_facts(record, folder)
        if not (path := _path(record, facts)).exists():
            missing.append((path, record, facts, bootstrap.RESAMPLES))
    if len(missing) >= MANY:
        for path, found in in_parallel(_computed, missing, worker_count(len(missing))):
            _keep(path, found)


def _computed(job: tuple[Path, Record, dict[str, np.ndarray], int]) -> tuple[Path, bytes]:
    path, record, facts, resamples = job
    bootstrap.RESAMPLES = resamples  # a worker's own module has the number that stands in its text
    return path, _reader().dump_json(Measured(measure(record, facts), _by_attack(record)))


def _path(record: Record, facts: dict[str, np.ndarray]) -> Path:
    return cache_folder() / "figures" / f"{_key(record, facts)}.json"


def _keep(path: Path, found: bytes) -> None:
    with suppress(DataError):  # a cache that cannot be written costs time, nothing else
        replace_file(path, found)


def _by_attack(record: Record) -> dict[str, tuple[Estimate, ...]]:
    attacks, epsilons = list(record.attacks), record.epsilons
    who = Patients.named(record.patient_ids).of_image
    right = np.column_stack([record.robust(epsilon, attack) for attack in attacks for epsilon in epsilons])
    shares = accuracy_intervals(right, record.labels, who, balanced=True)
    return {
        attack: tuple(shares[place * len(epsilons) : (place + 1) * len(epsilons)])
        for place, attack in enumerate(attacks)
    }


def _key(record: Record, facts: dict[str, np.ndarray]) -> str:
    """Of all that the figures follow from."""
    validation = record.validation
    depends = [
        _code(),
        bootstrap.RESAMPLES,
        record.submission,
        record.modality,
        record.track,
        record.protocol,
        table_sha256(record),
        None if validation is None else [validation.labels.tolist(), validation.margins.tolist()],
        {name: [None if np.isnan(v) else float(v) for v in values] for name, values in facts.items()},
    ]
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()


@cache
def _reader() -> TypeAdapter[Measured]:
    return TypeAdapter(Measured)


@cache
def _code() -> str:
    """Of the code that computes."""
    digest = hashlib.sha256(Path(benchmark.directions.__file__).read_bytes())
    for package in (benchmark.statistics, benchmark.measures, benchmark.record):
        for path in sorted(Path(str(package.__file__)).parent.glob("*.py")):
            digest.update(path.read_bytes())
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()
