"""Which part a patient belongs to: by the hash of the id, among patients with as many images of either class."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping

from benchmark.data.manifest import PARTS

SHARES = {"test": 25, "validation": 15, "train": 60}  # percent of the patients
OF_TRAINING = {"validation": 20, "train": 80}  # where the collection brings its test part: 15 to 60


def make_up(labelled: Iterable[tuple[str, int]]) -> dict[str, tuple[int, int]]:
    """How many without and with disease each patient has, from pairs of patient and label."""
    found: dict[str, list[int]] = {}
    for patient, label in labelled:
        found.setdefault(patient, [0, 0])[label] += 1
    return {patient: (counts[0], counts[1]) for patient, counts in found.items()}


def assign_parts(
    patients: Mapping[str, tuple[int, int]], salt: str, shares: Mapping[str, int] = SHARES
) -> dict[str, str]:
    """The part of each patient.

    Patients stand in a line, those of one make-up together, in the order of sha256 of salt and id; each next one
    goes to the part that is furthest behind its share. So parts have their share of patients and of every make-up.

    Args:
        patients: to how many images without and with disease they have. shares: part to percent, 100 in all.

    >>> sorted(assign_parts({"a": (0, 1), "b": (0, 1), "c": (0, 1), "d": (0, 1)}, "x").values())
    ['test', 'train', 'train', 'validation']
    """
    line = sorted(
        patients, key=lambda name: (patients[name], hashlib.sha256(f"{salt}:{name}".encode()).hexdigest())
    )
    counts = dict.fromkeys(sorted(shares, key=PARTS.index), 0)
    parts = {}
    for number, patient in enumerate(line, 1):
        part = max(counts, key=lambda part: shares[part] * number - 100 * counts[part])
        counts[part] += 1
        parts[patient] = part
    return parts


def assign_rest(
    patients: Mapping[str, tuple[int, int]], tested: Collection[str], salt: str
) -> dict[str, str]:
    """The part of each patient where `tested`, some of them, are the collection's own test part.

    >>> assign_rest({"a": (0, 1), "b": (0, 1)}, {"b"}, "x")
    {'a': 'train', 'b': 'test'}
    """
    rest = {name: found for name, found in patients.items() if name not in tested}
    own = assign_parts(rest, salt, OF_TRAINING)
    return {name: own.get(name, "test") for name in patients}
