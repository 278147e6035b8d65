"""The process inside of the sandbox. It imports torch once and forks; each fork builds one model and answers for it.

Started as `python -I -S -B worker.py DESCRIPTOR`, with one socket, on which it gets settings as one line of JSON and
then orders, each with three descriptors: the worker's socket, its life, the shared memory. The life's other end
is the harness's: a worker whose life is closed is killed by its keeper, which waits beside it outside of its walls.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

LINE = 1 << 16  # bytes of settings or of an order
Settings = dict[str, Any]  # libraries, import, walls, filter, limits, submission: see `zygote`


def main() -> None:
    """Serve one harness until it goes."""
    control = socket.socket(fileno=int(sys.argv[1]))
    settings = json.loads(control.recv(LINE))
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    sys.path += settings["libraries"]
    try:
        _settle(settings)
    except Exception as error:
        control.send(json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode())
        return
    control.send(b"{}")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are not waited for
    while True:
        line, descriptors, _, _ = socket.recv_fds(control, LINE, 3)
        if not line:
            return
        if os.fork() == 0:
            control.close()
            _keep(settings, json.loads(line), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _settle(settings: Settings) -> None:
    """What every worker inherits."""
    from benchmark.isolation import walls

    with contextlib.suppress(OSError):  # where memory is short, the kernel is to end these processes first
        Path("/proc/self/oom_score_adj").write_text("1000")
    if settings["walls"]:
        walls.hide()
    if not settings["import"]:
        return
    import torch

    from benchmark.allocator import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(1)
    torch.backends.cpu.get_cpu_capability()  # found out from /proc, which workers do not see
    for name in settings["import"]:
        importlib.import_module(name)


def _keep(settings: Settings, order: dict[str, Any], asked: int, life: int, shared: int) -> None:
    """Make the worker, outlive it, and tell the harness how it ended. Never returns."""
    told = b""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        from benchmark.isolation import walls

        size = walls.size() if settings["walls"] else 0
        if settings["walls"]:
            walls.hide()
            walls.separate()
        child = os.fork()
        if child == 0:
            os.close(life)
            _work(settings, order, asked, shared, size)
            os._exit(0)
        os.close(asked)
        os.close(shared)
        ended = os.pidfd_open(child)
        ready, _, _ = select.select([ended, life], [], [])
        if ended not in ready:
            os.kill(child, signal.SIGKILL)
        told = os.waitpid(child, 0)[1].to_bytes(4, "little")
    except Exception as error:
        told = f"{type(error).__name__}: {error}".encode()
    finally:
        with contextlib.suppress(OSError):
            os.write(life, told)
        os._exit(0)


def _work(settings: Settings, order: dict[str, Any], asked: int, shared: int, size: int) -> None:
    """Put up the walls, build the model, answer."""
    from benchmark.isolation import talk, walls

    harness = talk.Harness(asked)
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(nothing, standard)
        block = talk.mapped(shared)
        if settings["walls"]:
            walls.hide()
            walls.limit(settings["limits"], size + len(block))
            walls.close_in(base64.b64decode(settings["filter"]))
        if not settings["import"]:  # only asked whether the walls stand
            harness.ready({})
            return
        from benchmark.isolation import answer

        model = answer.build(settings["submission"], order)
        harness.ready(answer.about(model))
        answer.serve(harness, model, block, order)
    except BaseException as error:
        harness.fail(error)


if __name__ == "__main__":
    main()
