"""What an evaluation leaves, and the only code that knows its files.

    <folder>/<submission>.json    what was asked, provenance, flags, and a summary that can be recomputed
    <folder>/<submission>.csv     one row per image: true label, clean margin, and per attack the smallest
                                  ‖δ‖∞ that broke it and the margins that were judged

Margins (true logit minus the other) and distances are stored, never percentages.
Times and the machine stand in `<submission>.times.json`, so that the record itself is
the same, byte for byte, wherever it was computed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import DataError, ProtocolError
from benchmark.files import replace_files
from benchmark.statistics import accuracy_interval, balanced_accuracy
from benchmark.threat_model import parse_epsilon

# 1: the first.
FORMAT = 1


@dataclass(frozen=True)
class Flag:
    """A reason to be careful with a number: "notice", or "doubt" (then the entry is shown, not ranked)."""

    id: str
    severity: str
    value: float
    threshold: float
    sentence: str


@dataclass(frozen=True)
class AttackResult:
    """What one attack did to every image.

    linf: (N,) float64, the smallest ‖δ‖∞ with which it broke the image; inf where it did not.
    margins: ε as written → (N,) float32, the judged margin of what it proposed there; NaN where not asked.
    """

    linf: np.ndarray
    margins: Mapping[str, np.ndarray]
    forward: int = 0
    backward: int = 0


@dataclass(frozen=True)
class Record:
    """Per-image truth of one submission on one split under one protocol."""

    submission: str
    modality: str
    track: str
    protocol: Mapping[str, Any]
    split: Mapping[str, Any]
    provenance: Mapping[str, Any]
    labels: np.ndarray
    patient_ids: Sequence[str]
    image_ids: Sequence[str]
    clean_margins: np.ndarray
    attacks: Mapping[str, AttackResult]
    flags: tuple[Flag, ...] = ()
    description: Mapping[str, Any] = field(default_factory=dict)

    # -- what a reader asks ------------------------------------------------------------

    @property
    def headline(self) -> str:
        """The ε of the ranking figure, as written."""
        return self.protocol["headline"]

    @property
    def epsilons(self) -> tuple[str, ...]:
        """The ε grid as written, ascending."""
        return tuple(self.protocol["epsilons"])

    @property
    def in_doubt(self) -> bool:
        """Whether some health check says not to believe the number."""
        return any(flag.severity == "doubt" for flag in self.flags)

    @property
    def ranked(self) -> bool:
        """Whether this record may take a rank: a ranked protocol, no doubt, not a baseline, 20 patients, verified."""
        return bool(
            self.protocol["ranked"]
            and not self.in_doubt
            and self.description.get("kind") != "baseline"
            and self.split["patients"] >= 20
            and self.provenance.get("verified", False)
        )

    @property
    def clean_correct(self) -> np.ndarray:
        """(N,) bool; a tie is wrong."""
        return self.clean_margins > 0

    @property
    def clean_accuracy(self) -> float:
        """Share of images classified rightly with nothing done to them."""
        return float(self.clean_correct.mean())

    @property
    def minimal_epsilon(self) -> np.ndarray:
        """(N,) float64: the smallest ‖δ‖∞ that broke the image; 0 if it was wrong clean, inf if nothing broke it."""
        smallest = np.min([result.linf for result in self.attacks.values()], axis=0, initial=np.inf)
        return np.where(self.clean_correct, smallest, 0.0)

    def robust(self, epsilon: Decimal | str | float, attack: str | None = None) -> np.ndarray:
        """Which images stay right within ε, against one attack or (None) against all: (N,) bool.

        A perturbation that breaks an image at some ε breaks it at every larger one.

        Raises:
            ProtocolError: ε beyond the protocol's grid, or no such attack in it.
        """
        exact = parse_epsilon(epsilon)
        if exact > Decimal(self.epsilons[-1]):
            raise ProtocolError(
                f"ε = {epsilon} lies beyond the protocol's grid, which ends at {self.epsilons[-1]}"
            )
        if attack is None:
            smallest = self.minimal_epsilon
        elif attack in self.attacks:
            smallest = self.attacks[attack].linf
        else:
            raise ProtocolError(f"no attack {attack!r} in this record; it has {', '.join(self.attacks)}")
        return self.clean_correct & (smallest > float(exact))

    def robust_accuracy(
        self, epsilon: Decimal | str | float, attack: str | None = None, balanced: bool = False
    ) -> float:
        """Share of images that stay right within ε: an upper bound, as every attack gives.

        Args:
            epsilon: "0.004", a Decimal or a float, up to the end of the grid.
            attack: one attack's name; None takes the worst case per image.
            balanced: mean of the two classes, the ranking figure.
        """
        robust = self.robust(epsilon, attack)
        return balanced_accuracy(robust, self.labels) if balanced else float(robust.mean())

    def summary(self) -> dict[str, Any]:
        """The figures of the page, recomputed from the per-image rows."""
        worst = {epsilon: self.robust(epsilon) for epsilon in self.epsilons}
        return {
            "clean": asdict(accuracy_interval(self.clean_correct, self.labels, self.patient_ids)),
            "robust": {
                epsilon: asdict(accuracy_interval(robust, self.labels, self.patient_ids))
                for epsilon, robust in worst.items()
            },
            "robust_balanced": asdict(
                accuracy_interval(worst[self.headline], self.labels, self.patient_ids, balanced=True)
            ),
            "by_attack": {
                name: {epsilon: self.robust_accuracy(epsilon, name) for epsilon in self.epsilons}
                for name in self.attacks
            },
            "robust_by_class": {
                str(label): float(worst[self.headline][self.labels == label].mean())
                for label in np.unique(self.labels)
            },
        }

    # -- files -------------------------------------------------------------------------

    def save(self, folder: Path) -> Path:
        """Write the two files, both or neither; returns the JSON's path.

        Raises:
            DataError: the folder cannot be written; what was there still is.
        """
        table = self._table().encode()
        body = {
            "format": FORMAT,
            "submission": self.submission,
            "description": dict(self.description),
            "modality": self.modality,
            "track": self.track,
            "split": dict(self.split),
            "protocol": dict(self.protocol),
            "provenance": dict(self.provenance),
            "passes": {
                name: {"forward": r.forward, "backward": r.backward} for name, r in self.attacks.items()
            },
            "flags": [asdict(flag) for flag in self.flags],
            "summary": self.summary(),
            "images_sha256": hashlib.sha256(table).hexdigest(),
        }
        path = Path(folder) / f"{self.submission}.json"
        text = json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        replace_files({path.with_suffix(".csv"): table, path: text.encode()})
        return path

    @classmethod
    def load(cls, path: Path) -> Record:
        """Read a record back.

        Raises:
            DataError: the file or its table is missing, damaged, or of another format.
        """
        path = Path(path)
        again = "; evaluate the submission again (pytest benchmark/ --fresh)"
        try:
            body = json.loads(path.read_bytes())
            if body["format"] != FORMAT:
                raise DataError(
                    f"record {path} has format {body['format']}, this version reads {FORMAT}{again}"
                )
            table = path.with_suffix(".csv").read_bytes()
            if hashlib.sha256(table).hexdigest() != body["images_sha256"]:
                raise DataError(f"record {path}: its table {path.stem}.csv was changed or cut short{again}")
            rows = list(csv.DictReader(io.StringIO(table.decode())))
            if not rows:
                raise ValueError("its table has no rows")
            return cls(
                submission=body["submission"],
                modality=body["modality"],
                track=body["track"],
                protocol=body["protocol"],
                split=body["split"],
                provenance=body["provenance"],
                labels=np.array([int(row["label"]) for row in rows]),
                patient_ids=tuple(row["patient_id"] for row in rows),
                image_ids=tuple(row["image_id"] for row in rows),
                clean_margins=np.array([row["clean_margin"] for row in rows], np.float32),
                attacks={
                    spec["name"]: _result(spec["name"], body, rows) for spec in body["protocol"]["attacks"]
                },
                flags=tuple(Flag(**flag) for flag in body["flags"]),
                description=body["description"],
            )
        except FileNotFoundError as error:
            raise DataError(f"record file {error.filename} is missing{again}") from None
        except OSError as error:
            raise DataError(f"record {path} cannot be read ({error.strerror}){again}") from None
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(f"record {path} is damaged ({type(error).__name__}: {error}){again}") from None

    def _table(self) -> str:
        out = io.StringIO()
        columns = ["image_id", "patient_id", "label", "clean_margin"]
        values = [self.image_ids, self.patient_ids, self.labels, map(_number, self.clean_margins)]
        for name, result in self.attacks.items():
            columns.append(f"{name}_linf")
            values.append([_number(x) for x in result.linf])
            for epsilon in self.epsilons:
                if epsilon in result.margins and np.isfinite(result.margins[epsilon]).any():
                    columns.append(f"{name}@{epsilon}")
                    values.append([_number(x) for x in result.margins[epsilon]])
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*values, strict=True))
        return out.getvalue()


def _number(x: np.floating[Any]) -> str:
    """The shortest decimal that reads back as the same number; empty where there is none."""
    return "" if not np.isfinite(x) else np.format_float_positional(x, unique=True, trim="-")


def _result(name: str, body: Mapping[str, Any], rows: Sequence[Mapping[str, str]]) -> AttackResult:
    return AttackResult(
        linf=np.array([row[f"{name}_linf"] or "inf" for row in rows], np.float64),
        margins={
            epsilon: np.array([row.get(f"{name}@{epsilon}") or "nan" for row in rows], np.float32)
            for epsilon in body["protocol"]["epsilons"]
        },
        **body["passes"][name],
    )
