"""How well does it do on the validation part of a track? Swapped classes and wrong preprocessing show at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from benchmark.data.split import Split
from benchmark.errors import SubmissionError
from benchmark.evaluation.judge import clean_gaps, one_thread
from benchmark.protocol import get_protocol

BELOW = 0.1  # under the claim: more than the luck of a validation part of a few hundred images


def check_clean(model: nn.Module, split: Split, who: str, claimed: float | None) -> str:
    """Accuracy and AUROC on a split, as a line.

    Args:
        split: the validation part. claimed: accuracy that the submission states; None: none.

    Raises:
        SubmissionError: the classes look swapped, or the accuracy is far under the claim.
    """
    micro_batch = get_protocol("standard").micro_batch(*split.image_size)
    with one_thread():
        gaps = clean_gaps(model, split, micro_batch, torch.device("cpu")).numpy()
    accuracy, area = float(((gaps > 0) == (split.labels == 1)).mean()), auroc(gaps, split.labels)
    told = f"{accuracy:.3f} accuracy and {area:.3f} AUROC on {len(split)} images of {split.name}"
    if area < 0.5:
        raise SubmissionError(
            f"{who}: {told}: the classes look swapped; logits are [no disease, disease], or one that is above 0 for disease"
        )
    if claimed is not None and accuracy < claimed - BELOW:
        raise SubmissionError(
            f"{who}: {told}, and claimed_accuracy = {claimed:g}: preprocessing mismatch? Images come as one channel in "
            "[0, 1]; what the model wants else stands in [input]"
        )
    return told


def auroc(values: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve, ties counting half (Mann-Whitney U); 0.5 where there is one class only.

    Args:
        values: (N,), larger meaning disease. labels: (N,), 0 or 1.
    """
    from scipy.stats import rankdata

    positive = labels == 1
    count, other = int(positive.sum()), int((~positive).sum())
    if not count or not other:
        return 0.5
    return float((rankdata(values)[positive].sum() - count * (count + 1) / 2) / (count * other))
