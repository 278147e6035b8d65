"""What an evaluation will take, from one measured block; and afterwards, how far that was from what it took."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import rmtree

from benchmark.cluster import store
from benchmark.cluster.order import block_order, draw_order, written
from benchmark.cluster.task import Child
from benchmark.data.tracks import track_name
from benchmark.errors import BenchmarkError, ClusterError
from benchmark.evaluation.blocks import load_block
from benchmark.evaluation.engine import choose_device
from benchmark.evaluation.entry import Outcome, loaded
from benchmark.evaluation.health import fresh_jobs
from benchmark.evaluation.plan import make_plan
from benchmark.files import replace_file
from benchmark.folders import cache_folder
from benchmark.processes import worker_count
from benchmark.protocol import get_protocol

LONGEST = 86400.0  # seconds that the measured block may take


@dataclass(frozen=True)
class Measured:
    """One block of one entry, and what an evaluation does besides its blocks.

    seconds, forward, backward, bytes: of the block; passes of one image each. start: until a worker answers. plan: to judge
    the images clean. draw: one part of the fresh images, of which there are `draws`. memory: most that a worker held, MB.
    """

    submission: str
    modality: str
    track: str
    protocol: str
    device: str
    block: int  # images
    images: int
    seconds: float
    forward: int
    backward: int
    bytes: int
    start: float
    plan: float
    draw: float
    draws: int
    memory: float


@dataclass(frozen=True)
class Forecast:
    """What so many entries on so many images each take, if all are like the one that was measured."""

    entries: int
    images: int
    workers: int
    blocks: int
    passes: int  # forward and backward, of one image
    seconds: float  # on the clock
    work: float  # seconds of one worker
    memory: float  # MB, of all workers
    disk: float  # MB, of the blocks of one entry


def measure(name: str, modality: str, track: str, protocol: str, device: str = "auto") -> Measured:
    """Compute one block from the middle of the split, in a process of its own; nothing is kept of it.

    Raises:
        BenchmarkError: what `run_entry` would raise, or the block failed.
    """
    chosen = get_protocol(protocol)
    started = time.perf_counter()
    model, split = loaded(name, modality, track, chosen)
    plan = make_plan(model, split, chosen, choose_device(device))
    planned, asked = time.perf_counter() - started, written(plan)
    draws = fresh_jobs(plan.source, plan.split, plan.protocol, plan.identity, str(plan.device))
    child, folder = Child(), store.scratch()
    try:
        begun = time.perf_counter()
        child.ask({"do": "describe", "code": asked.code, "device": asked.device}, LONGEST)
        start = time.perf_counter() - begun
        job = plan.jobs[(len(plan.jobs) - 1) // 2]  # never the last, which may be smaller
        path = folder / "block"
        seconds, memory = _timed(child, block_order(asked, job), path)
        size, found = path.stat().st_size, load_block(path)
        if found is None:
            raise ClusterError("the measured block cannot be read")
        draw = _timed(child, draw_order(asked, draws[0]), path)[0] if draws else 0.0
    finally:
        child.stop()
        rmtree(folder, ignore_errors=True)
    tallies = found[0].tallies.values()
    return Measured(
        submission=model.submission.name,
        modality=modality,
        track=track_name(track),
        protocol=chosen.name,
        device=plan.device.type,
        block=len(job.split),
        images=len(plan.split),
        seconds=seconds,
        forward=sum(tally.forward for tally in tallies),
        backward=sum(tally.backward for tally in tallies),
        bytes=size,
        start=start,
        plan=planned,
        draw=draw,
        draws=len(draws),
        memory=memory,
    )


def _timed(child: Child, order: dict[str, object], path: Path) -> tuple[float, float]:
    started = time.perf_counter()
    answer = child.ask({"do": "compute", "order": order, "path": str(path)}, LONGEST)
    if wrong := answer.get("trouble") or answer.get("failure"):
        raise ClusterError(f"the measured block failed: {wrong}")
    return time.perf_counter() - started, answer["memory"]


def predict(
    measured: Measured, entries: int = 1, images: int | None = None, workers: int | None = None
) -> Forecast:
    """Blocks go to workers as they become free; an evaluation is planned and concluded by one process.

    Args:
        images: of each entry; None: as many as were there. workers: None: as many as this machine would start.
    """
    images = images or measured.images
    each = math.ceil(images / measured.block)
    blocks = entries * each
    workers = workers or worker_count(blocks)
    alone = 2 * measured.plan * images / measured.images  # judged clean before, and looked at again after
    work = (
        blocks * measured.seconds * images / (each * measured.block)
        + entries * measured.draws * measured.draw
    )
    rounds = math.ceil(blocks / workers) * measured.seconds if entries == 1 else 0.0
    return Forecast(
        entries=entries,
        images=images,
        workers=workers,
        blocks=blocks,
        passes=round(entries * images / measured.block * (measured.forward + measured.backward)),
        seconds=measured.start + entries * alone + max(work / workers, min(rounds, work)),
        work=work,
        memory=workers * measured.memory,
        disk=each * measured.bytes / 1e6,
    )


def keep(measured: Measured, forecast: Forecast) -> Path:
    """Write a forecast of one entry down, for `compared`."""
    path = _path(measured.submission, measured.modality, measured.track, measured.protocol)
    body = {"measured": asdict(measured), "forecast": asdict(forecast)}
    replace_file(path, (json.dumps(body, indent=1) + "\n").encode())
    return path


def compared(outcome: Outcome) -> Iterator[str]:
    """Predicted and actual, where an entry was evaluated that has a forecast."""
    record = outcome.record
    path = _path(record.submission, record.modality, record.track, record.protocol["name"])
    if outcome.verification or not path.exists():
        return
    try:
        told = json.loads(path.read_text("utf-8"))["forecast"]
        seconds, passes, workers = float(told["seconds"]), int(told["passes"]), int(told["workers"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f"the forecast {path} cannot be read ({error}); remove it") from None
    took = outcome.forward + outcome.backward
    yield (
        f"predicted {seconds:.0f} s on {workers} workers and {passes:,} passes; it took {outcome.seconds:.0f} s "
        f"({outcome.seconds / seconds - 1:+.0%}) and {took:,} ({took / max(passes, 1) - 1:+.0%})"
    )


def described(measured: Measured, forecast: Forecast) -> Iterator[str]:
    """What `oncorobust plan` prints."""
    yield (
        f"measured on {measured.device}: a block of {measured.block} images of {measured.submission} on "
        f"{measured.modality}, {measured.protocol}: {measured.seconds:.1f} s, {measured.forward:,} forward and "
        f"{measured.backward:,} backward passes, {measured.memory:.0f} MB"
    )
    yield (
        f"{forecast.entries:,} entries × {forecast.images:,} images: {forecast.blocks:,} blocks, "
        f"{forecast.passes:,} passes, {_hours(forecast.work)} of one worker, "
        f"{_hours(forecast.seconds)} on {forecast.workers:,}; "
        f"memory {forecast.memory / 1000:.1f} GB in all workers, disk {forecast.disk:.1f} MB while an entry is under way"
    )


def _hours(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 3600:,.1f} hours"


def _path(submission: str, modality: str, track: str, protocol: str) -> Path:
    return cache_folder() / "forecasts" / f"{track}-{modality}-{protocol}-{submission}.json"
