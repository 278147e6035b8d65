"""Images that somebody else proposes, put into the ball and judged."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import torch
from torch import Tensor

from benchmark.attacks.two_class import margins
from benchmark.errors import SubmissionError
from benchmark.evaluation.anew import Pile
from benchmark.evaluation.judge import judged_gaps
from benchmark.threat_model import ThreatModel, achieved


def judge_proposals(
    judge: torch.nn.Module,
    images: Tensor,
    labels: Tensor,
    proposed: Tensor,
    epsilon: str,
    micro_batch: int,
    pile: Pile,
) -> tuple[np.ndarray, np.ndarray]:
    """Project proposals into the ball and judge them: margins (n,) float32 and achieved ‖δ‖∞ (n,) float64.

    Args:
        pile: what was judged is put there, for a second trial.

    Raises:
        SubmissionError: they have another shape, or the model does not answer.
    """
    if proposed.shape != images.shape:
        raise SubmissionError(f"proposals have shape {tuple(proposed.shape)}, expected {tuple(images.shape)}")
    allowed = ThreatModel(Decimal(epsilon)).project(images, proposed.to(images))
    gaps = judged_gaps(judge, allowed, micro_batch)
    pile.keep(allowed, gaps)
    margin = margins(gaps, labels)
    return margin.cpu().numpy(), achieved(images, allowed).cpu().numpy()


def signed(gaps: np.ndarray, labels: Tensor) -> np.ndarray:
    """Margins (n,) of gaps (n,) and labels (n,)."""
    return margins(torch.from_numpy(gaps), labels.cpu()).numpy()
