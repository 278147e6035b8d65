"""How a model's weights should lie in memory: tried for a second, and kept so that every later run does the same."""

from __future__ import annotations

import time

import torch
from torch import nn

from benchmark.attacks.two_class import gap
from benchmark.evaluation.judge import one_thread
from benchmark.evaluation.source import LAYOUTS
from benchmark.files import replace_file
from benchmark.folders import cache_folder

USUAL = "channels last"  # faster for most convolutions
CLEARLY = 1.25  # times faster: rounding differs between layouts, so a machine's whim must not decide
SECONDS = 1.0


def choose_layout(
    model: nn.Module, identity: str, size: tuple[int, int], micro_batch: int, device: torch.device
) -> str:
    """The layout's name for this model and image size. The model is left in the usual one."""
    if not any(parameter.ndim == 4 for parameter in model.parameters()):
        return USUAL
    path = cache_folder() / "layouts" / f"{identity[:32]}-{size[0]}x{size[1]}-{device.type}.txt"
    if path.exists() and (known := path.read_text().strip()) in LAYOUTS:
        return known
    images = torch.rand(micro_batch, 1, *size, generator=torch.Generator().manual_seed(0)).to(device)
    fastest = dict.fromkeys(LAYOUTS, float("inf"))
    end = time.perf_counter() + SECONDS
    with one_thread():
        while time.perf_counter() < end:
            for layout, memory_format in LAYOUTS.items():
                model.to(memory_format=memory_format)
                fastest[layout] = min(fastest[layout], _one_pass(model, images))
    model.to(memory_format=LAYOUTS[USUAL])
    best = min(fastest, key=lambda layout: fastest[layout])
    chosen = best if fastest[USUAL] > CLEARLY * fastest[best] else USUAL
    replace_file(path, chosen.encode())
    return chosen


def _one_pass(model: nn.Module, images: torch.Tensor) -> float:
    started = time.perf_counter()
    asked = images.clone().requires_grad_(True)
    with torch.enable_grad():
        answer = gap(model(asked)).sum()
        if answer.requires_grad:
            torch.autograd.grad(answer, asked, allow_unused=True)
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - started
