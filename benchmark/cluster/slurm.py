"""Scripts for SLURM: an array job of shares of the blocks and a job that merges them, or Dask's workers under srun.

Nothing in them needs a network, and nothing a lock: a block is a file that is there or not, on any shared file system. A
share that meets its time limit is put back into the queue and goes on from its files.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import ClusterError
from benchmark.files import replace_file
from benchmark.folders import cache_folder
from benchmark.processes import OWN_COMMAND

SETTINGS = (
    "ONCOROBUST_SUBMISSIONS",
    "ONCOROBUST_RESULTS",
    "ONCOROBUST_ISOLATION",
    "ONCOROBUST_RAN_BY",
    "PYTHONPATH",
)
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
WARNING = 120  # seconds before its time limit that a share is told


@dataclass(frozen=True)
class Request:
    """What is asked of SLURM.

    entries: (submission, modality). options: further words for `oncorobust evaluate` and `merge`, the track say.
    tasks: shares, or workers. gpus: for each of them, 0 or 1. limit: as sbatch --time. lines: further words for sbatch.
    """

    entries: tuple[tuple[str, str], ...]
    options: tuple[str, ...]
    tasks: int
    gpus: int
    limit: str
    folder: Path
    lines: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for line in (*self.lines, self.limit):
            if "\n" in line:
                raise ClusterError(f"a word for sbatch must be on one line (got {line!r})")


def array_scripts(request: Request) -> dict[str, str]:
    """blocks.sh, an array job of shares, and merge.sh, which comes after it: by name."""
    head = _head(
        request, "blocks", request.limit, [f"--array=1-{request.tasks}", "--requeue", "--open-mode=append"]
    )
    head += [f"#SBATCH --signal=B:USR1@{WARNING}", *_resources(request, 1)]
    share = f'"$SLURM_ARRAY_TASK_ID/{request.tasks}"'
    body = [
        *_environment(),
        "export ONCOROBUST_WORKERS=1",
        "again() {  # the time limit is near: finished blocks are kept, the rest goes back into the queue",
        '  kill "$child"; wait "$child"',
        '  scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"; exit 0',
        "}",
        "trap again USR1",
        "failed=0",
    ]
    for words in _commands(request, "evaluate"):
        body += [f"{words} --blocks {share} & child=$!", 'wait "$child" || failed=$?']
    merge = [
        *_head(request, "merge", request.limit, []),
        *_resources(request, 1),
        "",
        *_environment(),
        "failed=0",
    ]
    merge += [f"{words} || failed=$?" for words in _commands(request, "merge")]
    return {
        "blocks.sh": "\n".join([*head, "", *body, 'exit "$failed"', ""]),
        "merge.sh": "\n".join([*merge, 'exit "$failed"', ""]),
    }


def dask_scripts(request: Request) -> dict[str, str]:
    """cluster.sh: a scheduler, workers under srun, and the evaluations, in one job; by name."""
    address, certificates = (shlex.quote(str(request.folder / name)) for name in ("address", "certificates"))
    ours = _program()
    lines = [
        *_head(request, "cluster", request.limit, [f"--ntasks={request.tasks}"]),
        *_resources(request, None),
        "",
        *_environment(),
        f"rm -f {address}",
        f"[ -d {certificates} ] || {ours} cluster certificates {certificates}",
        f"export ONCOROBUST_CERTIFICATES={certificates}",
        f"{ours} cluster scheduler --host \"$(hostname -I | cut -d' ' -f1)\" --port 0 --file {address} & scheduler=$!",
        f"srun --ntasks={request.tasks} {'--gpus-per-task=1 ' if request.gpus else ''}{ours} cluster worker "
        f"@{address} & workers=$!",
        'trap \'kill "$scheduler" "$workers"\' EXIT',
        "failed=0",
    ]
    lines += [f"{words} --cluster @{address} || failed=$?" for words in _commands(request, "evaluate")]
    return {"cluster.sh": "\n".join([*lines, 'exit "$failed"', ""])}


def write_scripts(request: Request, scripts: dict[str, str]) -> list[Path]:
    """Into the request's folder.

    Raises:
        DataError: it cannot be written.
    """
    for name, text in scripts.items():
        replace_file(request.folder / name, text.encode())
    return [request.folder / name for name in scripts]


def submit(paths: Sequence[Path]) -> list[str]:
    """Hand scripts to sbatch, each after the one before; their job numbers.

    Raises:
        ClusterError: there is no sbatch here, or it refuses.
    """
    if shutil.which("sbatch") is None:
        raise ClusterError(
            "there is no sbatch here; copy the scripts to a machine of the cluster and submit them there"
        )
    numbers: list[str] = []
    for path in paths:
        after = [f"--dependency=afterany:{numbers[-1]}"] if numbers else []
        done = subprocess.run(
            ["sbatch", "--parsable", *after, str(path)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ClusterError(f"sbatch refused {path}: {done.stderr.strip() or done.stdout.strip()}")
        numbers.append(done.stdout.strip().partition(";")[0])
    return numbers


def _head(request: Request, name: str, limit: str, further: Sequence[str]) -> list[str]:
    log = request.folder / (f"{name}-%a.log" if name == "blocks" else f"{name}.log")
    words = [f"--job-name=oncorobust-{name}", f"--time={limit}", f"--output={log}", *further, *request.lines]
    return ["#!/bin/bash", *(f"#SBATCH {word}" for word in words)]


def _resources(request: Request, tasks: int | None) -> list[str]:
    words = [f"--ntasks={tasks}"] if tasks else []
    words += ["--cpus-per-task=1", *(["--gpus-per-task=1"] if request.gpus else [])]
    return [f"#SBATCH {word}" for word in words]


def _environment() -> list[str]:
    told = {"ONCOROBUST_CACHE": str(cache_folder())} | {
        n: os.environ[n] for n in SETTINGS if os.environ.get(n)
    }
    told |= dict.fromkeys(OFFLINE, "1")
    return [f"export {name}={shlex.quote(value)}" for name, value in told.items()]


def _commands(request: Request, command: str) -> list[str]:
    return [
        f"{_program()} {command} {shlex.join([name, '--modality', modality, *request.options])}"
        for name, modality in request.entries
    ]


def _program() -> str:
    installed = Path(sys.executable).with_name("oncorobust")
    if installed.exists():
        return shlex.quote(str(installed))
    return shlex.join(OWN_COMMAND)
