"""What walls cost: `python -m benchmark.bench.isolation` compares a model in a worker with the same one at home, in one run.

Both are asked in turn, in one thread each. An evaluation is counted as the reference entries' records have it: of 172
forward passes 94 are followed by a backward pass. Seconds of the clock are the least of all rounds; seconds of the
processor, of harness and worker together, hardly feel what else the machine is doing.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import psutil
import torch
from torch import Tensor, nn

from benchmark.attacks.two_class import gap
from benchmark.evaluation.judge import one_thread
from benchmark.isolation import sandbox
from benchmark.isolation.bridge import Bridge
from benchmark.isolation.link import Limits, Worker
from benchmark.isolation.zygote import Place, Zygote
from benchmark.models import build

FORWARD, BOTH = 78, 94  # passes of an evaluation: forward alone, and with a backward pass
CODE = """import torch
from benchmark.models import build as named

def build(modality):
    torch.manual_seed(0)
    return named({architecture!r})
"""


@dataclass(frozen=True)
class Overhead:
    """Of one architecture. start: seconds for the first worker, with its zygote. later: the median of further ones.

    equal: whether logits and gradients are the same bits. clock, processor: the overhead of an evaluation, as a share.
    """

    architecture: str
    images: int
    start: float
    later: float
    equal: bool
    clock: float
    processor: float


def measure(
    architecture: str, images: int = 128, side: int = 64, rounds: int = 10, how: str = "auto"
) -> Overhead:
    """Ask both in turn, `rounds` times.

    Args:
        images, side: of a batch. how: as `isolation` of `evaluate`.

    Raises:
        IsolationError: no sandbox works here.
    """
    with tempfile.TemporaryDirectory(prefix="oncorobust-") as name:
        folder = Path(name)
        (folder / "model.py").write_text(CODE.format(architecture=architecture), encoding="utf-8")
        place = Place(folder.resolve(), ("model.py",), sandbox.chosen(how))
        started = time.perf_counter()
        zygote = Zygote(place)
        try:
            _start(zygote)
            first = time.perf_counter() - started
            later = statistics.median(_timed(lambda: _start(zygote)) for _ in range(5))
            return _compared(architecture, zygote, torch.rand(images, 1, side, side), rounds, first, later)
        finally:
            zygote.close()


def _compared(
    architecture: str, zygote: Zygote, x: Tensor, rounds: int, first: float, later: float
) -> Overhead:
    torch.manual_seed(0)
    home = build(architecture).eval().requires_grad_(False)
    worker = zygote.worker(_order(), Limits())
    bridge = Bridge(lambda device: worker)
    inside = max(
        psutil.Process(zygote.process.pid).children(recursive=True), key=lambda process: process.create_time()
    )

    def spent() -> float:
        times = inside.cpu_times()
        return time.process_time() + times.user + times.system

    asked: dict[str, Callable[[], object]] = {
        "there": lambda: _both(bridge, x),
        "here": lambda: _both(home, x),
        "there, forward": lambda: _forward(bridge, x),
        "here, forward": lambda: _forward(home, x),
    }
    clock: dict[str, list[float]] = {name: [] for name in asked}
    processor = dict.fromkeys(asked, 0.0)
    with one_thread():
        equal = all(torch.equal(a, b) for a, b in zip(_both(bridge, x), _both(home, x), strict=True))
        for number in range(rounds):
            for name, ask in list(asked.items())[
                :: 1 if number % 2 else -1
            ]:  # whoever goes first finds cold caches
                before = spent()
                clock[name].append(_timed(ask))
                processor[name] += spent() - before
    bridge.close()
    least = {name: min(times) for name, times in clock.items()}
    return Overhead(architecture, len(x), first, later, equal, _share(least), _share(processor))


def _share(seconds: dict[str, float]) -> float:
    there = BOTH * seconds["there"] + FORWARD * seconds["there, forward"]
    return there / (BOTH * seconds["here"] + FORWARD * seconds["here, forward"]) - 1


def _both(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    asked = x.clone().requires_grad_(True)
    logits = model(asked)
    (gradient,) = torch.autograd.grad(gap(logits).sum(), asked)
    return logits.detach(), gradient


def _forward(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x)


def _order() -> dict[str, object]:
    return {"modality": "ct", "files": [], "input": None, "device": "cpu", "gradients": True, "exact": False}


def _start(zygote: Zygote) -> Worker:
    worker = zygote.worker(_order(), Limits())
    worker.close()
    return worker


def _timed(ask: Callable[[], object]) -> float:
    started = time.perf_counter()
    ask()
    return time.perf_counter() - started


@click.command()
@click.argument("architectures", nargs=-1)
@click.option("--images", type=click.IntRange(1), default=128, show_default=True, help="In a batch.")
@click.option("--side", type=click.IntRange(16), default=64, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=10, show_default=True)
@click.option("--isolation", default="auto", show_default=True)
def main(architectures: tuple[str, ...], images: int, side: int, rounds: int, isolation: str) -> None:
    """Print what workers cost for ARCHITECTURES; the slim and the full VGG16 where none is named."""
    for architecture in architectures or ("vgg16-slim", "vgg16"):
        found = measure(architecture, images, side, rounds, isolation)
        click.echo(
            f"{found.architecture}, batches of {found.images}: overhead of an evaluation {found.clock:+.1%} by the clock, "
            f"{found.processor:+.1%} of processor time; the first worker after {found.start:.2f} s, a later one after "
            f"{found.later:.3f} s; {'the same bits' if found.equal else 'OTHER BITS'}"
        )


if __name__ == "__main__":
    main()
