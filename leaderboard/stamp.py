"""What a site was built from: commit, protocols, dates. Taken from the records, so the same records give the same bytes."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmark import __version__
from leaderboard.source import Source


def stamp(source: Source) -> tuple[tuple[str, str], ...]:
    """Names and values, as a footer prints them; what is not known is left out."""
    protocols = sorted({f"{t.protocol['name']} v{t.protocol['version']}" for t in source.tables})
    dates = sorted(source.dates.values())
    span = dates[:1] if dates[:1] == dates[-1:] else [dates[0], dates[-1]]
    found = (
        ("OncoRobust", __version__),
        ("records at commit", _commit(source.results)),
        ("protocol", ", ".join(protocols)),
        ("records of", " to ".join(span)),
    )
    return tuple((name, value) for name, value in found if value)


def older_boards(results: Path) -> tuple[str, ...]:
    """The tags of commits that hold the last records of earlier protocol versions, `board-<protocol>-<version>`."""
    return (
        tuple(_git(results, "tag", "--list", "board-*", "--sort=-version:refname").split())
        if results.is_dir()
        else ()
    )


def _commit(results: Path) -> str:
    """The last commit that changed the records; empty outside git, and where the records differ from it."""
    if not results.is_dir() or _git(results, "status", "--porcelain", "--", "."):
        return ""
    return _git(results, "log", "-1", "--abbrev=12", "--format=%h", "--", ".")


def _git(folder: Path, *words: str) -> str:
    command: Sequence[str] = ("git", "-C", str(folder), *words)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
