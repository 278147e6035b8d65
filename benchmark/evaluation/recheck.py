"""`oncorobust verify RECORD`: recompute what follows from a record's own rows, and evaluate some of its blocks again."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.split import Split
from benchmark.errors import DataError
from benchmark.evaluation.aftermath import NONE_NEEDED
from benchmark.evaluation.blocks import Results, load_block
from benchmark.evaluation.engine import choose_device, compute
from benchmark.evaluation.entry import loaded, naming
from benchmark.evaluation.harness import harness_sha256
from benchmark.evaluation.health import Evidence, health_checks
from benchmark.evaluation.judge import one_thread
from benchmark.evaluation.plan import VERSIONED, Plan, make_plan
from benchmark.evaluation.retrial import flags as retrial_flags
from benchmark.evaluation.tally import Tally
from benchmark.evaluation.verify import CLEAN_TOLERANCE, require_scale
from benchmark.protocol import get_protocol
from benchmark.record import Flag, Record
from benchmark.submission import SubmittedModel

# Of the worst-case verdicts of a block, and at least so many: attacks go other ways on another processor's rounding.
DIFFERING, COUNT = 0.01, 3
ROUNDING = 1e-6  # of a distance in float32


def verify_record(
    path: Path,
    track: str = "",
    blocks: int = 1,
    device: str = "auto",
    isolation: str = "auto",
    luck: int | None = None,
    progress: bool = True,
) -> Iterator[str]:
    """Hold a record against itself, against what it is of, and against some of its blocks evaluated anew.

    Args:
        path: its JSON file. track: where it is no name but a folder of images. blocks: how many, drawn at random.
        isolation: as in `evaluate`. luck: seeds the draw; None: nobody knows it beforehand.

    Yields:
        A line for everything that holds.

    Raises:
        DataError: every complaint that could be known before blocks are evaluated, at once; or blocks that differ.
        BenchmarkError: the submission or its images are not here.
    """
    record = Record.load(path)
    body = json.loads(Path(path).read_bytes())
    yield f"{path}: its tables are those that it was written with"
    complaints = list(own_complaints(record, body))
    protocol = get_protocol(record.protocol["name"])
    model, split = loaded(record.submission, record.modality, track or record.track, protocol, isolation)
    split = split.first_patients(protocol.images)
    complaints += source_complaints(record, model, split, protocol.sha256)
    complaints += _provenance_complaints(record, bool(model.submission.code))
    if complaints:
        raise DataError(f"the record {path} does not hold: " + "; ".join(complaints))
    yield "its summary follows from its rows; weights, images, labels and protocol are those that are here"
    yield f"isolation of its code, as it says: {record.provenance['isolation']}"
    made, others = record.provenance.get("harness_sha256", ""), _other_versions(record)
    if others:
        yield f"it was made with {', '.join(others)}; here are {', '.join(f'{name} {version(name)}' for name in VERSIONED)}"
    if made != harness_sha256():
        yield (
            "it was made by another version of the harness"
            if made
            else "it does not say which harness made it"
        )
    with tempfile.TemporaryDirectory(prefix="oncorobust-") as folder, naming(model, record.modality):
        plan = make_plan(model, split, protocol, choose_device(device), Path(folder))
        yield from _again(record, plan, blocks, luck, progress)
        yield _doubted(record, plan, bool(model.submission.code))


def own_complaints(record: Record, body: Mapping[str, Any]) -> Iterator[str]:
    """Where the summary is not what the rows give, or the rows contradict each other."""
    told = json.loads(json.dumps(record.summary()))
    for key in sorted(told.keys() | body["summary"].keys()):
        if not _same(told.get(key), body["summary"].get(key)):
            yield f"its summary of {key!r} does not follow from its rows"
    for name, result in record.attacks.items():
        for epsilon in record.epsilons:
            broke = result.margins[epsilon] <= 0
            if (result.linf[broke] > float(epsilon) * (1 + ROUNDING)).any():
                yield f"{name} broke images at ε = {epsilon}, and its distances say that it did not"


def _same(one: Any, other: Any) -> bool:
    """Equal, numbers to twelve digits: sums may be taken in another order elsewhere."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, int | float):
        return bool(np.isclose(one, other, rtol=1e-12, atol=1e-12, equal_nan=True))
    return bool(one == other)


def source_complaints(record: Record, model: SubmittedModel, split: Split, protocol: str) -> Iterator[str]:
    """Where a record is of other weights, code, images, labels or attacks (their checksum) than are here."""
    for what, told, here in (
        ("weights or code", record.provenance["identity"], model.identity),
        ("images", record.split["sha256"], split.sha256),
        ("attacks", record.protocol.get("sha256"), protocol),
    ):
        if told != here:
            yield f"it is of other {what} than are here ({str(told)[:12]}…, here {here[:12]}…)"
    there = set(record.image_ids) if record.missing else set(split.image_ids)
    kept = [row for row, image in enumerate(split.image_ids) if image in there]
    for what, theirs, ours in (
        ("images", list(record.image_ids), [split.image_ids[row] for row in kept]),
        ("patients", list(record.patient_ids), [split.patient_ids[row] for row in kept]),
        ("labels", list(record.labels), list(split.labels[kept])),
    ):
        if theirs != ours:
            yield f"its rows have other {what} than the split, or not all of them in its order"


