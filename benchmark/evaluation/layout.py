"""How a model's weights should lie in memory: tried for a second, and kept so that every later run does the same."""

from __future__ import annotations

import time

import torch
from torch import nn

from benchmark.attacks.two_class import gap
from benchmark.evaluation.judge import one_thread
from benchmark.evaluation.source import LAYOUTS
from benchmark.files import keep_first
from benchmark.folders import cache_folder

USUAL = "channels last"  # faster for most convolutions
CLEARLY = (
    2.0  # times faster, in every round: rounding differs between layouts, so a machine's whim must not decide
)
ROUNDS, SECONDS = 3, 1.0  # at least, at most


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
    slower: list[float] = []
    end = time.perf_counter() + SECONDS
    with one_thread():
        while len(slower) < ROUNDS or time.perf_counter() < end:
            took = {}
            for layout, memory_format in LAYOUTS.items():
                model.to(memory_format=memory_format)
                took[layout] = min(_one_pass(model, images) for _ in range(2))
            slower.append(took[USUAL] / min(took.values()))
    model.to(memory_format=LAYOUTS[USUAL])
    chosen = USUAL if min(slower) < CLEARLY else next(layout for layout in LAYOUTS if layout != USUAL)
    path.unlink(missing_ok=True)  # damaged, if there is one
    return keep_first(path, chosen.encode()).decode()  # of machines that try at once, one decides for all


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
