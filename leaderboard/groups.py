"""Which records stand in one table, in which order, and whether they may."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.errors import DataError
from benchmark.modality import MODALITIES, get_modality
from benchmark.protocol import PROTOCOLS
from benchmark.record import Record

PUBLIC_TRACKS = ("clinical", "phantom")


def by_table(records: Sequence[Record]) -> list[list[Record]]:
    """Records of one table together: clinical before phantom before private; ranked protocols first."""
    groups: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in records:
        groups[record.track, record.modality, record.protocol["name"]].append(record)
    modalities = tuple(MODALITIES)

    def place(key: tuple[str, str, str]) -> tuple[Any, ...]:
        track, modality, protocol = key
        get_modality(modality)
        known = PUBLIC_TRACKS.index(track) if track in PUBLIC_TRACKS else len(PUBLIC_TRACKS)
        return known, track, modalities.index(modality), not groups[key][0].protocol["ranked"], protocol

    return [sorted(groups[key], key=lambda record: record.submission) for key in sorted(groups, key=place)]


def check_comparable(records: Sequence[Record]) -> None:
    """Stop where a table would set numbers beside each other that mean different things, or one entry twice.

    Raises:
        DataError: naming the records to make again.
    """
    where = f"track {records[0].track}, {records[0].modality}, protocol {records[0].protocol['name']}"
    names = [record.submission.casefold() for record in records]
    twice = sorted({record.submission for record in records if names.count(record.submission.casefold()) > 1})
    if twice:
        raise DataError(
            f"{where}: two records claim the place of {', '.join(twice)}; keep the one that is right and delete the other"
        )
    for what, identity in (("versions of the protocol", _protocol_identity), ("images", _images_identity)):
        found: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            found[identity(record)].append(record)
        if len(found) > 1:
            keep = max(found, key=lambda key: _claim(found[key]))
            stale = sorted(record.submission for key in found if key != keep for record in found[key])
            raise DataError(
                f"{where}: the records were made with different {what} and cannot stand in one table; "
                f"evaluate again: {', '.join(stale)} (pytest benchmark/ --fresh)"
            )


def check_current(records: Sequence[Record]) -> None:
    """Stop where records answer another version of a protocol than the one that this version asks.

    A protocol that is not known here (somebody's own) is left alone.

    Raises:
        DataError: naming the records to make again.
    """
    stale: dict[tuple[str, int], list[str]] = defaultdict(list)
    # Records of one protocol are many: today's is described once for all of them.
    today = {
        name: _today(name) for name in {str(record.protocol["name"]) for record in records} & set(PROTOCOLS)
    }
    for record in records:
        if record.protocol["name"] in today and not _agrees(record, *today[record.protocol["name"]]):
            home = f"{record.track}/{record.modality}/{record.submission}"
            stale[record.protocol["name"], record.protocol["version"]].append(home)
    if stale:
        told = "; ".join(
            f"of protocol {name} as version {version} asked it, where this version asks {PROTOCOLS[name].version}: "
            + ", ".join(sorted(homes))
            for (name, version), homes in sorted(stale.items())
        )
        raise DataError(f"records {told}; evaluate them again (pytest benchmark/ --fresh), or delete them")


def _protocol_identity(record: Record) -> str:
    return json.dumps([record.protocol, record.provenance.get("engine")], sort_keys=True)


def _images_identity(record: Record) -> str:
    return json.dumps(
        [record.split.get("sha256"), list(record.image_ids), list(record.patient_ids), record.labels.tolist()]
    )


def _is_current(record: Record) -> bool:
    name = record.protocol["name"]
    return name in PROTOCOLS and _agrees(record, *_today(name))


def _today(name: str) -> tuple[dict[str, Any], str]:
    """A protocol of this version as a record carries it, and its checksum."""
    return PROTOCOLS[name].described(), PROTOCOLS[name].sha256


def _agrees(record: Record, described: Mapping[str, Any], sha256: str) -> bool:
    # A record of an evaluation carries the checksum too, which the engine number is part of.
    told = {"sha256": sha256} if "sha256" in record.protocol else {}
    return {**described, **told} == dict(record.protocol)


def _claim(alike: Sequence[Record]) -> tuple[bool, int, int, str]:
    """Which of several sets stays: the one of today's protocol, else the newest, else the largest."""
    protocol = alike[0].protocol
    return _is_current(alike[0]), protocol["version"], len(alike), alike[0].submission
