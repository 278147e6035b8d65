"""Of each attack's time, how much is neither the model's forward nor its backward?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmark.bench.engine import run_engine
from benchmark.bench.meter import Cost, Floor
from benchmark.bench.task import Task
from benchmark.evaluation.judge import one_thread

# The most that may be spent outside of the model, by method; torchattacks' own steps are in it.
ALLOWED = {"FGSM": 0.10, "BIM": 0.10, "PGD": 0.10, "APGD": 0.10, "Square": 0.30, "FAB": 0.45}


@dataclass(frozen=True)
class Share:
    """One attack of the battery: what it cost, judging included, and what may be spent outside of the model.

    least: seconds that its passes take in the bare model at full batch. allowed: None where nothing is said.
    """

    title: str
    cost: Cost
    least: float
    allowed: float | None


@dataclass(frozen=True)
class Overhead:
    """The whole battery of a protocol. floor: seconds of one image in the bare model, forward and with backward."""

    task: str
    protocol: str
    shares: tuple[Share, ...]
    floor: tuple[float, float]


def measure_overhead(task: Task, done: Callable[[], None] = lambda: None) -> Overhead:
    """The battery as an evaluation runs it, in one thread; `done` after each block."""
    floor = Floor(task.attacked, task.images[: task.batch])

    def between() -> None:
        floor.sample()
        done()

    with one_thread():
        floor.sample(5)
        run = run_engine(task, task.protocol, between)
        floor.sample(5)
    shares = tuple(
        Share(spec.title, run.costs[spec.name], floor.least(run.costs[spec.name]), ALLOWED.get(spec.method))
        for spec in task.protocol.attacks
    )
    return Overhead(task.name, task.protocol.name, shares, floor.seconds)
