"""What the checks look at: what the engine hands over, and a few images to look at closely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.attacks.two_class import gap, margins
from benchmark.data.split import LEVELS, Split
from benchmark.evaluation.health.fresh import FreshMargins
from benchmark.evaluation.judge import judged_gaps
from benchmark.evaluation.tally import Tally
from benchmark.protocol import Protocol

# Two answers to one question may differ by this much of T: rounding in float32 stays a hundred times below it,
# and by rule of measuring a verdict may hang on no more.
LOGIT_TOLERANCE = 1e-3
PROBED = 32  # images looked at closely: where one in ten misbehaves, 97 % of the draws of 32 show it


@dataclass(frozen=True)
class Evidence:
    """What only the engine knows. A check whose evidence is missing is passed over.

    Args:
        attacked: the instance that met the attacks; None: the judge.
        worst: (N, 1, H, W) float32, the worst image of each at the headline ε.
        unstopped: (2, N) float32, the lowest margin of the un-stopped attack at the headline ε after nine tenths
            of its steps, and after all of them; NaN where not asked.
        full_grid: share of the (image, ε) verdicts in which asking every ε gave another answer than the search.
        silent: proposals that had broken the attacked model on the way and that the judge finds right by more than
            LOGIT_TOLERANCE · T.
        fresh: what `run_fresh_job` gave; None: drawn when needed.
        own_code: whether the submission brought its own code. other: images of the same kind that are not of the test part.
    """

    attacked: nn.Module | None = None
    worst: np.ndarray | None = None
    unstopped: np.ndarray | None = None
    full_grid: float | None = None
    silent: int | None = None
    fresh: Sequence[FreshMargins] | None = None
    own_code: bool = False
    other: Split | None = None


@dataclass(frozen=True)
class Probes:
    """An evaluation as the checks see it; images, labels and what is derived from them are of the probed ones only.

    Args:
        judge: the model that judged. clean: (N,) float32, the clean margins it gave before any attack.
        scale: T. tallies: what each attack achieved. device: where both instances are.
    """

    judge: nn.Module
    split: Split
    protocol: Protocol
    clean: np.ndarray
    scale: float
    tallies: Mapping[str, Tally]
    device: torch.device
    evidence: Evidence = field(default_factory=Evidence)

    @property
    def attacked(self) -> nn.Module:
        """The instance that met the attacks."""
        return self.judge if self.evidence.attacked is None else self.evidence.attacked

    @property
    def epsilon(self) -> float:
        """The headline ε."""
        return float(self.protocol.headline)

    @cached_property
    def constant(self) -> bool:
        """Whether all clean images get one answer, to rounding: no image matters, so no gradient can."""
        gaps = np.where(self.split.labels == 1, self.clean, -self.clean)
        return bool(np.ptp(gaps) <= 1e-6 * np.abs(gaps).max())

    @cached_property
    def unbroken(self) -> np.ndarray:
        """(N,) bool: right when clean, and no attack broke it at the headline ε. The robustness that is claimed."""
        smallest = np.min([tally.linf for tally in self.tallies.values()], axis=0, initial=np.inf)
        return (self.clean > 0) & (smallest > self.epsilon)

    @cached_property
    def rows(self) -> np.ndarray:
        """Which images are probed: evenly spread over the split, so over its patients."""
        return spread(np.arange(len(self.split)), PROBED)

    @cached_property
    def images(self) -> Tensor:
        """(P, 1, H, W) float32, untouched."""
        return self.decoded(self.rows)

    @cached_property
    def labels(self) -> Tensor:
        """(P,) int64."""
        return self.labels_of(self.rows)

    @cached_property
    def right(self) -> Tensor:
        """(P,) bool: classified rightly when clean. What happens at the others decides nothing."""
        return torch.from_numpy(self.clean[self.rows] > 0).to(self.device)

    @cached_property
    def noisy(self) -> Tensor:
        """The probed images with noise of the size of ε, uniform in the ball: off the 16-bit grid. (P, 1, H, W)."""
        return (self.images + self.epsilon * self.noise(self.images)).clamp(0, 1)

    @cached_property
    def next_door(self) -> Tensor:
        """The probed images, changed by less than half a grey level of 16 bits. (P, 1, H, W)."""
        return (self.images + 0.4 / LEVELS * self.noise(self.images)).clamp(0, 1)

    def decoded(self, rows: np.ndarray) -> Tensor:
        """(n, 1, H, W) float32 on the device."""
        return torch.cat([self.split.batch(row, row + 1)[0] for row in rows.tolist()]).to(self.device)

    def labels_of(self, rows: np.ndarray) -> Tensor:
        """(n,) int64 on the device."""
        return torch.from_numpy(self.split.labels[rows]).to(self.device)

    def noise(self, images: Tensor, draw: int = 0) -> Tensor:
        """Uniform in [−1, 1], the same for the same draw."""
        generator = torch.Generator().manual_seed(self.protocol.seed + draw)
        return (torch.rand(images.shape, generator=generator) * 2 - 1).to(images)

    def gaps(self, model: nn.Module, images: Tensor) -> Tensor:
        """g as it is judged: (n,) float32."""
        return judged_gaps(model, images, self.micro_batch)

    @property
    def micro_batch(self) -> int:
        """How many images go through the model together."""
        return self.protocol.micro_batch(*self.split.image_size)

    def slopes(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Margins of the attacked instance and their gradients: (n,) and (n, 1, H, W); None where there is none."""
        found, gradients = [], []
        for chunk, truth in zip(images.split(self.micro_batch), labels.split(self.micro_batch), strict=True):
            with torch.enable_grad():
                asked = chunk.clone().requires_grad_(True)
                margin = margins(gap(self.attacked(asked)), truth)
                found.append(margin.detach())
                if not margin.requires_grad:
                    return torch.cat(found), None
                (gradient,) = torch.autograd.grad(margin.sum(), asked, allow_unused=True)
                if gradient is None:
                    return torch.cat(found), None
            gradients.append(gradient)
        return torch.cat(found), torch.cat(gradients)


def spread(rows: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the rows, evenly spread."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int))]
