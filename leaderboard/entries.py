"""Rows → what pages say of an entry, in strings: in its row, on its own page, wherever it is named."""

from __future__ import annotations

from markupsafe import Markup

from benchmark.record import Flag
from benchmark.statistics import Estimate
from leaderboard import figures, paths
from leaderboard.evidence import best_known_view
from leaderboard.runs import runs_words
from leaderboard.tables import Row, Table
from leaderboard.trainings import trainings_view
from leaderboard.views import Badge, Difference, EntryView, Share
from leaderboard.words import interval, number, plain_text, short, signed, slug, training_words


def entry_view(table: Table, place: int) -> EntryView:
    """The entry at this place of its table."""
    row = table.rows[place]
    end = table.protocol["epsilons"][-1]
    beyond = row.median_epsilon > float(end)
    median = end if beyond else f"{row.median_epsilon:.4f}"
    rank, leader = row.standing.rank, row.standing.against_leader
    return EntryView(
        anchor=f"entry-{slug(row.submission)}",
        path=paths.entry(table, row.submission),
        submission=row.submission,
        title=title(row),
        swatch=figures.swatch(place),
        rank=rank.words if rank else "–",
        reason=row.unranked_because,
        tied=rank is not None and rank.first < rank.last,
        training=training_words(row.description.get("training")),
        architecture=plain_text(row.description.get("architecture")),
        kind=plain_text(row.description.get("kind")),
        authors=plain_text(row.description.get("authors")),
        clean=_share(row.balanced_clean, place),
        worst=_share(row.worst, place),
        balanced=_share(row.balanced, place),
        missed_clean=number(row.missed_clean),
        missed=number(row.missed),
        false_alarms=number(row.false_alarms),
        median=f"{'> ' if beyond else ''}{median}",
        median_units=f"{'> ' if beyond else ''}{table.told(median)}",
        flags=tuple(badge(row, flag) for flag in row.flags),
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
        to_leader=difference(leader.difference if leader else None),
        trainings=trainings_view(row.trainings, table.protocol["headline"]),
        claims=tuple(claim.sentence for claim in row.claims),
    )


def title(row: Row) -> str:
    """What an entry is called: its title, or the name of its folder."""
    return plain_text(row.description.get("title")) or row.submission


def difference(estimate: Estimate | None) -> Difference:
    """A difference in points with its interval."""
    if estimate is None:
        return Difference("–", "")
    bounds = ""
    if estimate.low is not None and estimate.high is not None:
        bounds = f"{signed(estimate.low)} to {signed(estimate.high)}"
    return Difference(f"{signed(estimate.value)} points", bounds)


def _share(estimate: Estimate | None, place: int) -> Share:
    if estimate is None:
        return Share("–", "no such image", Markup(""))
    return Share(
        number(estimate.value), interval(estimate) or "no interval", figures.interval_bar(estimate, place)
    )


def badge(row: Row, flag: Flag) -> Badge:
    """A flag of an entry, with what was measured."""
    measured = f"{flag.value:.3g}, tolerance {flag.threshold:.3g}"
    return Badge(title(row), flag.id, flag.severity, flag.sentence, measured)
