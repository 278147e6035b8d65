"""What runs in a Dask worker: plain functions of plain data, called by name.

The work itself is done by its child; this process never loads torch.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from shutil import rmtree
from typing import Any

from benchmark.cluster import store
from benchmark.errors import BenchmarkError, ClusterError
from benchmark.processes import THREADS

ARRIVE = 600.0  # seconds that a block waits for its data
START = 120.0  # seconds that a child may take to load torch

_one_at_a_time = threading.Lock()  # whatever number of threads a worker was started with


class Child:
    """The process that computes, started when there is something to do, and again after it was ended."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.turn = threading.Lock()

    def ask(self, question: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Its answer.

        Raises:
            ClusterError: it was killed, or took longer than `seconds` and is stopped now.
        """
        with self.turn:
            process = self._running()
            assert process.stdin
            assert process.stdout
            try:
                process.stdin.write(json.dumps(question) + "\n")
                process.stdin.flush()
                ready, _, _ = select.select([process.stdout], [], [], seconds)
            except OSError:
                ready = [process.stdout]
            line = process.stdout.readline() if ready else ""
            if line:
                return json.loads(line)
            self.stop()
        if ready:
            raise ClusterError("its process was killed, most likely for want of memory")
        raise ClusterError(f"it took longer than {seconds:.0f} s and was stopped")

    def stop(self) -> None:
        """End it, whatever it is at."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _running(self) -> subprocess.Popen[str]:
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmark.cluster.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | dict.fromkeys(THREADS, "1"),
            )
        return self.process


child = Child()


async def describe(code: bool, device: str) -> dict[str, Any]:
    """What this worker is: its versions, and what it can do.

    Args:
        code: whether a sandbox is needed. device: "cpu" or "cuda".
    """
    question = {"do": "describe", "code": code, "device": device}
    try:
        return await asyncio.to_thread(child.ask, question, START)
    except BenchmarkError as error:
        return {"trouble": str(error)}


def missing(sums: Sequence[str]) -> list[str]:
    """Which files it must be sent."""
    return store.missing(sums)


def receive(sha256: str, offset: int, content: bytes, last: bool) -> str:
    """Take in a piece of a file; what went wrong, or nothing."""
    try:
        store.receive(sha256, offset, content, last)
    except BenchmarkError as error:
        return str(error)
    return ""


def compute(order: dict[str, Any], needs: Sequence[str], limit: float) -> dict[str, Any]:
    """Carry out an order.

    Args:
        needs: checksums of the files that must be here first. limit: seconds that it may take.

    Returns:
        `worker`, its address, and one of: `file` and its `sha256`; `failure`, of the model or an attack, which would be
        the same anywhere; `trouble`, of this worker, which another one may not have.
    """
    from distributed import get_worker

    told: dict[str, Any] = {"worker": get_worker().address}
    try:
        with _one_at_a_time:
            store.wait_for(needs, ARRIVE)
            folder = store.scratch()
            try:
                path, started = folder / "result.safetensors", time.perf_counter()
                answer = child.ask({"do": "compute", "order": order, "path": str(path)}, limit)
                told |= answer | {"seconds": time.perf_counter() - started}
                if not {"failure", "trouble"} & answer.keys():
                    content = path.read_bytes()
                    told |= {"file": content, "sha256": hashlib.sha256(content).hexdigest()}
            finally:
                rmtree(folder, ignore_errors=True)
    except (BenchmarkError, OSError) as error:
        told["trouble"] = str(error)
    return told
