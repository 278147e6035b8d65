"""Our engine, attack by attack, in this process and one thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmark.bench.meter import Clock, Cost, Metered
from benchmark.bench.task import Task
from benchmark.evaluation.arena import Arena
from benchmark.evaluation.judge import one_thread
from benchmark.evaluation.search import SEARCHES
from benchmark.protocol import AttackSpec, Protocol

WARM_UP = AttackSpec("warm-up", "Warm-up", "FGSM", "grid", {})


@dataclass(frozen=True)
class EngineRun:
    """What each attack cost, judging included, and found: linf is (n,) float64, inf where it broke nothing."""

    costs: dict[str, Cost]
    linf: dict[str, np.ndarray]

    @property
    def cost(self) -> Cost:
        """Of all attacks."""
        return sum(self.costs.values(), Cost())


def run_engine(task: Task, protocol: Protocol, done: Callable[[], None] = lambda: None) -> EngineRun:
    """Every block through every attack of the protocol, as an evaluation does it; `done` after each block."""
    attacked, judge = Metered(task.attacked), Metered(task.judge)
    clocks = {spec.name: Clock(attacked, judge) for spec in protocol.attacks}
    found: dict[str, list[np.ndarray]] = {spec.name: [] for spec in protocol.attacks}
    with one_thread():
        _warm_up(task)
        for block, start in enumerate(range(0, len(task.images), protocol.block)):
            rows = slice(start, start + protocol.block)
            arena = Arena(
                attacked,
                judge,
                task.images[rows],
                task.labels[rows],
                task.clean[rows],
                task.scale,
                protocol,
                block,
            )
            for spec in protocol.attacks:
                with clocks[spec.name].running():
                    SEARCHES[spec.search](arena, spec)
                found[spec.name].append(arena.tallies[spec.name].linf)
            done()
    return EngineRun(
        {name: clock.cost for name, clock in clocks.items()},
        {name: np.concatenate(parts) for name, parts in found.items()},
    )


def _warm_up(task: Task) -> None:
    """What an import costs is not asked: one step on one image."""
    arena = Arena(
        task.attacked,
        task.judge,
        task.images[:1],
        task.labels[:1],
        task.clean[:1],
        task.scale,
        task.protocol,
        0,
    )
    arena.ask(WARM_UP, np.zeros(1, np.int64), 0, 0)
