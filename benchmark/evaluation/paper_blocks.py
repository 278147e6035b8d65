"""The published attacks on one block of images: no true labels, judged where they end (see paper_protocol.py)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.attacks.label_free import last_iterate, predicted
from benchmark.data.split import Split
from benchmark.errors import BenchmarkError, SubmissionError
from benchmark.evaluation.anew import Pile, judged_anew
from benchmark.evaluation.judge import judged_gaps, one_thread
from benchmark.evaluation.source import BareSource, FolderSource
from benchmark.evaluation.testimony import Testimony, overheard
from benchmark.files import replace_file
from benchmark.protocol import BIM, FGSM, PGD, Protocol
from benchmark.threat_model import ThreatModel, parse_epsilon

ATTACKS = {spec.name: spec for spec in (FGSM, BIM, PGD)}


@dataclass(frozen=True)
class Ask:
    """One attack, at one ε, from one start, on every image."""

    attack: str
    epsilon: str
    start: int

    def __str__(self) -> str:
        return f"{self.attack}@{self.epsilon}/{self.start}"


@dataclass(frozen=True)
class PaperJob:
    """A block of images and what is asked about it: attacks, and where `grid` is given their sensitivity."""

    source: FolderSource | BareSource
    split: Split  # the block's own images only
    temperature: float
    protocol: Protocol
    block: int
    asks: tuple[Ask, ...]
    grid: tuple[str, ...]
    device: str
    path: Path

    @property
    def work(self) -> int:
        """Attacked images, for the progress bar."""
        return len(self.split) * (len(self.asks) + len(self.grid).bit_length())


def run_paper_job(job: PaperJob) -> None:
    """Compute a block's gaps, (N,) float32 for each ask, and write its file."""
    from safetensors.numpy import save

    block = _Block.of(job)
    with one_thread():
        for ask in job.asks:
            block.attacked(ask)
        if job.grid:
            block.sensitivity(job.grid)
        gaps, apart = block.stands()
    found = {str(ask): gaps[block.asked[ask]] for ask in job.asks}
    if job.grid:
        found["sensitivity"] = block.first_flip(job.grid, gaps)
    found["passes"], found["apart"] = block.passes, np.array([apart])
    replace_file(job.path, save({name: np.ascontiguousarray(values) for name, values in found.items()}))


@dataclass
class _Block:
    """A block's images on the device, their clean gaps, and the model twice."""

    job: PaperJob
    attacker: nn.Module
    judge: nn.Module
    images: Tensor
    clean: Tensor
    micro_batch: int
    passes: np.ndarray
    testimony: Testimony | None
    pile: Pile
    asked: dict[Ask, slice] = field(default_factory=dict)  # where on the pile the answer lies
    grid: list[tuple[int, np.ndarray, slice]] = field(default_factory=list)  # place, rows, where on the pile

    @classmethod
    def of(cls, job: PaperJob) -> _Block:
        attacker, judge = (model.to(job.device) for model in job.source.models())
        testimony = overheard(attacker)
        images = job.split.batch()[0].to(job.device)
        micro_batch = job.protocol.micro_batch(*images.shape[2:])
        with one_thread():
            clean = judged_gaps(judge, images, micro_batch)
        passes, pile = np.array([len(images), 0]), Pile(testimony is not None)
        return cls(job, attacker, judge, images, clean, micro_batch, passes, testimony, pile)

    def attacked(self, ask: Ask, rows: np.ndarray | None = None) -> slice:
        """Judge where the attack ended, for all images or for some; returns where on the pile the gaps lie."""
        images = self.images if rows is None else self.images[torch.from_numpy(rows)]
        threat = ThreatModel(parse_epsilon(ask.epsilon))
        first = len(self.pile)
        for number, chunk in enumerate(images.split(self.micro_batch)):
            name = f"paper/{self.job.protocol.seed}/{self.job.block}/{ask}/{number}"
            seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
            try:
                proposal = last_iterate(
                    ATTACKS[ask.attack],
                    self.attacker,
                    self.job.temperature,
                    chunk,
                    float(threat.epsilon),
                    seed,
                )
            except BenchmarkError:
                raise
            except Exception as error:
                where = f"attack {ask.attack!r} without labels, ε = {ask.epsilon}, block {self.job.block}"
                raise SubmissionError(f"{where}: {type(error).__name__}: {error}") from error
            self.passes += (proposal.forward + len(chunk), proposal.backward)
            allowed = threat.project(chunk, proposal.images)
            self.pile.keep(allowed, judged_gaps(self.judge, allowed, self.micro_batch))
        here = slice(first, len(self.pile))
        if rows is None:
            self.asked[ask] = here
        return here

    def sensitivity(self, grid: tuple[str, ...]) -> None:
        """Look for the smallest ε at which one PGD start flips the answer.

        Bisection: as many questions as the grid's length has bits. Where a larger ε flips an image so does,
        but for rare exceptions, every larger one.
        """
        low = np.full(len(self.images), -1)
        high = np.full(len(self.images), len(grid))
        while (open_ := high - low > 1).any():
            middle = (low + high) // 2
            for index in np.unique(middle[open_]):
                rows = np.flatnonzero(open_ & (middle == index))
                here = self.attacked(Ask("pgd", grid[index], 0), rows)
                self.grid.append((int(index), rows, here))
                flipped = self._flipped(self.pile.gaps[here], rows)
                high[rows[flipped]], low[rows[~flipped]] = index, index

    def stands(self) -> tuple[np.ndarray, float]:
        """The gaps of the whole pile that stand, float32, and how far a second trial lay from the first, of T."""
        job, shape = self.job, tuple(self.images.shape[1:])
        what, scale = f"{job.protocol.seed}/{job.path.stem}", job.temperature
        again = judged_anew(
            job.source,
            self.pile,
            shape,
            self.micro_batch,
            scale,
            what,
            job.device,
            self.testimony,
            (self.attacker, self.judge),
        )
        return (self.pile.gaps, 0.0) if again is None else (again.gaps, again.apart)

    def first_flip(self, grid: tuple[str, ...], gaps: np.ndarray) -> np.ndarray:
        """(n,) float64: the smallest ε that was asked about and flips the answer, inf where none does."""
        first = np.full(len(self.images), len(grid))
        for index, rows, here in self.grid:
            flipped = rows[self._flipped(gaps[here], rows)]
            first[flipped] = np.minimum(first[flipped], index)
        return np.array([*(float(epsilon) for epsilon in grid), np.inf])[first]

    def _flipped(self, gaps: np.ndarray, rows: np.ndarray) -> np.ndarray:
        clean = self.clean[torch.from_numpy(rows)].cpu()
        return (predicted(torch.from_numpy(gaps)) != predicted(clean)).numpy()


def load_paper_block(job: PaperJob) -> dict[str, np.ndarray] | None:
    """What a finished job found, or None where there is nothing that can be trusted."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found = load(job.path.read_bytes())
    except (OSError, SafetensorError, ValueError):
        return None
    expected = {str(ask) for ask in job.asks} | ({"sensitivity"} if job.grid else set())
    whole = all(name in found and found[name].shape == (len(job.split),) for name in expected)
    return found if whole and {"passes", "apart"} <= found.keys() else None
