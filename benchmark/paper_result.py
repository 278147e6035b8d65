"""What the attacks of Joel et al. 2022 leave when run as their code ran them: another quantity than robust accuracy.

    <folder>/<submission>.paper.json    what was asked, provenance, and both numbers side by side
    <folder>/<submission>.paper.csv     one row per image: the gap (disease logit minus the other) clean and
                                        after each attack, how many PGD starts flipped it, its sensitivity

Accuracy under that protocol is P(right and unflipped) + P(wrong and flipped): an attack that flips
every answer leaves 1 − clean accuracy, not 0. It is shown beside the record's numbers and never ranked.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.directions import quartiles
from benchmark.errors import DataError
from benchmark.evidence import remembers
from benchmark.files import replace_files
from benchmark.record import Flag, Record
from benchmark.selective import RiskCoverage, risk_coverage
from benchmark.statistics import Estimate, accuracy_interval

FORMAT = 1
KEPT = 0.8  # the published experiment drops about a fifth of the test images

MEANING = (
    "accuracy under the paper's protocol = P(right and unflipped) + P(wrong and flipped): the attacks push against "
    "the model's own answer and know no labels, so flipping a wrong answer counts as right, and flipping all leaves "
    "1 − clean accuracy. It is not robust accuracy and is never ranked"
)
RISES = (
    "accuracy rises almost of itself when the most sensitive images are dropped: an image that a small change flips lies "
    "near the boundary, where most errors are. Nothing became more robust; those images are only not answered"
)


@dataclass(frozen=True)
class PaperResult:
    """Per-image gaps under label-free attacks, each judged where the attack ended.

    gaps: attack → ε as written → (N,) float32; PGD's are those of its one best restart over the whole set,
        the one that flipped most, as the toolbox of the published code chose it.
    flips: ε → (N,) int, how many PGD starts flipped the image. starts: ε → how many were run.
    sensitivity: (N,) float64, the smallest ε of the published grid at which PGD flips the answer; inf beyond.
    """

    submission: str
    modality: str
    track: str
    identity: str
    split_sha256: str
    asked: Mapping[str, Any]
    provenance: Mapping[str, Any]
    image_ids: Sequence[str]
    patient_ids: Sequence[str]
    labels: np.ndarray
    clean_gaps: np.ndarray
    gaps: Mapping[str, Mapping[str, np.ndarray]]
    flips: Mapping[str, np.ndarray]
    starts: Mapping[str, int]
    sensitivity: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """(N,) bool: answered rightly with nothing done; a tie is the answer "no disease"."""
        return (self.clean_gaps > 0) == (self.labels == 1)

    def flipped(self, attack: str, epsilon: str) -> np.ndarray:
        """(N,) bool: whether the answer is another where the attack ended."""
        return (self.gaps[attack][epsilon] > 0) != (self.clean_gaps > 0)

    def accuracy(self, attack: str, epsilon: str) -> Estimate:
        """Accuracy under the paper's protocol, with its interval from resampled patients."""
        return self._share(self.right ^ self.flipped(attack, epsilon))

    @property
    def doubt(self) -> Flag | None:
        """Where a new worker gave the submission's code other answers than the attacked one, or the first judge."""
        return remembers(self.provenance.get("apart", 0.0), "the paper's protocol")

    def curve(self, answers: np.ndarray) -> RiskCoverage:
        """Accuracy of (N,) `answers` when the least sensitive images are answered first."""
        return risk_coverage(self.sensitivity, answers)

    def belongs_to(self, record: Record) -> bool:
        """Whether the record is of the same weights on the same images, none of them missing."""
        made_of = (self.identity, self.split_sha256, tuple(self.image_ids))
        return made_of == (record.provenance["identity"], record.split["sha256"], tuple(record.image_ids))

    def summary(self, record: Record) -> dict[str, Any]:
        """Both numbers side by side at every ε, and the selective-prediction experiment."""
        by_attack = {
            attack: {epsilon: self._side_by_side(attack, epsilon, record) for epsilon in by_epsilon}
            for attack, by_epsilon in self.gaps.items()
        }
        end = self.asked["sensitivity_grid"][-1]
        return {
            "clean": asdict(self._share(self.right)),
            "lowest_possible": float(1 - self.right.mean()),
            "attacks": by_attack,
            "sensitivity": asdict(quartiles(self.sensitivity, end)),
            "dropping_the_most_sensitive": self._dropping(record),
        }

    def _side_by_side(self, attack: str, epsilon: str, record: Record) -> dict[str, Any]:
        flipped, right = self.flipped(attack, epsilon), self.right
        found: dict[str, Any] = {
            "papers_protocol": asdict(self.accuracy(attack, epsilon)),
            "right_and_unflipped": float((right & ~flipped).mean()),
            "wrong_and_flipped": float((~right & flipped).mean()),
            "true_labels": record.robust_accuracy(epsilon, attack) if attack in record.attacks else None,
            "worst_case": record.robust_accuracy(epsilon),
        }
        if attack == "pgd":
            any_start = self.flips[epsilon] > 0
            found["starts"] = self.starts[epsilon]
            found["any_start_per_image"] = float((right ^ any_start).mean())
        return found

    def _dropping(self, record: Record) -> dict[str, Any]:
        clean, attacked = self.curve(self.right), self.curve(record.robust(record.headline))
        by_margin = risk_coverage(np.abs(self.clean_gaps), self.right)
        return {
            "coverage": KEPT,
            "clean": {"all": clean.at(1), "kept": clean.at(KEPT), "aurc": clean.area}
            | {"aurc_by_chance": clean.area_by_chance, "aurc_smallest": clean.smallest_area}
            | {"aurc_by_margin": by_margin.area, "kept_by_margin": by_margin.at(KEPT)},
            "worst_case": {"epsilon": record.headline, "all": attacked.at(1), "kept": attacked.at(KEPT)}
            | {"aurc": attacked.area, "aurc_by_chance": attacked.area_by_chance},
            "meaning": RISES,
        }

    def _share(self, answers: np.ndarray) -> Estimate:
        return accuracy_interval(answers, self.labels, self.patient_ids)

    # -- files -------------------------------------------------------------------------

    def save(self, record: Record, record_path: Path) -> Path:
        """Write the two files beside a record, both or neither; returns the JSON's path.

        Raises:
            DataError: the record is of other weights or images, or the folder cannot be written.
        """
        if not self.belongs_to(record):
            raise DataError(
                f"{record_path} is a record of other weights or images than this result, or not whole"
            )
        table = self._table().encode()
        body = {
            "format": FORMAT,
            "meaning": MEANING,
            "ranked": False,
            "submission": self.submission,
            "modality": self.modality,
            "track": self.track,
            "identity": self.identity,
            "split_sha256": self.split_sha256,
            "record_sha256": hashlib.sha256(record_path.read_bytes()).hexdigest(),
            "asked": dict(self.asked),
            "provenance": dict(self.provenance),
            "starts": dict(self.starts),
            "summary": self.summary(record),
            "images_sha256": hashlib.sha256(table).hexdigest(),
        }
        path = record_path.with_suffix(".paper.json")
        text = json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        replace_files({path.with_suffix(".csv"): table, path: text.encode()})
        return path

    @classmethod
    def load(cls, path: Path) -> PaperResult:
        """Read a result back.

        Raises:
            DataError: a file is missing, damaged, or of another format.
        """
        again = "; run it again (oncorobust paper --fresh)"
        try:
            body = json.loads(path.read_bytes())
            if body["format"] != FORMAT:
                raise DataError(f"{path} has format {body['format']}, this version reads {FORMAT}{again}")
            table = path.with_suffix(".csv").read_bytes()
            if hashlib.sha256(table).hexdigest() != body["images_sha256"]:
                raise DataError(f"{path}: its table was changed or cut short{again}")
            rows = list(csv.DictReader(io.StringIO(table.decode())))
            epsilons = body["asked"]["epsilons"]

            def column(name: str, kind: Any) -> np.ndarray:
                return np.array([row[name] or "inf" for row in rows]).astype(kind)

            return cls(
                **{name: body[name] for name in ("submission", "modality", "track", "identity")},
                **{name: body[name] for name in ("split_sha256", "asked", "provenance", "starts")},
                image_ids=tuple(row["image_id"] for row in rows),
                patient_ids=tuple(row["patient_id"] for row in rows),
                labels=column("label", np.int64),
                clean_gaps=column("clean_gap", np.float32),
                gaps={
                    spec["name"]: {e: column(f"{spec['name']}@{e}", np.float32) for e in epsilons}
                    for spec in body["asked"]["attacks"]
                },
                flips={e: column(f"pgd_flips@{e}", np.int64) for e in epsilons},
                sensitivity=column("sensitivity", np.float64),
            )
        except OSError as error:
            raise DataError(f"{error.filename} cannot be read ({error.strerror}){again}") from None
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(f"{path} is damaged ({type(error).__name__}: {error}){again}") from None

    def _table(self) -> str:
        columns: dict[str, Sequence[Any]] = {
            "image_id": self.image_ids,
            "patient_id": self.patient_ids,
            "label": [int(label) for label in self.labels],
            "clean_gap": _numbers(self.clean_gaps),
        }
        for attack, by_epsilon in self.gaps.items():
            columns |= {f"{attack}@{e}": _numbers(gaps) for e, gaps in by_epsilon.items()}
        columns |= {f"pgd_flips@{e}": [int(n) for n in flips] for e, flips in self.flips.items()}
        columns["sensitivity"] = _numbers(self.sensitivity)
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        return out.getvalue()


def _numbers(values: np.ndarray) -> list[str]:
    """The shortest decimals that read back as the same numbers; empty for inf."""
    return ["" if np.isinf(x) else np.format_float_positional(x, unique=True, trim="-") for x in values]
