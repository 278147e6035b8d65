"""What a collection must offer so that it can be prepared: an index of what is there, and a reader of one unit of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Sample:
    """One image of a split before it is one.

    pixels: (H, W) uint16, 65535 standing for 1. label: 1 = disease. facts: numbers that no model sees.
    """

    pixels: np.ndarray
    label: int
    patient_id: str
    image_id: str
    facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Unit:
    """A piece of work that is read alone: one series, one mammogram, one case. It can be pickled.

    key: unique in the collection and the same on every machine (a SeriesInstanceUID, a case id): never a path.
    payload: whatever the collection's reader wants: paths, headers, outlines.
    """

    key: str
    patient_id: str
    payload: Any


@dataclass(frozen=True)
class LeftOut:
    """Something that could not be used: what, and one sentence why and how to mend it.

    harmless: nobody expected it to be used (a nodule at a rating of exactly 3, a scout view):
    it is counted and does not change the exit code.
    """

    what: str
    reason: str
    harmless: bool = False


@dataclass(frozen=True)
class Reading:
    """What came of one unit. noise: measured σ of the noise in the modality's unit, one number a picture measured."""

    samples: Sequence[Sample]
    left_out: Sequence[LeftOut] = ()
    noise: Sequence[float] = ()
    notes: Mapping[str, float] = field(default_factory=dict)  # counted: summed over units


@dataclass(frozen=True)
class Index:
    """What a source folder holds: units in a fixed order, and what could not even be indexed."""

    units: Sequence[Unit]
    left_out: Sequence[LeftOut] = ()


class Collection(Protocol):
    """A public collection. Implementations are modules of `benchmark.data` with these names at top level."""

    NAME: str  # "lidc-idri", "cbis-ddsm", "mets-to-brain"
    MODALITY: str
    SOURCE: Mapping[str, str]  # title, doi, licence, citation, labels, how_to_get

    def index(self, source: Path) -> Index:
        """Look through `source` (headers only) and name the units. Raises DataError if nothing can be used."""

    def read(self, unit: Unit) -> Reading:
        """Read one unit in bounded memory. Damage to it is a LeftOut, never an exception other than DataError."""
