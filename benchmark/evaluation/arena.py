"""One block of images, a model under attack, a model that judges, and the tally of what each attack achieved."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.attacks.battery import propose, pursue
from benchmark.attacks.two_class import margins
from benchmark.errors import BenchmarkError, SubmissionError
from benchmark.evaluation.judge import judged_gaps
from benchmark.protocol import AttackSpec, Protocol
from benchmark.threat_model import ThreatModel, achieved

ROUNDING = 1e-3  # of T: what two instances of a model may differ by
BITS = (8, 12, 16)  # depths at which an adversarial image might be stored


@dataclass
class Tally:
    """What one attack achieved on the n images of a block, over E values of ε."""

    linf: np.ndarray  # (n,) float64, inf where it broke nothing
    margins: np.ndarray  # (E, n) float32, NaN where not asked
    forward: int = 0
    backward: int = 0
    silent: int = 0  # iterates that broke the attacked model and not the judge


@dataclass(frozen=True)
class Asked:
    """One attempt, projected and judged. allowed: (k, 1, H, W); margin, distance: (k,) of the k images asked about.

    silent: how many of them an iterate broke, and the judge did not confirm by more than rounding.
    """

    allowed: Tensor
    margin: np.ndarray
    distance: np.ndarray
    forward: int = 0
    backward: int = 0
    silent: int = 0


@dataclass
class Arena:
    """Where attacks are let in.

    Args:
        attacked, judge: two instances of the model; the second never meets an attack.
        images: (n, 1, H, W) float32. labels: (n,) int64. clean: (n,) float32 clean margins.
        temperature: T of the whole split.
        block: number of this block; enters the seeds.
        tell: called with what is tried next, for those who wait.

    Attributes:
        worst, worst_margin: the image within the headline ε with the lowest margin seen, and that margin.
        lowest: (n,) float32, the margin that the pursuit went down to; NaN where there was none.
        early: (n,) float32, how low it was a tenth of its steps before the end, for the attacked model.
        proof: attack → (2, n) int16, the threshold's place on the grid by the short way and by asking
            everywhere; -1 where not proven.
    """

    attacked: nn.Module
    judge: nn.Module
    images: Tensor
    labels: Tensor
    clean: np.ndarray
    temperature: float
    protocol: Protocol
    block: int
    tell: Callable[[AttackSpec, str], None] = lambda spec, epsilon: None
    tallies: dict[str, Tally] = field(default_factory=dict)
    proof: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, e = len(self.images), len(self.protocol.epsilons)
        for spec in self.protocol.attacks:
            self.tallies[spec.name] = Tally(np.full(n, np.inf), np.full((e, n), np.nan, np.float32))
            if spec.search == "bisection":
                self.proof[spec.name] = np.full((2, n), -1, np.int16)
        self.micro_batch = self.protocol.micro_batch(*self.images.shape[2:])
        self.worst = self.images.clone()
        self.worst_margin = self.clean.astype(np.float32)
        self.lowest = np.full(n, np.nan, np.float32)
        self.early = np.full(n, np.nan, np.float32)

    @property
    def right(self) -> np.ndarray:
        """(n,) bool: classified rightly when clean. The others are broken at every ε already."""
        return self.clean > 0

    @property
    def smallest(self) -> np.ndarray:
        """(n,) float64: the smallest ‖δ‖∞ of all attacks so far."""
        return np.min([tally.linf for tally in self.tallies.values()], axis=0)

    @property
    def headline(self) -> int:
        """The headline's place on the grid."""
        return self.protocol.epsilons.index(self.protocol.headline)

    def attempt(
        self, spec: AttackSpec, rows: Sequence[int] | np.ndarray, index: int | None, start: int = 0
    ) -> np.ndarray:
        """Let `spec` try on the images `rows` at grid point `index` (None: the smallest it can find), judge and note it.

        Returns:
            The judged margin of each row, float32.
        """
        found = [np.empty(0, np.float32)]
        for chunk in self.chunks(rows):
            asked = self.ask(spec, chunk, index, start)
            self.note(spec, chunk, index, asked)
            found.append(asked.margin)
        return np.concatenate(found)

    def ask(self, spec: AttackSpec, rows: np.ndarray, index: int | None, start: int) -> Asked:
        """One attempt on at most a micro-batch of images; nothing is noted."""
        threat = self._threat(index)
        self.tell(spec, str(threat.epsilon) if index is not None else "any")
        images, labels = self._at(rows)
        with self._naming(spec, threat):
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
            asked = self._judged(threat, images, labels, proposal.images)
        unconfirmed = asked.margin > ROUNDING * self.temperature
        silent = (
            int((proposal.broken.cpu().numpy() & unconfirmed).sum()) if proposal.broken is not None else 0
        )
        return replace(asked, forward=proposal.forward, backward=proposal.backward, silent=silent)

    def note(self, spec: AttackSpec, rows: np.ndarray, index: int | None, asked: Asked) -> None:
        """Write an attempt into the tally of its attack."""
        tally = self.tallies[spec.name]
        tally.forward += asked.forward
        tally.backward += asked.backward
        tally.silent += asked.silent
        broke = asked.margin <= 0
        tally.linf[rows[broke]] = np.minimum(tally.linf[rows[broke]], asked.distance[broke])
        if index is not None:
            tally.margins[index, rows] = np.fmin(tally.margins[index, rows], asked.margin)
        self._keep_worst(rows, asked)

    def pursue(self, spec: AttackSpec) -> None:
        """Let `spec` go on to its last step at the headline ε, on every image, also those that were wrong when clean."""
        threat = self._threat(self.headline)
        for rows in self.chunks(np.arange(len(self.images))):
            self.tell(spec, str(threat.epsilon))
            images, labels = self._at(rows)
            with self._naming(spec, threat):
                found = pursue(
                    spec,
                    self.attacked,
                    self.temperature,
                    images,
                    labels,
                    float(threat.epsilon),
                    self._seed(spec, self.headline, 0),
                )
                first = self._judged(threat, images, labels, found.first)
                lowest = self._judged(threat, images, labels, found.lowest)
            right = self.right[rows]
            kept = torch.from_numpy(np.flatnonzero(right)).to(images.device)
            noted = Asked(first.allowed[kept], first.margin[right], first.distance[right])
            self.note(
                spec,
                rows[right],
                self.headline,
                replace(noted, forward=found.forward, backward=found.backward),
            )
            self._keep_worst(rows, lowest)
            self.lowest[rows] = np.fmin(first.margin, lowest.margin)
            steps = len(found.trace)
            self.early[rows] = found.trace[: steps - steps // 10].amin(0).cpu().numpy()

    def stored(self) -> np.ndarray:
        """Margins of the worst images after rounding to each depth of BITS: (3, n) float32."""
        found = []
        for bits in BITS:
            top = 2**bits - 1
            rounded = (self.worst.double() * top).round().div(top).float()
            gaps = judged_gaps(self.judge, rounded, self.micro_batch)
            found.append(margins(gaps, self.labels).cpu().numpy())
        return np.stack(found)

    def chunks(self, rows: Sequence[int] | np.ndarray) -> Iterator[np.ndarray]:
        """Rows in the portions that go through a model together."""
        rows = np.asarray(rows, dtype=np.int64)
        for start in range(0, len(rows), self.micro_batch):
            yield rows[start : start + self.micro_batch]

    def _threat(self, index: int | None) -> ThreatModel:
        return ThreatModel(self.protocol.grid[index] if index is not None else Decimal(1))

    def _at(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        at = torch.from_numpy(rows).to(self.images.device)
        return self.images[at], self.labels[at]

    def _judged(self, threat: ThreatModel, images: Tensor, labels: Tensor, proposed: Tensor) -> Asked:
        allowed = threat.project(images, proposed)
        margin = margins(judged_gaps(self.judge, allowed, self.micro_batch), labels).cpu().numpy()
        return Asked(allowed, margin, achieved(images, allowed).cpu().numpy())

    def _keep_worst(self, rows: np.ndarray, asked: Asked) -> None:
        inside = asked.distance <= float(self.protocol.headline)
        worse = np.flatnonzero(inside & (asked.margin < self.worst_margin[rows]))
        if worse.size:
            here = torch.from_numpy(worse).to(self.images.device)
            self.worst[torch.from_numpy(rows[worse]).to(self.images.device)] = asked.allowed[here]
            self.worst_margin[rows[worse]] = asked.margin[worse]

    @contextmanager
    def _naming(self, spec: AttackSpec, threat: ThreatModel) -> Iterator[None]:
        """Whatever goes wrong with a model or an attack is said with the attack, ε and block."""
        try:
            yield
        except SubmissionError as error:
            raise SubmissionError(f"{self._where(spec, threat)}: {error}") from error
        except BenchmarkError:
            raise
        except Exception as error:
            raise SubmissionError(f"{self._where(spec, threat)}: {type(error).__name__}: {error}") from error

    def _where(self, spec: AttackSpec, threat: ThreatModel) -> str:
        return f"attack {spec.name!r}, ε = {threat.epsilon}, block {self.block}"

    def _seed(self, spec: AttackSpec, index: int | None, start: int) -> int:
        name = f"{self.protocol.seed}/{self.block}/{spec.name}/{index}/{start}"
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")


def _complain_of_proposal(spec: AttackSpec, proposed: Tensor, images: Tensor) -> None:
    if proposed.shape != images.shape:
        raise SubmissionError(
            f"attack {spec.name!r} returned shape {tuple(proposed.shape)}, expected {tuple(images.shape)}"
        )
