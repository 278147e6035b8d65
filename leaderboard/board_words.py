"""What a board says in sentences: who leads, whether it is a tie, what it can show, how to cite it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark import __version__
from benchmark.measures import positive_words
from benchmark.statistics import MINIMUM_PATIENTS
from leaderboard import paths
from leaderboard.entries import title
from leaderboard.source import Source, key
from leaderboard.stamp import records_commit, span
from leaderboard.tables import Table
from leaderboard.words import number

GROUPS, NAMES = 6, 8  # of ties: so many are told on a page, each with so many names


@dataclass(frozen=True)
class Fact:
    """A line of the box above a table: its name, its value, and what it means."""

    name: str
    value: str
    note: str


def board_label(table: Table) -> str:
    """What the navigation calls a board: "CT", "CT, quick"."""
    short = table.modality.title.split(":")[0]
    return short if table.protocol["name"] == paths.PLAIN else f"{short}, {table.protocol['name']}"


def verdict(table: Table) -> str:
    """Which is best, and is it a tie: the first question of a reader."""
    ranked = [row for row in table.rows if row.rank is not None]
    if not ranked:
        return "No entry is ranked here."
    best, *tied = [row for row in ranked if row.rank == 1]
    if len(ranked) == 1:
        return f"{title(best)} is the only ranked entry."
    # Tests of pairs are not transitive: one of a lower rank may not be told apart from the first either.
    alike = [title(row) for row in ranked if row.submission in table.board.alike_to_leader]
    others = f"{len(alike)} others" if len(alike) > 3 else "; ".join(alike)
    if tied:
        return f"A tie: {title(best)} leads, but these patients do not tell it from {others}."
    if alike:
        return (
            f"{title(best)} comes first, but these patients do not tell it from {others}, whom others beat."
        )
    return f"{title(best)} comes first, better than every other ranked entry beyond chance."


def tie_words(table: Table) -> tuple[str, ...]:
    """The groups of ranked entries of which none is better than another beyond chance, each as a sentence."""
    names = {row.submission: title(row) for row in table.rows}
    told = [_listed([names[name] for name in group]) for group in table.board.ties[:GROUPS]]
    more = len(table.board.ties) - len(told)
    said = [f"Not told apart beyond chance: {group}." for group in told]
    return (*said, *([f"{more:,} more such groups are in the exported figures."] if more else []))


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMES
    # A title may hold a comma.
    return "; ".join(names) if more <= 0 else f"{'; '.join(names[:NAMES])} and {more:,} more"


def trust(table: Table) -> str:
    """Whether to believe the leader's number: a reader's next question. Empty without a leader."""
    best = next((row for row in table.rows if row.rank == 1), None)
    if best is None:
        return ""
    notices = "; ".join(flag.sentence for flag in best.flags)
    checks = "No health check doubts its number" + (
        f". A notice informs and does not lower trust: {notices}." if notices else ";"
    )
    if best.best_known is None or not best.best_known.evidence:
        others = "no second attack code was asked."
    else:
        broken = sum(credit.images for credit in best.best_known.credits)
        others = f"others' attacks broke {f'{broken} more' if broken else 'none more'} of its images."
    return f"{checks} {others[0].upper() + others[1:] if notices else others}"


def facts(table: Table) -> tuple[Fact, ...]:
    """The box above a table."""
    headline = table.protocol["headline"]
    return (
        Fact(
            "headline ε",
            f"{headline}, that is {table.told(headline)}",
            "How far the adversary may move each pixel, on images scaled to [0, 1]; and that in the unit of these images.",
        ),
        Fact(
            "diseased means",
            positive_words(table.modality.name, table.track),
            "What label 1 stands for here: missed disease is an image of this kind that the attacked model calls healthy.",
        ),
        Fact(
            "smallest difference this can show",
            _smallest(table),
            "How much better an entry must truly be for a set of images of this size to show it, in four of five such sets.",
        ),
        Fact(
            "images",
            f"{table.images:,} of {table.patients:,} patients",
            "Patients are the unit of splitting, resampling and testing: intervals come from resampled patients.",
        ),
        Fact(
            "split",
            f"{table.split.get('name', '')} · sha256 {str(table.split.get('sha256', ''))[:12]}",
            "Every entry is measured on these very images; the checksum is that of images and labels.",
        ),
    )


@dataclass(frozen=True)
class Citation:
    """How to cite a board: a sentence, and the same as BibTeX."""

    text: str
    bibtex: str


def citation(table: Table, source: Source) -> Citation:
    """What to write where the board is cited: what of year, address, dates and commit is known."""
    dates = span(source.dates[key(table, row)] for row in table.rows if key(table, row) in source.dates)
    year = dates[-1][:4] if dates else ""
    commit = records_commit(source.results)
    name = f"OncoRobust {__version__}: adversarial robustness of models of oncologic images"
    board = f"{table.modality.title}, {table.track} track"
    known = (
        f"protocol {table.protocol['name']} v{table.protocol['version']}",
        f"split {table.split.get('name', '')} (sha256 {str(table.split.get('sha256', ''))[:12]})",
        f"records of {' to '.join(dates)}" if dates else "",
        f"at commit {commit}" if commit else "",
    )
    told, address = ", ".join(filter(None, known)), source.address and source.address + paths.board(table)
    fields = {
        "author": "{The OncoRobust developers}",
        "title": f"{{{_tex(f'{name}. {board}')}}}",
        "year": year,
        "version": __version__,
        "howpublished": f"\\url{{{address}}}" if address else "",
        "note": _tex(told[0].upper() + told[1:]),
    }
    lines = "".join(f"  {field} = {{{value}}},\n" for field, value in fields.items() if value)
    who = "The OncoRobust developers" + (f" ({year})" if year else "")
    return Citation(
        f"{who}. {name}. {board}, {told}.{f' {address}' if address else ''}",
        f"@misc{{oncorobust-{paths.table_name(table)}-{table.protocol['version']},\n{lines}}}",
    )


def _tex(text: str) -> str:
    """Text of which TeX makes nothing but text."""
    return "".join(
        f"\\{character}" if character in "&%$#_" else character
        for character in text
        if character not in "{}\\^~"
    )


def warnings(table: Table) -> tuple[str, ...]:
    """What to know of the images before reading on; without what is said of the whole track."""
    few = table.patients < MINIMUM_PATIENTS
    size = f"Only {table.patients} patients: no interval and no rank below {MINIMUM_PATIENTS}."
    found = table.notes.get("audit", {}).get("warnings", ())
    return (
        *((size,) if few else ()),
        *(f"The audit of these images: {sentence}.".replace("`", "") for sentence in found),
    )


def _smallest(table: Table) -> str:
    """How large a difference must be to be found here: of this board, or of these images alone."""
    found = table.board.smallest_difference
    if table.patients < MINIMUM_PATIENTS:
        return f"none: under {MINIMUM_PATIENTS} patients"
    if found is None:
        planned = number(table.board.planned_difference)
        return f"about {planned} points, for two entries that disagree on a fifth of the images"
    return f"{number(found)} points, in four of five samples like this one"
