"""How far one gets without looking: baselines of single numbers, and of a straight line through the pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.data.resample import resize
from benchmark.data.split import LEVELS, Split

BATCH = 32  # images in memory at a time
FITTED, SIDE = 2000, 64  # images that a straight line is fitted to, and their pixels a side: more say no more
# What a label was made from is no shortcut to it.
NOT_SHORTCUTS = ("malignancy", "readers", "metastasis_mm2")


def shortcut_numbers(split: Split) -> dict[str, np.ndarray]:
    """Numbers that hold next to nothing of what a picture shows, and the split's own facts: each (N,) float64."""
    found: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(split), BATCH):
        images = np.asarray(split.images[start : start + BATCH])[:, 0].astype(np.float64) / LEVELS
        told = {
            "mean intensity": images.mean((1, 2)),
            "intensity SD": images.std((1, 2)),
            "maximum": images.max((1, 2)),
            "edge of the picture": _edge_mean(images),
            "share of black": (images == 0).mean((1, 2)),
            "share of white": (images == 1).mean((1, 2)),
        }
        for key, values in told.items():
            found.setdefault(key, []).append(values)
    numbers = {key: np.concatenate(values) for key, values in found.items()}
    facts = {key: np.asarray(list(values), float) for key, values in split.facts.items()}
    return numbers | {key: values for key, values in facts.items() if key not in NOT_SHORTCUTS}


def _edge_mean(images: np.ndarray) -> np.ndarray:
    """Mean of the outermost pixels, where there is no lesion."""
    sides = (images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1])
    return np.concatenate(sides, axis=1).mean(1)


def shortcut_aucs(split: Split) -> dict[str, float]:
    """AUC of each number, 0.5 is blind; below 0.5 is turned over. Those that say nothing at all are left away."""
    found = {key: auc(values, split.labels) for key, values in shortcut_numbers(split).items()}
    return {key: max(value, 1 - value) for key, value in found.items() if np.isfinite(value)}


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


def pixel_logistic(
    training: Split, splits: Sequence[Split], penalties: tuple[float, ...] = (1e2, 1e0)
) -> list[float]:
    """Accuracy on each split of a ridge-penalised logistic regression on pixels; the better of the penalties.

    It is fitted to at most 2,000 images of the training part, evenly taken, and sees at most 64 x 64 pixels of each.
    """
    import torch

    some = np.unique(np.linspace(0, len(training) - 1, min(len(training), FITTED)).astype(int))
    x = torch.from_numpy(np.concatenate([_pixels(training, some[i : i + BATCH]) for i in _starts(len(some))]))
    target = torch.from_numpy(training.labels[some]).float()
    mean, deviation = x.mean(), x.std()
    x.sub_(mean).div_(deviation)
    best = [0.0] * len(splits)
    for penalty in penalties:
        weight = torch.zeros(x.shape[1] + 1, requires_grad=True)
        optimiser = torch.optim.LBFGS([weight], max_iter=200, line_search_fn="strong_wolfe")

        def loss(
            weight: torch.Tensor = weight, optimiser: torch.optim.LBFGS = optimiser, penalty: float = penalty
        ) -> float:
            optimiser.zero_grad()
            fit = torch.nn.functional.binary_cross_entropy_with_logits(
                x @ weight[:-1] + weight[-1], target, reduction="sum"
            )
            total = fit + penalty * weight[:-1].square().sum()
            total.backward()
            return float(total.detach())

        optimiser.step(loss)
        straight = weight.detach()
        for number, split in enumerate(splits):
            right = 0
            for start in _starts(len(split)):
                rows = np.arange(start, min(start + BATCH, len(split)))
                seen = (torch.from_numpy(_pixels(split, rows)) - mean) / deviation
                found = (seen @ straight[:-1] + straight[-1] > 0).numpy()
                right += int((found == (split.labels[rows] == 1)).sum())
            best[number] = max(best[number], right / len(split))
    return best


def _starts(count: int) -> range:
    return range(0, count, BATCH)


def _pixels(split: Split, rows: np.ndarray) -> np.ndarray:
    """Some images, made smaller where they are larger than 64 x 64: (n, pixels) float32 in [0, 1]."""
    images = np.asarray(split.images[rows])[:, 0].astype(np.float32) / np.float32(LEVELS)
    shape = (min(images.shape[1], SIDE), min(images.shape[2], SIDE))
    if images.shape[1:] != shape:
        images = resize(images, shape).astype(np.float32)
    return images.reshape(len(images), -1)
