"""A record → what an entry says of itself and how its number came about, fact by fact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.record import Record
from benchmark.record.files import table_sha256
from leaderboard.evidence import web
from leaderboard.parts import Fact
from leaderboard.words import plain_text

# Told elsewhere on the page.
ELSEWHERE = ("title", "description", "training")
NAMES = {
    "kind": "kind",
    "authors": "authors",
    "licence": "licence",
    "architecture": "architecture",
    "architecture_options": "options of the architecture",
    "naive_twin": "naive twin",
    "input": "input",
    "packages": "packages of its code",
    "paper": "paper",
    "code": "code",
}
HASHES = {
    "identity": "weights and architecture, sha256",
    "adversarial_sha256": "worst images at the headline ε, sha256",
    "harness_sha256": "harness, sha256",
}
# Shown as commands and hashes, or no fact of the entry's.
NOT_PROVENANCE = ("command", "versions", "missing", *HASHES)


def card_facts(record: Record) -> tuple[Fact, ...]:
    """Everything that the submission says of itself and the record carries; addresses lead there."""
    told = [
        _fact(NAMES.get(str(key), _words(str(key))), value)
        for key, value in record.description.items()
        if key not in ELSEWHERE
    ]
    return tuple(fact for fact in told if fact.text)


def training_facts(record: Record) -> tuple[Fact, ...]:
    """How the entry was trained, as it says."""
    training = record.description.get("training")
    if not isinstance(training, Mapping):
        return (Fact("training", plain_text(training)),) if training else ()
    facts = [_fact(_words(str(key)), value if value != [] else "none") for key, value in training.items()]
    trained_on = plain_text(record.provenance.get("trained_on"))
    return tuple(fact for fact in [*facts, Fact("trained on", trained_on)] if fact.text)


def run_facts(record: Record, seconds: float | None) -> tuple[Fact, ...]:
    """Where the number comes from: device, versions, cost."""
    forward = sum(result.forward for result in record.attacks.values())
    backward = sum(result.backward for result in record.attacks.values())
    provenance = [
        _fact(_words(str(key)), value)
        for key, value in sorted(record.provenance.items())
        if key not in NOT_PROVENANCE
    ]
    cost = [Fact("passes", f"{forward:,} forward, {backward:,} backward")]
    cost += [] if seconds is None else [Fact("time", f"{seconds:,.0f} s")]
    versions = Fact("versions", plain_text(record.provenance.get("versions")))
    return tuple(fact for fact in (*provenance, versions, *cost) if fact.text)


def hash_facts(record: Record) -> tuple[Fact, ...]:
    """Checksums by which everything can be held against everything."""
    found = {name: plain_text(record.provenance.get(key)) for key, name in HASHES.items()}
    found["images and labels, sha256"] = plain_text(record.split.get("sha256"))
    found["protocol, sha256"] = plain_text(record.protocol.get("sha256"))
    found["table of the record, sha256"] = table_sha256(record)
    return tuple(Fact(name, text, code=True) for name, text in found.items() if text)


def commands(record: Record) -> tuple[Fact, ...]:
    """What to type to do it again, each with what it does."""
    protocol = "" if record.protocol["name"] == "standard" else f" --protocol {record.protocol['name']}"
    track = "" if record.track == "phantom" else f" --track {record.track}"
    home = f"leaderboard/results/{record.track}/{record.modality}/{record.submission}.json"
    found = [
        Fact(
            "evaluate it again",
            f"oncorobust evaluate {record.submission} --modality {record.modality}{track}{protocol} --fresh",
        ),
        Fact("hold the record against its rows and some of its blocks", f"oncorobust verify {home}{track}"),
        Fact(
            "a methods paragraph",
            f"oncorobust methods {record.submission} --modality {record.modality}{track}",
        ),
    ]
    trained = plain_text(record.provenance.get("command"))
    return (*found, *((Fact("train it again, as the entry says", trained),) if trained else ()))


def _fact(name: str, value: Any) -> Fact:
    text = plain_text(value)
    return Fact(name, text, link=web(text))


def _words(key: str) -> str:
    return key.replace("_", " ")
