"""What ten thousand entries on a hundred thousand images would take, and what would break first.

    python -m benchmark.cluster.simulate scheduler --blocks 100000     Dask's scheduler, with blocks that do nothing
    python -m benchmark.cluster.simulate farm --entries 10000 --images 100000     the whole, with measured block times

The farm is a queue before each of three: whoever asks, who plans and concludes an evaluation and takes its blocks in; the
scheduler, which hands a block out; and the workers. What each takes is measured here, or read from the committed records.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.folders import ROOT
from benchmark.processes import OWN_COMMAND

BLOCK = 50  # images
MOST = 200_000  # simulated blocks; a larger farm is one of proportional evaluations
CORES = 2  # that the committed evaluations ran on


@dataclass(frozen=True)
class Costs:
    """Seconds of each thing that takes any.

    blocks: on a worker, each that was seen. scheduler: to hand one out. intake: to take one in. image: to plan and conclude.
    """

    blocks: tuple[float, ...]
    scheduler: float
    intake: float
    image: float


@dataclass(frozen=True)
class Course:
    """What came of a simulated farm: hours, and the share of them that each was busy."""

    hours: float
    workers: float
    scheduler: float
    asking: float


def simulate(
    costs: Costs, evaluations: int, images: int, workers: int, asking: int = 1, seed: int = 0
) -> Course:
    """Let evaluations of so many images each go through; events in the order of their times.

    Args:
        asking: processes that plan, take in and conclude, each for its own share of the evaluations.
    """
    blocks = -(-images // BLOCK)
    shrunk = max(1, -(-evaluations * blocks // MOST))  # every evaluation with that many times fewer blocks
    each = max(1, blocks // shrunk)
    count = min(evaluations, max(asking * 4, MOST // each))
    draw = random.Random(seed)
    alone = costs.image * images * each / blocks / 2  # half before its blocks, half after
    desks, free = [0.0] * asking, [0.0] * workers  # when each has time again; heaps
    handed, busy = 0.0, 0.0
    for _ in range(count):
        planned = heapq.heappop(desks) + alone
        for _ in range(each):
            handed = max(heapq.heappop(free), planned, handed) + costs.scheduler
            seconds = draw.choice(costs.blocks)
            busy += seconds
            heapq.heappush(free, handed + seconds)
        # It concludes the evaluations that ended meanwhile, as many as it planned.
        heapq.heappush(desks, planned + alone + each * costs.intake)
    end = max(*free, *desks)
    scale = evaluations * blocks / (count * each)
    return Course(
        hours=end * scale / 3600,
        workers=busy / (end * workers),
        scheduler=count * each * costs.scheduler / end,
        asking=count * (2 * alone + each * costs.intake) / (end * asking),
    )


def committed_times() -> tuple[float, ...]:
    """Seconds of a block on one core, from the committed evaluations that are as long as their blocks."""
    found = []
    for path in sorted((ROOT / "leaderboard" / "results" / "phantom").glob("*/*.times.json")):
        record = path.with_name(path.name.replace(".times.json", ".json"))
        if record.exists():
            images = json.loads(record.read_text("utf-8"))["split"]["images"]
            found.append(json.loads(path.read_text("utf-8"))["seconds"] * CORES / (images / BLOCK))
    return tuple(found)


def measure_intake(size: int = 900_000, times: int = 20) -> float:
    """Seconds to check and write a block's file of so many bytes."""
    import hashlib
    import tempfile

    from benchmark.files import replace_file

    content = random.Random(0).randbytes(size)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        for number in range(times):
            hashlib.sha256(content).hexdigest()
            replace_file(Path(folder) / str(number), content)
        return (time.perf_counter() - started) / times


def measure_image(name: str) -> float:
    """Seconds to judge an image clean before its attacks, and once more afterwards, as the checks do."""
    import torch

    from benchmark.evaluation.entry import loaded
    from benchmark.evaluation.plan import make_plan
    from benchmark.protocol import get_protocol

    protocol = get_protocol("standard")
    model, split = loaded(name, "ct", "phantom", protocol)
    took = []
    for _ in range(2):  # the first time torch and the weights are loaded
        started = time.perf_counter()
        make_plan(model, split, protocol, torch.device("cpu"))
        took.append(time.perf_counter() - started)
    return 2 * min(took) / len(split)


def nothing(order: dict[str, Any], needs: Sequence[str], limit: float) -> dict[str, Any]:
    """A block that takes no time."""
    return {"worker": "", "file": b"", "sha256": "", "seconds": 0.0}


@dataclass(frozen=True)
class Load:
    """What a scheduler needs for so many blocks: MB before any and at most, seconds for each that it hands out."""

    idle: float
    most: float
    submitted: float
    seconds: float


