"""Pages → files: each page in the frame that all share, with navigation, warnings and stamp."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark.processes import in_parallel, worker_count
from leaderboard.paths import FEED, OVERVIEW
from leaderboard.source import Source
from leaderboard.uncollected import uncollected

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Page:
    """One page of the site.

    path: from the site's root. template: a file of templates/, which prints `page`, that is `content`: a frozen
    dataclass of strings. title, description: for browser tab and search engine. label: what the navigation calls it;
    empty where it should not lead there. home: the folder of the board that it belongs to, if any; its board is
    <home>/index.html, and `track` names the group it stands in.
    """

    path: str
    template: str
    content: Any
    title: str
    description: str
    label: str = ""
    home: str = ""
    track: str = ""


@dataclass(frozen=True)
class File:
    """A file of the site that is no page: text, written as UTF-8, or bytes."""

    path: str
    content: str | bytes


@dataclass(frozen=True)
class Batch:
    """Pages without labels that are made and rendered together, in another process where there are many batches.

    make: a function of a module. given: to it; what another process can be sent.
    """

    make: Callable[[Any], Iterable[Page]]
    given: Any


Maker: TypeAlias = Callable[[Source], Iterable[Page | File | Batch]]
# Batches from which on starting workers costs less than they save.
MANY = 6


@dataclass(frozen=True)
class Link:
    """Where the navigation leads. here: the page itself, or one below it."""

    label: str
    path: str
    here: bool


@dataclass(frozen=True)
class Group:
    """The boards of one track."""

    label: str
    links: tuple[Link, ...]


@dataclass(frozen=True)
class Frame:
    """What stands around a page.

    root: what brings an address back to the site's root: "", "../", "../../". sections: pages of the whole site.
    groups: all boards. around: the pages of this page's board.
    """

    path: str
    root: str
    title: str
    description: str
    private: bool
    sections: tuple[Link, ...]
    groups: tuple[Group, ...]
    around: tuple[Link, ...]
    feed: str
    stamp: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Site:
    """What all pages have around them. named: the pages with labels, without their content."""

    named: tuple[Page, ...]
    stamp: tuple[tuple[str, str], ...]
    private: bool
    feed: str


def rendered(
    made: Sequence[Page | File | Batch], stamp: tuple[tuple[str, str], ...], private: bool
) -> dict[str, bytes]:
    """Path → content of every file of the site.

    Args:
        made: what the makers made. stamp: for every footer. private: whether any of it is of a private track.

    Raises:
        ValueError: two of them claim one path.
    """
    pages = [each for each in made if isinstance(each, Page)]
    kept = [each for each in made if isinstance(each, File)]
    jobs = [each for each in made if isinstance(each, Batch)]
    site = Site(
        tuple(replace(each, content=None) for each in pages if each.label),
        stamp,
        private,
        FEED if any(each.path == FEED for each in kept) else "",
    )
    files: dict[str, bytes] = {}
    workers = worker_count(len(jobs)) if len(jobs) >= MANY else 1
    parts = (
        [(each.path, _bytes(each.content)) for each in kept],
        [(each.path, _render(each, site)) for each in pages],
        *in_parallel(_render_batch, ((each, site) for each in jobs), workers),
    )
    for path, content in chain.from_iterable(parts):
        if path in files:
            raise ValueError(f"two pages claim {path}")
        files[path] = content
    for file in sorted((HERE / "static").iterdir()):
        files[f"static/{file.name}"] = file.read_bytes()
    return files


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


@uncollected()
def _render_batch(job: tuple[Batch, Site]) -> list[tuple[str, bytes]]:
    batch, site = job
    return [(each.path, _render(each, site)) for each in batch.make(batch.given)]


def _render(page: Page, site: Site) -> bytes:
    frame = _frame(page, site)
    template = _environment().get_template(page.template)
    return template.render(page=page.content, frame=frame, root=frame.root).encode()


@cache
def _environment() -> Environment:
    # Escaping is set by hand: select_autoescape does not know names that end in .html.j2.
    return Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _frame(page: Page, site: Site) -> Frame:
    pages = site.named
    tracks = list(dict.fromkeys(each.track for each in pages if _is_board(each)))
    return Frame(
        path=page.path,
        root="../" * page.path.count("/"),
        title=page.title,
        description=page.description,
        private=site.private,
        sections=tuple(_link(each, page) for each in pages if each.label and not each.home),
        groups=tuple(
            Group(
                track, tuple(_link(each, page) for each in pages if _is_board(each) and each.track == track)
            )
            for track in tracks
        ),
        around=tuple(
            Link("board" if _is_board(each) else each.label, each.path, each.path == page.path)
            for each in pages
            if each.label and page.home and each.home == page.home
        ),
        feed=site.feed,
        stamp=site.stamp,
    )


def _is_board(page: Page) -> bool:
    return bool(page.home and page.label) and page.path == posixpath.join(page.home, OVERVIEW)


def _link(to: Page, page: Page) -> Link:
    return Link(to.label, to.path, to.path == page.path or (bool(to.home) and to.home == page.home))
