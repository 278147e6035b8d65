"""The results and the findings of the README, written from the records so that no number in them is typed by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmark.errors import DataError
from benchmark.files import replace_file
from benchmark.modality import get_modality
from benchmark.record import Record
from benchmark.statistics import Estimate, accuracy_interval, paired_difference
from leaderboard.findings import findings
from leaderboard.paper import Paper
from leaderboard.words import with_interval


def results_table(records: Sequence[Record]) -> str:
    """A Markdown table: clean and worst-case accuracy with intervals, and the gain over the naive twin.

    Args:
        records: of one track and protocol, all modalities.
    """
    lines = [
        "| modality | entry | clean, all images, % | worst case at ε = 0.004, all images, at most, % | gain over its naive "
        "twin, points |",
        "|---|---|--:|--:|--:|",
    ]
    return "\n".join([*lines, *_lines(records)]) + "\n"


def update_readme(readme: Path, records: Sequence[Record], papers: Mapping[str, Paper]) -> bool:
    """Put what the records say between the README's markers; whether that changed anything.

    Args:
        papers: results under the paper's protocol, as `read_papers` gives them.

    Raises:
        DataError: the README lacks markers.
    """
    text = readme.read_text("utf-8")
    new = _between(readme, text, "results", results_table(records))
    new = _between(readme, new, "findings", findings(records, papers))
    if new != text:
        replace_file(readme, new.encode())
    return new != text


def _between(readme: Path, text: str, mark: str, content: str) -> str:
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    try:
        before, rest = text.split(begin, 1)
        _, after = rest.split(end, 1)
    except ValueError:
        raise DataError(
            f"{readme} has no lines {begin} and {end}; put them where the {mark} belong"
        ) from None
    return f"{before}{begin}\n{content}{end}{after}"


def _lines(records: Sequence[Record]) -> Iterator[str]:
    named = {(record.modality, record.submission): record for record in records}
    for record in records:
        labels, patients, headline = record.labels, record.patient_ids, record.headline
        clean = accuracy_interval(record.clean_correct, labels, patients)
        worst = accuracy_interval(record.robust(headline), labels, patients)
        twin = named.get((record.modality, str(record.description.get("naive_twin", ""))))
        gain = "" if twin is None else with_interval(_gain(record, twin))
        title = get_modality(record.modality).title.split(":")[0]
        yield f"| {title} | `{record.submission}` | {with_interval(clean)} | {with_interval(worst)} | {gain} |"


def _gain(record: Record, twin: Record) -> Estimate:
    headline = record.headline
    return paired_difference(
        record.robust(headline), twin.robust(headline), record.labels, record.patient_ids
    )
