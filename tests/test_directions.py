"""Which way errors go: each class by itself, and quartiles that never invent what lies beyond the grid."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.directions import directions, quartiles
from benchmark.statistics import bootstrap

GRID = ("0.002", "0.004", "0.02")
SMALLEST = st.lists(
    st.tuples(
        st.sampled_from([0, 1]), st.booleans(), st.sampled_from([0.001, 0.002, 0.003, 0.004, 0.1, np.inf])
    ),
    min_size=1,
    max_size=40,
)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)


def asked(rows, patients=None):
    labels, right, smallest = (np.array(column) for column in zip(*rows, strict=True))
    return directions(labels, right, smallest, patients or [f"p{i}" for i in range(len(rows))], GRID)


def test_a_case_by_hand():
    diseased = [(1, True, 0.001), (1, True, 0.003), (1, True, np.inf), (1, False, 0.003)]
    found = asked([*diseased, (0, True, 0.004), (0, True, 0.0041)])

    missed, alarms = found.disease_to_none, found.none_to_disease
    assert {e: share.value for e, share in missed.kept.items()} == {
        "0": 0.75,
        "0.002": 0.5,
        "0.004": 0.25,
        "0.02": 0.25,
    }
    assert missed.turned == {"0.002": 1, "0.004": 2, "0.02": 2}
    assert (missed.images, missed.clean_errors) == (4, 1)
    assert {e: share.value for e, share in alarms.kept.items()} == {
        "0": 1,
        "0.002": 1,
        "0.004": 0.5,
        "0.02": 0,
    }
    assert alarms.turned == {"0.002": 0, "0.004": 1, "0.02": 2}
    assert found.balanced["0.004"].value == (0.25 + 0.5) / 2
    assert (missed.minimal_epsilon.median, missed.minimal_epsilon.upper) == (0.003, None)
    assert missed.minimal_epsilon_all.lower == 0  # the clean error
    assert missed.minimal_epsilon_all.words() == ("0.0000", "0.0010", "0.0030")
    assert found.minimal_epsilon.images == 5
    assert found.minimal_epsilon_all.images == 6


@given(SMALLEST)
def test_turning_the_labels_over_turns_the_directions_over(rows):
    straight = asked(rows)
    turned = asked([(1 - label, right, smallest) for label, right, smallest in rows])

    assert turned.disease_to_none == straight.none_to_disease
    assert turned.balanced == straight.balanced


@given(SMALLEST)
def test_both_directions_add_up_to_all_images_and_only_get_worse(rows):
    found = asked(rows)
    classes = [one for one in (found.disease_to_none, found.none_to_disease) if one is not None]

    for epsilon in GRID:
        kept = sum(one.kept[epsilon].value * one.images for one in classes)
        assert kept == pytest.approx(sum(right and smallest > float(epsilon) for _, right, smallest in rows))
        lost = sum(one.clean_errors + one.turned[epsilon] for one in classes)
        assert kept + lost == pytest.approx(len(rows))
    for one in classes:
        shares = [share.value for share in one.kept.values()]
        assert shares == sorted(shares, reverse=True)


def test_a_class_that_is_not_there_has_no_direction():
    found = asked([(0, True, 0.003)] * 3)

    assert found.disease_to_none is None
    assert found.balanced["0.004"].value == 0


def test_an_interval_needs_twenty_patients_of_that_class():
    rows = [(int(i < 10), i % 3 > 0, 0.003) for i in range(40)]

    found = asked(rows)

    assert found.disease_to_none.kept["0"].low is None
    assert found.none_to_disease.kept["0"].low is not None
    assert found.balanced["0"].low is not None


def test_a_record_can_carry_it():
    import json

    plain = json.loads(json.dumps(asked([(1, True, np.inf), (0, False, 0.1)]).described(), allow_nan=False))

    assert plain["disease_to_none"]["minimal_epsilon"] == {
        "lower": None,
        "median": None,
        "upper": None,
        "end": "0.02",
        "images": 1,
    }


@given(st.lists(st.sampled_from([0.0, 0.001, 0.004, 0.01, 0.02]), min_size=1, max_size=30))
def test_a_quartile_is_an_epsilon_that_was_seen(values):
    found = quartiles(np.array(values), "0.02")

    expected = np.quantile(values, [0.25, 0.5, 0.75], method="inverted_cdf")
    assert [found.lower, found.median, found.upper] == expected.tolist()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.02, 0.02, 0.02], ("0.0200", "0.0200", "0.0200")),
        ([0.02, 0.0201, np.inf, np.inf], ("0.0200", "> 0.02", "> 0.02")),
        ([np.inf], ("> 0.02", "> 0.02", "> 0.02")),
        ([], ("–", "–", "–")),
    ],
)
def test_beyond_the_grid_there_is_no_number(values, words):
    assert quartiles(np.array(values, float), "0.02").words() == words
