"""When not to believe a robust accuracy (Carlini et al. 2019; Athalye et al. 2018; Croce & Hein 2020; Pintor et al. 2022).

A notice informs; a doubt takes the rank away. Tolerances on logits scale with T. A check asks little of honest models:
where a threshold comes from is said beside it, and `tests/test_honest.py` tries them on models that have nothing to hide.

    answers     is the model a function, of one image at a time, that returns logits?
    gradients   do gradients lead anywhere?
    outcomes    do the attacks' own results contradict each other?
    fresh       is the test part known by heart?
    known       does its own code know the images by name?
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import nn

from benchmark.data.split import Split
from benchmark.errors import BenchmarkError, SubmissionError
from benchmark.evaluation.health import answers, gradients, known, outcomes
from benchmark.evaluation.health.fresh import (
    FRESH,
    FreshJob,
    FreshMargins,
    draw_margins,
    fresh_draws,
    fresh_jobs,
    memorised,
    run_fresh_job,
)
from benchmark.evaluation.health.probes import LOGIT_TOLERANCE, Evidence, Probes
from benchmark.evaluation.tally import Tally
from benchmark.protocol import Protocol
from benchmark.record import Flag

__all__ = [
    "FRESH",
    "LOGIT_TOLERANCE",
    "Evidence",
    "FreshJob",
    "FreshMargins",
    "fresh_jobs",
    "health_checks",
    "memorised",
    "run_fresh_job",
]

Check = Callable[[Probes], Iterator[Flag]]

# In the order of a record's flags. `lasting` comes last: it sees whether all that was asked has left traces.
CHEAP: tuple[Check, ...] = (
    answers.saturation,
    answers.constancy,
    answers.repeated,
    answers.modes,
    answers.kind,
    answers.continuity,
    known.shifted,
    known.elsewhere,
    known.nearest,
    gradients.vanishing,
    gradients.misleading,
    outcomes.outdone,
    outcomes.non_monotone,
    outcomes.unfinished,
    outcomes.contradicted,
)
DEARER: tuple[Check, ...] = (gradients.unreachable, gradients.unsteady)


def health_checks(
    judge: nn.Module,
    split: Split,
    protocol: Protocol,
    clean: np.ndarray,
    scale: float,
    tallies: Mapping[str, Tally],
    identity: str,
    device: torch.device,
    evidence: Evidence | None = None,
) -> list[Flag]:
    """Every check that gives a flag, in a fixed order; a protocol that asks only the first images has the cheap ones.

    Args:
        judge: the model that judged. split: what it was judged on.
        clean: (N,) clean margins, as judged before any attack. scale: T. tallies: what each attack achieved.
        identity: of the model; seeds the fresh images, so that nobody can know them beforehand.
        evidence: what only the engine knows.

    Raises:
        SubmissionError: the model raised, or gave no usable logits, where a check asked it.
    """
    evidence = evidence or Evidence()
    probes = Probes(judge, split, protocol, clean, scale, tallies, device, evidence)
    flags: list[Flag] = []
    for check in (*CHEAP, *(DEARER if protocol.images is None else ()), answers.lasting):
        try:
            flags += check(probes)
        except BenchmarkError:
            raise
        except Exception as error:
            raise SubmissionError(
                f"health check {check.__name__!r}: the model raised {type(error).__name__}: {error}"
            ) from error
    draws = fresh_draws(split, protocol, identity)
    if draws:
        fresh = evidence.fresh or [draw_margins(judge, draw, device) for draw in draws]
        flags += memorised(clean, fresh)
    return flags
