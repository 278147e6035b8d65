"""Simulated boards and patients, whose truth is known: what intervals and comparisons are held to.

`python tests/board_of_equals.py` prints both tables in full (minutes); tests ask for less of each.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.special import ndtri

from benchmark.statistics import accuracy_interval
from benchmark.statistics.comparison import compare

SHARES, PATIENTS, LIKENESS = (0.05, 0.25, 0.65, 0.95), (60, 200), (0.0, 0.1, 0.3, 0.5)


def sizes_of(draw, patients):
    """Images of each patient: mostly one to three, a few with many, as in LIDC-IDRI."""
    return draw.geometric(1 / 2.5, patients).clip(1, 12)


def verdicts(draw, patients, share, likeness):
    """One entry: (N,) bool, right with chance `share`, patients' images alike by `likeness`; and whose they are."""
    sizes = sizes_of(draw, patients)
    ease = np.full(patients, share)
    if likeness:
        spread = (1 - likeness) / likeness
        ease = draw.beta(share * spread, (1 - share) * spread, patients)
    owner = np.repeat(np.arange(patients), sizes)
    return draw.random(len(owner)) < ease[owner], owner.astype(str)


def coverage(share, patients, likeness, samples, seed=0):
    """How often the interval holds the share that the images were drawn with."""
    draw, held = np.random.default_rng([seed, patients, int(100 * likeness), int(100 * share)]), 0
    for _ in range(samples):
        right, owner = verdicts(draw, patients, share, likeness)
        found = accuracy_interval(right, np.zeros(len(right), int), owner)
        held += found.low <= share <= found.high
    return held / samples


def equal_entries(draw, patients, entries, share, likeness, common):
    """Entries of which none is better: (N, entries) bool, labels, owners. `common`: how much they find the same hard."""
    sizes = sizes_of(draw, patients)
    owner = np.repeat(np.arange(patients), sizes)

    def hardness(count):
        of_patient = draw.normal(size=(count, patients))[:, owner]
        return np.sqrt(likeness) * of_patient + np.sqrt(1 - likeness) * draw.normal(size=(count, len(owner)))

    hard = np.sqrt(common) * hardness(1) + np.sqrt(1 - common) * hardness(entries)
    return (hard < ndtri(share)).T, (draw.random(len(owner)) < 0.45).astype(int), owner.astype(str)


def false_winners(entries, patients, share, likeness, common, boards, seed=0):
    """Share of boards of equal entries on which any entry is said to be better than another."""
    draw, false = np.random.default_rng([seed, patients, entries, int(100 * share)]), 0
    pairs = [(i, j) for i in range(entries) for j in range(i + 1, entries)]
    for _ in range(boards):
        correct, labels, owner = equal_entries(draw, patients, entries, share, likeness, common)
        false += any(pair.beyond_chance for pair in compare(correct, labels, owner, pairs))
    return false / boards


def main(samples, boards):
    print(f"coverage of the 95 % interval, {samples} samples each, %")
    print("patients  likeness  " + "".join(f"{f'p = {share}':>10}" for share in SHARES))
    for patients in PATIENTS:
        for likeness in LIKENESS:
            found = [coverage(share, patients, likeness, samples) for share in SHARES]
            told = "".join(f"{100 * f:10.1f}" for f in found)
            print(f"{patients:8d}  {likeness:8.1f}  {told}", flush=True)
    print(f"boards of 50 equal entries with any false 'A beats B', {boards} boards each, %")
    for patients in PATIENTS:
        for share, likeness, common in (
            (0.65, 0.3, 0.5),
            (0.65, 0.0, 0.9),
            (0.25, 0.5, 0.7),
            (0.05, 0.3, 0.7),
        ):
            found = false_winners(50, patients, share, likeness, common, boards)
            told = f"patients {patients}, p = {share}, likeness {likeness}, in common {common}"
            print(f"  {told}: {100 * found:.1f}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]) if len(sys.argv) > 1 else (2000, 400))