def _provenance_complaints(record: Record, own_code: bool) -> Iterator[str]:
    """What a record must say of how it was made, and what does not go together."""
    told = record.provenance
    lacking = [
        name for name in ("isolation", "verified", "versions", "adversarial_sha256") if name not in told
    ]
    if lacking:
        yield f"its provenance lacks {', '.join(lacking)}"
        return
    walled = str(told["isolation"]).startswith("bubblewrap")
    if own_code and told["verified"] and not walled:
        yield f"it says that it is verified, and that its code ran with isolation {told['isolation']!r}"
    if own_code and told["isolation"] == NONE_NEEDED:
        yield "it says that no code of the submitter runs, and the submission brings code"


def _other_versions(record: Record) -> list[str]:
    made = record.provenance["versions"]
    return [f"{name} {made.get(name, 'unknown')}" for name in VERSIONED if made.get(name) != version(name)]


def _doubted(record: Record, plan: Plan, own_code: bool) -> str:
    """Where the health checks have a doubt now, with the record's own results, the record is in doubt."""
    if len(record.labels) != len(plan.split):
        return "its health is not looked at again, since images are missing"
    attacked, judge = (model.to(plan.device) for model in plan.source.models())
    tallies = {
        name: Tally(result.linf, np.stack([result.margins[epsilon] for epsilon in plan.protocol.epsilons]))
        for name, result in record.attacks.items()
    }
    evidence = Evidence(attacked=attacked, own_code=own_code)
    with one_thread():
        flags = health_checks(
            judge,
            plan.split,
            plan.protocol,
            plan.clean,
            plan.scale,
            tallies,
            plan.identity,
            plan.device,
            evidence,
        )
    _complain_of_struck(record, flags)
    return "the health checks find no doubt now that is missing in it"


def _complain_of_struck(record: Record, found: Sequence[Flag]) -> None:
    """A record in doubt for another reason takes no rank either; which reasons a model that is random gives is luck."""
    struck = [flag.sentence for flag in found if flag.severity == "doubt"]
    if struck and not any(flag.severity == "doubt" for flag in record.flags):
        raise DataError(
            f"the record of {record.submission} on {record.modality} does not hold: it does not say that "
            + "; ".join(struck)
        )


def _again(record: Record, plan: Plan, blocks: int, luck: int | None, progress: bool) -> Iterator[str]:
    scale = record.provenance["temperature"]
    rows = {image: row for row, image in enumerate(record.image_ids)}
    kept = [number for number, image in enumerate(plan.split.image_ids) if image in rows]
    at = np.array([rows[plan.split.image_ids[number]] for number in kept])
    require_scale(record, plan.scale)
    apart = float(np.abs(plan.clean[kept] - record.clean_margins[at]).max()) / scale
    if not apart <= CLEAN_TOLERANCE:
        raise DataError(
            f"the record of {record.submission} on {record.modality} does not hold: clean margins differ by {apart:.2g} T, "
            f"allowed are {CLEAN_TOLERANCE:g}"
        )
    yield f"the clean margins of all {len(at)} images are its own, to {apart:.1g} of their typical size"
    whole = [job for job in plan.jobs if set(job.split.image_ids) <= rows.keys()]
    chosen = np.random.default_rng(luck).permutation(len(whole))[:blocks]
    jobs = [whole[number] for number in sorted(chosen)]
    failures, _ = compute(plan, jobs, progress)
    if failures:
        raise DataError(f"block {failures[0].block} cannot be evaluated again: {failures[0].reason}")
    for job in jobs:
        found = load_block(job.path)
        assert found is not None
        yield _compared(record, found[0], [rows[image] for image in job.split.image_ids], job.block)
        _complain_of_struck(record, list(retrial_flags(found[0].retrial)))


def _compared(record: Record, found: Results, at: list[int], block: int) -> str:
    """The worst-case verdicts of one block, at every ε, now and in the record."""
    right = record.clean_correct[at]
    now = np.min([tally.linf for tally in found.tallies.values()], axis=0)
    then = np.min([result.linf[at] for result in record.attacks.values()], axis=0)
    limits = np.array([float(epsilon) for epsilon in record.epsilons])[:, None]
    differing = int((((now > limits) != (then > limits)) & right).sum())
    asked = len(limits) * len(at)
    told = f"block {block}: {differing} of {asked} worst-case verdicts differ"
    if differing >= COUNT and differing > DIFFERING * asked:
        raise DataError(
            f"the record of {record.submission} on {record.modality} does not hold: {told}; evaluate it again with --fresh"
        )
    return told
