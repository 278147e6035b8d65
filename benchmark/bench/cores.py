"""Processes of one thread each, or one process of several threads: which asks a model more in a second?"""

from __future__ import annotations

import time
from dataclasses import dataclass

import click
import torch

from benchmark.allocator import keep_freed_memory
from benchmark.bench.meter import Floor
from benchmark.data.tracks import load_split
from benchmark.evaluation.pool import run_all
from benchmark.modality import MODALITIES
from benchmark.processes import worker_count
from benchmark.protocol import get_protocol
from benchmark.submission import load_submission

SECONDS = 8.0  # of each measurement
READY = 12.0  # seconds after which all processes have begun


@dataclass(frozen=True)
class Stint:
    """Forward and backward passes of one process, for SECONDS from an agreed time on."""

    submission: str
    modality: str
    threads: int
    begin: float  # time.time()


def passes_a_second(stint: Stint) -> float:
    """Images that went forward and backward through the model in a second, by the clock on the wall."""
    model = load_submission(stint.submission, stint.modality).to(memory_format=torch.channels_last)
    images, _ = load_split(stint.modality).batch(0, get_protocol("standard").block)
    keep_freed_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(stint.threads)
    floor, count = Floor(model, images), 0
    floor.both()
    time.sleep(max(0.0, stint.begin - time.time()))
    started = time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        floor.both()
        count += len(images)
    torch.set_num_threads(before)
    return count / (time.perf_counter() - started)


@click.command()
@click.argument("submission")
@click.option("--modality", type=click.Choice(list(MODALITIES)), default="ct", show_default=True)
def main(submission: str, modality: str) -> None:
    """Print how many passes a second SUBMISSION makes in one process of all cores, and in one process for each core.

    Example: python -m benchmark.bench.cores vgg16-slim-pgd-at
    """
    cores = worker_count(1024)
    together = passes_a_second(Stint(submission, modality, cores, 0.0))
    stints = [Stint(submission, modality, 1, time.time() + READY)] * cores
    apart = sum(run_all([(passes_a_second, stint) for stint in stints], "cpu", lambda number: None))
    click.echo(
        f"{submission} on {modality}, forward with backward: {together:.0f} images a second in one process of {cores} "
        f"threads, {apart:.0f} in {cores} processes of one thread: {apart / together:.2f} times as many"
    )


if __name__ == "__main__":
    main()
