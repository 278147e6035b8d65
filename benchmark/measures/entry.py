"""All figures of one entry on one modality, from the per-image rows of its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.directions import Quartiles, quartiles
from benchmark.measures.constant import exact_if_constant
from benchmark.measures.subgroups import Subgroup, subgroups, worst_group
from benchmark.measures.survivors import Met, attacks_alone, met_survivors
from benchmark.measures.wording import positive_words
from benchmark.record import Record
from benchmark.statistics import MINIMUM_PATIENTS, Estimate, accuracy_intervals
from benchmark.statistics.confidence import Confidence, Threshold, confidence, validation_threshold
from benchmark.statistics.curve import area_under_curve
from benchmark.statistics.patients import Patients, clustered_share


@dataclass(frozen=True)
class Accuracy:
    """How many images keep their right answer within an ε ("0": nothing was done to them).

    balanced: the ranking figure. sensitivity, specificity: None where the split has no image of the class.
    lower: the lower of both, None unless both are there. attack_success: share of the images that were right when clean
    and are not within ε; it leaves clean errors out, so it is not 1 − accuracy. None at "0", or where none was right.
    """

    epsilon: str
    balanced: Estimate
    accuracy: Estimate
    sensitivity: Estimate | None
    specificity: Estimate | None
    attack_success: Estimate | None

    @property
    def lower(self) -> Estimate | None:
        """The worse class's share."""
        if self.sensitivity is None or self.specificity is None:
            return None
        return min(self.sensitivity, self.specificity, key=lambda share: share.value)


@dataclass(frozen=True)
class Measures:
    """Every figure of a record. Shares are in [0, 1], intervals hold 95 %; none stand below 20 patients.

    positive: what a positive image is, in words. curve: clean first, then every ε of the grid in the worst case.
    by_attack: each attack that was asked about every image, alone at the headline ε; survivors: what the others met.
    area: under balanced accuracy over ε, of the largest possible.
    minimal_epsilon: quartiles over all images, 0 where wrong already; minimal_epsilon_of_right: of those right when clean.
    attacked: under the attack that was never stopped, at the headline ε; None where the protocol has none.
    design_effect: how many images tell as much as one of another patient would, of headline accuracy; None without patients.
    """

    submission: str
    modality: str
    track: str
    protocol: str
    headline: str
    positive: str
    images: int
    patients: int
    positives: int
    curve: tuple[Accuracy, ...]
    by_attack: Mapping[str, Accuracy]
    survivors: tuple[Met, ...]
    area: Estimate
    minimal_epsilon: Quartiles
    minimal_epsilon_of_right: Quartiles
    threshold: Threshold | None
    clean_confidence: Confidence
    attacked_confidence: Confidence | None
    design_effect: float | None
    subgroups: tuple[Subgroup, ...]
    worst_group: Subgroup | None

    def at(self, epsilon: str) -> Accuracy:
        """The worst case within one ε of the grid, as written; "0" is clean."""
        return next(each for each in self.curve if each.epsilon == epsilon)


def measure(record: Record, facts: Mapping[str, np.ndarray] | None = None) -> Measures:
    """Compute every figure of a record.

    Args:
        facts: of its images, name → (N,), as `read_facts` gives them: what subgroups are made of.
    """
    clean, headline = record.clean_correct, record.headline
    grid = ("0", *record.epsilons)
    right = np.column_stack([clean, *(record.robust(epsilon) for epsilon in record.epsilons)])
    attacks = attacks_alone(record)
    alone = [record.robust(headline, attack) for attack in attacks]
    # The curve and the attacks at once: the same patients are drawn for all of them.
    accuracies = _accuracies(record, [*grid, *[headline] * len(attacks)], np.column_stack([right, *alone]))
    smallest, end = record.minimal_epsilon, record.epsilons[-1]
    validation = record.validation
    threshold = validation_threshold(validation.margins, validation.labels) if validation else None
    lowest = record.lowest_margins
    found = subgroups(record, facts or {})
    who = _places(record)
    return Measures(
        submission=record.submission,
        modality=record.modality,
        track=record.track,
        protocol=record.protocol["name"],
        headline=headline,
        positive=positive_words(record.modality, record.track),
        images=len(record.labels),
        patients=len(set(record.patient_ids)),
        positives=int((record.labels == 1).sum()),
        curve=accuracies[: len(grid)],
        by_attack=dict(zip(attacks, accuracies[len(grid) :], strict=True)),
        survivors=met_survivors(record),
        area=exact_if_constant(record, [area_under_curve(right, record.labels, who, record.epsilons)])[0],
        minimal_epsilon=quartiles(smallest, end),
        minimal_epsilon_of_right=quartiles(smallest[clean], end),
        threshold=threshold,
        clean_confidence=confidence(record.clean_margins, record.labels, who, threshold),
        attacked_confidence=None if lowest is None else confidence(lowest, record.labels, who, threshold),
        design_effect=_design_effect(record),
        subgroups=found,
        worst_group=worst_group(found),
    )


def _places(record: Record) -> np.ndarray:
    """(N,) int64: whose each image is, by the place of the patient's name; numbers are told apart faster than names."""
    return Patients.named(record.patient_ids).of_image


def _accuracies(record: Record, epsilons: Sequence[str], right: np.ndarray) -> tuple[Accuracy, ...]:
    labels, patients = record.labels, _places(record)
    balanced = exact_if_constant(record, accuracy_intervals(right, labels, patients, balanced=True))
    plain = accuracy_intervals(right, labels, patients)
    by_class: dict[int, list[Estimate] | list[None]] = {}
    for label in (0, 1):
        own = labels == label
        by_class[label] = (
            accuracy_intervals(right[own], labels[own], patients[own])
            if own.any()
            else [None] * len(epsilons)
        )
    clean = record.clean_correct
    turned = (
        accuracy_intervals(~right[clean], labels[clean], patients[clean])
        if clean.any()
        else [None] * len(epsilons)
    )
    return tuple(
        Accuracy(
            epsilon,
            balanced[place],
            plain[place],
            by_class[1][place],
            by_class[0][place],
            None if epsilon == "0" else turned[place],
        )
        for place, epsilon in enumerate(epsilons)
    )


def _design_effect(record: Record) -> float | None:
    who = Patients.named(record.patient_ids)
    if who.count < MINIMUM_PATIENTS:
        return None
    robust = record.robust(record.headline).astype(float)
    return clustered_share(who.sums(robust), who.sums(np.ones(len(robust)))).design_effect
