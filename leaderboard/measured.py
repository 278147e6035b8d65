"""Every figure of a record, computed once: intervals take a fiftieth of a second a record, and a board has hundreds.

What was computed is kept in the cache under the checksum of all that it follows from: the record's tables, the facts of
its images, and the code of the statistics. Whatever changes of these, it is computed anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
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
from benchmark.measures import Measures, attacks_alone, exact_if_constant, measure
from benchmark.processes import meanwhile, worker_count
from benchmark.record import Record
from benchmark.record.files import table_sha256
from benchmark.statistics import Estimate, accuracy_intervals, bootstrap
from benchmark.statistics.patients import Patients
from leaderboard.uncollected import uncollected

MANY = 24  # records from which on starting workers costs less than they save
PART = 20  # records that a worker is given at a time


@dataclass(frozen=True)
class Measured:
    """by_attack: balanced accuracy under each attack alone at every ε of the grid, ascending; of attacks asked about all."""

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


@contextmanager
def measured_meanwhile(asked: Sequence[tuple[Record, Path]]) -> Iterator[None]:
    """Have what the cache lacks of these records computed in other processes while what stands in the `with` goes on.

    Of few records nothing is, nor where there is one core: starting processes costs more than they save.

    Args:
        asked: records, each with its folder.
    """
    parts = [(bootstrap.RESAMPLES, asked[k : k + PART]) for k in range(0, len(asked), PART)]
    workers = worker_count(len(parts))
    if len(asked) < MANY or workers == 1:
        yield
        return
    with meanwhile(_measure_all, parts, workers):
        yield


@uncollected()
def _measure_all(job: tuple[int, Sequence[tuple[Record, Path]]]) -> None:
    # A worker's own module has the number that stands in its text.
    bootstrap.RESAMPLES, asked = job
    for record, folder in asked:
        if not _path(record, read_facts(record, folder)).exists():
            measured(record, folder)


def _path(record: Record, facts: dict[str, np.ndarray]) -> Path:
    return cache_folder() / "figures" / f"{_key(record, facts)}.json"


def _keep(path: Path, found: bytes) -> None:
    with suppress(DataError):  # a cache that cannot be written costs time, nothing else
        replace_file(path, found)


def _by_attack(record: Record) -> dict[str, tuple[Estimate, ...]]:
    attacks, epsilons = attacks_alone(record), record.epsilons
    who = Patients.named(record.patient_ids).of_image
    right = np.column_stack([record.robust(epsilon, attack) for attack in attacks for epsilon in epsilons])
    shares = exact_if_constant(record, accuracy_intervals(right, record.labels, who, balanced=True))
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
