"""How an attack is spread over the ε grid (see `benchmark.protocol.Search`).

A perturbation that breaks an image at ε breaks it at every larger ε, so each image has a
threshold on the grid; asking near it is enough. At the headline ε nothing is inferred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.attacks.by_name import EACH_ITS_OWN
from benchmark.evaluation.arena import Arena
from benchmark.protocol import AttackSpec, Search

FAR = 3.0  # times the range of the scouts' margins


def grid(arena: Arena, spec: AttackSpec) -> None:
    """Every image that was right, at every ε, with as many starts as it takes to break it there."""
    for index in range(len(arena.protocol.epsilons)):
        rows = np.flatnonzero(arena.right)
        for start in range(spec.starts):
            rows = rows[arena.attempt(spec, rows, index, start) > 0]


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
    search = _Bisection(arena, spec)
    search.run()
    if arena.protocol.proof:
        search.prove()


# Numbers of images, their places on the grid → which of them are still asked there.
Standing = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class _Wave:
    """What goes through an attack together: (k,) numbers of images, their places on the grid, numbers of starts."""

    rows: np.ndarray
    places: np.ndarray
    starts: np.ndarray

    @property
    def of(self) -> tuple[np.ndarray, np.ndarray, int]:
        """As an arena is asked."""
        return self.rows, self.places, int(self.starts[0])


class _Bisection:
    """Each image's threshold on the grid.

    `broken_at` is each image's smallest grid index known to be broken, E if none is; `seen` the margin
    of every attempt, (n, E, starts), NaN where not asked.
    """

    def __init__(self, arena: Arena, spec: AttackSpec) -> None:
        self.arena, self.spec = arena, spec
        self.grid = np.array([float(epsilon) for epsilon in arena.protocol.epsilons])
        n, e = len(arena.images), len(self.grid)
        # Where earlier attacks broke the image: likely near this one's threshold, so asked there first.
        self.hint = np.searchsorted(self.grid, arena.smallest)
        self.broken_at = np.full(n, e)
        self.seen = np.full((n, e, spec.starts), np.nan, np.float32)

    def run(self) -> None:
        """Coarse, then settle."""
        if self.arena.protocol.pursuit == self.spec.name:
            self.arena.pursue(self.spec)
            right, headline = self.arena.right, self.arena.headline
            self.seen[right, headline, 0] = self.arena.tallies[self.spec.name].margins[headline, right]
            self._update(np.flatnonzero(right))
        self._coarse()
        while self._settle():
            pass

    def prove(self) -> None:
        """Ask some images everywhere, and keep what threshold that gives beside the one found; nothing else is noted."""
        rows = np.arange(0, len(self.seen), self.arena.protocol.proof or 1)
        rows = rows[self.arena.right[rows]]
        tally, seen = self.arena.tallies[self.spec.name], self.seen.copy()
        linf = tally.linf.copy()
        every, places = np.tile(rows, len(self.grid)), np.repeat(np.arange(len(self.grid)), len(rows))

        def standing(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
            return ~(seen[rows, places] <= 0).any(1)

        for wave in self._waves(every, places, range(self.spec.starts), seen, standing):
            asked = self.arena.ask(self.spec, *wave.of)
            seen[wave.rows, wave.places, wave.starts] = asked.margin
            np.minimum.at(linf, wave.rows, np.where(asked.margin <= 0, asked.distance, np.inf))
            tally.count(asked)
        self.arena.proof[self.spec.name][:, rows] = (
            self.broken_at[rows],
            np.searchsorted(self.grid, linf[rows]),
        )

    def _coarse(self) -> None:
        unbroken_at = np.full(len(self.broken_at), -1)
        target = np.full(len(self.broken_at), self.arena.headline)  # asked of all, so asked first
        while (still := np.flatnonzero(self.arena.right & (self.broken_at - unbroken_at > 1))).size:
            self._ask(still, target[still], [0])
            held = still[self.broken_at[still] > target[still]]
            unbroken_at[held] = np.maximum(unbroken_at[held], target[held])
            target = (unbroken_at + self.broken_at) // 2
            for guess in (self.hint, self.hint - 1):
                target = np.where((unbroken_at < guess) & (guess < self.broken_at), guess, target)

    def _settle(self) -> bool:
        """Every start at the headline, then just below the threshold; whether anything was left to ask."""
        headline = np.full_like(self.broken_at, self.arena.headline)
        at_headline = self._ask_open(headline, range(self.spec.starts))
        scouting = self._ask_open(self.broken_at - 1, range(min(self.spec.scouts, self.spec.starts)))
        below = np.where(self._worth_more(), self.broken_at - 1, -1)
        return self._ask_open(below, range(self.spec.starts)) or scouting or at_headline

    def _worth_more(self) -> np.ndarray:
        """(n,) bool: just below the threshold the scouts came near a success, or disagree, so all starts are asked.

        Near is within three times the range of the scouts' margins; for five draws of a normal distribution the
        rest lies seven standard deviations away. At the headline all starts are asked whatever the scouts say.
        """
        below = np.maximum(self.broken_at - 1, 0)
        scouts = self.seen[np.arange(len(below)), below][:, : self.spec.scouts]
        return scouts.min(1) <= FAR * (scouts.max(1) - scouts.min(1))

    def _ask_open(self, target: np.ndarray, starts: range) -> bool:
        """Ask what was not asked yet at each image's target (-1: nowhere); whether there was anything."""
        rows = np.flatnonzero(self.arena.right & (target >= 0) & (target < self.broken_at))
        rows = rows[np.isnan(self.seen[rows, target[rows]][:, starts]).any(1)]
        if rows.size:
            self._ask(rows, target[rows], starts)
        return bool(rows.size)

    def _ask(self, rows: np.ndarray, places: np.ndarray, starts: Sequence[int]) -> None:
        def standing(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
            return self.broken_at[rows] > places

        for wave in self._waves(rows, places, starts, self.seen, standing):
            self.seen[wave.rows, wave.places, wave.starts] = self.arena.attempt(self.spec, *wave.of)
            self._update(wave.rows)

    def _waves(
        self,
        rows: np.ndarray,
        places: np.ndarray,
        starts: Sequence[int],
        seen: np.ndarray,
        standing: Standing,
    ) -> Iterator[_Wave]:
        """What was not asked yet, in portions of a micro-batch: few rows are asked with several starts at once.

        Small batches cost a model more for each image; and what breaks in a wave is not asked in the next.
        """
        apart = np.zeros_like(places) if self.spec.method in EACH_ITS_OWN else places
        for place in np.unique(apart):
            for at in self.arena.chunks(np.flatnonzero(apart == place)):
                coming = list(starts)
                while coming and (at := at[standing(rows[at], places[at])]).size:
                    several = max(1, self.arena.micro_batch // at.size)
                    now, coming = coming[:several], coming[several:]
                    asked = np.tile(at, len(now)), np.repeat(now, at.size)
                    new = np.isnan(seen[rows[asked[0]], places[asked[0]], asked[1]])
                    if new.any():
                        yield _Wave(rows[asked[0][new]], places[asked[0][new]], asked[1][new])

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
