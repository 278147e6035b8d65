"""What a job that ran foreign code gives back is data: read within bounds, held against what it follows from, written anew.

A record is believed as far as its rows go and no further: labels, ids, checksums and every figure are ours. Of an entry
without code the clean and BIM margins of every image are computed again, since that runs nothing foreign.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.data.split import Split
from benchmark.data.tracks import load_split
from benchmark.errors import BenchmarkError, DataError
from benchmark.evaluation.engine import describe_split, save_times
from benchmark.evaluation.entry import claims_of, part_of_track, records_folder
from benchmark.evaluation.external import judge_external, read_sent
from benchmark.evaluation.harness import harness_sha256
from benchmark.evaluation.recheck import own_complaints, source_complaints
from benchmark.evaluation.verify import verify
from benchmark.evidence import ExternalImages
from benchmark.evidence.claims import save_claims
from benchmark.evidence.facts import save_facts
from benchmark.evidence.files import add_external, read_external
from benchmark.evidence.runs import sign
from benchmark.folders import attacks_folder
from benchmark.forge.plan import PROTOCOL, TRACK, Job, place_attack
from benchmark.protocol import Protocol, get_protocol
from benchmark.record import Record, Validation
from benchmark.record.files import table_sha256
from benchmark.submission import SubmittedModel, load_submission
from benchmark.threat_model import parse_epsilon

LARGEST = 20_000_000  # bytes of one file that comes back
RAN_BY = "CI of this project"


def receive(job: Job, returned: Path) -> Iterator[str]:
    """Hold what a job gave back against what is here, and write it among the results.

    Args:
        returned: its folder, laid out as the results: <track>/<modality>/….

    Yields:
        Lines for the log.

    Raises:
        DataError: it does not hold; every complaint at once, and nothing was written.
    """
    if job.file:
        yield from _receive_verdicts(job, returned)
        return
    folder = returned / TRACK / job.modality
    record = _record(job, folder)
    protocol = get_protocol(PROTOCOL)
    model, whole = _here(job)
    split = whole.first_patients(protocol.images)
    body = json.loads((folder / f"{job.entry}.json").read_bytes())
    complaints = [*own_complaints(record, body), *source_complaints(record, model, split, protocol.sha256)]
    complaints += list(_of_the_job(record, job))
    validation = load_split(job.modality, TRACK, "validation")
    complaints += list(_of_validation(record.validation, validation))
    if complaints:
        raise DataError(f"what job {job.title} gave back does not hold: " + "; ".join(complaints))
    if not model.submission.code:
        verify(model, split, record)
        yield f"{job.title}: clean and BIM margins of all images computed again"
    out = records_folder(TRACK, PROTOCOL) / job.modality
    record = _in_our_words(record, model, split, protocol)
    path = record.save(out)
    save_facts(out, whole.sha256, whole.image_ids, whole.facts)
    save_claims(claims_of(model, record), record, out)
    sign(record, out, RAN_BY)
    if (seconds := _seconds(folder / f"{job.entry}.times.json")) is not None:
        save_times(path, seconds, "cpu")
    yield f"{job.title}: {100 * record.robust_accuracy(record.headline):.1f} % at ε = {record.headline}"


def _here(job: Job) -> tuple[SubmittedModel, Split]:
    """The entry and its images. No code of an entry runs in this process, so none needs a sandbox here."""
    model = load_submission(job.entry, job.modality, TRACK).to("meta")
    return model, load_split(job.modality, TRACK, part_of_track(TRACK, get_protocol(PROTOCOL)))


def _in_our_words(record: Record, model: SubmittedModel, split: Split, protocol: Protocol) -> Record:
    """The record with everything that does not come of its rows said again from what is here."""
    said = {"trained_on": model.weights.trained_on, "command": model.weights.command}
    return replace(
        record,
        description=model.submission.described(),
        protocol=protocol.described() | {"sha256": protocol.sha256},
        split=describe_split(split),
        provenance=dict(record.provenance) | {key: said[key] for key in said if key in record.provenance},
    )


def _record(job: Job, folder: Path) -> Record:
    """The record in a folder, of plain files of bounded size and of no others."""
    names = [f"{job.entry}{end}" for end in (".json", ".csv", ".validation.csv")]
    wrong = [told for name in names if (told := _unfit(folder / name))]
    if wrong:
        raise DataError(f"what job {job.title} gave back cannot be read: " + "; ".join(wrong))
    return Record.load(folder / f"{job.entry}.json")


def _unfit(path: Path) -> str:
    """Why a file that came back is not read; empty if it may be."""
    if path.is_symlink() or any(parent.is_symlink() for parent in list(path.parents)[:3]):
        return f"{path.name} is a link"
    if not path.is_file():
        return f"{path.name} is not there" if path.suffix != ".csv" or ".validation" not in path.name else ""
    return f"{path.name} has {path.stat().st_size:,} bytes" if path.stat().st_size > LARGEST else ""


def _of_the_job(record: Record, job: Job) -> Iterator[str]:
    """Where a record is not the one that the job was asked for, or not whole."""
    for what, found, asked in (
        ("entry", record.submission, job.entry),
        ("modality", record.modality, job.modality),
        ("track", record.track, TRACK),
        ("protocol", record.protocol.get("name"), PROTOCOL),
        ("harness", record.provenance.get("harness_sha256"), harness_sha256()),
    ):
        if found != asked:
            yield f"its {what} is {str(found)[:60]!r}, expected {str(asked)[:60]!r}"
    if record.missing:
        yield f"{len(record.missing)} of its blocks could not be computed ({str(record.missing[0].get('reason'))[:200]})"
    if not record.provenance.get("verified"):
        yield "it was made without isolation"


def _of_validation(found: Validation | None, here: Split) -> Iterator[str]:
    """Where validation margins, which thresholds and the clean claim rest on, are not of that whole part."""
    if found is None or found.sha256 != here.sha256:
        yield "its validation margins are of other images than are here, or there are none"
        return
    for what, theirs, ours in (
        ("images", found.image_ids, here.image_ids),
        ("patients", found.patient_ids, here.patient_ids),
        ("labels", found.labels, here.labels),
    ):
        if list(theirs) != list(ours):
            yield f"its validation rows have other {what} than that part, or not all of them in its order"


def _seconds(path: Path) -> float | None:
    if _unfit(path):
        return None
    try:
        seconds = float(json.loads(path.read_bytes())["seconds"])
    except (ValueError, KeyError, TypeError):
        return None
    return seconds if math.isfinite(seconds) and 0 <= seconds < 1e7 else None


def _receive_verdicts(job: Job, returned: Path) -> Iterator[str]:
    """Verdicts on adversarial images that were sent; of an entry without code they are ours, computed here."""
    model, split = _here(job)
    out = records_folder(TRACK, PROTOCOL) / job.modality
    record = Record.load(out / f"{job.entry}.json")
    sent = place_attack(job, attacks_folder())
    if model.submission.code:
        if told := _unfit(returned / TRACK / job.modality / f"{job.entry}.external.json"):
            raise DataError(f"what job {job.title} gave back cannot be read: {told}")
        found = _matching(job, record, read_external(record, returned / TRACK / job.modality), sent)
    else:
        found = judge_external(sent, record, model, split)
    add_external(found, record, out)
    yield f"{job.title}: {len(found.broken)} of {found.images} images by {found.name} break {job.entry}"


def _matching(job: Job, record: Record, found: Sequence[ExternalImages], path: Path) -> ExternalImages:
    sent = read_sent(path)
    right = {image for image, good in zip(record.image_ids, record.clean_correct, strict=True) if good}
    epsilon = float(parse_epsilon(record.headline))
    for one in found:
        told = (one.record_sha256, one.sha256, one.name, one.link, one.images)
        fallen = [broken.image_id for broken in one.broken]
        if (
            told == (table_sha256(record), sent.sha256, sent.name, sent.link, len(sent.images))
            and set(fallen) <= right & set(sent.image_ids)
            and len(fallen) == len(set(fallen))
            and all(broken.linf <= epsilon and broken.margin <= 0 for broken in one.broken)
        ):
            return one
    raise DataError(f"what job {job.title} gave back holds no verdicts on {path.name} that can be")


def _place(job: Job, returned: Path) -> Path | None:
    """Where what a job gave back lies. Where one job alone gave something, the runner makes no folder by its title."""
    if (returned / job.title).is_dir():
        return returned / job.title
    return returned if (returned / TRACK).is_dir() else None


def receive_all(jobs: Sequence[Job], returned: Path) -> tuple[list[str], list[str]]:
    """Everything that the jobs gave back; what does not hold is left out and named.

    Args:
        returned: a folder for each job, by its title; or what the only one that gave something gave back.

    Returns:
        Lines of what was written, and a sentence for each job that gave nothing that holds.
    """
    written: list[str] = []
    refused: list[str] = []
    for job in jobs:
        place = _place(job, returned)
        if place is None:
            refused.append(f"job {job.title} gave nothing back")
            continue
        try:
            written += receive(job, place)
        except BenchmarkError as error:
            refused.append(str(error))
        except Exception as error:  # whatever one job gave back, the others' results are published
            refused.append(
                f"what job {job.title} gave back is malformed ({type(error).__name__}: {str(error)[:200]})"
            )
    return written, refused
