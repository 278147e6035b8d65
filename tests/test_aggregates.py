"""What leaves the house tells nothing of fewer than ten patients, not even to one who subtracts."""

from __future__ import annotations

import csv
import json
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import FGSM, NOISE, small_protocol

from benchmark.data.private.aggregates import CLEAN, FEWEST, aggregate, private_records, write_aggregates
from benchmark.errors import DataError
from benchmark.record import AttackResult, Record

INF = float("inf")
GRID = small_protocol(NOISE, FGSM).epsilons
HEADLINE = small_protocol(NOISE, FGSM).headline


def record(patients, labels, broken, wrong=(), **changes):
    """One image for each entry; `broken` the smallest ε as a float, or inf."""
    protocol = small_protocol(NOISE, FGSM)
    count = len(labels)
    margins = np.ones(count, np.float32)
    margins[list(wrong)] = -1
    nothing = dict.fromkeys(protocol.epsilons, np.full(count, np.nan, np.float32))
    given = {
        "submission": "tiny",
        "modality": "ct",
        "track": "own",
        "protocol": protocol.described() | {"sha256": protocol.sha256},
        "split": {
            "sha256": "5" * 64,
            "patients": len(set(patients)),
            "images": count,
            "name": "secret-name",
            "notes": {"unit": "HU", "left_out": {"images that could not be used": 3}},
        },
        "provenance": {"identity": "1" * 64, "verified": True, "temperature": 0.1},
        "labels": np.array(labels),
        "patient_ids": tuple(patients),
        "image_ids": tuple(f"image-{i}" for i in range(count)),
        "clean_margins": margins,
        "attacks": {
            "noise": AttackResult(np.full(count, INF), nothing),
            "fgsm": AttackResult(np.array(broken, float), nothing),
        },
        "description": {"title": "Tiny", "kind": "entry"},
    }
    return Record(**given | changes)


def people(count, start=0):
    return [f"patient-{number}" for number in range(start, start + count)]


def sixty(broken_at, counts):
    """Thirty patients of each class; of each class as many as `counts` says break at each of `broken_at`."""
    broken = np.full(60, INF)
    for label in (0, 1):
        place = 30 * label
        for epsilon, count in zip(broken_at, counts, strict=True):
            broken[place : place + count] = float(epsilon)
            place += count
    return record(people(60), [0] * 30 + [1] * 30, broken)


def test_large_groups_are_published_by_class_at_every_epsilon():
    export = aggregate([sixty([HEADLINE], [12])])
    at = {(figure.group, figure.epsilon): figure for figure in export.figures}
    assert {group for group, _ in at} == {"all", "benign", "malignant"}
    assert {epsilon for _, epsilon in at} == {CLEAN, *GRID}
    assert at["benign", HEADLINE].right == pytest.approx(18 / 30)
    assert at["all", CLEAN].right == 1
    assert at["all", HEADLINE].low < 0.6 < at["all", HEADLINE].high
    assert export.left_out == 0


def test_a_small_cell_takes_the_cells_it_could_be_had_from_with_it():
    # Of the malignant 9 patients break: with the benign and the sum published, 9 could be subtracted.
    broken = np.full(60, INF)
    broken[:12] = broken[30:39] = float(HEADLINE)
    export = aggregate([record(people(60), [0] * 30 + [1] * 30, broken)])
    at = {(figure.group, figure.epsilon) for figure in export.figures}
    assert ("all", HEADLINE) in at  # 21 patients
    assert {group for group, _ in at} == {"all"}


def test_a_small_step_between_two_epsilons_is_not_published():
    first, second = GRID[0], HEADLINE
    export = aggregate([sixty([first, second], [12, 3])])
    epsilons = {figure.epsilon for figure in export.figures}
    assert HEADLINE in epsilons
    assert first not in epsilons  # 6 patients break between them
    assert export.left_out > 0


def test_nine_patients_are_not_told_of_and_ten_are():
    with pytest.raises(DataError, match="none of at least 10 patients"):
        aggregate([record(people(9), [0] * 9, [INF] * 9)])
    figures = aggregate([record(people(10), [0] * 10, [INF] * 10)]).figures
    assert {figure.group for figure in figures} == {"all"}
    assert all(figure.low is None for figure in figures)


def test_patients_are_counted_not_images():
    with pytest.raises(DataError, match="none of at least 10 patients"):
        aggregate([record(["one", "two"] * 50, [0, 1] * 50, [INF] * 100)])
    # Twenty images broken, of five patients.
    patients = [name for name in people(30) for _ in range(4)]
    broken = np.full(120, INF)
    broken[:20] = float(HEADLINE)
    export = aggregate([record(patients, [0, 1] * 60, broken)])
    assert HEADLINE not in {figure.epsilon for figure in export.figures}


def test_no_id_name_or_checksum_is_in_the_files(tmp_path):
    whole = sixty([HEADLINE], [12])
    for name in ("a.json", "a.csv"):
        write_aggregates([whole], tmp_path / name)
        text = (tmp_path / name).read_text()
        for secret in ("patient-", "image-", "secret-name", "5555", "could not"):
            assert secret not in text
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["fewest_patients"] == 10
    assert told["splits"] == [{"modality": "ct", "images": 60, "patients": 60, "unit": "HU"}]
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert len(rows) == len(told["figures"])
    assert float(rows[0]["right"]) == told["figures"][0]["right"]


@given(st.data())
def test_nothing_can_be_had_by_subtraction(data):
    count = data.draw(st.integers(10, 70))
    patients = [f"p{data.draw(st.integers(0, count))}" for _ in range(count)]
    if len(set(patients)) < FEWEST:
        return
    labels = data.draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    broken = [data.draw(st.sampled_from([INF, *map(float, GRID)])) for _ in range(count)]
    wrong = data.draw(st.sets(st.integers(0, count - 1), max_size=count // 2))
    made = record(patients, labels, broken, wrong)

    figures = aggregate([made]).figures

    masks = {"all": np.ones(count, bool), "benign": made.labels == 0, "malignant": made.labels == 1}

    def size(cell):
        return len({patients[i] for i in np.flatnonzero(cell)})

    def right(epsilon):
        return made.clean_correct if epsilon == CLEAN else made.robust(epsilon)

    at = {(figure.group, figure.epsilon) for figure in figures}
    groups, epsilons = {group for group, _ in at}, {epsilon for _, epsilon in at}
    assert at == set(product(groups, epsilons))
    assert groups in (set(), {"all"}, set(masks))
    for group, epsilon in at:
        assert size(masks[group]) >= FEWEST
        for cell in (masks[group] & right(epsilon), masks[group] & ~right(epsilon)):
            assert size(cell) == 0 or size(cell) >= FEWEST
    for group, (one, other) in product(groups, combinations(epsilons, 2)):
        between = masks[group] & (right(one) ^ right(other))
        assert size(between) == 0 or size(between) >= FEWEST


def test_records_are_found_and_none_is_told(tmp_path):
    with pytest.raises(DataError, match="no record below"):
        private_records(tmp_path)
    sixty([HEADLINE], [12]).save(tmp_path / "ct")
    (tmp_path / "ct" / "tiny.times.json").write_text("{}")
    assert [each.submission for each in private_records(tmp_path)] == ["tiny"]
