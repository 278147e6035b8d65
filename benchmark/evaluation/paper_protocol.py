"""The attacks of Joel et al. 2022 (doi 10.1200/CCI.21.00170) as their published code runs them, never ranked.

Source: github.com/Aneja-Lab-Yale/Aneja-Lab-Public-Adversarial-Imaging with ART 1.4.1.

- No true labels: each attack pushes against the model's own answer, also where that is wrong (main.py, utils.py).
- What the attack ends with is judged, not what it passed through.
- PGD: 20 random restarts for the table (configs.py), here at the headline ε, and 5 along the curve (utils.py).
  The toolbox keeps the one restart that flipped most images of the whole set, the first of equals, not each
  image's own worst restart. That is the published quantity; how many restarts flipped an image is kept beside it.
- Sensitivity of an image: the smallest ε of a grid, one for each modality, at which PGD flips the answer
  (adv_sensitivity). Here with one start and by bisection, which asks a sixth; walking up the grid instead gave the
  same ε for 47 of 50 images of one entry and a neighbouring one, from another start, for the others.

Gradients are those of exact arithmetic (`TwoClass`): their clipped softmax could lose some.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmark.data.split import Split
from benchmark.errors import DataError
from benchmark.evaluation.aftermath import isolated
from benchmark.evaluation.engine import choose_device
from benchmark.evaluation.paper_blocks import ATTACKS, Ask, PaperJob, load_paper_block, run_paper_job
from benchmark.evaluation.plan import VERSIONED, Plan, behind, make_plan
from benchmark.evaluation.pool import run_all
from benchmark.folders import cache_folder
from benchmark.paper_result import PaperResult
from benchmark.progress import Advance, progress_bar
from benchmark.protocol import PGD, AttackSpec, Protocol, get_protocol
from benchmark.submission import SubmittedModel

VERSION = 1
CURVE_STARTS = 5
# adv_sensitivity of the published code, as written there.
SENSITIVITY_GRIDS = {
    "ct": "0.0001 0.0003 0.0006 0.0007 0.0008 0.0009 0.001 0.00125 0.0015 0.00175 0.002 0.0023 0.0026 0.0028 0.003 "
    "0.004 0.005 0.006 0.007 0.008 0.009 0.01 0.011 0.012 0.013 0.014 0.015 0.016 0.017 0.018 0.019 0.02",
    "mammogram": "0.00001 0.00005 0.0001 0.00025 0.0005 0.00075 0.001 0.00125 0.0015 0.00175 0.002 0.0025 0.003 "
    "0.0035 0.004 0.0045 0.005 0.0055 0.006 0.007 0.008",
    "mri": "0.0001 0.0005 0.0006 0.0007 0.0008 0.0009 0.001 0.0013 0.0016 0.002 0.00225 0.0025 0.00275 0.003 0.00325 "
    "0.0035 0.00375 0.004 0.0045 0.005 0.006 0.007 0.008 0.009 0.01 0.012",
}


def label_free(
    model: nn.Module,
    split: Split,
    protocol: str | Protocol = "standard",
    device: str = "auto",
    progress: bool = True,
) -> PaperResult:
    """Run the published attacks without labels on every image, at every ε of a protocol.

    A submission's finished blocks are kept in the cache: an interrupted run goes on where it stopped.

    Args:
        model, split, device, progress: as in `evaluate`.
        protocol: whose ε grid, headline, images and seed are used.

    Raises:
        SubmissionError: the model or an attack on it raised, or logits are not finite.
        ProtocolError: unknown protocol or device.
    """
    protocol, chosen = get_protocol(protocol), choose_device(device)
    plan = make_plan(model, split, protocol, chosen, folder=cache_folder())
    asked = described(protocol, split.modality)
    versions = {package: version(package) for package in VERSIONED}
    kept = paper_folder(model, plan.split, protocol, chosen) if isinstance(model, SubmittedModel) else None
    with _folder(kept) as folder:
        waves = _Waves(plan, folder)
        title = f"{plan.name} · {split.modality} · paper's protocol"
        with progress_bar(title, waves.work, progress) as advance:
            waves.run(advance)
    split = plan.split
    best = {epsilon: int(np.argmax(rates)) for epsilon, rates in waves.rates.items()}
    return PaperResult(
        submission=plan.name,
        modality=split.modality,
        track=split.track,
        identity=plan.identity,
        split_sha256=split.sha256,
        asked=asked,
        provenance={
            "device": chosen.type,
            "versions": versions,
            "passes": {"forward": int(waves.passes[0]), "backward": int(waves.passes[1])},
            "best_restart": best,
        }
        | _second_trial(model, waves.apart),
        image_ids=split.image_ids,
        patient_ids=split.patient_ids,
        labels=split.labels,
        clean_gaps=waves.clean_gaps,
        gaps={
            attack: {e: waves.gaps[Ask(attack, e, best[e] if attack == "pgd" else 0)] for e in best}
            for attack in ATTACKS
        },
        flips=waves.flips,
        starts={epsilon: len(rates) for epsilon, rates in waves.rates.items()},
        sensitivity=waves.sensitivity,
    )


def _second_trial(model: nn.Module, apart: float) -> dict[str, Any]:
    """For the file, where the submission brings code: its walls, and how far a new worker's answers lay, of T."""
    if not isinstance(model, SubmittedModel) or not model.submission.code:
        return {}
    return {"isolation": isolated(model), "apart": apart}


