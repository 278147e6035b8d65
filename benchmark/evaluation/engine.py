"""evaluate: a model, a split and a protocol become a record."""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmark.attacks.two_class import margins, temperature
from benchmark.data.split import Split
from benchmark.errors import IsolationError, ProtocolError
from benchmark.evaluation.blocks import BareSource, FolderSource, Job, load_block, merge
from benchmark.evaluation.health import health_checks
from benchmark.evaluation.judge import clean_gaps, one_thread
from benchmark.evaluation.pool import run_jobs
from benchmark.files import replace_file
from benchmark.folders import cache_folder
from benchmark.progress import progress_bar
from benchmark.protocol import ENGINE, Protocol, get_protocol
from benchmark.record import AttackResult, Record
from benchmark.submission import SubmittedModel

VERSIONED = ("torch", "torchattacks", "numpy")


def evaluate(
    model: nn.Module,
    split: Split,
    protocol: str | Protocol = "standard",
    device: str = "auto",
    isolation: str = "auto",
    progress: bool = True,
) -> Record:
    """Attack a model on every image of a split and keep what happened, image by image.

    A submission's finished blocks are kept in the cache: an interrupted evaluation goes on
    where it stopped.

    Args:
        model: from `load_submission`, or any module (N, 1, H, W) float32 in [0, 1] → logits
            (N, 2) = [no disease, disease] or (N, 1), z > 0 meaning disease. A bare module is judged by
            a copy made before any attack, and its record is marked unverified.
        split: images, true labels, patients.
        protocol: "standard", "quick", or a Protocol.
        device: "auto", "cpu", "cuda", "cuda:1".
        isolation: "auto" or "none"; declarative submissions bring no code, so nothing is isolated yet.
        progress: show a bar on a terminal.

    Returns:
        The record; `record.save(folder)` writes it.

    Raises:
        SubmissionError: logits of the wrong shape or not finite, or the model raised.
        ProtocolError: unknown protocol or device.
    """
    protocol = get_protocol(protocol)
    if isolation not in ("auto", "none"):
        raise IsolationError(f"isolation {isolation!r} is not available; expected 'auto' or 'none'")
    chosen = choose_device(device)
    if protocol.images is not None:
        split = split.first_patients(protocol.images)
    source, identity, verified = _source(model, split)
    _, judge = source.models()
    micro_batch = protocol.micro_batch(*split.image_size)
    with one_thread():
        gaps = clean_gaps(judge.to(chosen), split, micro_batch, chosen)
    labels = torch.from_numpy(split.labels)
    clean, scale = margins(gaps, labels).numpy(), temperature(gaps)

    name = model.submission.name if isinstance(model, SubmittedModel) else type(model).__name__
    with _blocks_folder(model, split, protocol, chosen) as folder:
        jobs = _jobs(source, split, clean, scale, protocol, str(chosen), folder)
        waiting = [job for job in jobs if load_block(job.path) is None]
        with progress_bar(f"{name} · {split.modality} · {protocol.name}", len(split), progress) as advance:
            advance(len(split) - sum(len(job.split) for job in waiting))
            run_jobs(waiting, str(chosen), advance)
        tallies, worst = merge([job.path for job in jobs])

    with one_thread():
        flags = health_checks(judge, split, protocol, clean, scale, tallies, identity, chosen)
    return Record(
        submission=name,
        modality=split.modality,
        track=split.track,
        protocol=protocol.described() | {"sha256": protocol.sha256},
        split=describe_split(split),
        provenance={
            "identity": identity,
            "engine": ENGINE,
            "temperature": scale,
            "device": chosen.type,
            "isolation": "none needed: no code of the submitter runs" if verified else "none",
            "verified": verified,
            "trained_on": model.weights.trained_on if isinstance(model, SubmittedModel) else "",
            "command": model.weights.command if isinstance(model, SubmittedModel) else "",
            "adversarial_sha256": _keep_images(worst),
            "versions": {package: version(package) for package in VERSIONED},
        },
        labels=split.labels,
        patient_ids=split.patient_ids,
        image_ids=split.image_ids,
        clean_margins=clean,
        attacks={
            attack: AttackResult(
                tally.linf,
                dict(zip(protocol.epsilons, tally.margins, strict=True)),
                tally.forward,
                tally.backward,
            )
            for attack, tally in tallies.items()
        },
        flags=tuple(flags),
        description=model.submission.described()
        if isinstance(model, SubmittedModel)
        else {"title": name, "kind": "entry"},
    )