def load_scheduler(blocks: int, through: int, workers: int = 4) -> Load:
    """Ask a scheduler in a process of its own for `blocks` blocks at once, and time the first `through` of them."""
    import subprocess
    import tempfile

    import psutil
    from distributed import Client, Worker, as_completed

    from benchmark.cluster.serve import configure
    from benchmark.cluster.simulate import (
        nothing,
    )  # by its name, though this file may be the one that was started

    configure()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "address"
        words = [*OWN_COMMAND, "cluster", "scheduler", "--port", "0", "--file", str(file)]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        try:
            while not file.exists():
                time.sleep(0.1)
            address, memory = file.read_text().strip(), psutil.Process(process.pid).memory_info
            with Client(address, set_as_default=False) as client:
                idle, started = memory().rss, time.perf_counter()
                orders = [{"evaluation": "0" * 64, "block": number} for number in range(blocks)]
                keys = [("block-0000000000000000", number) for number in range(blocks)]
                futures = client.map(nothing, orders, needs=["0" * 64] * 3, limit=3600.0, key=keys)
                submitted = time.perf_counter() - started
                while client.run_on_scheduler(_known) < blocks:
                    time.sleep(0.5)
                most = memory().rss
                started = time.perf_counter()
                helpers = client.sync(_join, Worker, address, workers)
                for number, _ in enumerate(as_completed(futures, loop=client.loop), 1):
                    if number == through:
                        break
                seconds = (time.perf_counter() - started) / through
                most = max(most, memory().rss)
                client.sync(_leave, helpers)
        finally:
            process.kill()
            process.wait()
    return Load(idle / 1e6, most / 1e6, submitted, seconds)


def _known(dask_scheduler: Any) -> int:
    return len(dask_scheduler.tasks)


async def _join(kind: Any, address: str, count: int) -> list[Any]:
    return [await kind(address, nthreads=1, memory_limit=0, dashboard=False) for _ in range(count)]


async def _leave(workers: list[Any]) -> None:
    for worker in workers:
        await worker.close(executor_wait=False)


def _farm(asked: argparse.Namespace) -> Iterator[str]:
    load = load_scheduler(asked.probe, asked.probe)
    costs = Costs(committed_times(), load.seconds, measure_intake(), measure_image(asked.like))
    evaluations = asked.entries * asked.modalities
    blocks = evaluations * -(-asked.images // BLOCK)
    mean = sum(costs.blocks) / len(costs.blocks)
    yield (
        f"a block {mean:.0f} s ({min(costs.blocks):.0f}–{max(costs.blocks):.0f}, {len(costs.blocks)} evaluations), "
        f"{costs.scheduler * 1000:.1f} ms to hand it out, {costs.intake * 1000:.1f} ms to take it in, "
        f"{costs.image * 1000:.1f} ms to plan and conclude an image; "
        f"{evaluations:,} evaluations, {blocks:,} blocks, {blocks * mean / 3600 / 24 / 365:,.0f} core-years"
    )
    yield "workers  asking      days   workers busy   scheduler busy   asking busy"
    for workers in asked.workers:
        for asking in asked.asking:
            course = simulate(costs, evaluations, asked.images, workers, asking)
            yield (
                f"{workers:7,}  {asking:6,}  {course.hours / 24:8,.0f}   {course.workers:12.0%}   "
                f"{course.scheduler:14.0%}   {course.asking:11.0%}"
            )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    scheduler = kinds.add_parser("scheduler")
    scheduler.add_argument("--blocks", type=int, default=100_000)
    scheduler.add_argument("--through", type=int, default=2_000)
    farm = kinds.add_parser("farm")
    farm.add_argument("--entries", type=int, default=10_000)
    farm.add_argument("--images", type=int, default=100_000)
    farm.add_argument("--modalities", type=int, default=3)
    farm.add_argument("--workers", type=int, nargs="+", default=[100, 1_000, 10_000])
    farm.add_argument("--asking", type=int, nargs="+", default=[1, 16])
    farm.add_argument("--like", default="vgg16-slim-naive", help="The entry that planning is timed on.")
    farm.add_argument("--probe", type=int, default=2_000, help="Blocks that the real scheduler is timed on.")
    asked = parser.parse_args()
    if asked.kind == "scheduler":
        found = load_scheduler(asked.blocks, asked.through)
        print(
            f"{asked.blocks:,} blocks: {found.idle:.0f} MB before, {found.most:.0f} MB at most, asked for in "
            f"{found.submitted:.1f} s, {found.seconds * 1000:.2f} ms for each that went through"
        )
        return
    for line in _farm(asked):
        print(line)


if __name__ == "__main__":
    main()
