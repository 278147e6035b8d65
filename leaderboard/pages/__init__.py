"""The pages of the site, one module each, in the order of the navigation.

A module has a frozen dataclass that holds every string of its page, and `pages(source)`, which yields `Page`s and the
`File`s (text or bytes) that go with them. A new page is a new module here, a template that extends `base.html.j2`, and
its name in `MAKERS`. Where a page stands is decided in `leaderboard.paths`.
"""

from __future__ import annotations

from leaderboard.frame import Maker
from leaderboard.pages import board, compare, data, entry, feed, images, method, overview, study

MAKERS: tuple[Maker, ...] = (
    overview.pages,
    board.pages,
    entry.pages,
    compare.pages,
    images.pages,
    data.pages,
    method.pages,
    study.pages,
    feed.pages,
)
