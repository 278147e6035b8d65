"""Tables → pages: every string that a template prints, and nothing that a template would have to work out."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from benchmark import __version__
from benchmark.measures import positive_words
from benchmark.record import Flag
from benchmark.statistics import MINIMUM_PATIENTS, Estimate
from leaderboard import figures
from leaderboard.evidence import best_known_view
from leaderboard.groups import PUBLIC_TRACKS
from leaderboard.paper import Paper, paper_view
from leaderboard.protocols import protocol_anchor, protocol_view
from leaderboard.runs import runs_words
from leaderboard.tables import Gain, Row, Table
from leaderboard.trainings import trainings_view
from leaderboard.views import (
    Badge,
    Difference,
    EntryView,
    GainView,
    Page,
    ProtocolView,
    Published,
    Share,
    TableView,
    TrackView,
)
from leaderboard.words import (
    interval,
    number,
    percent,
    plain_text,
    short,
    signed,
    slug,
    training_words,
    unbroken,
)

PUBLISHED = Path(__file__).with_name("published.toml")
PHANTOM = (
    "Phantom: these images are synthetic, drawn by a program. "
    "The numbers exercise the benchmark; they say nothing of patients."
)
PRIVATE = "Private: made from a folder of your own. Do not publish this page unless you may publish the data's results."


def index_page(tables: Sequence[Table], papers: Mapping[str, Paper], study: bool = False) -> Page:
    """The one page: every table, the protocols they were measured under, and how to read them.

    Args:
        papers: results under the paper's protocol, as `read_papers` gives them. study: whether that page is there.
    """
    published = tomllib.loads(PUBLISHED.read_text(encoding="utf-8"))
    tracks: dict[str, list[TableView]] = {}
    protocols: dict[str, ProtocolView] = {}
    for table in tables:
        tracks.setdefault(table.track, []).append(_table(table, published, papers))
        view = protocol_view(table.protocol)
        protocols.setdefault(view.anchor, view)
    views = tuple(
        TrackView(name, f"track-{slug(name)}", _track_warnings(name), tuple(own))
        for name, own in tracks.items()
    )
    return Page(
        version=__version__,
        private=any(name not in PUBLIC_TRACKS for name in tracks),
        minimum_patients=MINIMUM_PATIENTS,
        tracks=views,
        glance=tuple(table for track in views for table in track.tables if table.ranked),
        protocols=tuple(protocols.values()),
        study=study,
    )


def table_name(table: Table) -> str:
    """What a table's anchor and its files are called."""
    return "-".join(slug(part) for part in (table.track, table.modality.name, str(table.protocol["name"])))


def _table(table: Table, published: Mapping[str, Any], papers: Mapping[str, Paper]) -> TableView:
    anchor, modality, headline = table_name(table), table.modality, table.protocol["headline"]
    entries = tuple(_entry(table, place, row) for place, row in enumerate(table.rows))
    title = modality.title if table.ranked else f"{modality.title} — {table.protocol['name']}: never ranked"
    names = {row.submission: _title(row) for row in table.rows}
    return TableView(
        anchor=anchor,
        title=title,
        track=table.track,
        ranked=table.ranked,
        warnings=_track_warnings(table.track) + _size_warnings(table) + _audit_warnings(table),
        verdict=_verdict(table),
        best=next(
            (f"at most {percent(row.balanced.value)}" for row in table.rows if row.rank == 1), "no rank"
        ),
        facts=(
            ("images", f"{table.images:,}"),
            ("patients", f"{table.patients:,}"),
            ("split", f"{table.split.get('name', '')} · sha256 {str(table.split.get('sha256', ''))[:12]}"),
        ),
        protocol=f"{table.protocol['name']} v{table.protocol['version']}",
        protocol_anchor=protocol_anchor(table.protocol),
        headline=headline,
        headline_units=table.told(headline),
        positive=positive_words(modality.name, table.track),
        attack_titles=tuple(unbroken(str(spec["title"])) for spec in table.protocol["attacks"]),
        epsilons=("0", *table.protocol["epsilons"]),
        timed=any(row.seconds is not None for row in table.rows),
        entries=entries,
        flags=tuple(badge for entry in entries for badge in entry.flags),
        gains=tuple(_gain(gain, names) for gain in table.gains),
        published=_published(modality.name, published) if table.ranked else None,
        figure=figures.curves(
            table,
            anchor,
            f"{title}, {table.track}: accuracy over ε",
            "One line per entry: balanced worst-case accuracy at each ε of the grid, with its interval at the "
            "headline. Fainter: the same entry under random noise. The same numbers stand in the table below.",
        ),
        file=f"{anchor}.csv",
        curves_file=f"{anchor}-curves.csv",
        paper=paper_view(table, anchor, names, papers),
        smallest=_smallest(table),
    )


