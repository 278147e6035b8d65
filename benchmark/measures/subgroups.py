"""Where an entry is worst: its robust accuracy by size, density, scanner, or whatever a split tells of its images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.measures.constant import exact_if_constant
from benchmark.record import Record
from benchmark.statistics import MINIMUM_PATIENTS, Estimate, accuracy_interval

FEW_VALUES = 6  # a fact of at most so many values is taken for a category
THIRDS = (1 / 3, 2 / 3)
# What a label was made from divides the images into the classes, and what tells where a slice lies divides nothing.
NOT_GROUPS = frozenset({"malignancy", "readers", "metastasis_mm2", "assessment", "z_mm"})


@dataclass(frozen=True)
class Subgroup:
    """Some of a split's images, by one fact of them, at the headline ε.

    classes: which labels are there; of both, `robust` and `clean` are balanced, of one they are that class's share.
    """

    fact: str
    group: str
    images: int
    patients: int
    classes: tuple[int, ...]
    clean: Estimate
    robust: Estimate


def subgroups(record: Record, facts: Mapping[str, np.ndarray]) -> tuple[Subgroup, ...]:
    """Clean and worst-case accuracy of every group, facts in alphabetical order.

    Args:
        facts: name → (N,) float64, NaN where it is not known: those images are in no group.
    """
    robust, patients = record.robust(record.headline), np.asarray(record.patient_ids)
    found = []
    for fact in sorted(set(facts) - NOT_GROUPS):
        for name, own in groups(facts[fact]):
            labels, who = record.labels[own], patients[own]
            classes = tuple(int(label) for label in np.unique(labels))
            shares = [
                accuracy_interval(right[own], labels, who, balanced=True)
                for right in (record.clean_correct, robust)
            ]
            clean, attacked = exact_if_constant(record, shares)
            found.append(Subgroup(fact, name, int(own.sum()), len(np.unique(who)), classes, clean, attacked))
    return tuple(found)


def groups(values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The groups of one fact, ascending: its values where they are few, else its thirds. Nothing where all are alike.

    Yields:
        A name, and which images: (N,) bool.
    """
    known = values[~np.isnan(values)]
    different = np.unique(known)
    if len(different) < 2:
        return
    if len(different) <= FEW_VALUES:
        for value in different:
            yield f"{value:g}", values == value
        return
    low, high = np.quantile(known, THIRDS, method="inverted_cdf")
    for name, own in (
        (f"≤ {low:.3g}", values <= low),
        (f"{low:.3g}–{high:.3g}", (values > low) & (values <= high)),
        (f"> {high:.3g}", values > high),
    ):
        if own.any():
            yield name, own


def worst_group(found: Sequence[Subgroup]) -> Subgroup | None:
    """The group with the lowest worst-case accuracy of those with both classes and 20 patients (Sagawa et al. 2020).

    The lowest of many is low by chance as well: read it with its interval, and with how many groups there are.
    """
    return min(comparable_groups(found), key=lambda group: group.robust.value, default=None)


def comparable_groups(found: Sequence[Subgroup]) -> list[Subgroup]:
    """Those with both classes and 20 patients, of which the worst is one."""
    return [group for group in found if group.patients >= MINIMUM_PATIENTS and len(group.classes) == 2]
