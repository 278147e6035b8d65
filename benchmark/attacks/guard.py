"""An attack may not change the world: random state, training flags, parameter gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def guarded(model: nn.Module, seed: int) -> Iterator[None]:
    """Run a block with its own random stream and leave everything as it was, also when it raises.

    torchattacks re-seeds torch's global generator and resets every module's training flag.
    """
    flags = [(module, module.training) for module in model.modules()]
    devices = sorted(
        {p.device.index for p in model.parameters() if p.device.type == "cuda" and p.device.index is not None}
    )
    with torch.random.fork_rng(devices), torch.enable_grad():
        torch.manual_seed(seed)
        try:
            yield
        finally:
            for module, training in flags:
                module.training = training


@contextmanager
def exact_float32() -> Iterator[None]:
    """TF32 off: at ε = 0.0005 its rounding is as large as ε."""
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn
