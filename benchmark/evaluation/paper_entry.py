"""One entry under the paper's protocol: what has a current result keeps it, and both numbers are set side by side anew."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree

from benchmark.errors import DataError
from benchmark.evaluation.engine import choose_device
from benchmark.evaluation.entry import loaded, naming, records_folder
from benchmark.evaluation.paper_protocol import described, label_free, paper_folder
from benchmark.files import require_writable
from benchmark.paper_result import PaperResult
from benchmark.protocol import get_protocol
from benchmark.record import Record


def run_paper_entry(
    name: str,
    modality: str,
    track: str = "phantom",
    protocol: str = "standard",
    fresh: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> tuple[PaperResult, Record, Path]:
    """Run the published attacks on one entry without labels and write what came of it beside its record.

    Args:
        name: a submission's name or folder. track: as in `load_split`. protocol: whose record it stands beside.
        fresh: run also where a current result is there.

    Raises:
        BenchmarkError: there is no record of these weights and images, or something cannot be read, judged or written.
    """
    asked = get_protocol(protocol)
    model, split = loaded(name, modality, track, asked)
    folder = records_folder(track, protocol) / modality
    record_path = folder / f"{model.submission.name}.json"
    command = f"oncorobust evaluate {model.submission.name} --modality {modality}"
    if not record_path.exists():
        raise DataError(
            f"there is no record of {model.submission.name} on {modality} to stand beside; first run {command}"
        )
    record = Record.load(record_path)
    used = split.first_patients(asked.images)
    if (record.provenance["identity"], record.split["sha256"]) != (model.identity, used.sha256):
        raise DataError(
            f"the record {record_path} is of other weights or images; first run {command} --fresh"
        )
    require_writable(folder, "ONCOROBUST_RESULTS")
    path = record_path.with_suffix(".paper.json")
    result = None
    if path.exists() and not fresh:
        result = PaperResult.load(path)
        if not result.belongs_to(record) or result.asked != described(asked, modality):
            result = None
    if result is None:
        with naming(model, modality):
            result = label_free(model, split, asked, device, progress)
    result.save(record, record_path)
    rmtree(paper_folder(model, used, asked, choose_device(device)), ignore_errors=True)
    return result, record, path
