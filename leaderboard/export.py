"""Everything that was measured, for other programs: one figure a line (CSV), all of it nested (JSON), challengeR's CSV."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark import __version__
from benchmark.directions import Quartiles
from benchmark.evidence.facts import read_facts
from benchmark.files import replace_files
from benchmark.measures import Accuracy, Board, Confidence, Measures, Versus, board, measure
from benchmark.record import Record
from benchmark.statistics import Estimate
from leaderboard.csv_text import as_csv
from leaderboard.groups import by_table, check_comparable

FORMAT = 1
HEADER = (
    "track",
    "modality",
    "protocol",
    "submission",
    "condition",
    "epsilon",
    "group",
    "measure",
    "value",
    "low",
    "high",
    "images",
    "patients",
    "positive_means",
)
# Columns as challengeR's README names them; Patient is ours, for whoever resamples by it.
CHALLENGE_R = ("Task", "TestCase", "Algorithm", "MetricValue", "Patient")


def export(results_root: Path, folder: Path, records: Sequence[Record]) -> tuple[Path, ...]:
    """Write figures.csv, figures.json and challenger.csv, all or none; returns their paths.

    Args:
        results_root: holds <track>/<modality>/, where what is known of the images stands beside the records.

    Raises:
        DataError: records of one table cannot be compared, a file is damaged, or the folder cannot be written.
    """
    boards, measured = [], []
    for group in by_table(records):
        check_comparable(group)
        boards.append(board(group))
        for record in group:
            home = Path(results_root) / record.track / record.modality
            measured.append(measure(record, read_facts(record, home)))
    files = {
        Path(folder) / "figures.csv": as_csv([HEADER, *tidy_lines(measured, boards)]),
        Path(folder) / "figures.json": as_json(measured, boards),
        Path(folder) / "challenger.csv": as_csv([CHALLENGE_R, *challenge_lines(records)]),
    }
    replace_files({path: text.encode() for path, text in files.items()})
    return tuple(files)


def tidy_lines(measured: Sequence[Measures], boards: Sequence[Board]) -> Iterator[list[Any]]:
    """One line for each figure: what, of which entry, under which condition, its value and interval."""
    for each in measured:
        head = [each.track, each.modality, each.protocol, each.submission]
        size = [each.images, each.patients]
        for condition, epsilon, group, name, value, counted in _figures(each):
            bounds = [value.value, value.low, value.high]
            yield [*head, condition, epsilon, group, name, *bounds, *(counted or size), each.positive]
    for table in boards:
        for standing in table.standings:
            head = [table.track, table.modality, table.protocol, standing.submission]
            for name, place in _standing(standing.rank, standing.first_place):
                yield [*head, "board", table.headline, "all", name, place, None, None, None, None, ""]
            for label, versus in (("leader", standing.against_leader), ("twin", standing.against_twin)):
                for name, found in _versus(label, versus):
                    bounds = [found.value, found.low, found.high]
                    yield [*head, "board", table.headline, "all", name, *bounds, None, None, ""]


def as_json(measured: Sequence[Measures], boards: Sequence[Board]) -> str:
    """Entries and boards, every figure with its interval, as the dataclasses of `benchmark.measures` nest them."""
    body = {
        "format": FORMAT,
        "made_by": f"oncorobust {__version__}",
        "interval": 0.95,
        "entries": [asdict(each) for each in measured],
        # All pairs of a large board are many, and follow from the CSV for challengeR.
        "boards": [{k: v for k, v in asdict(each).items() if k != "comparisons"} for each in boards],
    }
    return json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def challenge_lines(records: Sequence[Record]) -> Iterator[list[Any]]:
    """Whether each image is still right in the worst case at the headline ε, as challengeR wants it: larger is better."""
    for record in records:
        robust = record.robust(record.headline)
        for image, patient, right in zip(record.image_ids, record.patient_ids, robust, strict=True):
            task = f"{record.track} {record.modality} {record.protocol['name']}"
            yield [task, image, record.submission, int(right), patient]


Figure = tuple[str, str, str, str, Estimate, list[int] | None]


def _figures(each: Measures) -> Iterator[Figure]:
    for point in each.curve:
        condition = "clean" if point.epsilon == "0" else "worst case"
        yield from _accuracy(condition, point)
    for attack, alone in each.by_attack.items():
        yield from _accuracy(attack, alone)
    for met in each.survivors:
        condition, counted = f"{met.attack} on survivors", [met.asked, met.patients]
        yield condition, met.epsilon, "survivors", "images_asked", Estimate(float(met.asked)), counted
        yield condition, met.epsilon, "survivors", "images_broken", Estimate(float(met.broken)), counted
    end = each.curve[-1].epsilon
    yield "worst case", f"0–{end}", "all", "area_over_epsilon", each.area, None
    for name, quartiles in (
        ("minimal_epsilon", each.minimal_epsilon),
        ("minimal_epsilon_of_right", each.minimal_epsilon_of_right),
    ):
        yield from _quartiles(name, end, quartiles)
    yield from _confidence("clean", "0", each.clean_confidence)
    if each.attacked_confidence:
        yield from _confidence("attack never stopped", each.headline, each.attacked_confidence)
    for group in each.subgroups:
        named, counted = f"{group.fact} {group.group}", [group.images, group.patients]
        measured = "balanced_accuracy" if len(group.classes) == 2 else "accuracy"
        yield "clean", "0", named, measured, group.clean, counted
        yield "worst case", each.headline, named, measured, group.robust, counted


def _accuracy(condition: str, point: Accuracy) -> Iterator[Figure]:
    for name, found in {
        "balanced_accuracy": point.balanced,
        "accuracy": point.accuracy,
        "sensitivity": point.sensitivity,
        "specificity": point.specificity,
        "lower_of_both": point.lower,
        "attack_success": point.attack_success,
    }.items():
        if found is not None:
            yield condition, point.epsilon, "all", name, found, None


def _quartiles(name: str, end: str, found: Quartiles) -> Iterator[Figure]:
    for which, value in (("q1", found.lower), ("median", found.median), ("q3", found.upper)):
        # Beyond the grid there is no number: left out, as it is not measured.
        if value is not None:
            yield "worst case", f"0–{end}", "all", f"{name}_{which}", Estimate(value), None


def _confidence(condition: str, epsilon: str, found: Confidence) -> Iterator[Figure]:
    for name, value in {
        "auroc": found.auroc,
        "brier": found.brier,
        "calibration_error": found.calibration_error,
        "sensitivity_at_validation_threshold": found.sensitivity,
        "specificity_at_validation_threshold": found.specificity,
        "sure_errors": found.sure_errors,
    }.items():
        if value is not None:
            yield condition, epsilon, "all", name, value, None


def _standing(rank: Any, first_place: float | None) -> Iterator[tuple[str, float]]:
    if rank is not None:
        yield "rank_first", rank.first
        yield "rank_last", rank.last
    if first_place is not None:
        yield "first_place", first_place


def _versus(label: str, versus: Versus | None) -> Iterator[tuple[str, Estimate]]:
    if versus is not None:
        yield f"difference_to_{label}", versus.difference
        yield f"difference_to_{label}_alone", versus.alone
        yield f"p_to_{label}", Estimate(versus.p)
        yield f"p_adjusted_to_{label}", Estimate(versus.p_adjusted)
        yield f"p_mcnemar_to_{label}", Estimate(versus.agreement.p)
