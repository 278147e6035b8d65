"""evaluate: a model, a split and a protocol become a record."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmark.attacks.two_class import margins
from benchmark.data.split import Split
from benchmark.errors import IsolationError, ProtocolError, SubmissionError
from benchmark.evaluation.adversarial import keep_images, mapped
from benchmark.evaluation.aftermath import as_fresh, evidence_of, incomplete, isolated
from benchmark.evaluation.blocks import Failure, Job, Results, merge, run_job
from benchmark.evaluation.harness import harness_sha256
from benchmark.evaluation.health import (
    fresh_jobs,
    health_checks,
    memorised,
    run_fresh_job,
)
from benchmark.evaluation.judge import clean_gaps, one_thread
from benchmark.evaluation.news import news_of
from benchmark.evaluation.plan import VERSIONED, Plan, announce, make_plan
from benchmark.evaluation.pool import Task, run_all
from benchmark.evaluation.retrial import flags as retrial_flags
from benchmark.files import replace_file
from benchmark.isolation.choices import CHOICES
from benchmark.progress import progress_bar
from benchmark.protocol import ENGINE, Protocol, get_protocol
from benchmark.record import AttackResult, Flag, Record, Validation
from benchmark.submission import SubmittedModel

# Who computes: given a plan, its blocks, what can be done beside them, and whom to tell the number of each that ends,
# the blocks' failures (None where there is none) and the other results, in order.
Crew = Callable[[Plan, Sequence[Job], Sequence[Task], Callable[[int], None]], list[Any]]


def here(plan: Plan, jobs: Sequence[Job], beside: Sequence[Task], done: Callable[[int], None]) -> list[Any]:
    """The crew of this machine."""
    tasks: list[Task] = [(run_job, job) for job in jobs]
    return run_all([*tasks, *beside], str(plan.device), done)


def evaluate(
    model: nn.Module,
    split: Split,
    protocol: str | Protocol = "standard",
    device: str = "auto",
    isolation: str = "auto",
    progress: bool = True,
    validation: Split | None = None,
    crew: Crew = here,
) -> Record:
    """Attack a model on every image of a split and keep what happened, image by image.

    A submission's finished blocks are kept in the cache: an interrupted evaluation goes on
    where it stopped. A block that cannot be computed does not stop the others; the record says what is
    missing, and takes no rank.

    Args:
        model: from `load_submission`, or any module (N, 1, H, W) float32 in [0, 1] → logits
            (N, 2) = [no disease, disease] or (N, 1), z > 0 meaning disease. A bare module is judged by
            a copy made before any attack, and its record is marked unverified.
        split: images, true labels, patients.
        protocol: "standard", "thorough", "quick", one of them with "-full-grid", or a Protocol.
        device: "auto", "cpu", "cuda", "cuda:1".
        isolation: how code that a submission brings is isolated: "auto" (bubblewrap, or a refusal), "bubblewrap", or
            "none", which is for one's own code and leaves the record unverified and unranked.
        progress: show a bar on a terminal.
        validation: other images of the same kind, whose clean margins thresholds are set from later.
        crew: who computes the blocks: this machine's cores, or a cluster (`benchmark.cluster.crew`).

    Returns:
        The record; `record.save(folder)` writes it.

    Raises:
        SubmissionError: logits of the wrong shape or not finite, or the model raised on all blocks.
        ProtocolError: unknown protocol or device.
        DataError: a disk is full.
        IsolationError: the submission brings code and no sandbox works here.
    """
    if isolation not in CHOICES:
        raise IsolationError(
            f"isolation {isolation!r} is not available; expected one of {', '.join(CHOICES)}"
        )
    if isinstance(model, SubmittedModel) and isolation != "auto":
        model.isolation = isolation
    with ExitStack() as stack:
        folder = None
        if not isinstance(model, SubmittedModel):
            # A module's code is not part of its weights: two that differ only in `forward` must not share blocks.
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="oncorobust-")))
        plan = make_plan(model, split, get_protocol(protocol), choose_device(device), folder)
        fresh = fresh_jobs(plan.source, plan.split, plan.protocol, plan.identity, str(plan.device))
        failures, drawn = compute(
            plan, plan.waiting(), progress, [(run_fresh_job, job) for job in fresh], crew
        )
        return conclude(plan, failures, drawn, model, validation)


def compute(
    plan: Plan, jobs: Sequence[Job], progress: bool = True, beside: Sequence[Task] = (), crew: Crew = here
) -> tuple[list[Failure], list[Any]]:
    """Compute blocks of a plan, and what can be done beside them; returns the failures and the other results.

    Raises:
        DataError: a block cannot be written. SubmissionError: a worker was killed.
    """
    announce(plan)
    images = [len(job.split) for job in jobs] + [0] * len(beside)
    title = f"{plan.title} · {plan.split.modality} · {plan.protocol.name}"
    news = news_of([job.news for job in jobs], [len(job.split) for job in jobs])
    with progress_bar(title, len(plan.split), progress, news) as advance:
        advance(len(plan.split) - sum(images))
        results = crew(plan, jobs, beside, lambda number: advance(images[number]))
    failures = [failure for failure in results[: len(jobs)] if failure is not None]
    return failures, results[len(jobs) :]


def conclude(
    plan: Plan,
    failures: Sequence[Failure],
    fresh: Sequence[Any],
    model: nn.Module,
    validation: Split | None = None,
) -> Record:
    """The record of a plan whose blocks are finished, save those that failed.

    Raises:
        SubmissionError: all blocks failed. DataError: a block is missing that did not fail.
    """
    failed = {failure.block for failure in failures}
    jobs = [job for job in plan.jobs if job.block not in failed]
    if not jobs:
        told = "\n".join(sorted({failure.reason for failure in failures}))
        raise SubmissionError(f"no block could be computed: {told}")
    results = merge([job.path for job in jobs])
    rows = np.concatenate([np.arange(len(job.split)) + job.block * plan.protocol.block for job in jobs])
    attacked, judge = plan.source.models()
    own_code = isinstance(model, SubmittedModel) and bool(model.submission.code)
    adversarial = keep_images([job.path for job in jobs], len(rows), plan.split.image_size)
    split = plan.split if not failures else plan.split.chosen(rows)
    with one_thread():
        flags = health_checks(
            judge,
            split,
            plan.protocol,
            plan.clean[rows],
            plan.scale,
            results.tallies,
            plan.identity,
            plan.device,
            evidence_of(plan, results, attacked, fresh, mapped(adversarial), own_code, validation),
        )
        checked = _validation(judge, plan, validation) if validation else None
    flags += retrial_flags(results.retrial)
    if own_code and checked and split.track != "phantom":  # where nothing can be drawn anew
        flags += memorised(plan.clean[rows], [as_fresh(checked)], "images of the validation part")
    return _record(
        plan, results, rows, [*flags, *incomplete(failures)], model, adversarial, failures, checked
    )


def _record(
    plan: Plan,
    results: Results,
    rows: np.ndarray,
    flags: Sequence[Flag],
    model: nn.Module,
    adversarial: str,
    failures: Sequence[Failure],
    validation: Validation | None,
) -> Record:
    entered = model if isinstance(model, SubmittedModel) else None
    provenance = {
        "identity": plan.identity,
        "harness_sha256": harness_sha256(),
        "engine": ENGINE,
        "temperature": plan.scale,
        "device": plan.device.type,
        "layout": getattr(plan.source, "layout", "as given"),
        "isolation": isolated(entered),
        "verified": plan.verified,
        "trained_on": entered.weights.trained_on if entered else "",
        "command": entered.weights.command if entered else "",
        "adversarial_sha256": adversarial,
        "versions": {package: version(package) for package in VERSIONED},
    }
    if entered and entered.weights.claimed_accuracy is not None:
        provenance["claimed_accuracy"] = entered.weights.claimed_accuracy
    if failures:
        provenance["missing"] = [
            {"block": f.block, "images": f"{f.first}–{f.last}", "reason": f.reason} for f in failures
        ]
    return Record(
        submission=plan.name,
        modality=plan.split.modality,
        track=plan.split.track,
        protocol=plan.protocol.described() | {"sha256": plan.protocol.sha256},
        split=describe_split(plan.split),
        provenance=provenance,
        labels=plan.split.labels[rows],
        patient_ids=tuple(plan.split.patient_ids[row] for row in rows),
        image_ids=tuple(plan.split.image_ids[row] for row in rows),
        clean_margins=plan.clean[rows],
        attacks={
            attack: AttackResult(
                tally.linf,
                dict(zip(plan.protocol.epsilons, tally.margins, strict=True)),
                tally.forward,
                tally.backward,
            )
            for attack, tally in results.tallies.items()
        },
        flags=tuple(flags),
        description=entered.submission.described() if entered else {"title": plan.name, "kind": "entry"},
        lowest_margins=results.unstopped[1] if plan.protocol.pursuit else None,
        stored_margins=results.stored_margins,
        validation=validation,
    )


def _validation(judge: nn.Module, plan: Plan, split: Split) -> Validation:
    gaps = clean_gaps(judge, split, plan.protocol.micro_batch(*split.image_size), plan.device)
    return Validation(
        split.name,
        split.sha256,
        split.labels,
        margins(gaps, torch.from_numpy(split.labels)).numpy(),
        split.patient_ids,
        split.image_ids,
    )


def choose_device(device: str) -> torch.device:
    """The torch device meant by a name; "auto" is CUDA where there is one, else the CPU."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ProtocolError(f"device {device!r} cannot be used here: {str(error).splitlines()[0]}") from None
    return chosen


def describe_split(split: Split) -> dict[str, Any]:
    """What a record says of its split, as plain data."""
    return {
        "name": split.name,
        "part": split.part,
        "sha256": split.sha256,
        "images": len(split),
        "patients": split.patients,
        "positives": int(split.labels.sum()),
        "height": split.image_size[0],
        "width": split.image_size[1],
        "notes": dict(split.notes),
    }


def save_times(path: Path, seconds: float, device: str) -> None:
    """Write how long it took, and where, beside a record, in a file of its own."""
    import json

    body = {
        "seconds": round(seconds, 2),
        "device": device,
        "machine": platform.processor() or platform.machine(),
    }
    body["date"] = time.strftime("%Y-%m-%d", time.gmtime())
    replace_file(path.with_suffix(".times.json"), (json.dumps(body, indent=1) + "\n").encode())
