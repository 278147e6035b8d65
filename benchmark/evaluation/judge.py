"""Verdicts: eager float32, TF32 off, one thread, no gradient. Attacks propose, this decides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from benchmark.allocator import keep_freed_memory
from benchmark.attacks.guard import exact_float32
from benchmark.attacks.two_class import gap
from benchmark.data.split import Split
from benchmark.errors import SubmissionError


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread, so that sums are taken in one order whatever the machine."""
    keep_freed_memory()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def judged_gaps(model: nn.Module, images: Tensor, micro_batch: int) -> Tensor:
    """g of each image as the record takes it: (N, 1, H, W) float32 → (N,) float32.

    Raises:
        SubmissionError: the model raised, or its logits have another shape or are not finite.
    """
    gaps = []
    with torch.no_grad(), exact_float32():
        for chunk in images.split(micro_batch):
            logits = _asked(model, chunk)
            complain_of_logits(logits, len(chunk))
            gaps.append(gap(logits).float())
    found = torch.cat(gaps)
    if not torch.isfinite(found).all():  # of finite logits: no check could compare such answers
        raise SubmissionError(
            "the model's two logits lie further apart than float32 can hold; rescale its last layer"
        )
    return found


def _asked(model: nn.Module, images: Tensor) -> Tensor:
    try:
        return model(images)
    except Exception as error:
        raise SubmissionError(
            f"the model raised {type(error).__name__} on images {tuple(images.shape)}: {error}; "
            "it must take any number of images (N, 1, H, W) of the split's size"
        ) from error


def complain_of_logits(logits: object, count: int) -> None:
    """Raise SubmissionError unless these are `count` finite logits of one or two columns."""
    if not isinstance(logits, Tensor):
        raise SubmissionError(
            f"the model returned {type(logits).__name__}, expected a tensor of logits (N, 2) or (N, 1)"
        )
    if logits.ndim != 2 or logits.shape[0] != count or logits.shape[1] not in (1, 2):
        raise SubmissionError(
            f"the model returned shape {tuple(logits.shape)} for {count} images, expected ({count}, 2) = "
            "[no disease, disease] or (N, 1) where z > 0 means disease; "
            "change its last layer (num_classes in 'architecture_options')"
        )
    bad = int((~torch.isfinite(logits)).any(1).sum())
    if bad:
        raise SubmissionError(
            f"the model returned NaN or infinite logits for {bad} of {count} images; "
            "check its weights and the standardisation of its input"
        )


def clean_gaps(model: nn.Module, split: Split, micro_batch: int, device: torch.device) -> Tensor:
    """g of every image of a split, untouched: (N,) float32 on the CPU. Images are decoded a micro-batch at a time."""
    parts = []
    for start in range(0, len(split), micro_batch):
        images, _ = split.batch(start, start + micro_batch)
        parts.append(judged_gaps(model, images.to(device), micro_batch).cpu())
    return torch.cat(parts)
