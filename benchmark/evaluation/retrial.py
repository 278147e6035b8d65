"""The second trial of a block: what a submission's own code said under attack, held against a worker that knows nothing.

A gradient hands the label to whoever is asked for it, and the way of an attack leads away from the true class. A
model that remembers can therefore look robust. So every proposal of a block is judged once more, in a new worker
that computes forward passes alone, in another order and company; its verdicts stand. And where the attacked
worker's own answers were others than the new worker's, or its gradients not those of that function, the
entry is in doubt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from benchmark.attacks.two_class import margins
from benchmark.evaluation.anew import Pile, in_another_order
from benchmark.evaluation.arena import ROUNDING, Arena
from benchmark.evaluation.tally import Asked, Place, Tally
from benchmark.evaluation.testimony import Testimony
from benchmark.record import Flag

DIRECTIONS = 8  # random ones, at each gradient
STEP = 1 / 16  # of the headline ε, to either side
# Of what the logits do along random directions, the share that the gradient does not explain. A true gradient leaves
# what curvature and kinks do, which is a few hundredths for the reference entries; a wrong one leaves all of it.
UNEXPLAINED = 0.5
MISLED = 0.25  # of the gradients that were looked at
FLAT = 1e-5  # of T: along directions in which nothing happens nothing can be said
NAMES = ("answers", "verdicts", "gradients", "unsure")


@dataclass
class Docket:
    """Every proposal of a block that the judge answered, in a file that vanishes with it."""

    entries: list[tuple[str, str, np.ndarray, Place, Asked]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pile = Pile()

    def keep(self, attack: str, counts: str, rows: np.ndarray, place: Place, asked: Asked) -> None:
        """Note one answer; see `Arena.keep`."""
        if not len(asked.margin):
            return
        self.pile.keep(asked.allowed, torch.from_numpy(asked.margin))
        slim = Asked(asked.allowed[:0], asked.margin, asked.distance)
        self.entries.append((attack, counts, rows, place, slim))


def retry(arena: Arena, docket: Docket, testimony: Testimony, fresh: nn.Module) -> np.ndarray:
    """Judge all again by `fresh` and put its verdicts into the arena, which keeps it as its judge.

    Returns:
        (4,) float64, by NAMES: how far answers differ, of T; share of verdicts of the first judge that do not stand;
        share of gradients that are none; 1 where no gradient could be looked at. What rounding explains is 0.
    """
    images = docket.pile.images(tuple(arena.images.shape[1:]))
    rows = np.concatenate([np.empty(0, np.int64), *(entry[2] for entry in docket.entries)])
    seed, device = arena.seed_of("retrial"), arena.images.device
    gaps = torch.from_numpy(in_another_order(fresh, images, arena.micro_batch, seed, device))
    found = margins(gaps, arena.labels.cpu()[torch.from_numpy(rows)]).numpy()
    before = docket.pile.gaps
    apart = np.abs(found - before) / arena.temperature
    _write(arena, docket, found, images)
    arena.judge = fresh
    heard = testimony.apart(fresh, arena.micro_batch, device) / arena.temperature
    answers = max(float(apart.max(initial=0)), heard)
    flipped = ((found > 0) != (before > 0)) & (apart > ROUNDING)
    misled, asked_slopes = _slopes(arena, testimony, fresh)
    return np.array(
        [
            answers if answers > ROUNDING else 0.0,
            float(flipped.mean()) if len(flipped) else 0.0,
            misled if misled > MISLED else 0.0,
            float(not asked_slopes),
        ]
    )


def _write(arena: Arena, docket: Docket, found: np.ndarray, images: np.ndarray) -> None:
    """The tallies, the worst images and the lowest margins as the new verdicts have them."""
    old, start = arena.tallies, 0
    arena.tallies = {
        name: Tally(np.full_like(tally.linf, np.inf), np.full_like(tally.margins, np.nan))
        for name, tally in old.items()
    }
    for name, tally in old.items():
        arena.tallies[name].forward, arena.tallies[name].backward = tally.forward, tally.backward
        arena.tallies[name].silent = tally.silent
    arena.worst, arena.worst_margin = arena.images.clone(), arena.clean.astype(np.float32)
    lowest = np.full_like(arena.lowest, np.nan)
    for attack, counts, rows, place, asked in docket.entries:
        here = slice(start, start := start + len(rows))
        again = Asked(
            torch.from_numpy(np.array(images[here])).to(arena.images.device), found[here], asked.distance
        )
        if counts == "tally":
            arena.tallies[attack].note(rows, place, again)
        else:
            lowest[rows] = np.fmin(lowest[rows], again.margin)
        arena.keep_worst(rows, again)
    arena.lowest = lowest


def _slopes(arena: Arena, testimony: Testimony, fresh: nn.Module) -> tuple[float, int]:
    """The share of gradients that say nothing of what the new worker's logits do, and of how many."""
    step, wrong, looked = STEP * float(arena.protocol.headline), 0, 0
    for number, (image, upstream, gradient) in enumerate(testimony.sloped):
        generator = torch.Generator().manual_seed(arena.seed_of(f"slope {number}"))
        ways = torch.randint(0, 2, (DIRECTIONS, *image.shape), generator=generator).float() * 2 - 1
        ways[-1] = gradient.sign()  # where attacks go
        moved = torch.cat([(image + step * ways).clamp(0, 1), (image - step * ways).clamp(0, 1)])
        with torch.no_grad():
            device = arena.images.device
            logits = torch.cat([fresh(part.to(device)).cpu() for part in moved.split(arena.micro_batch)])
        if logits.shape[1] != len(
            upstream
        ):  # other columns than under attack: no gradient of those leads here
            looked, wrong = looked + 1, wrong + 1
            continue
        along = (logits.double() @ upstream.double()).view(2, DIRECTIONS)
        did = along[0] - along[1]
        said = ((moved[:DIRECTIONS] - moved[DIRECTIONS:]).double() * gradient.double()).flatten(1).sum(1)
        scale = FLAT * arena.temperature * float(upstream.abs().max())
        if float(did.abs().max()) <= scale and float(said.abs().max()) <= scale:
            continue
        looked += 1
        wrong += float(((did - said) ** 2).sum()) > UNEXPLAINED * float((did**2).sum())
    return (wrong / looked if looked else 0.0), looked


def flags(found: np.ndarray | None) -> Iterator[Flag]:
    """What the second trials of all blocks say, (blocks, 4) as from `retry`; None: there were none."""
    if found is None:
        return
    answers, verdicts, gradients, _ = found.max(0)
    if answers > 0:
        yield Flag(
            "remembers",
            "doubt",
            float(answers),
            ROUNDING,
            f"under attack the model gave logits that differ by {answers:.2g} of their typical size from those of a new "
            "worker that has seen no attack: it keeps state, or knows when it is attacked",
        )
    if verdicts > 0:
        yield Flag(
            "other-verdicts",
            "doubt",
            float(verdicts),
            0.0,
            f"{verdicts:.1%} of a block's verdicts were others in a new worker; those of the new worker stand here",
        )
    if gradients > 0:
        yield Flag(
            "wrong-gradient",
            "doubt",
            float(gradients),
            MISLED,
            f"{gradients:.0%} of the gradients looked at, on the way of the attacks, do not say what the logits of a "
            "new worker do near by: white-box attacks were led astray",
        )
