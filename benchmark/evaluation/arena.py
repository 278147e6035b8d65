"""One block of images, a model under attack, a model that judges, and the tally of what each attack achieved."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.attacks.battery import propose
from benchmark.attacks.two_class import margins
from benchmark.errors import BenchmarkError, SubmissionError
from benchmark.evaluation.judge import judged_gaps
from benchmark.protocol import AttackSpec, Protocol
from benchmark.threat_model import ThreatModel, achieved


@dataclass
class Tally:
    """What one attack achieved on the n images of a block, over E values of ε."""

    linf: np.ndarray  # (n,) float64, inf where it broke nothing
    margins: np.ndarray  # (E, n) float32, NaN where not asked
    forward: int = 0
    backward: int = 0


@dataclass
class Arena:
    """Where attacks are let in.

    Args:
        attacked, judge: two instances of the model; the second never meets an attack.
        images: (n, 1, H, W) float32. labels: (n,) int64. clean: (n,) float32 clean margins.
        temperature: T of the whole split.
        block: number of this block; enters the seeds.
    """

    attacked: nn.Module
    judge: nn.Module
    images: Tensor
    labels: Tensor
    clean: np.ndarray
    temperature: float
    protocol: Protocol
    block: int
    tallies: dict[str, Tally] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, e = len(self.images), len(self.protocol.epsilons)
        for spec in self.protocol.attacks:
            self.tallies[spec.name] = Tally(np.full(n, np.inf), np.full((e, n), np.nan, np.float32))
        self.micro_batch = self.protocol.micro_batch(*self.images.shape[2:])
        # The worst image at the headline ε: the one that broke it, else the lowest margin seen.
        self.worst = self.images.clone()
        self.worst_margin = self.clean.copy()

    @property
    def right(self) -> np.ndarray:
        """(n,) bool: classified rightly when clean. The others are broken at every ε already."""
        return self.clean > 0

    @property
    def smallest(self) -> np.ndarray:
        """(n,) float64: the smallest ‖δ‖∞ of all attacks so far."""
        return np.min([tally.linf for tally in self.tallies.values()], axis=0)

    def attempt(
        self, spec: AttackSpec, rows: Sequence[int] | np.ndarray, index: int | None, start: int = 0
    ) -> None:
        """Let `spec` try on the images `rows` at grid point `index` (None: the smallest it can find), and judge it."""
        rows = np.asarray(rows, dtype=np.int64)
        for chunk in np.split(rows, range(self.micro_batch, len(rows), self.micro_batch)):
            if len(chunk):
                self._attempt(spec, chunk, index, start)

    def _attempt(self, spec: AttackSpec, rows: np.ndarray, index: int | None, start: int) -> None:
        tally = self.tallies[spec.name]
        threat = ThreatModel(self.protocol.grid[index] if index is not None else Decimal(1))
        at = torch.from_numpy(rows).to(self.images.device)
        images, labels = self.images[at], self.labels[at]
        try:
            proposal = propose(
                spec,
                self.attacked,
                self.temperature,
                images,
                labels,
                float(threat.epsilon),
                self._seed(spec, index, start),
            )
            _complain_of_proposal(spec, proposal.images, images)
        except BenchmarkError:
            raise
        except Exception as error:
            where = f"attack {spec.name!r}, ε = {threat.epsilon}, block {self.block}"
            raise SubmissionError(f"{where}: {type(error).__name__}: {error}") from error
        tally.forward += proposal.forward
        tally.backward += proposal.backward
        allowed = threat.project(images, proposal.images)
        margin = margins(judged_gaps(self.judge, allowed, self.micro_batch), labels).cpu().numpy()
        distance = achieved(images, allowed).cpu().numpy()
        broke = margin <= 0
        tally.linf[rows[broke]] = np.minimum(tally.linf[rows[broke]], distance[broke])
        if index is not None:
            tally.margins[index, rows] = np.fmin(tally.margins[index, rows], margin)
        inside = distance <= float(self.protocol.headline)
        worse = inside & (margin < self.worst_margin[rows])
        self.worst[at[torch.from_numpy(worse)]] = allowed[torch.from_numpy(worse)]
        self.worst_margin[rows[worse]] = margin[worse]

    def _seed(self, spec: AttackSpec, index: int | None, start: int) -> int:
        name = f"{self.protocol.seed}/{self.block}/{spec.name}/{index}/{start}"
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")


def _complain_of_proposal(spec: AttackSpec, proposed: Tensor, images: Tensor) -> None:
    if proposed.shape != images.shape:
        raise SubmissionError(
            f"attack {spec.name!r} returned shape {tuple(proposed.shape)}, expected {tuple(images.shape)}"
        )
