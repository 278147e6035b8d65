"""Records → the plain-text table that a command prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from textwrap import wrap
from typing import Literal

from benchmark.measures import Met, attacks_alone, met_survivors
from benchmark.modality import get_modality
from benchmark.record import Record
from benchmark.statistics import accuracy_interval
from leaderboard.groups import by_table

Passes = Mapping[str, tuple[int, int]]  # (forward, backward), keyed "<modality>/<submission>"


def text_table(
    records: Sequence[Record], seconds: Mapping[str, float] | None = None, passes: Passes | None = None
) -> list[list[str]]:
    """The plain-text table of records of one modality and protocol: the header row, then one row per record.

    Accuracies are in percent.

    Args:
        seconds: what a run took, keyed "<modality>/<submission>"; a column only where one is known.
        passes: (forward, backward) of that run, keyed alike; else those of the record's evaluation.
    """
    times = [(seconds or {}).get(f"{record.modality}/{record.submission}") for record in records]
    timed = any(value is not None for value in times)
    first = records[0]
    header = ["entry", "clean", f"worst case at {first.headline}"]
    alone = attacks_alone(first)
    titles = {spec["name"]: spec["title"] for spec in first.protocol["attacks"]}
    header += [titles[attack] for attack in alone]
    header += [f"{titles[met.attack]}, broken of asked" for met in _met(first)]
    header += ["forward", "backward", *(["seconds"] if timed else []), "flags"]
    lines = [header]
    for record, value in zip(records, times, strict=True):
        worst = accuracy_interval(record.robust(record.headline), record.labels, record.patient_ids)
        bounds = ""
        if worst.low is not None and worst.high is not None:
            bounds = f" ({100 * worst.low:.1f}–{100 * worst.high:.1f})"
        entry = "".join(filter(str.isprintable, record.submission))
        line = [entry, f"{100 * record.clean_accuracy:.1f}", f"≤ {100 * worst.value:.1f}{bounds}"]
        line += [f"{100 * record.robust_accuracy(record.headline, attack):.1f}" for attack in alone]
        line += [met.words for met in _met(record)]
        made = (passes or {}).get(f"{record.modality}/{record.submission}") or (
            sum(result.forward for result in record.attacks.values()),
            sum(result.backward for result in record.attacks.values()),
        )
        line += [f"{count:,}" for count in made]
        line += ["–" if value is None else f"{value:,.1f}"] if timed else []
        line += [", ".join(f"{flag.severity}: {flag.id}" for flag in record.flags) or "–"]
        lines.append(line)
    return lines


def _met(record: Record) -> list[Met]:
    """What attacks on survivors met at the headline ε."""
    return [met for met in met_survivors(record) if met.epsilon == record.headline]


def render_text(
    records: Sequence[Record], seconds: Mapping[str, float] | None = None, passes: Passes | None = None
) -> str:
    """Every modality's table for a terminal 160 columns wide, without colour.

    Args:
        seconds: what a run took, keyed "<modality>/<submission>".
        passes: (forward, backward) of that run, keyed alike.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table as TextTable

    out = StringIO()
    # Without markup: a name in square brackets is a name.
    console = Console(file=out, width=160, color_system=None, markup=False, emoji=False, highlight=False)
    for group in by_table(records):
        first, modality = group[0], get_modality(group[0].modality)
        ranked = "" if first.protocol["ranked"] else ", never ranked"
        title = (
            f"{modality.title} · {first.track} · protocol {first.protocol['name']}{ranked} · "
            f"ε = {first.headline} ({modality.told(first.headline, first.split.get('notes', {}))}) · percent"
        )
        header, *lines = text_table(group, seconds, passes)
        table = TextTable(
            title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
        )
        for name in header:
            # A number stays in one piece under a header that folds; only flags are folded by the width left over.
            justify: Literal["left", "right"] = "left" if name in ("entry", "flags") else "right"
            table.add_column(_folded(name, 10), justify=justify, overflow="fold", no_wrap=name != "flags")
        for entry, *cells in lines:
            table.add_row(_folded(entry, 24, long_words=True), *cells)
        console.print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _folded(text: str, width: int, long_words: bool = False) -> str:
    return "\n".join(wrap(text, width, break_long_words=long_words, break_on_hyphens=long_words))
