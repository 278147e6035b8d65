"""A plan as plain data, and back. What crosses the wire is JSON, safetensors and tar: nothing that is unpickled.

An evaluation is written down once, as a file in the store that names its submission and its split by checksum; an order
is that file's checksum and a number. Patients' and images' names stay with whoever asks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.cluster.greeting import SAME, ours
from benchmark.cluster.sealed import seal, unseal
from benchmark.cluster.store import keep, keep_file, path_of, scratch
from benchmark.data.split import Split
from benchmark.data.tracks import TRACKS
from benchmark.errors import ClusterError
from benchmark.evaluation.blocks import Job
from benchmark.evaluation.health import FreshJob
from benchmark.evaluation.health.fresh import Draw
from benchmark.evaluation.plan import Plan, behind
from benchmark.evaluation.source import FolderSource
from benchmark.isolation.choices import NONE
from benchmark.protocol import AttackSpec, Protocol
from benchmark.submission import load_submission

Order = dict[str, Any]  # {"evaluation": sha256, "block": number} or {"evaluation": sha256, "draw": {…}}


@dataclass(frozen=True)
class Written:
    """An evaluation in the store.

    sums: checksums of all files that a worker needs for it. code: whether it needs a sandbox. device: "cpu" or "cuda".
    """

    evaluation: str
    sums: tuple[str, ...]
    code: bool
    device: str


def written(plan: Plan) -> Written:
    """Put an evaluation into the store.

    Raises:
        ClusterError: the model was given in Python, and so could only travel as a pickle.
    """
    source = plan.source
    if not isinstance(source, FolderSource):
        raise ClusterError(
            f"a model given in Python ({plan.name}) cannot be sent to other machines; enter it as a folder, see "
            "submissions/README.md"
        )
    model = load_submission(source.folder, source.modality, source.track, source.training_seed)
    model.isolation = source.isolation
    how = behind(
        model
    )  # as it is here: no setting of a worker's own may choose other walls than the record names
    sealed, split = keep(seal(model)), _kept_split(plan.split)
    content: dict[str, Any] = {
        "submission": {"name": model.submission.name, "sha256": sealed, "identity": plan.identity},
        "code": how not in ("", NONE),
        "modality": source.modality,
        "track": source.track
        if source.track in TRACKS
        else "own",  # it chooses the weights; a folder's name stays here
        "layout": source.layout,
        "training_seed": source.training_seed,
        "isolation": how or source.isolation,
        "split": split,
        "clean": plan.clean.astype("<f4").tobytes().hex(),
        "temperature": float(plan.scale).hex(),
        "protocol": plan.protocol.described(),
        "protocol_sha256": plan.protocol.sha256,
        "device": plan.device.type,
        "versions": ours(),  # a worker that comes late is not greeted before the scheduler gives it a block
    }
    evaluation = keep(json.dumps(content, sort_keys=True).encode())
    return Written(evaluation, (sealed, split, evaluation), content["code"], plan.device.type)


def _kept_split(split: Split) -> str:
    """Pixels and labels; numbers for names."""
    names = [str(number) for number in range(len(split))]
    nameless = Split(split.modality, split.images, split.labels, names, names, "sent", "sent")
    folder = scratch()
    nameless.save(folder / "split")
    sha256 = keep_file(folder / "split")
    folder.rmdir()
    return sha256


def block_order(asked: Written, job: Job) -> Order:
    """To compute a block."""
    return {"evaluation": asked.evaluation, "block": job.block}


def draw_order(asked: Written, job: FreshJob) -> Order:
    """To draw images and try the model that judges on them."""
    return {"evaluation": asked.evaluation, "draw": asdict(job.draw)}


def job_of(order: Order, path: Path) -> Job | FreshJob:
    """What an order asks for.

    Args:
        path: where a block goes.

    Raises:
        ClusterError: this is another version, or reads the protocol or the submission as something else than who asks.
    """
    content = _read(order["evaluation"])
    if others := [name for name, version in content["versions"].items() if ours().get(name) != version]:
        raise ClusterError(f"this worker has another {', '.join(others)} than whoever asks; {SAME}")
    source = _source(order["evaluation"])
    if "draw" in order:
        return FreshJob(source, Draw(**order["draw"]), content["device"])
    protocol = protocol_of(content["protocol"], content["protocol_sha256"])
    number, size = int(order["block"]), protocol.block
    rows = slice(number * size, (number + 1) * size)
    clean = np.frombuffer(bytes.fromhex(content["clean"]), "<f4").astype(np.float32)
    return Job(
        source,
        _split(content["split"]).part_of(rows.start, rows.stop),
        clean[rows],
        float.fromhex(content["temperature"]),
        protocol,
        number,
        content["device"],
        path,
    )


def protocol_of(described: Mapping[str, Any], sha256: str) -> Protocol:
    """A protocol from its description.

    Raises:
        ClusterError: it is not the one that was described.
    """
    attacks = tuple(
        AttackSpec(**{**spec, "epsilons": tuple(spec["epsilons"])}) for spec in described["attacks"]
    )
    epsilons: Sequence[str] = described["epsilons"]
    protocol = Protocol(**{**described, "attacks": attacks, "epsilons": tuple(epsilons)})
    if protocol.sha256 != sha256:
        raise ClusterError(
            f"protocol {protocol.name!r} is another one here; install the same version of oncorobust everywhere"
        )
    return protocol


@lru_cache(maxsize=8)
def _read(evaluation: str) -> dict[str, Any]:
    return json.loads(path_of(evaluation).read_bytes())


@lru_cache(maxsize=4)
def _split(sha256: str) -> Split:
    return Split.load(path_of(sha256), verify=False)  # its bytes were checked when they came


@lru_cache(maxsize=8)
def _source(evaluation: str) -> FolderSource:
    content = _read(evaluation)
    told = content["submission"]
    folder = unseal(told["sha256"], told["name"])
    seed, track = content["training_seed"], content["track"]
    found = load_submission(folder, content["modality"], track, seed).identity
    if found != told["identity"]:
        raise ClusterError(
            f"submission {told['name']!r} is another one here (identity {found[:12]}…, asked for "
            f"{told['identity'][:12]}…); install the same version of oncorobust everywhere"
        )
    return FolderSource(folder, content["modality"], track, content["layout"], seed, content["isolation"])
