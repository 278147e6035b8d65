"""Blocks of work: fixed images, own seeds, one atomic file each.

A block's result depends only on weights, data, protocol and block number, so whoever
computes it, and after however many interruptions, the record comes out the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmark.data.split import Split
from benchmark.errors import DataError, SubmissionError
from benchmark.evaluation.anew import let_go, new_judge
from benchmark.evaluation.arena import BITS, Arena
from benchmark.evaluation.judge import one_thread
from benchmark.evaluation.news import Reporter
from benchmark.evaluation.retrial import Docket, retry
from benchmark.evaluation.search import run_battery
from benchmark.evaluation.source import BareSource, FolderSource
from benchmark.evaluation.tally import Tally
from benchmark.evaluation.testimony import overheard
from benchmark.files import replace_file
from benchmark.protocol import Protocol


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

    @property
    def news(self) -> Path:
        """Where the block tells what it is at."""
        return self.path.with_suffix(".now")


@dataclass(frozen=True)
class Failure:
    """A block that could not be computed, and why. The others go on."""

    block: int
    first: int  # image, from 0
    last: int
    reason: str


def run_job(job: Job) -> Failure | None:
    """Compute a block and write its file.

    Returns:
        What went wrong with the model or an attack; None if nothing did.

    Raises:
        DataError: the file cannot be written.
    """
    reporter = Reporter(job.news, job.protocol)
    try:
        with one_thread():
            arena, again = _fought(job, reporter)
            stored = arena.stored()
    except SubmissionError as error:
        first = job.block * job.protocol.block
        return Failure(job.block, first, first + len(job.split) - 1, str(error))
    finally:
        reporter.over()
    save_block(job.path, arena, stored, again)
    return None


def _fought(job: Job, reporter: Reporter) -> tuple[Arena, np.ndarray | None]:
    """The block after its battery; with a submission's own code also what `retry` found."""
    device = torch.device(job.device)
    attacked, judge = (model.to(device) for model in job.source.models())
    images, labels = (tensor.to(device) for tensor in job.split.batch())
    arena = Arena(
        attacked, judge, images, labels, job.clean, job.temperature, job.protocol, job.block, reporter
    )
    testimony, docket = overheard(attacked), Docket()
    if testimony is None:
        run_battery(arena)
        return arena, None
    arena.keep = docket.keep
    run_battery(arena)
    for before in (attacked, judge):
        let_go(before)
    fresh = new_judge(job.source, device)
    assert fresh is not None
    return arena, retry(arena, docket, testimony, fresh)


def save_block(path: Path, arena: Arena, stored: np.ndarray, again: np.ndarray | None = None) -> None:
    """What came of a block, and the margins of its worst images at each depth, as one safetensors file.

    Args:
        again: from `retry`, if there was a second trial.
    """
    from safetensors.numpy import save

    tensors = {
        "worst": arena.worst.cpu().numpy(),
        "unstopped": np.stack([arena.early, arena.lowest]),
        "stored": stored,
    }
    for name, tally in arena.tallies.items():
        tensors[f"{name}/linf"], tensors[f"{name}/margins"] = tally.linf, tally.margins
    if again is not None:
        tensors["retrial"] = again[None]
    for name, thresholds in arena.proof.items():
        tensors[f"{name}/proof"] = thresholds
    counts = {name: [tally.forward, tally.backward, tally.silent] for name, tally in arena.tallies.items()}
    replace_file(path, save(tensors, {"counts": json.dumps(counts), "sha256": _digest(tensors, counts)}))


def _digest(tensors: dict[str, np.ndarray], counts: dict[str, list[int]]) -> str:
    digest = hashlib.sha256(json.dumps(counts, sort_keys=True).encode())
    for key in sorted(tensors):
        digest.update(np.ascontiguousarray(tensors[key]).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class Results:
    """What attacks achieved on n images: a block's, or of several blocks one after the other.

    unstopped: (2, n), see `Arena.early` and `Arena.lowest`. stored: (3, n), margins at each depth of BITS.
    proof: attack → (2, n), see `Arena.proof`. retrial: (blocks, 4), see `retry`; None without a submission's own code.
    """

    tallies: dict[str, Tally]
    unstopped: np.ndarray
    stored: np.ndarray
    proof: dict[str, np.ndarray]
    retrial: np.ndarray | None = None

    @property
    def stored_margins(self) -> dict[int, np.ndarray]:
        """Bits → (n,) margins."""
        return dict(zip(BITS, self.stored, strict=True))


def load_block(path: Path) -> tuple[Results, np.ndarray] | None:
    """A finished block and its worst images, or None where there is none that can be trusted."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            header = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        counts = json.loads(header["counts"])
        if _digest(tensors, counts) != header["sha256"]:
            return None
        tallies = {
            n: Tally(tensors[f"{n}/linf"], tensors[f"{n}/margins"], *each) for n, each in counts.items()
        }
        proof = {name: tensors[f"{name}/proof"] for name in counts if f"{name}/proof" in tensors}
        found = Results(tallies, tensors["unstopped"], tensors["stored"], proof, tensors.get("retrial"))
        return found, tensors["worst"]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def merge(paths: Sequence[Path]) -> Results:
    """All blocks one after the other.

    Raises:
        DataError: a block is missing or damaged.
    """
    whole, missing = [], []
    for path in paths:
        block = load_block(path)
        whole += [block[0]] if block else []
        missing += [] if block else [path.name]
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
            sum(r.tallies[name].silent for r in whole),
        )
        for name in whole[0].tallies
    }
    return Results(
        tallies,
        np.concatenate([r.unstopped for r in whole], axis=1),
        np.concatenate([r.stored for r in whole], axis=1),
        {name: np.concatenate([r.proof[name] for r in whole], axis=1) for name in whole[0].proof},
        np.concatenate(again) if (again := [r.retrial for r in whole if r.retrial is not None]) else None,
    )
