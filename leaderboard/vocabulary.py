"""The words of regulators and of those who keep lists of attacks: what ours are called there.

NIST AI 100-2 E2025, "Adversarial Machine Learning: A Taxonomy and Terminology of Attacks and Mitigations" (March 2025),
and MITRE ATLAS 5.6.0 (May 2026). A defence has a word where an entry's kind of training says which it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leaderboard.parts import Cell, Line, Numbers

WHITE_BOX = ("evasion, white-box", "AML.T0043.000 Craft Adversarial Data: White-Box Optimization")
BLACK_BOX = ("evasion, black-box (query)", "AML.T0043.001 Craft Adversarial Data: Black-Box Optimization")
TRANSFER = ("evasion, black-box (transfer)", "AML.T0043.002 Craft Adversarial Data: Black-Box Transfer")
CONTROL = ("no attack: a control", "–")

BESIDE = (
    ("AutoAttack, the second opinion", WHITE_BOX),
    ("images made for another entry", TRANSFER),
    ("what all of them aim at", ("attacker's goal: integrity violation", "AML.T0015 Evade AI Model")),
)
DEFENCES = (
    ("adversarial training", "adversarial training", "AML.M0003 Model Hardening"),
    ("averaged models", "–", "AML.M0006 Use Ensemble Methods"),
    ("noise taken away before the model", "–", "AML.M0010 Input Restoration"),
    ("finding attacked images", "–", "AML.M0015 Adversarial Input Detection"),
)


def attack_words(protocols: Sequence[Mapping[str, Any]]) -> Numbers:
    """Every attack of these protocols, and what stands beside them, in the words of NIST and ATLAS."""
    attacks = {str(spec["title"]): _of(spec) for protocol in protocols for spec in protocol["attacks"]}
    lines = [Line(name, (Cell(nist), Cell(atlas))) for name, (nist, atlas) in (*attacks.items(), *BESIDE)]
    return Numbers(
        "What is done to a model here. The attacker knows everything (white-box) or only the answers (black-box), can "
        "change every pixel by at most ε while the model answers, and not the training.",
        ("here", "NIST AI 100-2 E2025", "MITRE ATLAS"),
        tuple(lines),
        words=True,
    )


def defence_words() -> Numbers:
    """What entries defend themselves with, in the same words."""
    return Numbers(
        "What a model may do against it. Only what is differentiable, deterministic and judged image by image can be "
        "entered; the rest is named for the reader who looks for it.",
        ("here", "NIST AI 100-2 E2025", "MITRE ATLAS"),
        tuple(Line(here, (Cell(nist), Cell(atlas))) for here, nist, atlas in DEFENCES),
        words=True,
    )


def _of(spec: Mapping[str, Any]) -> tuple[str, str]:
    if spec["method"] == "sign_noise":
        return CONTROL
    return WHITE_BOX if spec["white_box"] else BLACK_BOX
