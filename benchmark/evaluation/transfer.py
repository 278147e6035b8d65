"""Do one entry's adversarial images break another? Forward passes only: the worst images of every record are
shown to every other entry of the same split.

A high rate says that an attacker needs no access to the model. An entry that other entries' images break, and
its own do not, hides its gradients.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import torch

from benchmark.attacks.two_class import margins
from benchmark.data.split import Split
from benchmark.data.tracks import load_split
from benchmark.errors import DataError, ProtocolError
from benchmark.evaluation.adversarial import adversarial_file, load_adversarial
from benchmark.evaluation.engine import choose_device
from benchmark.evaluation.entry import entries, part_of_track, records_folder
from benchmark.evaluation.judge import judged_gaps, one_thread
from benchmark.evaluation.source import FolderSource
from benchmark.evaluation.verify import is_current
from benchmark.progress import progress_bar
from benchmark.protocol import get_protocol
from benchmark.record import Record
from benchmark.record.files import table_sha256
from benchmark.submission import SubmittedModel, load_submission
from benchmark.threat_model import ThreatModel


@dataclass(frozen=True)
class Transfer:
    """How often the images of one entry (row) break another (column), among those that it answers rightly clean.

    success: (entries, entries) float64 in [0, 1], NaN in the row of an entry whose images are not here.
    right: (entries,) how many images each answers rightly clean. left_out: what is missing, and how to get it.
    """

    modality: str
    track: str
    epsilon: str
    split_sha256: str
    submissions: tuple[str, ...]
    record_sha256: tuple[str, ...]
    success: np.ndarray
    right: tuple[int, ...]
    left_out: tuple[str, ...]

    @property
    def median(self) -> float | None:
        """Of the success rates off the diagonal; None where there is none."""
        others = self.success[~np.eye(len(self.submissions), dtype=bool)]
        others = others[np.isfinite(others)]
        return float(np.median(others)) if len(others) else None

    def described(self) -> dict[str, Any]:
        """As plain data for `save_transfer` of `benchmark.evidence.files`."""
        return {
            "modality": self.modality,
            "track": self.track,
            "epsilon": self.epsilon,
            "split_sha256": self.split_sha256,
            "submissions": list(self.submissions),
            "records": dict(zip(self.submissions, self.record_sha256, strict=True)),
            "right_clean": dict(zip(self.submissions, self.right, strict=True)),
            "success": {
                source: {
                    target: None if np.isnan(share) else float(share)
                    for target, share in zip(self.submissions, row, strict=True)
                }
                for source, row in zip(self.submissions, self.success, strict=True)
            },
            "median_off_diagonal": self.median,
            "left_out": list(self.left_out),
        }


def transfer(
    modality: str,
    track: str = "phantom",
    protocol: str = "standard",
    device: str = "auto",
    progress: bool = True,
) -> Transfer:
    """Judge every entry's worst images at the headline ε on every entry. Baselines are left out: they look at nothing.

    Args:
        modality: one name. track: as in `load_split`. protocol: whose records.

    Raises:
        ProtocolError: fewer than two entries have a current record.
    """
    asked = get_protocol(protocol)
    split = load_split(modality, track, part_of_track(track, asked))
    found, left_out = _entered(modality, track, protocol, split)
    if len(found) < 2:
        told = "".join(f"\n  {sentence}" for sentence in left_out)
        raise ProtocolError(
            f"{modality}: a transfer matrix needs the records of two entries, there are {len(found)}{told}"
        )
    split = split.first_patients(asked.images)
    images = [_images(record, split, left_out) for record, _ in found]
    success = np.full((len(found), len(found)), np.nan)
    title = f"{modality} · transfer between {len(found)} entries"
    with one_thread(), progress_bar(title, len(found) ** 2, progress) as advance:
        for column, (record, model) in enumerate(found):
            _, judge = FolderSource.of(model, split, record.provenance["layout"]).models()
            for line, adversarial in enumerate(images):
                if adversarial is not None:
                    fell = _broken(
                        judge, record, split, adversarial, asked.micro_batch(*split.image_size), device
                    )
                    success[line, column] = (
                        fell[record.clean_correct].mean() if record.clean_correct.any() else np.nan
                    )
                advance()
    return Transfer(
        modality,
        split.track,
        asked.headline,
        split.sha256,
        tuple(record.submission for record, _ in found),
        tuple(table_sha256(record) for record, _ in found),
        success,
        tuple(int(record.clean_correct.sum()) for record, _ in found),
        tuple(left_out),
    )


def _entered(
    modality: str, track: str, protocol: str, split: Split
) -> tuple[list[tuple[Record, SubmittedModel]], list[str]]:
    """Every entry with a current record, and a sentence for each without one."""
    found, left_out = [], []
    for name, _ in entries(modality, track):
        model = load_submission(name, modality, track)
        path = records_folder(track, protocol) / modality / f"{model.submission.name}.json"
        again = f"oncorobust evaluate {name} --modality {modality} --fresh"
        if model.submission.file.kind == "baseline":
            continue
        if not path.exists():
            left_out.append(f"{name} has no record of protocol {protocol}; make it: {again}")
            continue
        record = Record.load(path)
        if is_current(record, model, split, protocol):
            found.append((record, model))
        else:
            left_out.append(f"the record of {name} is not current; make it again: {again}")
    return found, left_out


def _images(record: Record, split: Split, left_out: list[str]) -> np.ndarray | None:
    """A record's adversarial images, or None and a sentence in `left_out`."""
    # Without the path, which is one machine's: the sentence is written beside the records.
    told = f"the adversarial images of {record.submission} on {record.modality}"
    again = f"make them again: oncorobust evaluate {record.submission} --modality {record.modality} --fresh"
    try:
        images = load_adversarial(record)
    except DataError:
        left_out.append(f"{told} are not in the cache; {again}")
        return None
    sha256 = record.provenance["adversarial_sha256"]
    with open(adversarial_file(sha256), "rb") as file:
        whole = hashlib.file_digest(file, "sha256").hexdigest() == sha256
    if not whole or images.shape != split.images.shape:
        left_out.append(f"{told} in the cache are damaged; {again}")
        return None
    return images


def _broken(
    judge: torch.nn.Module,
    record: Record,
    split: Split,
    adversarial: Sequence | np.ndarray,
    size: int,
    device: str,
) -> np.ndarray:
    """(N,) bool: which of another's images this model answers wrongly."""
    chosen = choose_device(device)
    judge.to(chosen)
    threat, parts = ThreatModel(Decimal(record.headline)), []
    for start in range(0, len(split), size):
        images, labels = split.batch(start, start + size)
        candidates = torch.from_numpy(np.array(adversarial[start : start + size]))
        allowed = threat.project(images, candidates).to(chosen)
        parts.append(margins(judged_gaps(judge, allowed, size).cpu(), labels).numpy() <= 0)
    return np.concatenate(parts)
