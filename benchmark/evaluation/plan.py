"""All that an evaluation will do, settled before it starts: models, clean margins, blocks and where they are kept.

Whoever makes the plan of the same model, data and protocol on the same kind of device makes the same plan, so
several machines can share the blocks of one folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmark.attacks.two_class import margins, temperature
from benchmark.data.split import Split
from benchmark.errors import DataError, ProtocolError
from benchmark.evaluation.blocks import Job, load_block
from benchmark.evaluation.judge import clean_gaps, one_thread
from benchmark.evaluation.layout import USUAL, choose_layout
from benchmark.evaluation.source import AS_BUILT, BareSource, FolderSource
from benchmark.files import replace_file
from benchmark.folders import cache_folder
from benchmark.isolation.choices import NONE
from benchmark.isolation.sandbox import chosen
from benchmark.protocol import Protocol
from benchmark.submission import SubmittedModel

VERSIONED = ("torch", "torchattacks", "numpy")
ABOUT = "about.json"


@dataclass(frozen=True)
class Plan:
    """An evaluation before it is done.

    clean: (N,) float32 clean margins. scale: T. verified: whether the model comes from a folder, so that nobody
    can hand over another one than the one that is entered, and its code, if it brings any, was behind walls.
    """

    name: str
    split: Split
    protocol: Protocol
    device: torch.device
    source: FolderSource | BareSource
    identity: str
    verified: bool
    clean: np.ndarray
    scale: float
    folder: Path

    @property
    def title(self) -> str:
        """Whose evaluation it is, for those who watch it."""
        seed = getattr(self.source, "training_seed", 0)
        return f"{self.name}, training seed {seed}" if seed else self.name

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """Every block, in order."""
        size = self.protocol.block
        return tuple(
            Job(
                self.source,
                self.split.part_of(start, start + size),
                self.clean[start : start + size],
                self.scale,
                self.protocol,
                number,
                str(self.device),
                self.folder / f"block-{number:05d}.safetensors",
            )
            for number, start in enumerate(range(0, len(self.split), size))
        )

    def waiting(self, share: tuple[int, int] = (1, 1)) -> list[Job]:
        """The blocks that are not finished; with a share (i, n), of every n-th block from the i-th on (from 1)."""
        first, every = share
        return [job for job in self.jobs[first - 1 :: every] if load_block(job.path) is None]


def make_plan(
    model: nn.Module, split: Split, protocol: Protocol, device: torch.device, folder: Path | None = None
) -> Plan:
    """Judge every image clean, and lay out the blocks.

    Args:
        folder: where blocks are kept; None: the submission's folder in the cache.

    Raises:
        SubmissionError: logits of the wrong shape or not finite, or the model raised.
    """
    split = split.first_patients(protocol.images)
    micro_batch = protocol.micro_batch(*split.image_size)
    source: FolderSource | BareSource
    if isinstance(model, SubmittedModel):
        name, identity = model.submission.name, model.identity
        source = FolderSource.of(model, split, AS_BUILT)
        if not model.submission.code:
            attacked, _ = replace(source, layout=USUAL).models()
            layout = choose_layout(attacked.to(device), identity, split.image_size, micro_batch, device)
            source = replace(source, layout=layout)
        folder = folder or blocks_folder(model, split, protocol, device)
    else:
        name, identity, source = type(model).__name__, _identity(model), BareSource.of(model)
    assert folder is not None
    _, judge = source.models()
    with one_thread():
        gaps = clean_gaps(judge.to(device), split, micro_batch, device)
    clean = margins(gaps, torch.from_numpy(split.labels)).numpy()
    verified = isinstance(model, SubmittedModel) and behind(model) != NONE
    return Plan(name, split, protocol, device, source, identity, verified, clean, temperature(gaps), folder)


def blocks_folder(model: SubmittedModel, split: Split, protocol: Protocol, device: torch.device) -> Path:
    """Where the finished blocks of an evaluation are kept; named by all that a block depends on."""
    versions = {package: version(package) for package in VERSIONED}
    depends = [model.identity, split.sha256, protocol.sha256, device.type, versions]
    text = json.dumps([*depends, behind(model)] if model.submission.code else depends)
    return cache_folder() / "blocks" / hashlib.sha256(text.encode()).hexdigest()[:32]


def behind(model: SubmittedModel) -> str:
    """How the code of a model is isolated; empty where it brings none.

    Raises:
        IsolationError: it brings code and no sandbox works here.
    """
    return chosen(model.isolation) if model.submission.code else ""


def announce(plan: Plan) -> None:
    """Write beside the blocks what they are of, for `oncorobust status`."""
    about = {
        "submission": plan.title,
        "modality": plan.split.modality,
        "track": plan.split.track,
        "protocol": plan.protocol.name,
        "blocks": len(plan.jobs),
        "images": len(plan.split),
    }
    replace_file(plan.folder / ABOUT, (json.dumps(about, indent=1) + "\n").encode())


@dataclass(frozen=True)
class Unfinished:
    """Blocks of an evaluation that has no record yet."""

    folder: Path
    about: dict[str, str | int]
    finished: int

    @property
    def megabytes(self) -> float:
        """On disk."""
        return sum(path.stat().st_size for path in self.folder.glob("*")) / 1e6


def unfinished() -> Sequence[Unfinished]:
    """Every evaluation with blocks in the cache."""
    found = []
    for path in sorted((cache_folder() / "blocks").glob(f"*/{ABOUT}")):
        try:
            about = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise DataError(f"{path} is damaged ({error}); remove its folder: oncorobust clean") from None
        found.append(Unfinished(path.parent, about, len(list(path.parent.glob("block-*.safetensors")))))
    return found


def parse_share(text: str) -> tuple[int, int]:
    """ "2/8" → (2, 8): the second of eight shares of the blocks.

    Raises:
        ProtocolError: it is not i/n with 1 ≤ i ≤ n.
    """
    first, _, every = text.partition("/")
    if not (first.isdecimal() and every.isdecimal() and 1 <= int(first) <= int(every)):
        raise ProtocolError(f"blocks must be given as i/n with i from 1 to n, such as 2/8 (got {text!r})")
    return int(first), int(every)


def _identity(model: nn.Module) -> str:
    digest = hashlib.sha256(repr(model).encode())
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return "bare-" + digest.hexdigest()
