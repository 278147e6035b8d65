"""Blocks of work: fixed images, own seeds, one atomic file each.

A block's result depends only on weights, data, protocol and block number, so whoever
computes it, and after however many interruptions, the record comes out the same.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmark.data.split import Split
from benchmark.errors import DataError
from benchmark.evaluation.arena import Arena, Tally
from benchmark.evaluation.judge import one_thread
from benchmark.evaluation.search import run_battery
from benchmark.files import replace_file
from benchmark.protocol import Protocol
from benchmark.submission import SubmittedModel, load_submission


@dataclass(frozen=True)
class FolderSource:
    """A submission on disk: each process loads its own two instances."""

    folder: Path
    modality: str
    track: str

    def models(self) -> tuple[nn.Module, nn.Module]:
        """The model to attack and the model that judges."""
        return _load_twice(self)


@lru_cache(maxsize=2)
def _load_twice(source: FolderSource) -> tuple[SubmittedModel, SubmittedModel]:
    def load() -> SubmittedModel:
        model = load_submission(source.folder, source.modality, source.track)
        return model.to(memory_format=torch.channels_last)  # faster convolutions on CPUs, same weights

    return load(), load()


@dataclass(frozen=True)
class BareSource:
    """A module given in Python: judged by a copy that was made before any attack."""

    attacked: nn.Module
    judge: nn.Module

    @classmethod
    def of(cls, model: nn.Module) -> BareSource:
        """Freeze two copies; the caller's own model is left alone."""
        return cls(*(copy.deepcopy(model).eval().requires_grad_(False) for _ in range(2)))

    def models(self) -> tuple[nn.Module, nn.Module]:
        """The model to attack and the model that judges."""
        return self.attacked, self.judge


@dataclass(frozen=True)
class Job:
    """One block to be computed, with all that it depends on."""

    source: FolderSource | BareSource
    split: Split  # the block's own images only
    clean: np.ndarray
    temperature: float
    protocol: Protocol
    block: int
    device: str
    path: Path


def run_job(job: Job) -> int:
    """Compute a block and write its file; returns how many images it held."""
    device = torch.device(job.device)
    attacked, judge = (model.to(device) for model in job.source.models())
    images, labels = job.split.batch()
    with one_thread():
        arena = Arena(
            attacked,
            judge,
            images.to(device),
            labels.to(device),
            job.clean,
            job.temperature,
            job.protocol,
            job.block,
        )
        run_battery(arena)
    save_block(job.path, arena)
    return len(job.split)


def save_block(path: Path, arena: Arena) -> None:
    """The tallies and the worst images of a block as one safetensors file."""
    from safetensors.numpy import save

    tensors = {"worst": arena.worst.cpu().numpy(), "worst_margin": arena.worst_margin}
    for name, tally in arena.tallies.items():
        tensors[f"{name}/linf"], tensors[f"{name}/margins"] = tally.linf, tally.margins
    passes = {name: [tally.forward, tally.backward] for name, tally in arena.tallies.items()}
    digest = hashlib.sha256(b"".join(tensors[key].tobytes() for key in sorted(tensors))).hexdigest()
    replace_file(path, save(tensors, {"passes": json.dumps(passes), "sha256": digest}))


@dataclass(frozen=True)
class BlockResult:
    """What a block's file holds."""

    tallies: dict[str, Tally]
    worst: np.ndarray


def load_block(path: Path) -> BlockResult | None:
    """A finished block, or None where there is none that can be trusted."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            header = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        digest = hashlib.sha256(b"".join(tensors[key].tobytes() for key in sorted(tensors))).hexdigest()
        if digest != header["sha256"]:
            return None
        passes = json.loads(header["passes"])
        tallies = {
            n: Tally(tensors[f"{n}/linf"], tensors[f"{n}/margins"], *counts) for n, counts in passes.items()
        }
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    return BlockResult(tallies, tensors["worst"])


def merge(paths: Sequence[Path]) -> tuple[dict[str, Tally], np.ndarray]:
    """All blocks in order: tallies over the whole split, and the worst image of each (N, 1, H, W).

    Raises:
        DataError: a block is missing or damaged.
    """
    results = [load_block(path) for path in paths]
    missing = [path.name for path, result in zip(paths, results, strict=True) if result is None]
    whole = [result for result in results if result is not None]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(paths)} blocks are missing or damaged ({', '.join(missing[:3])}…); run again"
        )
    tallies = {
        name: Tally(
            np.concatenate([r.tallies[name].linf for r in whole]),
            np.concatenate([r.tallies[name].margins for r in whole], axis=1),
            sum(r.tallies[name].forward for r in whole),
            sum(r.tallies[name].backward for r in whole),
        )
        for name in whole[0].tallies
    }
    return tallies, np.concatenate([r.worst for r in whole])
