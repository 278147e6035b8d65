"""What was measured, as Markdown for people and as JSON for whoever quotes it."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np

from benchmark.bench.compare import Comparison, Side
from benchmark.bench.growth import Size
from benchmark.bench.meter import Cost
from benchmark.bench.overhead import Overhead
from benchmark.protocol import Protocol


@dataclass(frozen=True)
class Report:
    """The results of one run. protocol: what all of them were asked."""

    protocol: Protocol
    comparisons: Sequence[Comparison] = ()
    overheads: Sequence[Overhead] = ()
    sizes: Sequence[Size] = ()
    sized: str = ""  # what grew: entry and split
    machine: dict[str, Any] = field(default_factory=lambda: _machine())

    def markdown(self) -> str:
        """Every table, and every parameter below them."""
        lines = [_said_of(self.machine)]
        for comparison in self.comparisons:
            lines += ["", *_compared(comparison)]
        for overhead in self.overheads:
            lines += ["", *_shares(overhead)]
        if self.sizes:
            lines += ["", *_grown(self.sized, self.sizes)]
        return "\n".join([*lines, "", *_parameters(self.protocol)]) + "\n"

    def json(self) -> str:
        """The same as data; what falls at which ε as lists of image numbers."""
        body = {
            "machine": self.machine,
            "protocol": self.protocol.described(),
            "comparisons": [_compared_data(comparison) for comparison in self.comparisons],
            "overheads": [
                {
                    "task": overhead.task,
                    "protocol": overhead.protocol,
                    "floor": overhead.floor,
                    "attacks": [
                        _cost_data(share.cost)
                        | {"title": share.title, "least": share.least, "allowed": share.allowed}
                        for share in overhead.shares
                    ],
                }
                for overhead in self.overheads
            ],
            "growth": {
                "of": self.sized,
                "sizes": [
                    _cost_data(size.cost)
                    | {key: getattr(size, key) for key in ("varied", "images", "right", "epsilons", "side")}
                    for size in self.sizes
                ],
            },
        }
        return json.dumps(body, indent=1) + "\n"


def _machine() -> dict[str, Any]:
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": 1,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "versions": {name: version(name) for name in ("torch", "torchattacks", "numpy")},
    }


def _said_of(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"{machine['date']}, {machine['processor']}, one thread of {machine['cores']} cores, load {machine['load']}; "
        f"{versions}. Seconds are those of the thread's processor; passes are images."
    )


def _compared(comparison: Comparison) -> Iterator[str]:
    question = comparison.question
    yield f"### {question.title[0].upper()}{question.title[1:]}"
    yield f"{comparison.task}, {len(comparison.epsilons)} ε"
    yield ""
    yield "| | seconds | on the wall | forward | backward | outside of the model | above the bare passes |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    sides = [comparison.ours, comparison.theirs]
    for side in sides:
        if side is None:
            yield f"| {question.rival.title} | not installed: pip install {question.rival.package} | | | | | |"
            continue
        cost = side.cost
        yield (
            f"| {side.title} | {cost.seconds:.1f} | {cost.wall:.1f} | {cost.forward:,} | {cost.backward:,} "
            f"| {cost.outside:.0%} | {side.above_least:.0%} |"
        )
    for whose, (forward, both) in zip(("ours", "theirs"), comparison.floors, strict=True):
        yield (
            f"| bare model, one image, laid out as {whose} | {forward * 1e3:.2f} ms forward | | | "
            f"{both * 1e3:.2f} ms with backward | | |"
        )
    if comparison.theirs:
        yield ""
        yield (
            f"**{comparison.faster:.1f}× less time** (aim {question.faster:g}×), "
            f"{comparison.fewer_gradients:.1f}× fewer backward passes, {comparison.fewer_passes:.1f}× fewer passes in all."
        )
    yield ""
    yield "| robust accuracy | " + " | ".join(comparison.epsilons) + " |"
    yield "|---|" + "--:|" * len(comparison.epsilons)
    for curve in comparison.ours.fallen:
        for side in sides:
            if side is not None:
                name = "ours" if side is comparison.ours else "theirs"
                yield f"| {curve}, {name} | " + " | ".join(f"{v:.3f}" for v in _robust(side, curve)) + " |"
        if curve in comparison.differing:
            counts = " | ".join(str(count) for count in comparison.differing[curve])
            yield f"| {curve}, images that differ | {counts} |"


def _shares(overhead: Overhead) -> Iterator[str]:
    forward, both = overhead.floor
    yield "### Time that is not the model's own"
    yield f"{overhead.task}, protocol {overhead.protocol}, judging included"
    yield ""
    yield "| attack | seconds | forward | backward | outside of the model | at most | above the bare passes |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for share in overhead.shares:
        cost, allowed = share.cost, "" if share.allowed is None else f"{share.allowed:.0%}"
        above = 1 - share.least / cost.seconds if cost.seconds else 0.0
        yield (
            f"| {share.title} | {cost.seconds:.1f} | {cost.forward:,} | {cost.backward:,} | {cost.outside:.0%} "
            f"| {allowed} | {above:.0%} |"
        )
    whole = sum((share.cost for share in overhead.shares), Cost())
    yield (
        f"| all | {whole.seconds:.1f} | {whole.forward:,} | {whole.backward:,} | {whole.outside:.0%} | | |"
    )
    yield ""
    yield f"One image in the bare model at full batch: {forward * 1e3:.2f} ms forward, {both * 1e3:.2f} ms with backward."


def _grown(sized: str, sizes: Sequence[Size]) -> Iterator[str]:
    first = sizes[0]
    yield "### How the cost grows"
    yield f"{sized}, the whole battery; times as many seconds as the first row"
    yield ""
    yield "| what grows | images | attacked | ε | pixels | forward | backward | seconds | times |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for size in sizes:
        cost = size.cost
        yield (
            f"| {size.varied} | {size.images} | {size.right} | {size.epsilons} | {size.side}×{size.side} | {cost.forward:,} "
            f"| {cost.backward:,} | {cost.seconds:.1f} | {cost.seconds / first.cost.seconds:.2f} |"
        )


def _parameters(protocol: Protocol) -> Iterator[str]:
    named = f"{protocol.name}, version {protocol.version}, seed {protocol.seed}"
    yield f"Parameters ({named}, portions of {protocol.block} images):"
    for spec in protocol.attacks:
        values = {"starts": spec.starts, **spec.parameters}
        if spec.step is not None:
            values["step"] = f"{spec.step:g} ε"
        if spec.epsilons:
            values["ours only at ε"] = " ".join(spec.epsilons)
        yield f"- {spec.title} ({spec.method}): " + ", ".join(
            f"{name} {value}" for name, value in values.items()
        )


def _compared_data(comparison: Comparison) -> dict[str, Any]:
    def side(one: Side | None) -> dict[str, Any] | None:
        if one is None:
            return None
        fallen = {curve: [np.flatnonzero(row).tolist() for row in rows] for curve, rows in one.fallen.items()}
        robust = {curve: _robust(one, curve) for curve in one.fallen}
        return _cost_data(one.cost) | {
            "title": one.title,
            "least": one.least,
            "fallen": fallen,
            "robust_accuracy": robust,
        }

    return {
        "question": comparison.question.name,
        "task": comparison.task,
        "epsilons": comparison.epsilons,
        "ours": side(comparison.ours),
        "theirs": side(comparison.theirs),
        "differing": comparison.differing,
        "faster": comparison.faster if comparison.theirs else None,
        "fewer_gradients": comparison.fewer_gradients if comparison.theirs else None,
        "fewer_passes": comparison.fewer_passes if comparison.theirs else None,
        "aim": comparison.question.faster,
        "floors": comparison.floors,
    }


def _cost_data(cost: Cost) -> dict[str, Any]:
    return {
        "forward": cost.forward,
        "backward": cost.backward,
        "seconds": cost.seconds,
        "in_the_model": cost.model,
        "wall": cost.wall,
        "outside_of_the_model": cost.outside,
    }


def _robust(side: Side, curve: str) -> list[float]:
    return (~side.fallen[curve]).mean(1).tolist()
