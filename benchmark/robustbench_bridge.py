"""Our records as RobustBench's `model_info`: one JSON for each entry, which its own leaderboard code reads.

Fields and their types are those of RobustBench 1.1.1 and of the 236 files it publishes: percentages are text with two
decimals, `external` is there only where somebody got below the battery, and never null. What has no field of its own
(images, patients, battery, synthetic or not) stands in the footnote.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import SubmissionError
from benchmark.evidence.best_known import best_known
from benchmark.evidence.claims import Claim, read_claims
from benchmark.files import replace_files
from benchmark.record import Record
from benchmark.submission import read_submission

THREAT_MODEL = "Linf"


def model_info(
    record: Record,
    standing: np.ndarray | None = None,
    paper: str = "",
    forward_passes: int | None = None,
    claims: Sequence[Claim] = (),
) -> dict[str, Any]:
    """The fields of one record.

    Args:
        standing: (N,) bool, what still stands after all evidence beside the record; None where nobody but the battery
            was asked. paper: its address. forward_passes: networks whose logits are averaged; None if not known.
        claims: of the entry's authors, of the test part.
    """
    told = record.description
    training = told.get("training") or {}
    external_data = training.get("external_data") if isinstance(training, dict) else None
    robust = record.robust(record.headline)
    fields = {
        "link": paper,
        "name": str(told.get("title") or record.submission),
        "authors": ", ".join(map(str, told.get("authors") or ())),
        "additional_data": bool(external_data),
        "number_forward_passes": forward_passes,
        "dataset": record.modality,
        "venue": "Unpublished" if not paper else "",
        "architecture": str(told.get("architecture") or ""),
        "eps": record.headline,
        "clean_acc": _percent(record.clean_accuracy),
        "reported": next((_percent(claim.claimed) for claim in claims if claim.what == "robust"), None),
        "autoattack_acc": _percent(float(robust.mean())),
        "unreliable": record.in_doubt,
        "footnote": _footnote(record),
    }
    if standing is not None and standing.mean() < robust.mean():
        fields["external"] = _percent(float(standing.mean()))
    return fields


def write_model_info(records: list[Record], results_root: Path, folder: Path) -> tuple[Path, ...]:
    """Write `model_info/<modality>/Linf/<submission>.json` of every record of a ranked protocol; returns the paths.

    Args:
        records: of one track: RobustBench knows none. results_root: where evidence stands beside them.

    Raises:
        DataError: evidence is damaged, or the folder cannot be written.
    """
    files = {}
    for record in records:
        if not record.protocol["ranked"]:
            continue
        home = Path(results_root) / record.track / record.modality
        best = best_known(record, home)
        paper, passes = _of_submission(record)
        info = model_info(
            record, best.robust if best.evidence else None, paper, passes, read_claims(record, home)
        )
        path = Path(folder) / "model_info" / record.modality / THREAT_MODEL / f"{record.submission}.json"
        files[path] = (json.dumps(info, indent=2, ensure_ascii=False) + "\n").encode()
    replace_files(files)
    return tuple(files)


def _of_submission(record: Record) -> tuple[str, int | None]:
    """What a record does not say: the entry's paper, and how many networks its answer is the mean of."""
    try:
        submission = read_submission(record.submission)
        return submission.file.paper, len(submission.weights_for(record.modality, record.track).files)
    except SubmissionError:
        return "", None


def _footnote(record: Record) -> str:
    """Escaped: RobustBench prints it as HTML."""
    synthetic = " Synthetic images (phantom)." if record.track == "phantom" else ""
    attacks = ", ".join(str(spec["title"]) for spec in record.protocol["attacks"])
    text = (
        f"OncoRobust protocol {record.protocol['name']} v{record.protocol['version']}, track {record.track}:"
        f"{synthetic} {len(record.labels)} images of {len(set(record.patient_ids))} patients; worst case over {attacks}, "
        "not AutoAttack."
    )
    return html.escape(text, quote=False)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
