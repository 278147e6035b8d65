"""Pages → files: each page in the frame that all share, with navigation, warnings and stamp."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from leaderboard.paths import FEED, OVERVIEW
from leaderboard.source import Source

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


Maker: TypeAlias = Callable[[Source], Iterable[Page | File]]


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


def rendered(
    made: Sequence[Page | File], stamp: tuple[tuple[str, str], ...], private: bool
) -> dict[str, bytes]:
    """Path → content of every file of the site.

    Args:
        made: what the makers made. stamp: for every footer. private: whether any of it is of a private track.

    Raises:
        ValueError: two of them claim one path.
    """
    named = [each for each in made if isinstance(each, Page) and each.label]
    # Escaping is set by hand: select_autoescape does not know names that end in .html.j2.
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    files: dict[str, bytes] = {}
    feed = FEED if any(each.path == FEED for each in made) else ""
    for each in made:
        if each.path in files:
            raise ValueError(f"two pages claim {each.path}")
        if isinstance(each, Page):
            frame = _frame(each, named, stamp, private, feed)
            text = environment.get_template(each.template).render(
                page=each.content, frame=frame, root=frame.root
            )
            files[each.path] = text.encode()
        else:
            files[each.path] = each.content.encode() if isinstance(each.content, str) else each.content
    for path in sorted((HERE / "static").iterdir()):
        files[f"static/{path.name}"] = path.read_bytes()
    return files


def _frame(
    page: Page, pages: Sequence[Page], stamp: tuple[tuple[str, str], ...], private: bool, feed: str
) -> Frame:
    tracks = list(dict.fromkeys(each.track for each in pages if _is_board(each)))
    return Frame(
        path=page.path,
        root="../" * page.path.count("/"),
        title=page.title,
        description=page.description,
        private=private,
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
        feed=feed,
        stamp=stamp,
    )


def _is_board(page: Page) -> bool:
    return bool(page.home and page.label) and page.path == posixpath.join(page.home, OVERVIEW)


def _link(to: Page, page: Page) -> Link:
    return Link(to.label, to.path, to.path == page.path or (bool(to.home) and to.home == page.home))
