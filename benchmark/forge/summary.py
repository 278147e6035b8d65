"""A preview's figures as Markdown. Every word that a submitter chose is escaped, bounded, and on one line."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.evidence.claims import read_claims
from benchmark.record import Record

PREVIEW = (
    "A preview: all is computed again, from the main branch, when the entry is merged, and only that counts."
)


def preview(paths: Sequence[Path]) -> str:
    """A table of records; of none, a sentence."""
    rows, notes = [], []
    for path in sorted(paths):
        try:
            record = Record.load(path)
        except BenchmarkError as error:
            notes.append(f"- {words(str(error))}")
            continue
        figures = record.summary()
        told = [_share(figures[name]) for name in ("clean", "robust_balanced")]
        doubt = ", ".join(words(flag.id) for flag in record.flags) or "none"
        rows.append(
            f"| {words(record.submission)} | {words(record.modality)} | {' | '.join(told)} | {doubt} |"
        )
        notes += [f"- {words(flag.severity)}: {words(flag.sentence)}" for flag in record.flags]
        notes += [
            f"- {words(record.modality)}: {words(claim.sentence)}"
            for claim in read_claims(record, path.parent)
        ]
    if not rows:
        return "\n".join(["No record was made.", *notes, ""])
    head = [
        "| entry | modality | clean, % | worst case at the headline ε, balanced, at most, % | flags |",
        "|---|---|--:|--:|---|",
    ]
    return "\n".join([*head, *rows, "", *notes, "", PREVIEW, ""])


def refusal(error: BenchmarkError) -> str:
    """Why a pull request is not evaluated, one line for each complaint."""
    lines = [f"- {words(line)}" for line in str(error).splitlines() if line.strip()]
    return "\n".join(["This cannot be evaluated as it is:", "", *lines, ""])


def words(text: str) -> str:
    """Text that Markdown, HTML and the runner's own commands leave alone."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:600]
    escaped = html.escape(plain)
    # Also a colon before a colon, which begins a command of the runner, and what makes links and mentions.
    return re.sub(r"([\\`*_{}\[\]()#+!|~@]|::)", lambda m: "".join(f"&#{ord(c)};" for c in m[1]), escaped)


def _share(figure: dict[str, float | None]) -> str:
    value, low, high = figure["value"], figure["low"], figure["high"]
    told = f"{100 * (value or 0):.1f}"
    return told if low is None or high is None else f"{told} ({100 * low:.1f}–{100 * high:.1f})"
