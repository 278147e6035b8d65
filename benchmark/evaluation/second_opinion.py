"""A second opinion: AutoAttack by its authors, on what our battery left standing at the headline ε.

It proposes; the harness projects, checks and judges, as it does with the battery. Finished parts are kept,
so an interrupted opinion goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import torch

from benchmark.attacks.second_opinion import CODE, SECOND_OPINION, ask, code_version
from benchmark.data.split import Split
from benchmark.errors import BenchmarkError, DataError, SubmissionError
from benchmark.evaluation.anew import Pile, judged_anew
from benchmark.evaluation.engine import choose_device
from benchmark.evaluation.judge import one_thread
from benchmark.evaluation.pool import run_all
from benchmark.evaluation.proposals import judge_proposals, signed
from benchmark.evaluation.source import BareSource, FolderSource
from benchmark.evaluation.testimony import overheard
from benchmark.evaluation.verify import is_current
from benchmark.evidence import Broken, SecondOpinion
from benchmark.files import replace_file
from benchmark.folders import cache_folder
from benchmark.progress import progress_bar
from benchmark.protocol import AttackSpec, get_protocol
from benchmark.record import Record
from benchmark.record.files import table_sha256
from benchmark.submission import SubmittedModel


@dataclass(frozen=True)
class Question:
    """Some survivors of a record, and all that the answer about them depends on."""

    source: FolderSource | BareSource
    split: Split  # these images only
    attacks: tuple[AttackSpec, ...]
    temperature: float
    epsilon: str
    micro_batch: int
    seed: int
    device: str
    path: Path


def second_opinion(
    record: Record,
    model: SubmittedModel,
    split: Split,
    device: str = "auto",
    progress: bool = True,
    attacks: Sequence[AttackSpec] = SECOND_OPINION,
) -> SecondOpinion:
    """Let AutoAttack try the images that stand in a record at its headline ε.

    Args:
        record: current for this model and split.
        model: from `load_submission`. split: the whole part that the record was made on.
        device: "auto", "cpu", "cuda", "cuda:1". progress: show a bar on a terminal.

    Returns:
        What it broke; `save_second_opinion` of `benchmark.evidence.files` writes it beside the record.

    Raises:
        DataError: the record is not of this model, these images and today's protocol.
        SubmissionError: an attack or the model raised; what was finished is kept.
    """
    split = require_current(record, model, split)
    source = FolderSource.of(model, split, record.provenance["layout"])
    key = [table_sha256(record), [asdict_of(spec) for spec in attacks], code_version()]
    folder = cache_folder() / "second-opinion" / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
    questions = make_questions(record, source, split, attacks, str(choose_device(device)), folder)
    waiting = [question for question in questions if _answered(question.path) is None]
    total = sum(len(question.split) for question in questions)
    with progress_bar(
        f"{record.submission} · {record.modality} · second opinion", total, progress
    ) as advance:
        advance(total - sum(len(question.split) for question in waiting))
        tasks = [(answer, question) for question in waiting]
        try:
            run_all(tasks, str(choose_device(device)), lambda number: advance(len(waiting[number].split)))
        except SubmissionError as error:
            raise SubmissionError(
                f"{record.submission} on {record.modality}, second opinion: {error}"
            ) from error
    opinion = collect(record, questions, attacks)
    rmtree(folder, ignore_errors=True)
    return opinion


def require_current(record: Record, model: SubmittedModel, split: Split) -> Split:
    """The images of a record, once it is sure that they, the weights and the protocol are the record's.

    Raises:
        DataError: they are not.
    """
    protocol = get_protocol(record.protocol["name"])
    if not is_current(record, model, split, protocol):
        raise DataError(
            f"the record of {record.submission} on {record.modality} is not of this model, these images and today's "
            f"protocol {protocol.name!r} (or it is not whole): evaluate it again first, "
            f"oncorobust evaluate {record.submission} --modality {record.modality} --fresh"
        )
    return split.first_patients(protocol.images)


def make_questions(
    record: Record,
    source: FolderSource | BareSource,
    split: Split,
    attacks: Sequence[AttackSpec],
    device: str,
    folder: Path,
) -> list[Question]:
    """The survivors in parts of a block's size, in the split's order."""
    protocol = get_protocol(record.protocol["name"])
    standing = np.flatnonzero(record.robust(record.headline))
    parts = np.split(standing, range(protocol.block, len(standing), protocol.block))
    return [
        Question(
            source,
            split.chosen(rows),
            tuple(attacks),
            record.provenance["temperature"],
            record.headline,
            protocol.micro_batch(*split.image_size),
            protocol.seed,
            device,
            folder / f"part-{number:05d}.json",
        )
        for number, rows in enumerate(parts)
        if len(rows)
    ]


def answer(question: Question) -> None:
    """Ask about one part, attack after attack, each on what still stands; write what came of it."""
    device = torch.device(question.device)
    attacked, judge = (model.to(device) for model in question.source.models())
    images, labels = (tensor.to(device) for tensor in question.split.batch())
    tried: list[tuple[int, str, float, float]] = []  # row, attack, ‖δ‖∞, margin
    testimony = overheard(attacked)
    pile = Pile(testimony is not None)
    passes = {spec.name: {"forward": 0, "backward": 0} for spec in question.attacks}
    warnings: dict[str, None] = {}
    standing = torch.arange(len(images), device=device)
    with one_thread():
        for spec in question.attacks:
            fallen = torch.zeros(len(images), dtype=torch.bool, device=device)
            parts = standing.split(question.micro_batch) if len(standing) else ()
            for number, rows in enumerate(parts):
                seed = _seed(question, spec, number)
                try:
                    opinion = ask(
                        spec,
                        attacked,
                        question.temperature,
                        images[rows],
                        labels[rows],
                        float(question.epsilon),
                        seed,
                    )
                except BenchmarkError:
                    raise
                except Exception as error:
                    raise SubmissionError(
                        f"AutoAttack's {spec.name}, ε = {question.epsilon}, {question.path.stem}: "
                        f"{type(error).__name__}: {error}"
                    ) from error
                passes[spec.name]["forward"] += opinion.forward
                passes[spec.name]["backward"] += opinion.backward
                warnings |= dict.fromkeys(opinion.warnings)
                margin, linf = judge_proposals(
                    judge,
                    images[rows],
                    labels[rows],
                    opinion.images,
                    question.epsilon,
                    question.micro_batch,
                    pile,
                )
                fallen[rows] = torch.from_numpy(margin <= 0).to(device)
                tried += zip(
                    rows.tolist(), [spec.name] * len(rows), linf.tolist(), margin.tolist(), strict=True
                )
            standing = standing[~fallen[standing]]
        shape, what = tuple(images.shape[1:]), f"{question.seed}/{question.path.stem}"
        again = judged_anew(
            question.source,
            pile,
            shape,
            question.micro_batch,
            question.temperature,
            what,
            device,
            testimony,
            (attacked, judge),
        )
    rows = [row for row, *_ in tried]
    stands = [margin for *_, margin in tried] if again is None else signed(again.gaps, labels[rows]).tolist()
    broken: dict[int, Broken] = {}
    for (row, attack, distance, _), margin in zip(tried, stands, strict=True):
        if margin <= 0:
            broken.setdefault(row, Broken(question.split.image_ids[row], attack, distance, margin))
    body = {
        "broken": [asdict(one) for one in broken.values()],
        "passes": passes,
        "warnings": list(warnings),
        "apart": again.apart if again else 0.0,
    }
    replace_file(question.path, json.dumps(body).encode())


def collect(record: Record, questions: Sequence[Question], attacks: Sequence[AttackSpec]) -> SecondOpinion:
    """The opinion of all parts together.

    Raises:
        DataError: a part is missing or damaged.
    """
    answers = [_answered(question.path) for question in questions]
    missing = [q.path.name for q, found in zip(questions, answers, strict=True) if found is None]
    if missing:
        raise DataError(
            f"parts of the second opinion are missing or damaged ({', '.join(missing[:3])}); ask again"
        )
    whole = [found for found in answers if found is not None]
    return SecondOpinion(
        record_sha256=table_sha256(record),
        code=CODE,
        version=code_version(),
        attacks=tuple(asdict_of(spec) for spec in attacks),
        epsilon=record.headline,
        temperature=record.provenance["temperature"],
        seed=get_protocol(record.protocol["name"]).seed,
        device=questions[0].device if questions else "cpu",
        asked=sum(len(question.split) for question in questions),
        broken=tuple(Broken(**one) for found in whole for one in found["broken"]),
        passes={
            spec.name: {
                kind: sum(found["passes"][spec.name][kind] for found in whole)
                for kind in ("forward", "backward")
            }
            for spec in attacks
        },
        warnings=tuple(dict.fromkeys(told for found in whole for told in found["warnings"])),
        apart=max((found["apart"] for found in whole), default=0.0),
    )


def asdict_of(spec: AttackSpec) -> dict[str, Any]:
    """What a reader needs to run an attack again, as plain data."""
    return {
        "name": spec.name,
        "title": spec.title,
        "method": spec.method,
        "parameters": dict(spec.parameters),
        "source": spec.source,
    }


def _seed(question: Question, spec: AttackSpec, number: int) -> int:
    name = f"{question.seed}/second opinion/{question.path.stem}/{spec.name}/{number}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")


def _answered(path: Path) -> dict[str, Any] | None:
    try:
        body = json.loads(path.read_bytes())
        return body if {"broken", "passes", "warnings", "apart"} <= body.keys() else None
    except (OSError, ValueError, AttributeError):
        return None
