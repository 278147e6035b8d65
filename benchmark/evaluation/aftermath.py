"""What is known once the blocks are finished: evidence for the health checks, and what the record says of itself."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from benchmark.data.split import Split
from benchmark.evaluation.blocks import Failure, Results
from benchmark.evaluation.health import Evidence, FreshMargins
from benchmark.evaluation.plan import Plan
from benchmark.isolation.sandbox import chosen, described
from benchmark.record import Flag, Validation
from benchmark.submission import SubmittedModel

NONE_NEEDED = "none needed: no code of the submitter runs"
UNSEEN = 100  # images drawn to be attacked


def isolated(entered: SubmittedModel | None) -> str:
    """How the model of a record was isolated, in the record's words. None: a module given in Python."""
    if entered is None:
        return "none"
    if not entered.submission.code:
        return NONE_NEEDED
    return described(chosen(entered.isolation))


def evidence_of(
    plan: Plan,
    results: Results,
    attacked: nn.Module,
    fresh: Sequence[Any],
    worst: np.ndarray,
    own_code: bool,
    validation: Split | None = None,
) -> Evidence:
    """For the health checks.

    Args:
        attacked: a model that nothing was asked yet, or that met the attacks. fresh: what `run_fresh_job` gave.
        worst: see `Evidence`. own_code: whether the submission brought its own code. validation: images besides, if any.
    """
    proven = [proof[:, proof[0] >= 0] for proof in results.proof.values()]
    compared = sum(proof.shape[1] for proof in proven) * len(plan.protocol.epsilons)
    other = sum(int(np.abs(proof[1] - proof[0]).sum()) for proof in proven)
    return Evidence(
        attacked=attacked,
        worst=worst,
        unstopped=results.unstopped if plan.protocol.pursuit else None,
        full_grid=other / compared if compared else None,
        silent=sum(tally.silent for tally in results.tallies.values()),
        fresh=list(fresh) or None,
        own_code=own_code,
        other=_unseen(plan, validation) if own_code else None,
    )


def _unseen(plan: Plan, validation: Split | None) -> Split | None:
    """Images to attack besides: on the phantom drawn from a seed that nobody knows, elsewhere of the validation part."""
    if plan.split.track != "phantom":
        return validation
    from benchmark.data.phantom import draw_split

    return draw_split(plan.split.modality, "unseen", secrets.randbits(48), UNSEEN)


def as_fresh(validation: Validation) -> FreshMargins:
    """Images that were not asked about for the record, whose margins are known."""
    _, patients = np.unique(list(validation.patient_ids), return_inverse=True)
    return FreshMargins(validation.margins, patients)


def incomplete(failures: Sequence[Failure]) -> list[Flag]:
    """A doubt, where blocks are missing."""
    if not failures:
        return []
    images = sum(failure.last - failure.first + 1 for failure in failures)
    told = f"{images} images are missing, their blocks could not be computed: {failures[0].reason}"
    return [Flag("incomplete", "doubt", float(images), 0.0, told)]
