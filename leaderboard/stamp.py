"""What a site was built from: commits, protocols, dates; so the same records and the same code give the same bytes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmark import __version__
from benchmark.folders import ROOT
from leaderboard.source import Source


def stamp(source: Source) -> tuple[tuple[str, str], ...]:
    """Names and values, as a footer prints them; what is not known is left out."""
    protocols = sorted({f"{t.protocol['name']} v{t.protocol['version']}" for t in source.tables})
    found = (
        ("OncoRobust", __version__),
        ("code at commit", code_commit(ROOT)),
        ("records at commit", records_commit(source.results)),
        ("protocol", ", ".join(protocols)),
        ("records of", " to ".join(span(source.dates.values()))),
    )
    return tuple((name, value) for name, value in found if value)


def span(dates: Iterable[str]) -> tuple[str, ...]:
    """The first and the last of some days, one where they are the same, none of none."""
    known = sorted(dates)
    return tuple(dict.fromkeys((*known[:1], *known[-1:])))


def older_boards(results: Path) -> tuple[str, ...]:
    """The tags of commits that hold the last records of earlier protocol versions, `board-<protocol>-<version>`."""
    return (
        tuple(_git(results, "tag", "--list", "board-*", "--sort=-version:refname").split())
        if results.is_dir()
        else ()
    )


def records_commit(results: Path) -> str:
    """The last commit that changed the records; empty outside git, and where the records differ from it."""
    return _commit(results, ".")


def code_commit(root: Path) -> str:
    """The last commit that changed the code; empty outside git, and where the code differs from it."""
    return _commit(root, "benchmark", "leaderboard", ":(exclude)leaderboard/results")


def _commit(folder: Path, *what: str) -> str:
    if not folder.is_dir() or _git(folder, "status", "--porcelain", "--", *what):
        return ""
    return _git(folder, "log", "-1", "--abbrev=12", "--format=%h", "--", *what)


def _git(folder: Path, *words: str) -> str:
    command: Sequence[str] = ("git", "-C", str(folder), *words)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
