"""The results table of the README, written from the records so that no number in it is typed by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.errors import DataError
from benchmark.files import replace_file
from benchmark.modality import get_modality
from benchmark.record import Record
from benchmark.statistics import Estimate, accuracy_interval, paired_difference

BEGIN, END = "<!-- results -->", "<!-- /results -->"


def results_table(records: Sequence[Record]) -> str:
    """A Markdown table: clean and worst-case accuracy with intervals, and the gain over the naive twin.

    Args:
        records: of one track and protocol, all modalities.
    """
    lines = [
        "| modality | entry | clean, % | worst case at ε = 0.004, at most, % | gain over its naive twin, points |",
        "|---|---|--:|--:|--:|",
    ]
    return "\n".join([*lines, *_lines(records)]) + "\n"


def update_readme(readme: Path, records: Sequence[Record]) -> bool:
    """Put the table between the README's markers; whether that changed anything.

    Raises:
        DataError: the README has no markers.
    """
    text = readme.read_text("utf-8")
    try:
        before, rest = text.split(BEGIN, 1)
        _, after = rest.split(END, 1)
    except ValueError:
        raise DataError(
            f"{readme} has no lines {BEGIN} and {END}; put them where the results belong"
        ) from None
    new = f"{before}{BEGIN}\n{results_table(records)}{END}{after}"
    if new != text:
        replace_file(readme, new.encode())
    return new != text


def _lines(records: Sequence[Record]) -> Iterator[str]:
    named = {(record.modality, record.submission): record for record in records}
    for record in records:
        labels, patients, headline = record.labels, record.patient_ids, record.headline
        clean = accuracy_interval(record.clean_correct, labels, patients)
        worst = accuracy_interval(record.robust(headline), labels, patients)
        twin = named.get((record.modality, str(record.description.get("naive_twin", ""))))
        gain = "" if twin is None else _points(_gain(record, twin))
        title = get_modality(record.modality).title.split(":")[0]
        yield f"| {title} | `{record.submission}` | {_points(clean)} | {_points(worst)} | {gain} |"


def _gain(record: Record, twin: Record) -> Estimate:
    headline = record.headline
    return paired_difference(
        record.robust(headline), twin.robust(headline), record.labels, record.patient_ids
    )


def _points(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{100 * estimate.value:.1f}"
    return f"{100 * estimate.value:.1f} ({100 * estimate.low:.1f}–{100 * estimate.high:.1f})"
