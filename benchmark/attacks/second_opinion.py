"""AutoAttack by its authors, as an opinion beside our battery: the only file that imports pyautoattack.

It is the package that robustbench depends on, not the class of the same name in torchattacks, which
fails with two classes and takes a tenth of the steps. The battery's own APGD, FAB and Square come
from torchattacks; an independent code that breaks what they left standing is news about them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version

from torch import Tensor, nn

from benchmark.attacks.guard import guarded
from benchmark.attacks.two_class import ScaledGap, TwoClass
from benchmark.attacks.watch import Counted
from benchmark.errors import ProtocolError
from benchmark.protocol import AttackSpec

CODE = "pyautoattack"

# Every parameter is its authors'. The attack on the logit ratio needs three classes, and FAB with two
# classes has one target.
SECOND_OPINION = (
    AttackSpec(
        "apgd-ce",
        "APGD-CE-100",
        "apgd-ce",
        "survivors",
        {"n_iter": 100, "n_restarts": 1, "eot_iter": 1, "thr_decr": 0.75},
        source="Croce & Hein 2020, arXiv 2003.01690",
    ),
    AttackSpec(
        "fab-t",
        "FAB-T-100",
        "fab-t",
        "survivors",
        {"n_iter": 100, "n_target_classes": 1, "alpha_max": 0.1, "eta": 1.05, "beta": 0.9},
        source="Croce & Hein 2020, arXiv 1907.02044",
    ),
    AttackSpec(
        "square",
        "Square-5000",
        "square",
        "survivors",
        {"n_queries": 5000, "n_restarts": 1, "p_init": 0.8, "loss": "margin", "rescale_schedule": False},
        white_box=False,
        source="Andriushchenko et al. 2020, arXiv 1912.00049",
    ),
)
# Which of AutoAttack's attacks a method is, and the view of the model that its loss needs.
PARTS = {"apgd-ce": ("apgd", TwoClass), "fab-t": ("fab", ScaledGap), "square": ("square", ScaledGap)}


@dataclass(frozen=True)
class Opinion:
    """What AutoAttack proposes for each image, (N, 1, H, W), what it cost, and what it warned of."""

    images: Tensor
    forward: int
    backward: int
    warnings: tuple[str, ...]


def code_version() -> str:
    """The version of pyautoattack that is installed."""
    return version(CODE)


def ask(
    spec: AttackSpec,
    model: nn.Module,
    temperature: float,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    seed: int,
) -> Opinion:
    """Let one attack of AutoAttack try once.

    Args:
        spec: one of `SECOND_OPINION`, or like it.
        model: (N, 1, H, W) → logits (N, 2) or (N, 1); parameters frozen.
        temperature: T of the whole split.
        images: (N, 1, H, W) float32 in [0, 1], classified rightly. labels: (N,) int64, the true ones.
        epsilon: L∞ radius. seed: of this call.

    Returns:
        Its output: a proposal, to be projected, checked and judged.

    Raises:
        ProtocolError: the method or a parameter is none of AutoAttack's.
    """
    from pyautoattack import AutoAttack

    if spec.method not in PARTS:
        raise ProtocolError(f"AutoAttack has no {spec.method!r} for two classes; it has {', '.join(PARTS)}")
    part, view = PARTS[spec.method]
    counted = Counted(model)
    with guarded(model, seed), _listening() as told:
        attack = AutoAttack(
            view(counted, temperature).eval(),
            attacks=[spec.method],
            version="custom",
            norm="Linf",
            eps=epsilon,
            seed=seed,
            device=images.device,
        )
        for name, value in spec.parameters.items():
            if not hasattr(getattr(attack, part), name):
                raise ProtocolError(f"AutoAttack's {spec.method} has no parameter {name!r}")
            setattr(getattr(attack, part), name, value)
        proposed, _ = attack.run_standard_evaluation(images, labels, batch_size=len(images))
    warnings = tuple(dict.fromkeys(told))
    return Opinion(proposed.detach(), counted.forward_passes, counted.backward_passes, warnings)


@contextmanager
def _listening() -> Iterator[list[str]]:
    """What AutoAttack warns of, as a list; and its tracing of calls undone, which ends debuggers and coverage."""
    handler = _Told()
    logger, trace = logging.getLogger("auto-attack"), sys.gettrace()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield handler.told
    finally:
        sys.settrace(trace)
        logger.removeHandler(handler)
        logger.propagate = propagate


class _Told(logging.Handler):
    """Keeps what it is told, from warnings on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message, on one line."""
        self.told.append(" ".join(record.getMessage().split()))
