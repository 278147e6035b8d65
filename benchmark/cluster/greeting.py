"""Before any work: do the workers run the same code as whoever asks, and can they do what is asked?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmark import __version__
from benchmark.evaluation.harness import harness_sha256
from benchmark.protocol import ENGINE

VERSIONED = ("torch", "torchattacks", "numpy")
SAME = "install the same versions on every machine: pip install 'oncorobust[cluster]'"


def ours() -> dict[str, Any]:
    """What must be the same on both sides, without a look at torch."""
    found: dict[str, Any] = {"oncorobust": __version__, "engine": ENGINE, "harness": harness_sha256()}
    for package in VERSIONED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found


def complaints(worker: str, told: Any, threads: int, device: str) -> Iterator[str]:
    """Why a worker cannot take part, a sentence each.

    Args:
        told: what `task.describe` gave there, or what was raised instead.
        threads: tasks that it would run at once. device: what is computed on, "cpu" or "cuda".
    """
    if not isinstance(told, Mapping):
        yield f"worker {worker} has no oncorobust to run ({type(told).__name__}: {told}); {SAME}"
        return
    if "trouble" in told:
        yield f"worker {worker} cannot start: {told['trouble']}"
        return
    mine = ours()
    other = [
        f"{name} {_short(told.get(name))}, here {_short(mine[name])}"
        for name in mine
        if told[name] != mine[name]
    ]
    if other:
        yield f"worker {worker} has {'; '.join(other)}; {SAME}"
    if threads != 1:
        yield (
            f"worker {worker} would run {threads} blocks at once; start it by oncorobust cluster worker, or with "
            "--nthreads 1"
        )
    if device not in told["devices"]:
        yield f"worker {worker} has no {device} device; start it where there is one, or ask with --device cpu"
    if told["sandbox"]:
        yield f"worker {worker} has no sandbox for the code of a submission: {told['sandbox']}"


def _short(value: Any) -> str:
    return str(value)[:12]