def _entry(table: Table, place: int, row: Row) -> EntryView:
    end = table.protocol["epsilons"][-1]
    beyond = row.median_epsilon > float(end)
    median = end if beyond else f"{row.median_epsilon:.4f}"
    rank, leader = row.standing.rank, row.standing.against_leader
    return EntryView(
        anchor=f"{table_name(table)}-{slug(row.submission)}",
        submission=row.submission,
        title=_title(row),
        swatch=figures.swatch(place),
        rank=rank.words if rank else "–",
        reason=row.unranked_because,
        tied=rank is not None and rank.first < rank.last,
        training=training_words(row.description.get("training")),
        architecture=plain_text(row.description.get("architecture")),
        kind=plain_text(row.description.get("kind")),
        authors=plain_text(row.description.get("authors")),
        clean=_share(row.clean, place),
        worst=_share(row.worst, place),
        balanced=_share(row.balanced, place),
        attacks=tuple(number(row.by_attack[spec["name"]]) for spec in table.protocol["attacks"]),
        missed_clean=number(row.missed_clean),
        missed=number(row.missed),
        false_alarms=number(row.false_alarms),
        median=f"{'> ' if beyond else ''}{median}",
        median_units=f"{'> ' if beyond else ''}{table.told(median)}",
        flags=tuple(_badge(row, flag) for flag in row.flags),
        forward=f"{row.forward:,}",
        backward=f"{row.backward:,}",
        forward_short=short(row.forward),
        backward_short=short(row.backward),
        seconds="–" if row.seconds is None else f"{row.seconds:,.0f} s",
        provenance=tuple((str(key), plain_text(value)) for key, value in sorted(row.provenance.items())),
        curve=tuple(number(point.worst) for point in row.curve),
        noise=tuple(number(point.noise) for point in row.curve),
        best_known=best_known_view(row.best_known),
        runs=runs_words(row.runs, table.track),
        area=number(row.area),
        sensitivity=_share(row.sensitivity, place),
        specificity=_share(row.specificity, place),
        to_leader=_difference(leader.difference if leader else None),
        trainings=trainings_view(row.trainings, table.protocol["headline"]),
    )


def _verdict(table: Table) -> str:
    """Which is best, and is it a tie: the first question of a reader."""
    ranked = [row for row in table.rows if row.rank is not None]
    if not ranked:
        return "No entry is ranked here."
    best, *tied = [row for row in ranked if row.rank == 1]
    if len(ranked) == 1:
        return f"{_title(best)} is the only ranked entry."
    if tied:
        others = ", ".join(_title(row) for row in tied)
        return f"A tie: {_title(best)} leads, but these patients do not tell it from {others}."
    return f"{_title(best)} comes first, better than every other ranked entry beyond chance."


def _smallest(table: Table) -> str:
    """How large a difference must be to be found here: of this board, or of these images alone."""
    found = table.board.smallest_difference
    if table.patients < MINIMUM_PATIENTS:
        return f"none: under {MINIMUM_PATIENTS} patients"
    if found is None:
        planned = number(table.board.planned_difference)
        return f"about {planned} points, for two entries that disagree on a fifth of the images"
    return f"{number(found)} points, in four of five samples like this one"


def _share(estimate: Estimate | None, place: int) -> Share:
    if estimate is None:
        return Share("–", "no such image", Markup(""))
    return Share(
        number(estimate.value), interval(estimate) or "no interval", figures.interval_bar(estimate, place)
    )


def _badge(row: Row, flag: Flag) -> Badge:
    measured = f"{flag.value:.3g}, tolerance {flag.threshold:.3g}"
    return Badge(_title(row), flag.id, flag.severity, flag.sentence, measured)


def _gain(gain: Gain, names: Mapping[str, str]) -> GainView:
    twin = names.get(gain.twin, f"{gain.twin} (no record here)")
    return GainView(names[gain.entry], twin, _difference(gain.clean), _difference(gain.worst))


def _difference(estimate: Estimate | None) -> Difference:
    if estimate is None:
        return Difference("–", "")
    bounds = ""
    if estimate.low is not None and estimate.high is not None:
        bounds = f"{signed(estimate.low)} to {signed(estimate.high)}"
    return Difference(f"{signed(estimate.value)} points", bounds)


def _published(modality: str, published: Mapping[str, Any]) -> Published | None:
    rows = tuple((n["title"], str(n["accuracy"])) for n in published["number"] if n["modality"] == modality)
    if not rows:
        return None
    return Published(published["citation"], f"https://doi.org/{published['doi']}", published["note"], rows)


def _track_warnings(track: str) -> tuple[str, ...]:
    if track == "phantom":
        return (PHANTOM,)
    return () if track in PUBLIC_TRACKS else (PRIVATE,)


def _size_warnings(table: Table) -> tuple[str, ...]:
    few = table.patients < MINIMUM_PATIENTS
    return (
        (f"Only {table.patients} patients: no interval and no rank below {MINIMUM_PATIENTS}.",) if few else ()
    )


def _audit_warnings(table: Table) -> tuple[str, ...]:
    found = table.notes.get("audit", {}).get("warnings", ())
    return tuple(f"The audit of these images: {sentence}." for sentence in found)


def _title(row: Row) -> str:
    return plain_text(row.description.get("title")) or row.submission
