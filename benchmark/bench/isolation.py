"""What walls cost: `python -m benchmark.bench.isolation` compares a model in a worker with the same one at home, in one run.

Both are asked in turn, in one thread each, a second of questions in a row after one that is not counted: an evaluation asks
one model all the time, and whoever comes after the other finds the caches full of the other's weights. An evaluation is
counted as the reference entries' records have it: of 172 forward passes 94 are followed by a backward pass. Seconds are
medians; those of the processor, of harness and worker together, feel less of what else the machine is doing.

What the walls take does not hang on the model, only on how large its images are. So it is also measured alone, with a
model that computes next to nothing, and set against each model's own time: on a busy machine that is the steadier figure.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click
import psutil
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmark.attacks.two_class import gap
from benchmark.evaluation.judge import one_thread
from benchmark.isolation import sandbox
from benchmark.isolation.bridge import Bridge
from benchmark.isolation.link import Limits, Worker
from benchmark.isolation.zygote import Place, Zygote
from benchmark.models import build
from benchmark.models.weights import load_weights

FORWARD, BOTH = 78, 94  # passes of an evaluation: forward alone, and with a backward pass
TURN = 1.0  # seconds of questions that are counted, at each turn
NOTHING = "logistic-regression"  # computes next to nothing
WEIGHTS = "weights.safetensors"
CODE = """from benchmark.models import build as named
from benchmark.models.weights import undrawn

def build(modality):
    with undrawn():
        return named({architecture!r})
"""


@dataclass(frozen=True)
class Overhead:
    """Of one architecture. start: seconds for the first worker, with its zygote. later: the least of nine further ones.

    equal: whether logits and gradients are the same bits. clock, processor: the overhead of an evaluation, as a share.
    more, own: seconds of the processor that the walls, and the model at home, take for a question of 128 images, say.
    """

    architecture: str
    images: int
    start: float
    later: float
    equal: bool
    clock: float
    processor: float
    more: float
    own: float


def measure(
    architecture: str, images: int = 128, side: int = 64, rounds: int = 9, how: str = "auto"
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
        torch.manual_seed(0)
        save_file(build(architecture).state_dict(), folder / WEIGHTS)
        place = Place(folder.resolve(), ("model.py", WEIGHTS), sandbox.chosen(how))
        started = time.perf_counter()
        zygote = Zygote(place)
        try:
            _start(zygote)
            first = time.perf_counter() - started
            later = min(_timed(lambda: _start(zygote)) for _ in range(9))
            home = build(architecture)
            load_weights(home, folder / WEIGHTS, architecture)  # sums also depend on where a tensor lies
            home.eval().requires_grad_(False)
            x = torch.rand(images, 1, side, side)
            return _compared(architecture, home, zygote, x, rounds, first, later)
        finally:
            zygote.close()


def _compared(
    architecture: str,
    home: nn.Module,
    zygote: Zygote,
    x: Tensor,
    rounds: int,
    first: float,
    later: float,
) -> Overhead:
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
    processor: dict[str, list[float]] = {name: [] for name in asked}
    with one_thread():
        equal = all(torch.equal(a, b) for a, b in zip(_both(bridge, x), _both(home, x), strict=True))
        for number in range(rounds):
            for name, ask in list(asked.items())[
                :: 1 if number % 2 else -1
            ]:  # whoever goes first finds cold caches
                count = max(1, round(TURN / _timed(ask)))
                before = spent()
                clock[name] += [_timed(ask) for _ in range(count)]
                processor[name].append((spent() - before) / count)
    bridge.close()
    there, here = (_mixed(processor, where) for where in ("there", "here"))
    clock_share = _mixed(clock, "there") / _mixed(clock, "here") - 1
    return Overhead(
        architecture, len(x), first, later, equal, clock_share, there / here - 1, there - here, here
    )


def _mixed(seconds: dict[str, list[float]], where: str) -> float:
    """Of one question, as an evaluation mixes them."""
    whole = BOTH * median(seconds[where]) + FORWARD * median(seconds[f"{where}, forward"])
    return whole / (BOTH + FORWARD)


def _both(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    asked = x.clone().requires_grad_(True)
    logits = model(asked)
    (gradient,) = torch.autograd.grad(gap(logits).sum(), asked)
    return logits.detach(), gradient


def _forward(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x)


def _order() -> dict[str, object]:
    return {
        "modality": "ct",
        "files": [WEIGHTS],
        "input": None,
        "device": "cpu",
        "gradients": True,
        "exact": False,
    }


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
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True)
@click.option("--isolation", default="auto", show_default=True)
def main(architectures: tuple[str, ...], images: int, side: int, rounds: int, isolation: str) -> None:
    """Print what workers cost for ARCHITECTURES; the slim and the full VGG16 where none is named."""
    alone = measure(NOTHING, images, side, rounds, isolation)
    click.echo(
        f"the walls alone take {1e3 * alone.more:.1f} ms of the processor for a question about {images} images"
    )
    for architecture in architectures or ("vgg16-slim", "vgg16"):
        found = measure(architecture, images, side, rounds, isolation)
        click.echo(
            f"{found.architecture}, batches of {found.images}: overhead of an evaluation {found.clock:+.1%} by the clock, "
            f"{found.processor:+.1%} of processor time; the walls alone are {alone.more / found.own:.1%} of its own "
            f"{1e3 * found.own:.0f} ms; the first worker after {found.start:.2f} s, a later one after "
            f"{found.later:.3f} s; {'the same bits' if found.equal else 'OTHER BITS'}"
        )


if __name__ == "__main__":
    main()
