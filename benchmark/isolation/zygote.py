"""The harness's end: one zygote for each submission, and the workers that it forks."""

from __future__ import annotations

import atexit
import base64
import contextlib
import importlib.util
import json
import mmap
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from benchmark.errors import IsolationError, SubmissionError
from benchmark.isolation import frames, sandbox
from benchmark.isolation.choices import BUBBLEWRAP
from benchmark.isolation.filter import program
from benchmark.isolation.link import Limits, Worker

# Imported before a worker is forked where the submission's code names them: they take seconds.
LARGE = ("torchvision", "timm", "scipy")
PRELOADED = ("torch", "safetensors.torch", "benchmark.isolation.answer")
KEPT = 3  # zygotes without workers, for who asks again; each holds some hundred megabytes
PATIENCE = 120.0  # seconds for a zygote to import torch and what it is told


@dataclass(frozen=True)
class Place:
    """What a zygote is started for: a submission's folder, the files of it that workers see, and behind what walls."""

    folder: Path
    files: tuple[str, ...]
    how: str  # of sandbox.chosen
    cuda: bool = False
    limits: Limits = field(default_factory=Limits)


class Zygote:
    """A process that has imported torch and forks. It ends with this object, or with this process.

    Raises:
        IsolationError: it does not start.
    """

    def __init__(self, place: Place | None) -> None:
        """Start it. None: with nothing imported and no submission, to see whether workers' walls stand."""
        how = place.how if place else BUBBLEWRAP
        cuda = place.cuda if place else False
        walls = how == BUBBLEWRAP
        folders = sandbox.libraries()
        limits = asdict(place.limits if place else Limits()) | ({"memory": 0} if cuda else {})
        settings = {
            "libraries": [sandbox.inside(number) for number in range(len(folders))] if walls else folders,
            "import": [*PRELOADED, *_named(place)] if place else [],
            "walls": walls,
            "filter": base64.b64encode(program(cuda)).decode() if walls else "",
            "limits": limits,
            "submission": sandbox.SUBMISSION if walls else str(place.folder) if place else "",
        }
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.told = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._workers: weakref.WeakSet[Worker] = weakref.WeakSet()
        self.process = self._started(place, walls, theirs, cuda)
        theirs.close()
        self._end = weakref.finalize(self, _end, self.process, self.control, self.told)
        self.control.settimeout(PATIENCE)
        try:
            self.control.send(json.dumps(settings).encode())
            answer = json.loads(self.control.recv(1 << 16) or b"null")
        except (OSError, ValueError) as error:
            answer = {"failed": f"{type(error).__name__}: {error}"}
        if answer is None or "failed" in answer:
            reason = self._reason() or (answer or {}).get("failed", "it ended at once")
            self._end()
            raise IsolationError(f"the sandbox does not start: {frames.plain(reason)}")
        self.control.settimeout(None)

    def _started(
        self, place: Place | None, walls: bool, theirs: socket.socket, cuda: bool
    ) -> subprocess.Popen[bytes]:
        words = ["-I", "-S", "-B"]
        if walls:
            inner = f"{sandbox.HARNESS}/benchmark/isolation/worker.py"
            words += [inner, str(theirs.fileno())]
            folder, files = (place.folder, place.files) if place else (None, ())
            command = sandbox.command(words, folder, files, cuda)
            environment = {}  # bubblewrap's own would be seen inside, in /proc/1/environ
        else:
            inner = str(Path(__file__).with_name("worker.py"))
            command = [sandbox.interpreter(), *words, inner, str(theirs.fileno())]
            environment = sandbox.environment()
        nothing = subprocess.DEVNULL
        return subprocess.Popen(
            command,
            env=environment,
            cwd="/",
            stdin=nothing,
            stdout=nothing,
            stderr=self.told,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )

    def _reason(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(2)
        self.told.seek(0)
        lines = self.told.read(1 << 16).decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    @property
    def alive(self) -> bool:
        """Whether it can still be asked for workers."""
        return self._end.alive and self.process.poll() is None

    def worker(self, order: dict[str, Any], limits: Limits) -> Worker:
        """A new worker that builds a model by `order` (see `answer.build` and `answer.serve`).

        Raises:
            SubmissionError: the model cannot be built. IsolationError: the walls cannot be put up.
        """
        asked, theirs = socket.socketpair()
        life, kept = socket.socketpair()
        shared = os.memfd_create("oncorobust", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(shared, 2 * frames.HALF)
            _seal(shared)
            block = mmap.mmap(shared, 2 * frames.HALF)
            line = json.dumps(order).encode()
            socket.send_fds(self.control, [line], [theirs.fileno(), kept.fileno(), shared])
        except OSError as error:
            raise IsolationError(f"a worker cannot be started: {error.strerror or error}") from None
        finally:
            os.close(shared)
            theirs.close()
            kept.close()
        worker = Worker(asked, life, torch.frombuffer(block, dtype=torch.float32), limits)
        self._workers.add(worker)
        return worker

    @property
    def busy(self) -> bool:
        """Whether a worker of it can still be asked."""
        return any(worker.asked.fileno() >= 0 for worker in self._workers)

    def close(self) -> None:
        """End it and all its workers."""
        self._end()


def _end(process: subprocess.Popen[bytes], control: socket.socket, told: Any) -> None:
    control.close()
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)  # bubblewrap's: the kernel ends all that is inside with it
    process.wait()
    told.close()


def _seal(shared: int) -> None:
    """Nobody can cut the shared block short, which would end the harness with SIGBUS."""
    import fcntl

    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(shared, fcntl.F_ADD_SEALS, seals)


def _named(place: Place | None) -> Sequence[str]:
    """Large packages that the submission's code names."""
    if place is None:
        return ()
    text = "".join(
        (place.folder / name).read_text("utf-8", "replace") for name in place.files if name.endswith(".py")
    )
    return [name for name in LARGE if re.search(rf"\b{name}\b", text) and importlib.util.find_spec(name)]


@lru_cache(maxsize=8)
def _zygotes() -> dict[tuple[int, Place], Zygote]:
    running: dict[tuple[int, Place], Zygote] = {}
    atexit.register(_close_all, running)
    return running


def _close_all(running: dict[tuple[int, Place], Zygote]) -> None:
    for zygote in running.values():
        zygote.close()


def zygote_for(place: Place) -> Zygote:
    """The zygote of a place; one for each thread that asks, kept until that ends or others are wanted more.

    A sandbox dies with the thread that started it, so no thread may lean on another's.

    Raises:
        IsolationError: it does not start.
    """
    running = _zygotes()
    key = threading.get_ident(), place
    found = running.pop(key, None)
    if found is None or not found.alive:
        idle = [other for other, zygote in running.items() if not zygote.busy]
        for other in idle[: max(0, len(idle) - KEPT)]:  # the longest unasked first
            running.pop(other).close()
        found = Zygote(place)
    running[key] = found
    return found


def try_walls() -> None:
    """Start a zygote and a worker with nothing in them.

    Raises:
        IsolationError: a wall cannot be put up here.
    """
    zygote = Zygote(None)
    try:
        zygote.worker({}, Limits(build=20.0)).close()
    except SubmissionError as error:
        raise IsolationError(str(error)) from None
    finally:
        zygote.close()
