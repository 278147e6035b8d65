"""What a pull request changes, read from git's objects. Nothing of it is checked out, filtered, or run.

git is asked by its plumbing alone, with full commit ids, without hooks, attributes or external programs.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import DataError

COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
PLAIN_FILE, RUNNABLE, LINK, MODULE = "100644", "100755", "120000", "160000"
KEY = ("GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_")
QUIET = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.quotePath=true")


@dataclass(frozen=True)
class Changed:
    """One path. status: A, M, D or T as git has them; mode and size are those after the change, 0 bytes where it is gone."""

    path: str
    status: str
    mode: str
    blob: str
    size: int


def changes(repository: Path, base: str, head: str) -> tuple[Changed, ...]:
    """All paths that differ between where a branch left the main branch and its end; renames are two paths.

    Args:
        base, head: full commit ids.

    Raises:
        DataError: one is no commit id, or is not here.
    """
    since = git(repository, "merge-base", _commit(base), _commit(head)).decode().strip()
    raw = git(repository, "diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", since, head)
    fields = raw.decode("utf-8", "surrogateescape").split("\0")[:-1]
    found = []
    for told, path in zip(fields[::2], fields[1::2], strict=True):
        _, mode, _, blob, status = told.lstrip(":").split(" ")
        found.append((path, status[0], mode, blob))
    sizes = _sizes(repository, [blob for _, status, mode, blob in found if status != "D" and mode != MODULE])
    return tuple(Changed(*each, sizes.get(each[3], 0)) for each in found)


def files_at(repository: Path, commit: str, folder: str) -> tuple[Changed, ...]:
    """Every file under a folder at a commit, as if each had just been added."""
    raw = git(repository, "ls-tree", "-r", "-z", "-l", "--full-tree", _commit(commit), "--", f"{folder}/")
    found = []
    for line in raw.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        told, _, path = line.partition("\t")
        mode, _, blob, size = told.split()
        found.append(Changed(path, "A", mode, blob, int(size) if size.isdecimal() else 0))
    return tuple(found)


def content(repository: Path, blob: str) -> bytes:
    """The bytes of a file, as they were committed."""
    return git(repository, "cat-file", "blob", _commit(blob))


def git(repository: Path, *words: str, given: bytes = b"") -> bytes:
    """What a git command prints.

    Raises:
        DataError: it fails; with what it said.
    """
    environment = {
        name: os.environ[name] for name in ("PATH", "HOME", "SSH_AUTH_SOCK", "LANG") if name in os.environ
    }
    # How a job that pushes gives its key: to git alone, for the length of one command.
    environment |= {name: value for name, value in os.environ.items() if name.startswith(KEY)}
    environment |= {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": "file:https:ssh",
    }
    done = subprocess.run(
        ["git", *QUIET, *words],
        cwd=repository,
        input=given,
        capture_output=True,
        check=False,
        env=environment,
    )
    if done.returncode:
        told = done.stderr.decode("utf-8", "replace").strip()[:500]
        raise DataError(f"git {words[0]} failed in {repository}: {told}")
    return done.stdout


def _sizes(repository: Path, blobs: list[str]) -> dict[str, int]:
    told = git(repository, "cat-file", "--batch-check", given="".join(f"{blob}\n" for blob in blobs).encode())
    lines = (line.split() for line in told.decode().splitlines())
    return {words[0]: int(words[2]) for words in lines if len(words) == 3}


def _commit(given: str) -> str:
    if not COMMIT.fullmatch(given):
        raise DataError(f"{given[:60]!r} is no full commit id; give all of its digits")
    return given
