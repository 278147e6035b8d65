"""Records on disk → the site on disk, all of it or nothing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmark.errors import DataError
from leaderboard.frame import rendered
from leaderboard.measured import measured_meanwhile
from leaderboard.pages import MAKERS
from leaderboard.source import read_records, source_of
from leaderboard.stamp import stamp
from leaderboard.tracks import is_private
from leaderboard.uncollected import uncollected

__all__ = ["build", "read_records"]

# Only a folder that carries this line in its index.html is ours to replace.
GENERATOR = '<meta name="generator" content="OncoRobust leaderboard">'


@uncollected()
def build(results_root: Path, site: Path) -> Path:
    """Build the leaderboard from every record under a folder.

    Args:
        results_root: holds <track>/<modality>/<submission>.json.
        site: the folder to write; what an earlier build left there is replaced as a whole.

    Returns:
        The path of index.html.

    Raises:
        DataError: a record is damaged, records cannot be compared, or the site cannot be
            written; the old site is still there.
    """
    results_root, site = Path(results_root).resolve(), Path(site).resolve()
    _check_site(results_root, site)
    records, seconds = read_records(results_root)
    homes = [(record, results_root / record.track / record.modality) for record in records]
    with measured_meanwhile(homes):
        source = source_of(results_root, records, seconds)
        made = [each for maker in MAKERS for each in maker(source)]
    files = rendered(made, stamp(source), any(is_private(table.track) for table in source.tables))
    try:
        _replace_folder(site, files)
    except OSError as error:
        raise DataError(
            f"cannot write the site {site}: {error.strerror or error}; the old one is as it was. "
            "Make its parent folder writable, or name another one (ONCOROBUST_SITE)"
        ) from None
    return site / "index.html"


def _check_site(results_root: Path, site: Path) -> None:
    """Refuse a folder whose replacement would take somebody's files with it."""
    if results_root.is_relative_to(site):
        raise DataError(
            f"the site {site} holds the records {results_root}; name a folder of its own for the site"
        )
    if not site.exists() or (site.is_dir() and not any(site.iterdir())):
        return
    index = site / "index.html"
    if not index.is_file() or GENERATOR not in index.read_text(encoding="utf-8", errors="replace"):
        raise DataError(
            f"{site} is not a site that this command built; name an empty or a new folder for the site"
        )


def _replace_folder(site: Path, files: Mapping[str, bytes]) -> None:
    """Write everything beside the old site, then put it in its place."""
    site.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=site.parent, prefix=f".{site.name}."))
    try:
        new, old = work / "new", work / "old"
        new.mkdir()
        for name, content in files.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if site.exists():
            site.replace(old)
        try:
            new.replace(site)
        except OSError:
            if old.exists():
                old.replace(site)
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
