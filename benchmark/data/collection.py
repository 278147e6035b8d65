"""What a collection must offer so that it can be prepared: an index of what is there, and a reader of one unit of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from benchmark.errors import DataError

if TYPE_CHECKING:  # the command line reads the names below, and need not wait for it
    import numpy as np

COLLECTIONS = {
    "lidc-idri": "benchmark.data.lidc",
    "cbis-ddsm": "benchmark.data.cbis_ddsm",
    "mets-to-brain": "benchmark.data.mets_to_brain",
}


@dataclass(frozen=True)
class Sample:
    """One image of a split before it is one.

    pixels: (H, W) uint16, 65535 standing for 1. label: 1 = disease. facts: numbers that no model sees.
    image_id: begins with the id of what it shows (the `item` of a manifest: a nodule, a lesion, a case);
    where that has several images a slash and what tells them apart follow.
    """

    pixels: np.ndarray
    label: int
    patient_id: str
    image_id: str
    facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Expected:
    """What public metadata say of one nodule, lesion or case before any image is read.

    item: its id. label: None where only the download knows it. facts: columns of the manifest, as text.
    """

    item: str
    label: int | None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Unit:
    """A piece of work that is read alone: one series, one mammogram, one case. It can be pickled.

    key: unique in the collection and the same on every machine (the SeriesInstanceUID of a CT or of a full
    mammogram, a case id): never a path.
    payload: whatever the collection's reader wants: paths, headers, outlines.
    expected: what the manifest says of it; empty where a tree is read without a manifest. A reader may
    take places from there, so that everyone's images are the same whatever form the annotations came in.
    """

    key: str
    patient_id: str
    payload: Any
    expected: tuple[Expected, ...] = ()


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


def get_collection(name: str) -> Collection:
    """The reader of the collection called `name`.

    Raises:
        DataError: there is none of that name.
    """
    if name not in COLLECTIONS:
        raise DataError(f"unknown collection {name!r}; expected one of {', '.join(COLLECTIONS)}")
    return cast(Collection, import_module(COLLECTIONS[name]))
