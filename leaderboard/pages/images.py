"""The images of a board: which fall first and which last, what was changed of them, and what each entry then says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.evidence.pictures import Attacked, Picture, Pictures, read_pictures
from benchmark.measures import positive_words
from benchmark.measures.fragility import KINDS, fragility
from benchmark.record import Record
from leaderboard import paths
from leaderboard.entries import title
from leaderboard.frame import File, Page
from leaderboard.parts import Cell, Line, Numbers
from leaderboard.source import Source
from leaderboard.tables import Table
from leaderboard.tracks import is_private, track_warnings
from leaderboard.words import slug

LISTED = 10  # images at either end of the table


@dataclass(frozen=True)
class AttackedView:
    """What became of one image under one entry's attack. turned: whether the battery turned it at the headline ε."""

    entry: str
    path: str
    image: str
    change: str
    image_words: str
    change_words: str
    before: str
    after: str
    turned: bool
    smallest: str


@dataclass(frozen=True)
class PictureView:
    """One image of the split. anchor: its permalink in the page."""

    anchor: str
    name: str
    truth: str
    image: str
    words: str
    attacked: tuple[AttackedView, ...]


@dataclass(frozen=True)
class KindView:
    """Images that were chosen for one reason."""

    name: str
    words: str
    pictures: tuple[PictureView, ...]


@dataclass(frozen=True)
class ImagesPage:
    """images.html. low, high: what black and white of a change stand for. made: how they came about; empty without.

    magnified: how much larger than the change the picture of it is.
    """

    board: str
    title: str
    track: str
    headline: str
    units: str
    positive: str
    warnings: tuple[str, ...]
    width: int
    height: int
    low: str
    high: str
    made: str
    magnified: str
    kinds: tuple[KindView, ...]
    fragile: Numbers | None


def pages(source: Source) -> Iterator[Page | File]:
    """A page for each board that has pictures, or images that may be named."""
    for table in source.tables:
        records = source.of(table)
        shown = read_pictures(source.folder(table), records)
        judged = _judged(records, shown[0] if shown else None)
        fragile = None if is_private(table.track) or not judged else _fragile(table, judged)
        if shown is None and fragile is None:
            continue
        yield Page(
            paths.images(table),
            "images.html.j2",
            _page(table, shown[0] if shown else None, {r.submission: r for r in records}, fragile),
            title=f"Images: {table.modality.title}, {table.track} – OncoRobust",
            description=f"The most and the least fragile images of {table.modality.title}, as they are and attacked.",
            label="images",
            home=paths.home(table),
            track=table.track,
        )
        for name, content in (shown[1] if shown else {}).items():
            yield File(_path(table, name), content)


def _judged(records: Sequence[Record], shown: Pictures | None) -> list[Record]:
    """The entries over which fragility is told: those with pictures, else all that look at images."""
    named = [record for record in records if shown and record.submission in shown.records]
    return named or [record for record in records if record.description.get("kind") != "baseline"]


def _path(table: Table, name: str) -> str:
    return f"{paths.home(table)}/images/{name}"


def _page(
    table: Table, shown: Pictures | None, records: Mapping[str, Record], fragile: Numbers | None
) -> ImagesPage:
    headline = table.protocol["headline"]
    amount, unit = table.modality.step(headline, table.notes)
    kinds = []
    for name, words in KINDS.items() if shown else ():
        chosen = [picture for picture in shown.pictures if picture.kind == name] if shown else []
        if chosen:
            kinds.append(KindView(name, words, tuple(_picture(table, each, records) for each in chosen)))
    made = ""
    if shown:
        made = (
            f"Made by {shown.attack}, which was never stopped, at ε = {shown.epsilon}; its margins are those of the records"
            f"{f' to {shown.difference:.1g} T' if shown.difference else ''}. Pictures have 8 bits: a step of ε is there "
            f"{255 * float(shown.epsilon):.2g} of 255 grey levels, so the change is shown "
            "magnified beside them: full black and full white are a change of ε."
        )
    return ImagesPage(
        board=paths.board(table),
        title=table.modality.title,
        track=table.track,
        headline=headline,
        units=table.told(headline),
        positive=positive_words(table.modality.name, table.track),
        warnings=track_warnings(table.track),
        width=shown.width if shown else 0,
        height=shown.height if shown else 0,
        low=f"−{amount} {unit}",
        high=f"+{amount} {unit}",
        made=made,
        magnified=f"{1 / (2 * float(shown.epsilon)):,.0f} times" if shown else "",
        kinds=tuple(kinds),
        fragile=fragile,
    )


