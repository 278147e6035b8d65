"""The process that computes for a worker. Orders come on stdin, a line of JSON each; answers leave on stdout.

It is apart from the worker so that the worker can end it: a model that hangs, holds the interpreter's lock or takes all
memory stops this process and no other. It ends with its worker, whatever it is at.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from pathlib import Path
from queue import Queue
from typing import Any

from benchmark.errors import BenchmarkError, ClusterError

_held: list[Any] = []  # the lock on this process's GPU, held to its end


def main() -> None:
    """Answer until the worker is gone."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    orders: Queue[dict[str, Any]] = Queue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    while True:
        answers.write(json.dumps(_answer(orders.get())) + "\n")
        answers.flush()


def _listen(orders: Queue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        orders.put(json.loads(line))
    os._exit(0)


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    try:
        return _describe(asked) if asked["do"] == "describe" else _compute(asked)
    except BenchmarkError as error:
        return {"trouble": str(error)}
    except Exception as error:
        traceback.print_exc()
        return {"trouble": f"{type(error).__name__}: {error}"}


def _describe(asked: dict[str, Any]) -> dict[str, Any]:
    """What only a process with torch knows."""
    import torch

    from benchmark.cluster.greeting import ours
    from benchmark.isolation import sandbox

    cuda = torch.cuda.is_available()
    if asked["device"] == "cuda" and cuda:
        hold_gpu()
    return ours() | {
        "devices": ["cpu", "cuda"] if cuda else ["cpu"],
        "processor": torch.cuda.get_device_name(0)
        if asked["device"] == "cuda" and cuda
        else torch.backends.cpu.get_cpu_capability(),
        "sandbox": sandbox.complaint() if asked["code"] else "",
    }


def _compute(asked: dict[str, Any]) -> dict[str, Any]:
    from benchmark.cluster.order import job_of
    from benchmark.evaluation.blocks import Job, run_job
    from benchmark.evaluation.health import run_fresh_job

    path = Path(asked["path"])
    job = job_of(asked["order"], path)
    if job.device.startswith("cuda"):
        hold_gpu()
    failure = None
    if isinstance(job, Job):
        failure = run_job(job)
    else:
        _save_margins(path, run_fresh_job(job))
    return {"memory": _most_memory()} | ({"failure": failure.reason} if failure else {})


def _most_memory() -> float:
    """The most that this process, or the largest of those it started, ever held, in MB."""
    import resource

    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(each).ru_maxrss for each in whose) / 1000


def _save_margins(path: Path, found: Any) -> None:
    from safetensors.numpy import save

    from benchmark.files import replace_file

    replace_file(path, save({"margins": found.margins, "patients": found.patients}))


def hold_gpu(name: str = "") -> None:
    """Take the first GPU that is visible for this process alone, until it ends.

    Args:
        name: of the GPU; its own where none is given.

    Raises:
        ClusterError: another worker on this machine computes on it.
    """
    import tempfile

    from filelock import FileLock, Timeout

    if _held:
        return
    if not name:
        import torch

        name = str(torch.cuda.get_device_properties(0).uuid)
    lock = FileLock(Path(tempfile.gettempdir()) / f"oncorobust-gpu-{name}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ClusterError(
            f"GPU {name} is another worker's; start one worker for each GPU, each with its own CUDA_VISIBLE_DEVICES"
        ) from None
    _held.append(lock)


if __name__ == "__main__":
    main()
