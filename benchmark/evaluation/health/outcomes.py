"""What the attacks' own results give away: a weak attack that beats a strong one, an attack that was not finished."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmark.evaluation.health.probes import Probes
from benchmark.protocol import AttackSpec
from benchmark.record import Flag

# An attack is outdone on more than this share of the images and on at least so many: fewer are the luck of a start.
SHARE, COUNT = 0.01, 3
NON_MONOTONE = 0.01  # of the images that were right; Carlini et al. 2019 allow none, starts are random
# Of the way that the margin has gone, in the last tenth of the steps (IoAF's indicator of incomplete optimisation).
# Honest models and APGD-100: up to 0.003.
MOVING = 0.05
DISAGREEING = 0.01  # of the verdicts; as much as one attack may outdo another
LEAST = 1e-6  # of T: margins that went no way at all have no share of it to go


def outdone(probes: Probes) -> Iterator[Flag]:
    """Does a weaker attack break what stronger ones leave?"""
    attacks = [spec for spec in probes.protocol.attacks if spec.name in probes.tallies]
    white = [spec for spec in attacks if spec.white_box]
    noise = [spec for spec in attacks if spec.method == "sign_noise"]
    black = [spec for spec in attacks if not spec.white_box and spec not in noise]
    for check, weak, strong, sentence in (
        ("noise-beats-attack", noise, white, "random noise breaks images that no white-box attack broke"),
        (
            "black-box-beats-white-box",
            black,
            white,
            "a black-box attack breaks images that no white-box attack broke: gradients are masked",
        ),
        (
            "one-step-beats-iterative",
            [spec for spec in white if not _iterative(spec)],
            [spec for spec in white if _iterative(spec)],
            "one step breaks images that iterative attacks did not break",
        ),
    ):
        only = _broken(probes, weak) & ~_broken(probes, strong)
        share = float(only.mean())
        if share > SHARE and only.sum() >= COUNT:
            yield Flag(
                check,
                "doubt",
                share,
                SHARE,
                f"{sentence} ({int(only.sum())} images at ε = {probes.protocol.headline})",
            )


def _iterative(spec: AttackSpec) -> bool:
    return spec.parameters.get("steps", 1) > 1


def _broken(probes: Probes, attacks: Sequence[AttackSpec]) -> np.ndarray:
    """(N,) bool: right when clean, and broken by one of these within the headline ε."""
    found = [probes.tallies[spec.name].linf <= probes.epsilon for spec in attacks]
    return (probes.clean > 0) & np.logical_or.reduce([np.zeros(len(probes.clean), bool), *found])


def non_monotone(probes: Probes) -> Iterator[Flag]:
    """Broken at one ε and not at a larger one, where asked: a gradient attack lost its way in a larger ball.

    One step and noise are not asked: they overshoot on honest models too.
    """
    right = probes.clean > 0
    for spec in probes.protocol.attacks:
        if not (spec.white_box and _iterative(spec)) or spec.name not in probes.tallies or not right.any():
            continue
        judged = probes.tallies[spec.name].margins[:, right]
        broken_below = np.logical_or.accumulate(judged <= 0, axis=0)
        odd = (broken_below & (judged > 0)).any(0)
        if odd.mean() > NON_MONOTONE and odd.sum() >= COUNT:
            yield Flag(
                "non-monotone",
                "doubt",
                float(odd.mean()),
                NON_MONOTONE,
                f"{spec.title} broke {int(odd.sum())} images at one ε and failed on them at a larger one",
            )


def unfinished(probes: Probes) -> Iterator[Flag]:
    """Were the margins of unbroken images still falling when the longest attack ended?"""
    if probes.evidence.unstopped is None:
        return
    nearly, last = probes.evidence.unstopped
    asked = probes.unbroken & np.isfinite(nearly) & np.isfinite(last)
    if asked.sum() < COUNT:
        return
    way = np.maximum(probes.clean - last, LEAST * probes.scale)[asked]
    value = float(((nearly - last)[asked] / way).mean())
    if value > MOVING:
        yield Flag(
            "unfinished",
            "doubt",
            value,
            MOVING,
            f"the last tenth of the attack's steps still made {value:.0%} of the way that the margins of unbroken images "
            "went: more steps would break more",
        )


def contradicted(probes: Probes) -> Iterator[Flag]:
    """Results that contradict themselves: successes the judge cannot see, a search that missed what the grid shows."""
    if probes.evidence.silent:
        yield Flag(
            "silent-success",
            "doubt",
            float(probes.evidence.silent),
            0.0,
            f"{probes.evidence.silent} images broke the attacked model and not the one that judges: the same weights "
            "give different answers",
        )
    if probes.evidence.full_grid is not None and probes.evidence.full_grid > DISAGREEING:
        yield Flag(
            "full-grid",
            "notice",
            probes.evidence.full_grid,
            DISAGREEING,
            f"asking every ε gives another verdict than the search in {probes.evidence.full_grid:.1%} of the cases; "
            "the headline ε is not searched and not concerned",
        )