def described(protocol: Protocol, modality: str) -> dict[str, Any]:
    """All that was asked, as plain data for the file."""
    return json.loads(
        json.dumps(
            {
                "version": VERSION,
                "labels": "the model's own clean answers",
                "judged": "the last iterate",
                "restarts": f"best of the whole set; {PGD.starts} at the headline ε, {CURVE_STARTS} elsewhere",
                "attacks": [_described(spec) for spec in ATTACKS.values()],
                "epsilons": protocol.epsilons,
                "headline": protocol.headline,
                "sensitivity_grid": SENSITIVITY_GRIDS[modality].split(),
                "block": protocol.block,
                "seed": protocol.seed,
            }
        )
    )


def _described(spec: AttackSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "method": spec.method,
        "parameters": dict(spec.parameters),
        "step_per_epsilon": spec.step,
    }


@dataclass
class _Waves:
    """Wave k asks for start k of every attack that has one, of all blocks.

    A PGD restart that flips the whole set cannot be beaten, so that ε takes no further start:
    the published quantity stays what it is, and fragile models cost little.
    """

    plan: Plan
    folder: Path
    gaps: dict[Ask, np.ndarray] = field(default_factory=dict)
    rates: dict[str, list[float]] = field(default_factory=dict)  # ε → share flipped, for each start
    flips: dict[str, np.ndarray] = field(default_factory=dict)
    sensitivity: np.ndarray = field(default_factory=lambda: np.zeros(0))
    passes: np.ndarray = field(default_factory=lambda: np.zeros(2, np.int64))
    apart: float = 0.0  # of T, see `judged_anew`

    def __post_init__(self) -> None:
        self.split, self.protocol = self.plan.split, self.plan.protocol
        self.rates = {epsilon: [] for epsilon in self.protocol.epsilons}
        self.flips = {epsilon: np.zeros(len(self.split), np.int64) for epsilon in self.protocol.epsilons}
        self.grid = tuple(SENSITIVITY_GRIDS[self.split.modality].split())
        self.clean_gaps = np.where(self.split.labels == 1, self.plan.clean, -self.plan.clean)

    @property
    def work(self) -> int:
        """Attacked images, if no ε ends early: what the progress bar counts to."""
        asks = sum(starts_of(epsilon, self.protocol) + 2 for epsilon in self.protocol.epsilons)
        return len(self.split) * (asks + len(self.grid).bit_length())

    def run(self, advance: Advance) -> None:
        """Ask everything."""
        for wave in range(PGD.starts):
            asks = [
                Ask("pgd", epsilon, wave)
                for epsilon, rates in self.rates.items()
                if wave < starts_of(epsilon, self.protocol) and 1.0 not in rates
            ]
            if wave == 0:
                asks += [Ask(name, epsilon, 0) for name in ("fgsm", "bim") for epsilon in self.rates]
            if not asks:
                break
            self._note(asks, self._computed(wave, asks, advance))
            for ask in asks:
                if ask.attack == "pgd" and self.rates[ask.epsilon][-1] == 1:
                    advance(len(self.split) * (starts_of(ask.epsilon, self.protocol) - wave - 1))

    def _computed(self, wave: int, asks: Sequence[Ask], advance: Advance) -> list[dict[str, np.ndarray]]:
        jobs = [
            PaperJob(
                self.plan.source,
                self.split.part_of(start, start + self.protocol.block),
                self.plan.scale,
                self.protocol,
                block,
                tuple(asks),
                self.grid if wave == 0 else (),
                str(self.plan.device),
                self.folder / f"wave-{wave:02d}-block-{block:05d}.safetensors",
            )
            for block, start in enumerate(range(0, len(self.split), self.protocol.block))
        ]
        waiting = [job for job in jobs if load_paper_block(job) is None]
        advance(sum(job.work for job in jobs) - sum(job.work for job in waiting))
        tasks = [(run_paper_job, job) for job in waiting]
        run_all(tasks, str(self.plan.device), lambda number: advance(waiting[number].work))
        found = [load_paper_block(job) for job in jobs]
        if any(block is None for block in found):
            raise DataError(f"blocks in {self.folder} vanished while they were needed; run again")
        return [block for block in found if block is not None]

    def _note(self, asks: Sequence[Ask], blocks: Sequence[dict[str, np.ndarray]]) -> None:
        self.passes = self.passes + sum(block["passes"] for block in blocks)
        self.apart = max([self.apart, *(float(block["apart"].max()) for block in blocks)])
        for ask in asks:
            gaps = self.gaps[ask] = np.concatenate([block[str(ask)] for block in blocks])
            if ask.attack == "pgd":
                flipped = (gaps > 0) != (self.clean_gaps > 0)
                self.rates[ask.epsilon].append(float(flipped.mean()))
                self.flips[ask.epsilon] += flipped
        if "sensitivity" in blocks[0]:
            self.sensitivity = np.concatenate([block["sensitivity"] for block in blocks])


def starts_of(epsilon: str, protocol: Protocol) -> int:
    """How many PGD restarts the published code takes: 20 for a table, 5 along a curve."""
    return PGD.starts if epsilon == protocol.headline else CURVE_STARTS


def paper_folder(model: SubmittedModel, split: Split, protocol: Protocol, device: torch.device) -> Path:
    """Where the finished blocks of a submission are kept; named by all that a block depends on."""
    versions = {package: version(package) for package in VERSIONED}
    asked = described(protocol, split.modality)
    depends = [model.identity, split.sha256, asked, device.type, versions]
    text = json.dumps([*depends, behind(model)] if model.submission.code else depends)
    return cache_folder() / "paper" / hashlib.sha256(text.encode()).hexdigest()[:32]


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    """That folder, or for a bare module one of this call alone."""
    if kept is not None:
        yield kept
    else:
        with tempfile.TemporaryDirectory(prefix="oncorobust-") as folder:
            yield Path(folder)
