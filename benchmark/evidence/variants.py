"""Trainings that differ in one thing, and what came of them: a table that the study's page draws."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from io import StringIO
from pathlib import Path

from benchmark.errors import DataError
from benchmark.files import replace_file

NAME = "all.study.csv"
CLEAN = "0"


@dataclass(frozen=True)
class Variant:
    """One training: images of `side` × `side` pixels, how many of them, attacked at `epsilon`, from `seed`."""

    side: int
    images: int
    epsilon: str
    seed: int = 0


# Everything else is varied from here, one thing at a time; the phantom's train part is this large.
BASE = Variant(64, 1600, "0.004")
SIDES = (32, 48, 64)
IMAGES = (200, 400, 800, 1600)
EPSILONS = ("0.001", "0.002", "0.004", "0.008")


@dataclass(frozen=True)
class Trained:
    """How accurate the weights of one variant are on images they were not chosen by.

    Args:
        recipe, architecture: how it was trained. weights_sha256: of the safetensors file that `oncorobust train`
            would write. identity: of everything the weights and this figure depend on.
        judged_on: the name of the split; judged_images of judged_patients.
        attacked_at: ε of the attack, "0" for none. accuracy: over all images; an image that is wrong clean counts
            as broken. low, high: its 95 % interval from resampled patients; None below 20 patients.
    """

    variant: Variant
    recipe: str
    architecture: str
    identity: str
    weights_sha256: str
    judged_on: str
    judged_images: int
    judged_patients: int
    attacked_at: str
    accuracy: float
    low: float | None
    high: float | None


_VARIANT = tuple(field.name for field in fields(Variant))
_OTHERS = tuple(field.name for field in fields(Trained) if field.name != "variant")


def save_trained(rows: Sequence[Trained], path: Path) -> None:
    """Write the table.

    Raises:
        DataError: it cannot be written; what was there still is.
    """
    replace_file(path, as_table(rows).encode())


def as_table(rows: Sequence[Trained]) -> str:
    """A CSV: one line for each variant and ε, in the order of the variants."""
    out = StringIO()
    writer = csv.DictWriter(out, [*_VARIANT, *_OTHERS], lineterminator="\n")
    writer.writeheader()
    for row in sorted(rows, key=_order):
        told = asdict(row)
        writer.writerow({name: _cell(value) for name, value in (told.pop("variant") | told).items()})
    return out.getvalue()


def read_trained(path: Path) -> tuple[Trained, ...]:
    """The table; empty where there is none.

    Raises:
        DataError: it is damaged.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return tuple(_row(line) for line in csv.DictReader(file))
    except FileNotFoundError:
        return ()
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(
            f"{path} is damaged ({error}); restore it from git, or delete it and run oncorobust study again"
        ) from None


def _order(row: Trained) -> tuple[int, int, float, int, float]:
    one = row.variant
    return one.side, one.images, float(one.epsilon), one.seed, float(row.attacked_at)


def _cell(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value


def _row(line: dict[str, str]) -> Trained:
    accuracy = float(line["accuracy"])
    if not 0 <= accuracy <= 1 or float(line["attacked_at"]) < 0 or float(line["epsilon"]) <= 0:
        raise ValueError(f"a line says accuracy {line['accuracy']} at ε {line['attacked_at']}")
    return Trained(
        variant=Variant(int(line["side"]), int(line["images"]), line["epsilon"], int(line["seed"])),
        recipe=line["recipe"],
        architecture=line["architecture"],
        identity=line["identity"],
        weights_sha256=line["weights_sha256"],
        judged_on=line["judged_on"],
        judged_images=int(line["judged_images"]),
        judged_patients=int(line["judged_patients"]),
        attacked_at=line["attacked_at"],
        accuracy=accuracy,
        low=float(line["low"]) if line["low"] else None,
        high=float(line["high"]) if line["high"] else None,
    )
