"""Two workers against one on the same blocks, and what the engine adds to a block.

    python -m benchmark.cluster.pace vgg16-slim-naive --blocks 8 --rounds 3

Rounds alternate between one worker and two, so that whatever else a machine does slows both. Start-up is from nothing to
workers that were greeted and have their data; the engine's share is what one worker's clock shows beside its blocks.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmark.cluster.crew import connected
from benchmark.cluster.order import written
from benchmark.evaluation.engine import choose_device
from benchmark.evaluation.entry import loaded
from benchmark.evaluation.plan import Plan, make_plan
from benchmark.protocol import get_protocol


@dataclass(frozen=True)
class Pace:
    """One run: seconds to start up, for all blocks, and in the blocks alone."""

    workers: int
    start: float
    blocks: float
    inside: float


def run(plan: Plan, workers: int) -> Pace:
    """All blocks of a plan, from nothing, on so many workers here."""
    begun = time.perf_counter()
    with (
        connected(f"local:{workers}", tell=lambda line: None) as cluster,
        tempfile.TemporaryDirectory() as folder,
    ):
        fresh = replace(plan, folder=Path(folder))
        wrong = cluster.line.greet(written(fresh))
        if wrong:
            raise SystemExit("\n".join(wrong))
        started = time.perf_counter()
        cluster.run(fresh, fresh.jobs, [], lambda number: None)
        return Pace(workers, started - begun, time.perf_counter() - started, sum(cluster.seconds))


def report(name: str, blocks: int, size: int, rounds: int) -> Iterator[str]:
    """Rounds of one worker and two, and what they come to."""
    protocol = replace(get_protocol("quick"), name="pace", block=size, images=blocks * size)
    model, split = loaded(name, "ct", "phantom", protocol)
    plan = make_plan(model, split, protocol, choose_device("cpu"))
    ratios, shares, starts = [], [], []
    for _ in range(rounds):
        one, two = run(plan, 1), run(plan, 2)
        ratios.append(one.blocks / two.blocks)
        shares.append(one.blocks / one.inside - 1)
        starts += [one.start, two.start]
        yield (
            f"{len(plan.jobs)} blocks: one worker {one.blocks:.1f} s ({one.inside:.1f} in blocks), two {two.blocks:.1f} s, "
            f"{ratios[-1]:.2f} times; start-up {one.start:.1f} and {two.start:.1f} s"
        )
    yield (
        f"median {median(ratios):.2f} times faster, {median(shares):.1%} beside the blocks, start-up at best "
        f"{min(starts):.1f} s"
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("submission")
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--images", type=int, default=8, help="Of a block.")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    for line in report(asked.submission, asked.blocks, asked.images, asked.rounds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
