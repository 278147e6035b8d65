"""When a record came and changed, as the repository tells it: the same of one commit, whoever asks."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MOST = 10  # changes of one record


@dataclass(frozen=True)
class Change:
    """A commit that wrote a record: its day, its first twelve digits, its subject."""

    day: str
    commit: str
    subject: str


@dataclass(frozen=True)
class History:
    """changes: the newest first. uncommitted: whether the record is another one than the last of them wrote."""

    changes: tuple[Change, ...]
    uncommitted: bool


def read_history(results_root: Path) -> Mapping[str, History]:
    """Of every record under a folder, keyed "<track>/<modality>/<submission>"; empty outside of a repository."""
    log = _git(results_root, "log", "--format=%x01%H%x02%cs%x02%s", "--name-only", "--no-renames", "--", ".")
    if log is None:
        return {}
    changed = set((_git(results_root, "diff", "--name-only", "HEAD", "--", ".") or "").splitlines())
    found: dict[str, list[Change]] = {}
    for block in log.split("\x01")[1:]:
        head, _, names = block.partition("\n")
        commit, day, subject = head.split("\x02", 2)
        for name in names.split("\n"):
            home, dot, rest = name.partition(".json")
            # Second opinions, timings and the like have a second ending.
            if dot and not rest and "." not in home.rpartition("/")[2]:
                found.setdefault(home, []).append(Change(day, commit[:12], subject))
    return {
        home: History(tuple(changes[:MOST]), f"{home}.json" in changed) for home, changes in found.items()
    }


def _git(folder: Path, command: str, *arguments: str) -> str | None:
    """What git says of a folder, paths relative to it; None where there is no git or no repository."""
    try:
        # No pager, no hooks, no configuration of the user's that would change what is printed.
        done = subprocess.run(
            ["git", "-c", "core.quotePath=false", "-C", str(folder), command, "--relative", *arguments],
            capture_output=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