def choose_device(device: str) -> torch.device:
    """The torch device meant by a name; "auto" is CUDA where there is one, else the CPU."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ProtocolError(f"device {device!r} cannot be used here: {str(error).splitlines()[0]}") from None
    return chosen


def describe_split(split: Split) -> dict[str, Any]:
    """What a record says of its split, as plain data."""
    return {
        "name": split.name,
        "part": split.part,
        "sha256": split.sha256,
        "images": len(split),
        "patients": split.patients,
        "positives": int(split.labels.sum()),
        "height": split.image_size[0],
        "width": split.image_size[1],
        "notes": dict(split.notes),
    }


def save_times(path: Path, seconds: float, device: str) -> None:
    """Write how long it took, and where, beside a record, in a file of its own."""
    body = {
        "seconds": round(seconds, 2),
        "device": device,
        "machine": platform.processor() or platform.machine(),
    }
    body["date"] = time.strftime("%Y-%m-%d", time.gmtime())
    replace_file(path.with_suffix(".times.json"), (json.dumps(body, indent=1) + "\n").encode())


def _source(model: nn.Module, split: Split) -> tuple[FolderSource | BareSource, str, bool]:
    if isinstance(model, SubmittedModel):
        return FolderSource(model.submission.folder, split.modality, split.track), model.identity, True
    digest = hashlib.sha256(repr(model).encode())
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return BareSource.of(model), "bare-" + digest.hexdigest(), False


def blocks_folder(model: SubmittedModel, split: Split, protocol: Protocol, device: torch.device) -> Path:
    """Where the finished blocks of an evaluation are kept; named by all that a block depends on."""
    versions: Mapping[str, str] = {package: version(package) for package in VERSIONED}
    text = json.dumps([model.identity, split.sha256, protocol.sha256, device.type, versions])
    return cache_folder() / "blocks" / hashlib.sha256(text.encode()).hexdigest()[:32]


@contextmanager
def _blocks_folder(
    model: nn.Module, split: Split, protocol: Protocol, device: torch.device
) -> Iterator[Path]:
    """`blocks_folder`, or for a bare module a folder of this call alone.

    A module's code is not part of its weights: two that differ only in `forward` must not
    share blocks.
    """
    if isinstance(model, SubmittedModel):
        yield blocks_folder(model, split, protocol, device)
    else:
        with tempfile.TemporaryDirectory(prefix="oncorobust-") as folder:
            yield Path(folder)


def _jobs(
    source: FolderSource | BareSource,
    split: Split,
    clean: np.ndarray,
    scale: float,
    protocol: Protocol,
    device: str,
    folder: Path,
) -> list[Job]:
    return [
        Job(
            source,
            split.part_of(start, start + protocol.block),
            clean[start : start + protocol.block],
            scale,
            protocol,
            number,
            device,
            folder / f"block-{number:05d}.safetensors",
        )
        for number, start in enumerate(range(0, len(split), protocol.block))
    ]


def _keep_images(worst: np.ndarray) -> str:
    """Write the worst image of each original at the headline ε into the cache; returns the file's sha256."""
    from safetensors.numpy import save

    content = save({"images": worst})
    digest = hashlib.sha256(content).hexdigest()
    path = cache_folder() / "adversarial" / f"{digest}.safetensors"
    if not path.exists():
        replace_file(path, content)
    return digest
