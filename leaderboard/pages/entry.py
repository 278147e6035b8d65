"""An entry's page: what it is, what was measured, why to believe it, and how to run it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.checks import CHECKS
from benchmark.evidence.seeds import read_attack_seeds
from benchmark.evidence.transfers import Transfers, read_transfers
from benchmark.folders import submissions_folder
from benchmark.measures import SPECIFICITY, SURE, Confidence, Measures
from benchmark.record import Flag, Record
from benchmark.statistics import MINIMUM_PATIENTS, bootstrap
from leaderboard import paths
from leaderboard.attack_seeds import attack_seeds_words
from leaderboard.card import card_facts, commands, hash_facts, run_facts, training_facts
from leaderboard.entries import entry_view, title
from leaderboard.entry_figures import EntryFigures
from leaderboard.entry_groups import groups_table, worst_group_words
from leaderboard.entry_transfer import transfer_table, transfer_words
from leaderboard.frame import Batch, Page
from leaderboard.history import Change, History, read_history
from leaderboard.measured import Measured, measured
from leaderboard.pages.compare import compare_link
from leaderboard.parts import Cell, Fact, Figure, Line, Numbers, share, three
from leaderboard.source import Source, key
from leaderboard.tables import Table
from leaderboard.tracks import is_private, track_warnings
from leaderboard.training_log import log_file, training_figure
from leaderboard.views import EntryView
from leaderboard.words import number, plain_text


@dataclass(frozen=True)
class FlagView:
    """A flag: its sentence, what was measured, what the check asks of everybody."""

    id: str
    severity: str
    sentence: str
    measured: str
    asks: str


@dataclass(frozen=True)
class EntryPage:
    """<track>/<modality>/<entry>.html. compare: where it is compared; empty where it is alone."""

    entry: EntryView
    board: str
    compare: str
    modality: str
    track: str
    headline: str
    units: str
    positive: str
    description: str
    warnings: tuple[str, ...]
    card: tuple[Fact, ...]
    training: tuple[Fact, ...]
    shares: Numbers
    smallest: Numbers
    figures: tuple[Figure, ...]
    confidence: Numbers
    flags: tuple[FlagView, ...]
    groups: Numbers | None
    worst_group: str
    transfer: Numbers | None
    transfer_words: str
    attack_seeds: str
    log: Figure | None
    run: tuple[Fact, ...]
    hashes: tuple[Fact, ...]
    commands: tuple[Fact, ...]
    changes: tuple[Change, ...]
    uncommitted: bool


BATCH = 20  # pages made together


@dataclass(frozen=True)
class _Board:
    """What the pages of one table share. folder: of its records."""

    folder: Path
    table: Table
    figures: EntryFigures
    transfers: Transfers | None
    history: Mapping[str, History]
    titles: Mapping[str, str]


def pages(source: Source) -> Iterator[Batch]:
    """A page for each entry of each table."""
    history = read_history(source.results)
    for table in source.tables:
        folder = source.folder(table)
        # All comparisons of a large board are many, and none stands on an entry's page.
        alone = replace(table, board=replace(table.board, comparisons=()))
        where = f"{table.track}/{table.modality.name}/"
        shared = _Board(
            folder,
            alone,
            EntryFigures(alone),
            read_transfers(folder, source.of(table)),
            {name: told for name, told in history.items() if name.startswith(where)},
            {row.submission: title(row) for row in table.rows},
        )
        rows = [(place, source.record(table, row)) for place, row in enumerate(table.rows)]
        for start in range(0, len(rows), BATCH):
            yield Batch(_batch, (bootstrap.RESAMPLES, shared, rows[start : start + BATCH]))


def _batch(given: tuple[int, _Board, Sequence[tuple[int, Record]]]) -> Iterator[Page]:
    # Another process has the number that stands in the module's text.
    bootstrap.RESAMPLES, shared, rows = given
    for place, record in rows:
        yield _page(shared, place, record, measured(record, shared.folder))


def _page(shared: _Board, place: int, record: Record, found: Measured) -> Page:
    table, row = shared.table, shared.table.rows[place]
    entry, history = entry_view(table, place), shared.history.get(key(table, row))
    measures, headline = found.measures, record.headline
    transfer = transfer_table(shared.transfers, record.submission, shared.titles)
    content = EntryPage(
        entry=entry,
        board=paths.board(table),
        compare=compare_link(table, place) if len(table.rows) > 1 else "",
        modality=table.modality.title,
        track=table.track,
        headline=headline,
        units=table.told(headline),
        positive=measures.positive,
        description=plain_text(record.description.get("description")),
        warnings=track_warnings(table.track) + _few(table),
        card=card_facts(record),
        training=training_facts(record),
        shares=_shares(measures),
        smallest=_smallest(table, measures),
        figures=shared.figures.all(record, found),
        confidence=_confidence(measures),
        flags=tuple(_flag(flag) for flag in record.flags),
        groups=groups_table(measures),
        worst_group=worst_group_words(measures),
        transfer=transfer,
        transfer_words=transfer_words(shared.transfers) if transfer else "",
        attack_seeds=attack_seeds_words(read_attack_seeds(record, shared.folder)),
        log=None
        if is_private(table.track)
        else training_figure(log_file(submissions_folder(), record.submission, record.modality)),
        run=run_facts(record, row.seconds),
        hashes=hash_facts(record),
        commands=commands(record),
        changes=history.changes if history else (),
        uncommitted=history.uncommitted if history else False,
    )
    return Page(
        entry.path,
        "entry.html.j2",
        content,
        title=f"{entry.title}: {table.modality.title}, {table.track} – OncoRobust",
        description=f"How robust {entry.title} is on {table.modality.title}, and how it was measured.",
        home=paths.home(table),
        track=table.track,
    )


def _few(table: Table) -> tuple[str, ...]:
    if table.patients >= MINIMUM_PATIENTS:
        return ()
    return (f"Only {table.patients} patients: no interval and no rank below {MINIMUM_PATIENTS}.",)


def _shares(found: Measures) -> Numbers:
    columns = [
        "",
        "balanced",
        "all images",
        "sensitivity",
        "specificity",
        "lower of both",
        "attack success, at least",
    ]
    lines = [
        Line(
            "nothing done" if point.epsilon == "0" else f"worst case at ε = {point.epsilon}, at most",
            tuple(
                share(each)
                for each in (
                    point.balanced,
                    point.accuracy,
                    point.sensitivity,
                    point.specificity,
                    point.lower,
                    point.attack_success,
                )
            ),
        )
        for point in (found.at("0"), found.at(found.headline))
    ]
    return Numbers(
        f"Percent of {found.images:,} images of {found.patients:,} patients, {found.positives:,} of the images positive: "
        f"{found.positive}. In small print the 95 % interval from resampled patients.",
        tuple(columns),
        tuple(lines),
    )


def _smallest(table: Table, found: Measures) -> Numbers:
    lines = []
    for name, quartiles in (
        ("all images, 0 where wrong already", found.minimal_epsilon),
        ("those right when clean", found.minimal_epsilon_of_right),
    ):
        cells = []
        values = (quartiles.lower, quartiles.median, quartiles.upper)
        for value, words in zip(values, quartiles.words(), strict=True):
            reached = words if value is not None else quartiles.end
            there = bool(quartiles.images)
            told = " ".join(table.modality.step(reached, table.notes)) if there else ""
            cells.append(Cell(words, f"{'> ' if value is None else ''}{told}" if told else ""))
        lines.append(Line(name, tuple(cells)))
    return Numbers(
        "The smallest change found that turns an image: ε on [0, 1], and beneath it in the unit of the images.",
        ("", "a quarter within", "half within", "three quarters within"),
        tuple(lines),
    )


def _confidence(found: Measures) -> Numbers:
    rows: list[tuple[str, str]] = [
        ("AUROC", "auroc"),
        ("Brier score", "brier"),
        ("expected calibration error", "calibration_error"),
    ]
    conditions: list[tuple[str, Confidence]] = [("clean", found.clean_confidence)]
    if found.attacked_confidence:
        conditions.append((f"attacked at ε = {found.headline}, never stopped", found.attacked_confidence))
    lines = [Line(name, tuple(three(getattr(each, field)) for _, each in conditions)) for name, field in rows]
    threshold = found.threshold
    at = (
        f" at the validation part's threshold ({number(threshold.specificity)} % specificity there)"
        if threshold
        else f" at {100 * SPECIFICITY:.0f} % specificity: no validation part"
    )
    lines += [
        Line(f"{name}{at}", tuple(share(getattr(each, name)) for _, each in conditions))
        for name in ("sensitivity", "specificity")
    ]
    lines.append(
        Line(
            f"wrong at a confidence above {100 * SURE:.0f} %",
            tuple(share(each.sure_errors) for _, each in conditions),
        )
    )
    return Numbers(
        "What the model's confidence is worth. Under attack these figures come from one attack that goes on to its last "
        "step on every image; shares in percent, 95 % intervals in small print. The calibration error is too large on few "
        "images; its interval is turned round it to take that away, and can lie below it (basic bootstrap).",
        ("", *(name for name, _ in conditions)),
        tuple(lines),
    )


def _flag(flag: Flag) -> FlagView:
    known = CHECKS.get(flag.id)
    told = f"{flag.value:.3g}, tolerance {flag.threshold:.3g}"
    return FlagView(flag.id, flag.severity, flag.sentence, told, known.asks if known else "")
