"""How an attack is spread over the ε grid (see `benchmark.protocol.Search`).

A perturbation that breaks an image at ε breaks it at every larger ε, so each image has a
threshold on the grid; asking near it is enough. At the headline ε nothing is inferred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from benchmark.evaluation.arena import Arena
from benchmark.protocol import AttackSpec, Search


def grid(arena: Arena, spec: AttackSpec) -> None:
    """Every image that was right, at every ε."""
    for index in range(len(arena.protocol.epsilons)):
        for start in range(spec.starts):
            arena.attempt(spec, np.flatnonzero(arena.right), index, start)


def minimum(arena: Arena, spec: AttackSpec) -> None:
    """One search for the smallest perturbation of every image that was right."""
    for start in range(spec.starts):
        arena.attempt(spec, np.flatnonzero(arena.right), None, start)


def survivors(arena: Arena, spec: AttackSpec) -> None:
    """Only at the spec's own ε, largest first, and only what nothing has broken there.

    What this attack leaves unbroken at one ε it is not asked about at a smaller one, save at the headline.
    """
    asked = arena.right
    for epsilon in sorted(spec.epsilons, key=float, reverse=True):
        index = arena.protocol.epsilons.index(epsilon)
        if epsilon == arena.protocol.headline:
            asked = arena.right
        for start in range(spec.starts):
            alive = asked & (arena.smallest > float(epsilon))
            arena.attempt(spec, np.flatnonzero(alive), index, start)
        asked = arena.right & (arena.smallest <= float(epsilon))


def bisection(arena: Arena, spec: AttackSpec) -> None:
    """Each image's threshold with one start, then every start just below it and at the headline ε."""
    _Bisection(arena, spec).run()


class _Bisection:
    """`broken_at` is each image's smallest grid index known to be broken; E if none is."""

    def __init__(self, arena: Arena, spec: AttackSpec) -> None:
        self.arena, self.spec = arena, spec
        self.grid = np.array([float(epsilon) for epsilon in arena.protocol.epsilons])
        self.headline = arena.protocol.epsilons.index(arena.protocol.headline)
        n, e = len(arena.images), len(self.grid)
        # Where earlier attacks broke the image: likely near this one's threshold, so asked there first.
        self.hint = np.searchsorted(self.grid, arena.smallest)
        self.broken_at = np.full(n, e)
        self.tried = np.zeros((n, e, spec.starts), bool)

    def run(self) -> None:
        """Coarse, then settle."""
        self._coarse()
        while self._settle():
            pass

    def _coarse(self) -> None:
        unbroken_at = np.full(len(self.broken_at), -1)
        target = np.full(len(self.broken_at), self.headline)  # asked of all, so asked first
        while (still := np.flatnonzero(self.arena.right & (self.broken_at - unbroken_at > 1))).size:
            self._ask(still, target[still], [0])
            held = still[self.broken_at[still] > target[still]]
            unbroken_at[held] = np.maximum(unbroken_at[held], target[held])
            target = (unbroken_at + self.broken_at) // 2
            for guess in (self.hint, self.hint - 1):
                target = np.where((unbroken_at < guess) & (guess < self.broken_at), guess, target)

    def _settle(self) -> bool:
        """Every start just below the threshold and at the headline; whether anything was left to ask."""
        asked = False
        for target in (self.broken_at - 1, np.full_like(self.broken_at, self.headline)):
            possible = self.arena.right & (target >= 0) & (target < self.broken_at)
            rows = np.flatnonzero(possible)
            rows = rows[~self.tried[rows, target[rows]].all(1)]
            if rows.size:
                self._ask(rows, target[rows], range(self.spec.starts))
                asked = True
        return asked

    def _ask(self, rows: np.ndarray, targets: np.ndarray, starts: Iterable[int]) -> None:
        starts = list(starts)
        for index in np.unique(targets):
            group: np.ndarray = rows[targets == index]
            for start in starts:
                todo = group[(self.broken_at[group] > index) & ~self.tried[group, index, start]]
                if todo.size:
                    self.tried[todo, index, start] = True
                    self.arena.attempt(self.spec, todo, int(index), start)
                    self._update(todo)

    def _update(self, rows: Sequence[int] | np.ndarray) -> None:
        linf = self.arena.tallies[self.spec.name].linf[rows]
        self.broken_at[rows] = np.searchsorted(self.grid, linf)


SEARCHES: dict[Search, Callable[[Arena, AttackSpec], None]] = {
    "grid": grid,
    "bisection": bisection,
    "minimum": minimum,
    "survivors": survivors,
}


def run_battery(arena: Arena) -> None:
    """Every attack of the protocol, in its order."""
    for spec in arena.protocol.attacks:
        SEARCHES[spec.search](arena, spec)
