"""The same question put to our engine and to another code, in one run and on one thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.bench.engine import run_engine
from benchmark.bench.meter import Clock, Cost, Floor, Metered
from benchmark.bench.rivals import ART, AUTOATTACK, TORCHATTACKS, Rival, undisturbed
from benchmark.bench.task import Task, restricted
from benchmark.errors import ProtocolError
from benchmark.evaluation.judge import one_thread


@dataclass(frozen=True)
class Question:
    """Curves of robust accuracy over the grid. faster: how many times less time than the rival is the aim."""

    name: str
    title: str
    attacks: tuple[str, ...]
    rival: Rival
    faster: float


QUESTIONS = {
    question.name: question
    for question in (
        Question("pgd", "the curve of PGD", ("pgd",), TORCHATTACKS, 4),
        Question(
            "worst-case", "the worst case of APGD, FAB and Square", ("apgd", "fab", "square"), AUTOATTACK, 4
        ),
        Question("paper", "the paper's three curves: FGSM, BIM, PGD", ("fgsm", "bim", "pgd"), ART, 6),
    )
}


@dataclass(frozen=True)
class Side:
    """One code's answer.

    fallen: curve → (E, n) bool, broken at this ε or a smaller one. least: seconds of its passes in the bare model.
    """

    title: str
    cost: Cost
    least: float
    fallen: Mapping[str, np.ndarray]

    @property
    def above_least(self) -> float:
        """Share of the seconds that its passes would not have taken in the bare model at full batch."""
        return 1 - self.least / self.cost.seconds


@dataclass(frozen=True)
class Comparison:
    """Both answers to a question. theirs is None where the other code is not installed.

    floors: seconds of one image in the bare model, forward and forward with backward, ours then theirs.
    """

    question: Question
    task: str
    epsilons: tuple[str, ...]
    ours: Side
    theirs: Side | None
    floors: tuple[tuple[float, float], tuple[float, float]]

    @cached_property
    def differing(self) -> dict[str, list[int]]:
        """Curve → for each ε, the images that fall by one code and stand by the other."""
        theirs = self.theirs.fallen if self.theirs else {}
        return {
            curve: (self.ours.fallen[curve] != fallen).sum(1).tolist() for curve, fallen in theirs.items()
        }

    @property
    def faster(self) -> float:
        """How many times less time ours takes; NaN without the other."""
        return self.theirs.cost.seconds / self.ours.cost.seconds if self.theirs else float("nan")

    @property
    def fewer_gradients(self) -> float:
        """How many times fewer backward passes."""
        return self.theirs.cost.backward / max(self.ours.cost.backward, 1) if self.theirs else float("nan")

    @property
    def fewer_passes(self) -> float:
        """How many times fewer passes, forward and backward together."""
        if not self.theirs:
            return float("nan")
        theirs, ours = self.theirs.cost, self.ours.cost
        return (theirs.forward + theirs.backward) / max(ours.forward + ours.backward, 1)


def compare(task: Task, question: Question, done: Callable[[], None] = lambda: None) -> Comparison:
    """Ask both; the bare model is measured before, between and after. `done` after each block and each ε."""
    ours_bare, theirs_bare = (
        Floor(model, task.images[: task.batch]) for model in (task.attacked, task.stock)
    )
    with one_thread():
        _sample(ours_bare, theirs_bare)
        run = run_engine(task, restricted(task.protocol, question.attacks), done)
        _sample(ours_bare, theirs_bare)
        answer = (
            _ask(task, question.rival, (ours_bare, theirs_bare), done) if question.rival.version else None
        )
    grid = np.array([float(epsilon) for epsilon in task.protocol.epsilons])
    fallen = {
        curve: _nested(np.min([run.linf[name] for name in attacks], axis=0)[None] <= grid[:, None], task)
        for curve, attacks in question.rival.curves.items()
    }
    ours = Side("OncoRobust", run.cost, ours_bare.least(run.cost), fallen)
    theirs = None
    if answer:
        title = f"{question.rival.title} ({question.rival.package} {question.rival.version})"
        theirs = Side(title, answer[0], theirs_bare.least(answer[0]), answer[1])
    return Comparison(
        question, task.name, task.protocol.epsilons, ours, theirs, (ours_bare.seconds, theirs_bare.seconds)
    )


def ask_for(names: tuple[str, ...]) -> list[Question]:
    """The questions of these names; all where none is named.

    Raises:
        ProtocolError: there is none of a name.
    """
    unknown = [name for name in names if name not in QUESTIONS]
    if unknown:
        raise ProtocolError(f"unknown question {', '.join(unknown)}; expected {', '.join(QUESTIONS)}")
    return [QUESTIONS[name] for name in names or QUESTIONS]


def _ask(
    task: Task, rival: Rival, floors: tuple[Floor, Floor], done: Callable[[], None]
) -> tuple[Cost, dict[str, np.ndarray]]:
    """What a rival costs and breaks: it is judged outside of its time, in portions of the size that ours uses."""
    metered = Metered(task.stock)
    clock = Clock(metered)
    _warm_up(task, rival)
    fallen: dict[str, list[np.ndarray]] = {curve: [] for curve in rival.curves}
    for index, epsilon in enumerate(task.protocol.grid):
        proposed = {curve: task.images.clone() for curve in rival.curves}
        for start in range(0, len(task.images), task.batch):
            rows = slice(start, start + task.batch)
            with undisturbed(metered, task.protocol.seed), clock.running():
                found = rival.propose(metered, task, task.images[rows], task.labels[rows], float(epsilon))
            for curve, images in found.items():
                proposed[curve][rows] = images
        for curve, images in proposed.items():
            fallen[curve].append(task.fallen(images, index))
        _sample(*floors, times=1)
        done()
    return clock.cost, {curve: _nested(np.stack(rows), task) for curve, rows in fallen.items()}


class _Wrong(nn.Module):
    """Says disease of every image."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.ones(()), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) → (N, 2)."""
        g = self.bias + 0 * images.flatten(1).sum(1)
        return torch.stack((-g, g), 1)


def _warm_up(task: Task, rival: Rival) -> None:
    """What an import costs is not asked: one image that is wrong already, and a model of no cost."""
    model, labels = _Wrong(), torch.zeros(1, dtype=torch.int64)
    with undisturbed(model, task.protocol.seed):
        rival.propose(model, task, task.images[:1], labels, float(task.protocol.headline))


def _nested(fallen: np.ndarray, task: Task) -> np.ndarray:
    """(E, n): what falls at an ε falls at every larger one; what is wrong clean falls everywhere."""
    return np.logical_or.accumulate(fallen | (task.clean <= 0), axis=0)


def _sample(*floors: Floor, times: int = 3) -> None:
    for floor in floors:
        floor.sample(times)
