"""How far one gets without looking: shortcut baselines that a split must not fall to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.data.split import LEVELS, Split


@dataclass(frozen=True)
class Audit:
    """Baselines of a split.

    shortcuts: AUC of single numbers (0.5 is blind; below 0.5 is turned over).
    pixel_logistic: accuracy of a logistic regression on pixels, fitted on another part.
    """

    images: int
    patients: int
    positives: int
    shortcuts: dict[str, float]
    pixel_logistic: float | None


def audit(split: Split, training: Split | None = None) -> Audit:
    """Measure a split's shortcuts.

    Args:
        split: what is audited. training: another part of the same track to fit the pixel baseline on.
    """
    images = np.asarray(split.images, np.float64)[:, 0] / LEVELS
    numbers = {
        "mean intensity": images.mean((1, 2)),
        "intensity SD": images.std((1, 2)),
        "maximum": images.max((1, 2)),
    }
    numbers |= {key: np.asarray(values, float) for key, values in split.facts.items()}
    shortcuts = {key: auc(values, split.labels) for key, values in numbers.items()}
    return Audit(
        len(split),
        split.patients,
        int(split.labels.sum()),
        {key: max(value, 1 - value) for key, value in shortcuts.items() if np.isfinite(value)},
        None if training is None else pixel_logistic(training, split),
    )


def auc(values: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve of one number, ties counted half (Mann–Whitney); NaN where it cannot be had.

    >>> auc(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 0, 1, 1]))
    1.0
    """
    from scipy.stats import rankdata

    known = np.isfinite(values)
    ranks, positive = rankdata(values[known]), labels[known] == 1
    n1, n0 = int(positive.sum()), int((~positive).sum())
    if not n1 or not n0:
        return float("nan")
    return float((ranks[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def pixel_logistic(training: Split, split: Split, penalties: tuple[float, ...] = (1e2, 1e0)) -> float:
    """Accuracy of a ridge-penalised logistic regression on standardised pixels; the better of the penalties."""
    import torch

    x, y = training.batch()
    mean, deviation = x.mean(), x.std()
    flat = ((x - mean) / deviation).flatten(1)
    target = y.float()
    test, labels = split.batch()
    test = ((test - mean) / deviation).flatten(1)
    best = 0.0
    for penalty in penalties:
        weight = torch.zeros(flat.shape[1] + 1, requires_grad=True)
        optimiser = torch.optim.LBFGS([weight], max_iter=200, line_search_fn="strong_wolfe")

        def loss(
            weight: torch.Tensor = weight, optimiser: torch.optim.LBFGS = optimiser, penalty: float = penalty
        ) -> float:
            optimiser.zero_grad()
            fit = torch.nn.functional.binary_cross_entropy_with_logits(
                flat @ weight[:-1] + weight[-1], target, reduction="sum"
            )
            total = fit + penalty * weight[:-1].square().sum()
            total.backward()
            return float(total.detach())

        optimiser.step(loss)
        with torch.no_grad():
            right = ((test @ weight[:-1] + weight[-1]) > 0).long() == labels
        best = max(best, float(right.float().mean()))
    return best
