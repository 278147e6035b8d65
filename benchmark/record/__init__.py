"""What an evaluation leaves: per-image truth, and the figures that follow from it.

Margins (true logit minus the other) and distances are stored, never percentages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.directions import directions
from benchmark.errors import ProtocolError
from benchmark.statistics import accuracy_interval, balanced_accuracy
from benchmark.threat_model import parse_epsilon


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
class Validation:
    """Clean margins of the validation part, from which thresholds are set before anyone looks at the test part.

    labels: (M,) int64. margins: (M,) float32, true logit minus the other. patient_ids, image_ids: M names.
    """

    name: str
    sha256: str
    labels: np.ndarray
    margins: np.ndarray
    patient_ids: Sequence[str]
    image_ids: Sequence[str]


@dataclass(frozen=True)
class Record:
    """Per-image truth of one submission on one split under one protocol.

    lowest_margins: (N,) float32, how low an attack that was never stopped took each image's margin at the
        headline ε, on all images, also those wrong when clean: what figures on confidence under attack
        (AUROC, Brier, ECE, sensitivity at any threshold) are computed from. None where the protocol has none.
    stored_margins: bits → (N,) float32, margins of the worst images after rounding to that depth.
    validation: margins of the validation part; None where the track has none.
    """

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
    lowest_margins: np.ndarray | None = None
    stored_margins: Mapping[int, np.ndarray] = field(default_factory=dict)
    validation: Validation | None = None

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
    def missing(self) -> Sequence[Mapping[str, Any]]:
        """Blocks that could not be computed, each with its images and the reason; their images have no rows here."""
        return self.provenance.get("missing", ())

    @property
    def in_doubt(self) -> bool:
        """Whether some health check says not to believe the number."""
        return any(flag.severity == "doubt" for flag in self.flags)

    @property
    def ranked(self) -> bool:
        """Whether it may take a rank: a ranked protocol, whole, no doubt, no baseline, closed, 20 patients, verified."""
        return bool(
            self.protocol["ranked"]
            and not self.missing
            and not self.in_doubt
            and self.description.get("kind") != "baseline"
            and self.description.get("division", "closed") == "closed"
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

    @cached_property
    def minimal_epsilon(self) -> np.ndarray:
        """(N,) float64: the smallest ‖δ‖∞ that broke the image; 0 if it was wrong clean, inf if nothing broke it."""
        smallest = np.min([result.linf for result in self.attacks.values()], axis=0, initial=np.inf)
        found = np.where(self.clean_correct, smallest, 0.0)
        found.flags.writeable = False
        return found

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

    def stored_accuracy(self, bits: int) -> float:
        """Robust accuracy at the headline ε when the worst images are stored with so many bits and judged again."""
        return float((self.clean_correct & (self.stored_margins[bits] > 0)).mean())

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
            "directions": directions(
                self.labels, self.clean_correct, self.minimal_epsilon, self.patient_ids, self.epsilons
            ).described(),
            "stored": {str(bits): self.stored_accuracy(bits) for bits in sorted(self.stored_margins)},
        }

    # -- files -------------------------------------------------------------------------

    @cached_property
    def table_sha256(self) -> str:
        """Of the table of its rows as `save` writes it."""
        from benchmark.record.files import table_text

        return hashlib.sha256(table_text(self).encode()).hexdigest()

    def save(self, folder: Path) -> Path:
        """Write the record's files, all or none; returns the JSON's path.

        Raises:
            DataError: the folder cannot be written; what was there still is.
        """
        from benchmark.record.files import write

        return write(self, Path(folder))

    @classmethod
    def load(cls, path: Path) -> Record:
        """Read a record back.

        Raises:
            DataError: the file or its tables are missing, damaged, or of another format.
        """
        from benchmark.record.files import read

        return read(Path(path))