def _picture(table: Table, picture: Picture, records: Mapping[str, Record]) -> PictureView:
    truth, places = _class(table, picture.label), {row.submission: at for at, row in enumerate(table.rows)}
    name = "an image of this folder" if is_private(table.track) else picture.image_id
    return PictureView(
        anchor=f"image-{picture.image.removesuffix('.png')}"
        if is_private(table.track)
        else f"image-{slug(picture.image_id)}",
        name=name,
        truth=truth,
        image=_path(table, picture.image),
        words=f"{name}, {truth}, as it is",
        attacked=tuple(
            _attacked(table, picture, each, name, records[each.submission])
            for each in sorted(picture.attacked, key=lambda each: places[each.submission])
        ),
    )


def _attacked(table: Table, picture: Picture, each: Attacked, name: str, record: Record) -> AttackedView:
    row = list(record.image_ids).index(picture.image_id)
    smallest, end = float(record.minimal_epsilon[row]), record.epsilons[-1]
    beyond = smallest > float(end)
    told = end if beyond else f"{smallest:.4f}"
    entry = str(title(next(r for r in table.rows if r.submission == each.submission)))
    units = " ".join(table.modality.step(told, table.notes))
    return AttackedView(
        entry=entry,
        path=paths.entry(table, each.submission),
        image=_path(table, each.image),
        change=_path(table, each.change),
        image_words=f"{name} attacked for {entry}",
        change_words=f"What was changed of {name} for {entry}, magnified",
        before=_answer(table, picture.label, each.clean_margin),
        after=_answer(table, picture.label, each.margin),
        turned=not bool(record.robust(record.headline)[row]),
        smallest=f"{'not turned up to' if beyond else 'turned by'} ε = {told} ({units})",
    )


def _answer(table: Table, label: int, margin: float) -> str:
    """What a model says whose margin for the true class is this; a tie counts as wrong."""
    return _class(table, label if margin > 0 else 1 - label)


def _class(table: Table, label: int) -> str:
    return table.modality.positive if label == 1 else table.modality.negative


def _fragile(table: Table, records: Sequence[Record]) -> Numbers:
    """Both ends of the split by the median of the entries' minimal ε, of images that all answer rightly when clean."""
    first, order = records[0], fragility(records)
    right = np.logical_and.reduce([record.clean_correct for record in records])
    turned = np.sum([~record.robust(record.headline) for record in records], axis=0)
    ranked = [int(row) for row in np.lexsort((np.array(first.image_ids), order)) if right[row]]
    ends = ranked if len(ranked) <= 2 * LISTED else ranked[:LISTED] + ranked[-LISTED:]
    end = float(first.epsilons[-1])
    lines = []
    for row in ends:
        beyond = order[row] > end
        told = first.epsilons[-1] if beyond else f"{order[row]:.4f}"
        sign = "> " if beyond else ""
        lines.append(
            Line(
                first.image_ids[row],
                (
                    Cell(_class(table, int(first.labels[row]))),
                    Cell(f"{sign}{told}", f"{sign}{' '.join(table.modality.step(told, table.notes))}"),
                    Cell(f"{int(turned[row])} of {len(records)}"),
                ),
            )
        )
    names = ", ".join(record.submission for record in records[:6]) + (" …" if len(records) > 6 else "")
    return Numbers(
        f"The {LISTED} most and the {LISTED} least fragile of {len(ranked):,} images that all of {len(records)} entries "
        f"answer rightly when clean ({names}).",
        ("image", "truth", "median minimal ε", f"entries turned at ε = {first.headline}"),
        tuple(lines),
    )
