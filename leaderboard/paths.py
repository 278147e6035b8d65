"""Where everything stands in the site. These are permalinks: they stay, whatever a page looks like.

All paths count from the site's root, with forward slashes; a template puts `root` before them, so that
the site works from disk and below any address.
"""

from __future__ import annotations

import hashlib
from typing import Final

from leaderboard.tables import Table
from leaderboard.words import slug

OVERVIEW: Final = "index.html"
DATA: Final = "data.html"
METHOD: Final = "method.html"
STUDY: Final = "study.html"
FEED: Final = "feed.xml"

# The protocol whose board needs no name in its path.
PLAIN: Final = "standard"
RESERVED: Final = ("index", "compare", "images")


def table_name(table: Table) -> str:
    """What a table's files are called, and what its anchors begin with; different for different tables."""
    return "-".join(slug(part) for part in (table.track, table.modality.name, str(table.protocol["name"])))


def home(table: Table) -> str:
    """The folder of a table: "phantom/ct", and "phantom/ct/quick" for a protocol that is not `standard`."""
    parts = [slug(table.track), slug(table.modality.name)]
    protocol = str(table.protocol["name"])
    return "/".join(parts if protocol == PLAIN else [*parts, slug(protocol)])


def board(table: Table) -> str:
    """The board of a table."""
    return f"{home(table)}/index.html"


def entry(table: Table, submission: str) -> str:
    """The page of an entry in a table; an entry that is called as another page gets a digest behind its name."""
    name = slug(submission)
    if name in RESERVED:
        name = f"{name}-{hashlib.sha256(submission.encode()).hexdigest()[:6]}"
    return f"{home(table)}/{name}.html"


def compare(table: Table) -> str:
    """The comparison of a table's entries."""
    return f"{home(table)}/compare.html"


def images(table: Table) -> str:
    """The images of a table."""
    return f"{home(table)}/images.html"


def download(table: Table, ending: str) -> str:
    """A file of a table's numbers: `ending` is ".csv", "-curves.csv", … Its name says what it is wherever it is saved."""
    return f"{home(table)}/{table_name(table)}{ending}"
