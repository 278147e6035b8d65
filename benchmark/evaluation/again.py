"""An entry evaluated from nothing by somebody else, beside the record that it has."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.errors import DataError
from benchmark.evaluation.engine import evaluate
from benchmark.evaluation.entry import forget_blocks, naming, validation_part
from benchmark.evaluation.evidence import recorded
from benchmark.evaluation.verify import is_current
from benchmark.evidence.runs import add_run, checked_name, compared
from benchmark.record.files import table_sha256


def run_again(
    name: str,
    modality: str,
    track: str,
    by: str,
    protocol: str = "standard",
    device: str = "auto",
    progress: bool = True,
) -> Iterator[str]:
    """Evaluate an entry anew and say beside its record how many verdicts differ. The record stays as it is.

    Args:
        by: who does it, as the page shall name them.

    Yields:
        Lines for the user: what differs, the file.

    Raises:
        DataError: there is no current record, `by` is no name, or the file cannot be written.
    """
    checked_name(by)
    record, model, split, folder = recorded(name, modality, track, protocol)
    if not is_current(record, model, split, protocol):
        raise DataError(
            f"the record of {record.submission} on {modality} is of other weights, images or attacks than are here, so "
            f"there is nothing to compare with; make a new one: oncorobust evaluate {name} --modality {modality}"
        )
    with naming(model, modality):
        fresh = evaluate(
            model, split, protocol, device, progress=progress, validation=validation_part(modality, track)
        )
    forget_blocks(fresh, model, split, device)
    path = add_run(record, fresh, folder, by)
    differing, verdicts = compared(record, fresh)
    same = table_sha256(record) == table_sha256(fresh)
    yield (
        f"{record.submission} · {modality}: {differing:,} of {verdicts:,} verdicts differ from the record's"
        f"{'; its table is the same to the last bit' if same else ''}"
    )
    yield f"wrote {path}"
