"""Random streams and kernels of a training: the same for a seed on one kind of device."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from benchmark.attacks.guard import exact_float32
from benchmark.evaluation.judge import one_thread


@contextmanager
def reproducible(seed: int, device: torch.device) -> Iterator[None]:
    """One thread, float32 without TF32, deterministic kernels, a random stream of its own; all put back afterwards."""
    before = torch.are_deterministic_algorithms_enabled()
    cuda = device.type == "cuda"
    with one_thread(), exact_float32(), torch.random.fork_rng([device] if cuda else []):
        if cuda:
            # cuBLAS reads it at its first call. Layers without a deterministic kernel warn and go on.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=True)
        torch.manual_seed(seed)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")
                yield
        finally:
            if cuda:
                torch.use_deterministic_algorithms(before)


def random_state(device: torch.device) -> Tensor:
    """Of the stream that dropout on this device draws from."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def set_random_state(device: torch.device, state: Tensor) -> None:
    """Go back to what `random_state` gave."""
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
