"""The feed of new entries: Atom (RFC 4287), one entry for each dated record, the newest first."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from xml.etree import ElementTree

from leaderboard import paths
from leaderboard.entries import title
from leaderboard.frame import File, Page
from leaderboard.source import Source, key
from leaderboard.tables import Row, Table
from leaderboard.tracks import is_private
from leaderboard.words import number, plain_text

ATOM = "http://www.w3.org/2005/Atom"
LENGTH = 100
# Names in a feed must be the same for ever and everywhere, wherever the site stands.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "oncorobust:leaderboard")


def pages(source: Source) -> Iterator[Page | File]:
    """feed.xml, where any record of a public track says when it was made."""
    dated = [
        (source.dates[key(table, row)], table, row)
        for table in source.tables
        for row in table.rows
        if not is_private(table.track) and key(table, row) in source.dates
    ]
    if not dated:
        return
    dated.sort(key=lambda each: (each[0], key(each[1], each[2])), reverse=True)
    feed = ElementTree.Element("feed", {"xmlns": ATOM, "xml:lang": "en"})
    _add(feed, "id", NAMESPACE.urn)
    _add(feed, "title", "OncoRobust: new entries")
    _add(feed, "updated", _moment(dated[0][0]))
    # Many readers keep no base; without an address of the site the links hold below wherever the feed was read.
    _add(feed, "link", rel="self", href=source.address + paths.FEED, type="application/atom+xml")
    _add(feed, "link", rel="alternate", href=source.address + paths.OVERVIEW, type="text/html")
    _add(_add(feed, "author"), "name", "The OncoRobust developers")
    for date, table, row in dated[:LENGTH]:
        _entry(
            feed,
            source.address,
            date,
            table,
            row,
            str(source.record(table, row).provenance.get("identity", "")),
        )
    ElementTree.indent(feed)
    text = ElementTree.tostring(feed, encoding="unicode")
    yield File(paths.FEED, f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n')


def _entry(feed: ElementTree.Element, address: str, date: str, table: Table, row: Row, identity: str) -> None:
    told, headline = _add(feed, "entry"), table.protocol["headline"]
    name = f"{key(table, row)}/{table.protocol['name']}/{table.protocol['version']}/{identity}"
    _add(told, "id", uuid.uuid5(NAMESPACE, name).urn)
    _add(told, "title", f"{title(row)}: {table.modality.title}, {table.track}")
    _add(told, "published", _moment(date))
    _add(told, "updated", _moment(date))
    _add(told, "link", rel="alternate", href=address + paths.entry(table, row.submission), type="text/html")
    for author in row.description.get("authors") or ("not told",):
        _add(_add(told, "author"), "name", plain_text(author))
    rank = row.standing.rank
    _add(
        told,
        "summary",
        f"At most {number(row.balanced.value)} % balanced in the worst case at ε = {headline} "
        f"({table.told(headline)}); {f'rank {rank.words}' if rank else row.unranked_because}.",
    )


def _add(parent: ElementTree.Element, tag: str, text: str = "", **attributes: str) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, tag, attributes)
    # XML has no place for control characters, not even escaped.
    element.text = "".join(filter(str.isprintable, text)) or None
    return element


def _moment(date: str) -> str:
    return f"{date}T00:00:00Z"
