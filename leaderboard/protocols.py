"""Protocols → strings: what was measured, as the page explains it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from leaderboard.views import AttackView, ProtocolView
from leaderboard.words import plain_text, slug

SEARCHES = {
    "grid": "every image at every ε",
    "bisection": (
        "each image's threshold by bisection, with all starts just below it unless the first {scouts} stay "
        "far from a success; every unbroken image in full at the headline ε"
    ),
    "minimum": "one run for the smallest perturbation",
    "survivors": "images that nothing before it broke, at ε",
}


def protocol_anchor(protocol: Mapping[str, Any]) -> str:
    """What a protocol's anchor is called; protocols that differ in anything have different ones."""
    digest = hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()[:8]
    return f"protocol-{slug(str(protocol['name']))}-{digest}"


def protocol_view(protocol: Mapping[str, Any]) -> ProtocolView:
    """The protocol's threat model, grid, images and attacks, line by line."""
    images = (
        "all of the split"
        if protocol["images"] is None
        else f"the first {protocol['images']}, whole patients"
    )
    return ProtocolView(
        anchor=protocol_anchor(protocol),
        title=f"{protocol['name']}, version {protocol['version']}",
        ranked=bool(protocol["ranked"]),
        facts=(
            ("threat model", "L∞: every pixel moves by at most ε, on images in [0, 1]"),
            ("ε grid", "  ".join(protocol["epsilons"])),
            ("headline ε", str(protocol["headline"])),
            ("images", images),
            ("seed, block", f"{protocol['seed']}, {protocol['block']} images"),
            *_extras(protocol),
        ),
        attacks=tuple(_attack(spec) for spec in protocol["attacks"]),
    )


def _extras(protocol: Mapping[str, Any]) -> list[tuple[str, str]]:
    extras = []
    if protocol.get("pursuit"):
        extras.append(
            ("never stopped", f"{protocol['pursuit']} at the headline ε, on every image, to its last step")
        )
    if protocol.get("proof"):
        extras.append(("proof", f"every {protocol['proof']}th image of a block is asked at every ε"))
    return extras


def _attack(spec: Mapping[str, Any]) -> AttackView:
    parameters = [f"{key} = {plain_text(value)}" for key, value in spec["parameters"].items()]
    if spec["step"] is not None:
        parameters.append(f"step = {spec['step']:g} ε")
    if spec["starts"] > 1:
        parameters.append(f"starts = {spec['starts']}")
    search = SEARCHES.get(spec["search"], str(spec["search"])).format(
        scouts=spec.get("scouts", spec["starts"])
    )
    return AttackView(
        title=str(spec["title"]),
        method=f"{spec['method']}, {'white box' if spec['white_box'] else 'black box'}",
        search=f"{search} {', '.join(spec['epsilons'])}".strip(),
        parameters=", ".join(parameters) or "none",
        source=str(spec["source"]),
    )
