"""Records that hold become one commit on the main branch. No foreign code runs where this has a key to push with."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmark.errors import DataError
from benchmark.forge.change import git
from benchmark.forge.plan import Job
from benchmark.forge.receive import receive_all
from leaderboard.build import read_records
from leaderboard.paper import read_papers
from leaderboard.readme import update_readme

TRIES = 4
AUTHOR = ("-c", "user.name=OncoRobust", "-c", "user.email=oncorobust@users.noreply.github.com")
# Nothing else may be in the commit, whatever the code above did.
WRITTEN = ("leaderboard/results/", "README.md")


def publish(
    repository: Path, jobs: Sequence[Job], returned: Path, remote: str = "origin", branch: str = "main"
) -> Iterator[str]:
    """Write what holds of what came back into a commit, and push it; tried again on the new end if others pushed meanwhile.

    Args:
        repository: a clone of the harness that runs this. returned: a folder for each job, by its title.

    Yields:
        Lines for the log: what was written, what was left out and why, the commit.

    Raises:
        DataError: nothing holds, or the branch cannot be pushed.
    """
    for attempt in range(TRIES):
        git(repository, "fetch", "--quiet", remote, f"refs/heads/{branch}")
        tip = git(repository, "rev-parse", "FETCH_HEAD").decode().strip()
        with _tree(repository, tip) as tree, _writing_to(tree):
            written, refused = receive_all(jobs, returned)
            if not attempt:
                yield from written
                yield from (f"left out: {told}" for told in refused)
            if not written:
                raise DataError(
                    "nothing of what the jobs gave back holds, so nothing is published: " + "; ".join(refused)
                )
            _write_readme(tree)
            commit = _commit(tree, jobs)
            if not commit:
                yield "the results are there already"
                return
            try:
                git(tree, "push", "--quiet", remote, f"{commit}:refs/heads/{branch}")
            except DataError as error:
                problem = str(error)
                continue
            yield f"published {commit[:12]}"
            return
    raise DataError(f"the results could not be pushed after {TRIES} tries: {problem}; run the job again")


def _write_readme(tree: Path) -> None:
    """The tables of the README, from all records that are there now."""
    results = tree / "leaderboard" / "results"
    records = [record for record in read_records(results)[0] if record.track == "phantom"]
    update_readme(tree / "README.md", records, read_papers(results, records))


def _commit(tree: Path, jobs: Sequence[Job]) -> str:
    """Commit what was written; empty where nothing changed.

    Raises:
        DataError: something else than results was changed.
    """
    git(tree, "add", "--all", "--", *WRITTEN)
    staged = git(tree, "diff", "--cached", "--name-only", "-z").decode().split("\0")[:-1]
    foreign = [path for path in staged if not path.startswith(WRITTEN)]
    if foreign:
        raise DataError(
            f"a publication may change results alone, and this one changes {', '.join(foreign[:3])}"
        )
    if not staged:
        return ""
    names = ", ".join(sorted({job.entry for job in jobs}))
    git(
        tree,
        *AUTHOR,
        "commit",
        "--quiet",
        "--no-verify",
        "-m",
        f"Record {names[:60]}",
        "-m",
        "Written by the evaluation.",
    )
    return git(tree, "rev-parse", "HEAD").decode().strip()


@contextmanager
def _tree(repository: Path, commit: str) -> Iterator[Path]:
    """The files of a commit, beside the clone's own."""
    with tempfile.TemporaryDirectory(prefix="oncorobust-publish-") as work:
        tree = Path(work) / "tree"
        git(repository, "worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            git(repository, "worktree", "remove", "--force", str(tree))


@contextmanager
def _writing_to(tree: Path) -> Iterator[None]:
    """Entries are read from there, and records written there."""
    places = {
        "ONCOROBUST_SUBMISSIONS": str(tree / "submissions"),
        "ONCOROBUST_RESULTS": str(tree / "leaderboard" / "results"),
        "ONCOROBUST_ATTACKS": str(tree / "submissions" / "attacks"),
    }
    before = {name: os.environ.get(name) for name in places}
    os.environ.update(places)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
