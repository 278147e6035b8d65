"""Evidence by the names of entries: load, ask, judge, write beside the record, and say what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.data.split import Split
from benchmark.errors import DataError
from benchmark.evaluation.entry import loaded, records_folder
from benchmark.evaluation.external import judge_external
from benchmark.evaluation.second_opinion import second_opinion
from benchmark.evaluation.transfer import Transfer
from benchmark.evaluation.transfer import transfer as judge_transfer
from benchmark.evidence.best_known import BestKnown, best_known
from benchmark.evidence.files import add_external, save_second_opinion, save_transfer
from benchmark.files import require_writable
from benchmark.protocol import get_protocol
from benchmark.record import Record
from benchmark.submission import SubmittedModel


def ask_second_opinion(
    name: str,
    modality: str,
    track: str = "phantom",
    protocol: str = "standard",
    device: str = "auto",
    progress: bool = True,
) -> Iterator[str]:
    """AutoAttack by its authors on an entry's survivors; written beside its record.

    Yields:
        Lines for the user: what it broke, what is best known now, the file.

    Raises:
        DataError: there is no current record. SubmissionError: an attack or the model raised.
    """
    record, model, split, folder = recorded(name, modality, track, protocol)
    opinion = second_opinion(record, model, split, device, progress)
    path = save_second_opinion(opinion, record, folder)
    yield (
        f"{record.submission} · {modality}: {opinion.code} {opinion.version} broke {len(opinion.broken)} of the "
        f"{opinion.asked} images that the battery left standing at ε = {record.headline}"
    )
    yield from (f"  {opinion.code} warns: {told}" for told in opinion.warnings)
    yield from _best_known_lines(record, best_known(record, folder))
    yield f"wrote {path}"


def add_files(
    name: str,
    modality: str,
    files: Sequence[Path],
    track: str = "phantom",
    protocol: str = "standard",
    device: str = "auto",
) -> Iterator[str]:
    """Judge files of adversarial images for an entry; each is written beside the record as soon as it is judged.

    Yields:
        Lines for the user: what each broke, what is best known now, the file.

    Raises:
        DataError: there is no current record, or a file cannot be used; those before it are written.
    """
    record, model, split, folder = recorded(name, modality, track, protocol)
    path = folder
    for file in files:
        standing = best_known(record, folder).robust
        images = judge_external(file, record, model, split, device)
        path = add_external(images, record, folder)
        new = int(standing.sum() - best_known(record, folder).robust.sum())
        yield (
            f"{file} by {images.name}: {len(images.broken)} of {images.images} images break {record.submission} on "
            f"{modality} at ε = {record.headline}, {max(new, 0)} of them for the first time"
        )
    yield from _best_known_lines(record, best_known(record, folder))
    yield f"wrote {path}"


def transfer_lines(
    modality: str,
    track: str = "phantom",
    protocol: str = "standard",
    device: str = "auto",
    progress: bool = True,
) -> Iterator[str]:
    """The transfer matrix of a modality, written beside its records.

    Yields:
        Lines for the user: the matrix in percent, the median, what is left out, the file.

    Raises:
        ProtocolError: fewer than two entries have a record. DataError: nothing can be written.
    """
    folder = records_folder(track, protocol) / modality
    require_writable(folder, "ONCOROBUST_RESULTS")
    found = judge_transfer(modality, track, protocol, device, progress)
    path = save_transfer(found.described(), folder)
    yield (
        f"{modality}: percent of the images that an entry answers rightly clean which another's adversarial images "
        f"turn, at ε = {found.epsilon}"
    )
    yield from _matrix(found)
    if found.median is not None:
        yield f"median off the diagonal {100 * found.median:.1f} %"
    yield from (f"left out: {sentence}" for sentence in found.left_out)
    yield f"wrote {path}"


def recorded(
    name: str, modality: str, track: str, protocol: str
) -> tuple[Record, SubmittedModel, Split, Path]:
    """An entry's record, its model, its split, and the folder of the record, which can be written.

    Raises:
        DataError: there is no record.
    """
    model, split = loaded(name, modality, track, get_protocol(protocol))
    folder = records_folder(track, protocol) / modality
    path = folder / f"{model.submission.name}.json"
    if not path.exists():
        raise DataError(
            f"{model.submission.name} has no record of protocol {protocol} on {modality} ({path}); make it first: "
            f"oncorobust evaluate {name} --modality {modality}"
        )
    require_writable(folder, "ONCOROBUST_RESULTS")
    return Record.load(path), model, split, folder


def _best_known_lines(record: Record, best: BestKnown) -> Iterator[str]:
    battery, balanced = (
        record.robust_accuracy(record.headline),
        record.robust_accuracy(record.headline, balanced=True),
    )
    yield (
        f"best known: at most {100 * best.accuracy():.1f} % of all images, {100 * best.accuracy(balanced=True):.1f} % "
        f"balanced (the battery alone: {100 * battery:.1f} and {100 * balanced:.1f})"
    )
    yield from best.sentences


def _matrix(found: Transfer) -> Iterator[str]:
    width = max(len(name) for name in found.submissions)
    columns = [max(len(name), 6) for name in found.submissions]
    yield f"{'images of':{width}}  " + "  ".join(
        f"{name:>{column}}" for name, column in zip(found.submissions, columns, strict=True)
    )
    for source, row in zip(found.submissions, found.success, strict=True):
        cells = ("–" if share != share else f"{100 * share:.1f}" for share in row)
        yield f"{source:{width}}  " + "  ".join(
            f"{cell:>{column}}" for cell, column in zip(cells, columns, strict=True)
        )
