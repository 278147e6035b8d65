"""How much of a robust accuracy is the luck of the draw: the same evaluation under other attack seeds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from shutil import rmtree

from benchmark.evaluation.engine import choose_device, evaluate
from benchmark.evaluation.entry import loaded, records_folder
from benchmark.evaluation.plan import blocks_folder
from benchmark.files import replace_file
from benchmark.protocol import Protocol, get_protocol


def reseeded(protocol: Protocol, number: int) -> Protocol:
    """The protocol with the seed of repetition `number`; 0 is its own. Never ranked but as itself."""
    if number == 0:
        return protocol
    digest = hashlib.sha256(f"{protocol.seed}/{number}".encode()).digest()
    return replace(protocol, seed=int.from_bytes(digest[:4], "little"), ranked=False)


def run_seeds(
    name: str, modality: str, track: str, protocol: str, seeds: int, device: str = "auto"
) -> Iterator[str]:
    """Evaluate an entry under several attack seeds and write `<submission>.seeds.json` beside its record.

    Yields:
        One line for each seed, then the spread of the robust accuracy at the headline ε and how many images'
        verdicts differ between any two seeds.

    Raises:
        BenchmarkError: whatever cannot be read, judged or written. Finished blocks are kept.
    """
    chosen = get_protocol(protocol)
    model, split = loaded(name, modality, track, chosen)
    found, verdicts = [], []
    for number in range(seeds):
        record = evaluate(model, split, reseeded(chosen, number), device)
        robust = record.robust(record.headline)
        found.append({"seed": record.protocol["seed"], "robust_accuracy": float(robust.mean())})
        verdicts.append(robust)
        yield f"{record.submission} · {modality} · seed {number}: {robust.mean():.4f} robust at ε = {record.headline}"
    changing = sum(
        len({bool(verdict[image]) for verdict in verdicts}) > 1 for image in range(len(verdicts[0]))
    )
    rates = [each["robust_accuracy"] for each in found]
    body = {
        "submission": model.submission.name,
        "identity": model.identity,
        "protocol": chosen.name,
        "protocol_sha256": chosen.sha256,
        "headline": chosen.headline,
        "images": len(verdicts[0]),
        "seeds": found,
        "lowest": min(rates),
        "highest": max(rates),
        "images_that_change": changing,
    }
    path = records_folder(track, protocol) / modality / f"{model.submission.name}.seeds.json"
    asked = split.first_patients(chosen.images)
    replace_file(path, (json.dumps(body, indent=1, sort_keys=True) + "\n").encode())
    for number in range(seeds):
        blocks = blocks_folder(model, asked, reseeded(chosen, number), choose_device(device))
        rmtree(blocks, ignore_errors=True)
    yield f"spread {min(rates):.4f} to {max(rates):.4f}; {changing} of {len(verdicts[0])} images change; wrote {path}"
