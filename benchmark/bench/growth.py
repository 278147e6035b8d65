"""How the cost of a battery grows with images, ε and pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from benchmark.bench.engine import run_engine
from benchmark.bench.meter import Cost
from benchmark.bench.task import Task, finer, make_task, resized
from benchmark.data.split import Split
from benchmark.evaluation.judge import one_thread
from benchmark.protocol import Protocol


@dataclass(frozen=True)
class Size:
    """One measurement. images: how many, and right: how many of them were attacked; side: in pixels."""

    varied: str
    images: int
    right: int
    epsilons: int
    side: int
    cost: Cost


def grow(
    model: nn.Module,
    split: Split,
    protocol: Protocol,
    images: Sequence[int],
    sides: Sequence[int],
    done: Callable[[], None] = lambda: None,
) -> Iterator[Size]:
    """The whole battery of a protocol at growing sizes, the first number of images being the smallest task.

    Args:
        images: numbers of images, rounded down to whole patients. sides: image sizes in pixels; at other sizes than
            the split's own the model's answers are taken for the truth, so that every image is attacked.
    """
    for count in images:
        yield _measured("images", make_task(model, split, protocol, count))
        done()
    yield _measured("ε", make_task(model, split, finer(protocol), images[0]))
    done()
    few = split.first_patients(images[0])
    for side in sides:
        with one_thread():
            drawn = resized(model, few, side, protocol)
        yield _measured("pixels", make_task(model, drawn, protocol))
        done()


def _measured(varied: str, task: Task) -> Size:
    run = run_engine(task, task.protocol)
    return Size(
        varied,
        len(task.images),
        int((task.clean > 0).sum()),
        len(task.protocol.epsilons),
        task.images.shape[2],
        run.cost,
    )
