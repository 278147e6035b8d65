"""The scheduler and the workers: Dask's own, with the settings that blocks of minutes on one GPU each ask for."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

from benchmark.cluster.address import parse_address, parse_remote
from benchmark.cluster.certificates import make_certificates, security_of
from benchmark.errors import ClusterError
from benchmark.files import replace_file

# Over Dask's defaults, and under what a person set in its environment or files.
SETTINGS = {
    "distributed": {
        # A worker gets its next block when it asks for it, and is given up when it was silent for a minute.
        "scheduler": {"worker-saturation": 1.0, "worker-ttl": "60s"},
        "worker": {"profile": {"enabled": False}},
    }
}
LEFT_ON_PURPOSE = ("scheduler-close", "scheduler-close-worker", "worker-close-gracefully", "told")
PATIENCE = 120.0  # seconds that a worker looks for a scheduler it lost


def configure() -> None:
    """Take over SETTINGS, and leave what is to be said to us."""
    import logging

    import dask
    import distributed  # noqa: F401 - its defaults come first

    dask.config.update_defaults(SETTINGS)
    for name in ("distributed", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is said in sentences of ours


def serve_scheduler(host: str, port: int, certificates: Path | None, file: Path | None = None) -> None:
    """Run a scheduler until it is interrupted.

    Args:
        host: where it listens. port: 0 takes a free one. file: its address is written there.

    Raises:
        ClusterError: another machine could reach it and it has no certificates; or it cannot listen there.
    """
    remote = parse_remote(f"{'tls' if certificates else 'tcp'}://{host}:{port or 8786}")
    security = security_of(certificates, remote.scheme == "tls", str(remote))
    configure()

    async def run() -> None:
        from distributed import Scheduler

        over = _told_to_stop()
        options: dict[str, Any] = {"security": security} if security else {}
        try:
            scheduler = Scheduler(
                host=host,
                port=port,
                protocol=remote.scheme,
                dashboard=True,
                dashboard_address="127.0.0.1:0",
                **options,
            )
            await scheduler
        except OSError as error:
            raise ClusterError(f"a scheduler cannot listen at {remote}: {error}") from None
        print(f"scheduler at {scheduler.address}", flush=True)
        print(f"dashboard, on this machine alone: {dashboard(scheduler.services)}", flush=True)
        if file:
            replace_file(file, f"{scheduler.address}\n".encode())
        await over.wait()
        await scheduler.close()

    asyncio.run(run())


def dashboard(services: dict[str, Any]) -> str:
    """Where the dashboard is."""
    found = services.get("dashboard") or next(iter(services.values()), None)
    return f"http://127.0.0.1:{found.port}/status" if found else "none"


def serve_worker(address: str, certificates: Path | None, patience: float = PATIENCE) -> str:
    """Compute blocks until the scheduler says that it is enough, or is gone for longer than `patience` seconds.

    A worker that was cut off, and that the scheduler gave up, joins again.

    Returns:
        Why it ended.

    Raises:
        ClusterError: no scheduler at the address, or one that cannot be trusted.
    """
    remote = parse_address(address, patience)
    remote = parse_remote(str(remote))
    security = security_of(certificates, remote.scheme == "tls", str(remote))
    configure()
    return asyncio.run(_work(str(remote), security, patience))


async def _work(address: str, security: Any, patience: float) -> str:
    from distributed import Worker

    from benchmark.cluster.task import child

    over = _told_to_stop()

    class Counted(Worker):
        """A worker that remembers why it was closed."""

        why = ""

        async def close(self, *args: Any, **options: Any) -> Any:
            self.why = self.why or options.get("reason", "")
            child.stop()  # a thread that waits for it would hold everything up
            return await super().close(*args, **options)

    folder = tempfile.mkdtemp(prefix="oncorobust-worker-")
    options: dict[str, Any] = {"security": security} if security else {}
    try:
        while True:
            worker = Counted(
                address,
                nthreads=1,
                memory_limit=0,
                local_directory=folder,
                death_timeout=patience,
                dashboard=False,
                **options,
            )
            try:
                await worker
            except (OSError, TimeoutError) as error:
                raise ClusterError(f"no cluster at {address} within {patience:.0f} s ({error})") from None
            print(f"worker {worker.address} at {address}", flush=True)
            stop = asyncio.create_task(over.wait())
            await asyncio.wait({stop, asyncio.create_task(worker.finished())}, return_when="FIRST_COMPLETED")
            if over.is_set():
                await worker.close(reason="told", executor_wait=False)
            stop.cancel()
            if worker.why in LEFT_ON_PURPOSE:
                return worker.why
    finally:
        child.stop()
        rmtree(folder, ignore_errors=True)


def _told_to_stop() -> asyncio.Event:
    """Set when somebody says so, by signal."""
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    return over


def gpus(workers: int, device: str) -> list[str]:
    """The GPU of each worker on this machine, by CUDA_VISIBLE_DEVICES; none where the CPU computes.

    Raises:
        ClusterError: there are fewer GPUs than workers.
    """
    if device != "cuda":
        return []
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    found = named.split(",") if named else [str(number) for number in range(torch.cuda.device_count())]
    if workers > len(found):
        raise ClusterError(
            f"local:{workers} asks for {workers} workers, one GPU each, and there are {len(found)}; ask for "
            f"local:{len(found)}"
        )
    return found[:workers]


@contextmanager
def local_cluster(workers: int, gpus: Sequence[str] = ()) -> Iterator[tuple[str, Path, str]]:
    """A scheduler in this process, and so many workers on this machine, who go when it goes.

    It is encrypted as well: other users of this machine cannot hand it work.

    Args:
        gpus: CUDA_VISIBLE_DEVICES of each worker; none where the CPU computes.

    Yields:
        Its address, the folder of its certificates, and where its dashboard is.
    """
    configure()
    from distributed import LocalCluster

    with tempfile.TemporaryDirectory(prefix="oncorobust-cluster-") as folder:
        certificates = make_certificates(Path(folder) / "certificates", days=30)
        cluster = LocalCluster(
            n_workers=0,
            processes=False,
            host="127.0.0.1",
            protocol="tls://",
            security=security_of(certificates, True, "local"),
            dashboard_address="127.0.0.1:0",
            silence_logs=False,
        )
        processes = []
        try:
            for number in range(workers):
                told = {"CUDA_VISIBLE_DEVICES": gpus[number]} if gpus else {}
                processes.append(start_worker(cluster.scheduler_address, certificates, told))
            yield cluster.scheduler_address, certificates, cluster.dashboard_link
        finally:
            for process in processes:
                process.kill()
            for process in processes:
                process.wait()
            cluster.close(timeout=10)


def start_worker(
    address: str, certificates: Path, environment: Mapping[str, str], before: Callable[[], None] | None = None
) -> subprocess.Popen[bytes]:
    """A worker in a process of its own, which ends with this one.

    Args:
        environment: what it is told besides what this process was. before: called in it first.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "benchmark.cluster.serve", address, str(certificates)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=os.environ | environment,
        start_new_session=True,  # Ctrl-C is for whoever waits
        preexec_fn=before,
    )


def _with_parent() -> None:
    """End with whoever holds the other end of stdin."""

    def wait() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    _with_parent()
    serve_worker(sys.argv[1], Path(sys.argv[2]))
