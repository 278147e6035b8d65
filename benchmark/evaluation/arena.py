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
from benchmark.evaluation.anew import ROUNDING
from benchmark.evaluation.judge import judged_gaps
from benchmark.evaluation.tally import Asked, Place, Tally
from benchmark.protocol import AttackSpec, Protocol
from benchmark.threat_model import ThreatModel, achieved

COUNTS = ("tally", "pursuit")  # for an attack's own tally, or for the lowest margins alone
BITS = (8, 12, 16)  # depths at which an adversarial image might be stored


@dataclass
class Arena:
    """Where attacks are let in.

    Args:
        attacked, judge: two instances of the model; the second never meets an attack.
        images: (n, 1, H, W) float32. labels: (n,) int64. clean: (n,) float32 clean margins.
        temperature: T of the whole split.
        block: number of this block; enters the seeds.
        tell: called with what is tried next, for those who wait.
        keep: called with every answer of the judge that counts: attack, what it counts for (a name of COUNTS), rows, place.

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
    keep: Callable[[str, str, np.ndarray, Place, Asked], None] = lambda *answer: None
    tallies: dict[str, Tally] = field(default_factory=dict)
    proof: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, e = len(self.images), len(self.protocol.epsilons)
        for spec in self.protocol.attacks:
            self.tallies[spec.name] = Tally.empty(n, e)
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
        self, spec: AttackSpec, rows: Sequence[int] | np.ndarray, place: Place = None, start: int = 0
    ) -> np.ndarray:
        """Let `spec` try on the images `rows`, judge what it proposes and note it.

        Args:
            rows: (k,) numbers of images; one may stand there several times, for as many starts.
            place: on the ε grid, of all or of each (k,); None: the smallest ε that the attack can find.
            start: number of the first start; enters the seed.

        Returns:
            The judged margin of each row, float32.
        """
        rows = np.asarray(rows, dtype=np.int64)
        found = [np.empty(0, np.float32)]
        for at in self.chunks(np.arange(len(rows))):
            here = place[at] if isinstance(place, np.ndarray) else place
            asked = self.ask(spec, rows[at], here, start)
            self.note(spec, rows[at], here, asked)
            found.append(asked.margin)
        return np.concatenate(found)

    def ask(self, spec: AttackSpec, rows: np.ndarray, place: Place, start: int) -> Asked:
        """One attempt on at most a micro-batch of rows; nothing is noted."""
        threats = self._threats(place)
        told = _told(threats) if place is not None else "any"
        self.tell(spec, told)
        images, labels = self._at(rows)
        with self._naming(spec, told):
            proposal = propose(
                spec,
                self.attacked,
                self.temperature,
                images,
                labels,
                self._radius(place, threats),
                self._seed(spec, place, start),
                self._numbers(rows, place),
            )
            _complain_of_proposal(spec, proposal.images, images)
            asked = self._judged(place, images, labels, proposal.images)
        unconfirmed = asked.margin > ROUNDING * self.temperature
        silent = (
            int((proposal.broken.cpu().numpy() & unconfirmed).sum()) if proposal.broken is not None else 0
        )
        return replace(asked, forward=proposal.forward, backward=proposal.backward, silent=silent)

    def note(self, spec: AttackSpec, rows: np.ndarray, place: Place, asked: Asked) -> None:
        """Write an attempt into the tally of its attack."""
        self.keep(spec.name, "tally", rows, place, asked)
        self.tallies[spec.name].note(rows, place, asked)
        self.keep_worst(rows, asked)

    def pursue(self, spec: AttackSpec) -> None:
        """Let `spec` go on to its last step at the headline ε, on every image, also those that were wrong when clean."""
        place, epsilon = self.headline, self.protocol.headline
        for rows in self.chunks(np.arange(len(self.images))):
            self.tell(spec, epsilon)
            images, labels = self._at(rows)
            with self._naming(spec, epsilon):
                found = pursue(
                    spec,
                    self.attacked,
                    self.temperature,
                    images,
                    labels,
                    float(epsilon),
                    self._seed(spec, place, 0),
                )
                first = self._judged(place, images, labels, found.first)
                lowest = self._judged(place, images, labels, found.lowest)
            for asked in (first, lowest):
                self.keep(spec.name, "pursuit", rows, place, asked)
            right = self.right[rows]
            kept = torch.from_numpy(np.flatnonzero(right)).to(images.device)
            noted = Asked(first.allowed[kept], first.margin[right], first.distance[right])
            self.note(
                spec,
                rows[right],
                place,
                replace(noted, forward=found.forward, backward=found.backward),
            )
            self.keep_worst(rows, lowest)
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

    def _threats(self, place: Place) -> dict[int, ThreatModel]:
        """Of each place on the grid that is asked about; the whole range of pixels at place -1."""
        if place is None:
            return {-1: ThreatModel(Decimal(1))}
        return {int(each): ThreatModel(self.protocol.grid[each]) for each in np.unique(place)}

    def _radius(self, place: Place, threats: dict[int, ThreatModel]) -> float | Tensor:
        if len(threats) == 1:
            return float(next(iter(threats.values())).epsilon)
        radii = np.array([float(epsilon) for epsilon in self.protocol.grid], np.float32)[place]
        return torch.from_numpy(radii).view(-1, 1, 1, 1).to(self.images.device)

    def _numbers(self, rows: np.ndarray, place: Place) -> Tensor:
        """The same for several starts on one image at one place."""
        numbers = rows * len(self.protocol.epsilons) + (0 if place is None else place)
        return torch.from_numpy(numbers).to(self.images.device)

    def _at(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        at = torch.from_numpy(rows).to(self.images.device)
        return self.images[at], self.labels[at]

    def _judged(self, place: Place, images: Tensor, labels: Tensor, proposed: Tensor) -> Asked:
        places = np.broadcast_to(-1 if place is None else place, len(images))
        allowed = torch.empty_like(images)
        for each, threat in self._threats(place).items():
            at = torch.from_numpy(np.flatnonzero(places == each)).to(images.device)
            allowed[at] = threat.project(images[at], proposed[at])
        margin = margins(judged_gaps(self.judge, allowed, self.micro_batch), labels).cpu().numpy()
        return Asked(allowed, margin, achieved(images, allowed).cpu().numpy())

    def keep_worst(self, rows: np.ndarray, asked: Asked) -> None:
        """Of each image the one with the lowest margin within the headline ε."""
        inside = np.flatnonzero(asked.distance <= float(self.protocol.headline))
        inside = inside[
            np.argsort(asked.margin[inside], kind="stable")
        ]  # an image may be there several times
        best = inside[np.unique(rows[inside], return_index=True)[1]]
        worse = best[asked.margin[best] < self.worst_margin[rows[best]]]
        if worse.size:
            here = torch.from_numpy(worse).to(self.images.device)
            self.worst[torch.from_numpy(rows[worse]).to(self.images.device)] = asked.allowed[here]
            self.worst_margin[rows[worse]] = asked.margin[worse]

    @contextmanager
    def _naming(self, spec: AttackSpec, epsilon: str) -> Iterator[None]:
        """Whatever goes wrong with a model or an attack is said with the attack, ε and block."""
        try:
            yield
        except SubmissionError as error:
            raise SubmissionError(f"{self._where(spec, epsilon)}: {error}") from error
        except BenchmarkError:
            raise
        except Exception as error:
            raise SubmissionError(f"{self._where(spec, epsilon)}: {type(error).__name__}: {error}") from error

    def _where(self, spec: AttackSpec, epsilon: str) -> str:
        return f"attack {spec.name!r}, ε = {epsilon}, block {self.block}"

    def _seed(self, spec: AttackSpec, place: Place, start: int) -> int:
        where = "+".join(map(str, np.unique(place))) if place is not None else "any"
        return self.seed_of(f"{spec.name}/{where}/{start}")

    def seed_of(self, what: str) -> int:
        """For one purpose in this block."""
        name = f"{self.protocol.seed}/{self.block}/{what}"
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")


def _told(threats: dict[int, ThreatModel]) -> str:
    epsilons = sorted(threat.epsilon for threat in threats.values())
    return f"{epsilons[0]}" if len(epsilons) == 1 else f"{epsilons[0]}–{epsilons[-1]}"


def _complain_of_proposal(spec: AttackSpec, proposed: Tensor, images: Tensor) -> None:
    if proposed.shape != images.shape:
        raise SubmissionError(
            f"attack {spec.name!r} returned shape {tuple(proposed.shape)}, expected {tuple(images.shape)}"
        )
