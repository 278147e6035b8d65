"""Comparisons of a board: each against other people's code, all together against boards whose truth is known."""

import itertools

import numpy as np
import pytest
from board_of_equals import equal_entries, false_winners, sizes_of
from scipy.stats import norm
from statsmodels.stats.contingency_tables import mcnemar

from benchmark.statistics import comparison
from benchmark.statistics.agreement import agreement
from benchmark.statistics.comparison import compare
from benchmark.statistics.power import planned_difference, planned_for, shown_difference
from benchmark.statistics.ranks import Rank, first_places, rank_intervals


def board(gaps, patients=80, seed=0):
    """Entries that find the same images hard, each right more often by its gap."""
    draw = np.random.default_rng(seed)
    owner = np.repeat(np.arange(patients), sizes_of(draw, patients))
    hard = draw.random(len(owner))
    correct = np.column_stack([hard < 0.6 + gap for gap in gaps])
    wobble = draw.random(correct.shape) < 0.04
    return correct ^ wobble, draw.integers(0, 2, len(owner)), owner.astype(str)


def obuchowski(first, second, owner):
    """The clustered test of two paired shares with lists and loops."""
    per = {}
    for one, two, who in zip(first, second, owner, strict=True):
        per[who] = per.get(who, 0) + int(one) - int(two)
    return sum(per.values()) / sum(d * d for d in per.values()) ** 0.5


def test_one_pair_is_obuchowski_s_test():
    correct, labels, owner = board([0, 0.1])

    (found,) = compare(correct, labels, owner, [(1, 0)], balanced=False)

    assert found.statistic == pytest.approx(obuchowski(correct[:, 1], correct[:, 0], owner))
    assert found.p == pytest.approx(2 * norm.sf(abs(found.statistic)))
    assert found.difference.value == pytest.approx(correct[:, 1].mean() - correct[:, 0].mean())


def test_with_one_image_a_patient_the_statistic_is_mcnemar_s():
    correct, labels, _ = board([0, 0.1])
    owner = np.arange(len(labels)).astype(str)

    (found,) = compare(correct, labels, owner, [(1, 0)], balanced=False)

    table = np.array([[np.sum((correct[:, 1] == a) & (correct[:, 0] == b)) for b in (1, 0)] for a in (1, 0)])
    other = mcnemar(table, exact=False, correction=False)
    assert found.statistic**2 == pytest.approx(other.statistic)
    assert found.p == pytest.approx(other.pvalue)


def test_agreement_counts_and_mcnemar_s_exact_p():
    correct, *_ = board([0, 0.1])

    found = agreement(correct[:, 1], correct[:, 0])

    counts = [[found.both, found.first_alone], [found.second_alone, found.neither]]
    assert found.both == np.sum(correct[:, 0] & correct[:, 1])
    assert found.first_alone == np.sum(correct[:, 1] & ~correct[:, 0])
    assert found.p == pytest.approx(mcnemar(np.array(counts), exact=True).pvalue)
    assert found.discordance == pytest.approx(np.mean(correct[:, 0] != correct[:, 1]))
    assert agreement(correct[:, 0], correct[:, 0]).p == 1


def test_the_balanced_difference_weighs_both_classes_alike():
    correct, labels, owner = board([0, 0.1])
    labels = (np.arange(len(labels)) % 10 == 0).astype(int)

    (found,) = compare(correct, labels, owner, [(1, 0)])

    by_class = [correct[labels == c, 1].mean() - correct[labels == c, 0].mean() for c in (0, 1)]
    assert found.difference.value == pytest.approx(np.mean(by_class))
    (turned,) = compare(correct, 1 - labels, owner, [(0, 1)])
    assert turned.statistic == pytest.approx(-found.statistic)
    assert turned.p_adjusted == found.p_adjusted


def test_the_balanced_statistic_by_hand():
    correct, labels, owner = board([0, 0.1])
    apart = correct[:, 1].astype(float) - correct[:, 0]
    means = [apart[labels == label].mean() for label in (0, 1)]
    pulls = {}
    for each, label, patient in zip(apart, labels, owner, strict=True):
        pull = (each - means[label] + np.mean(means)) / (2 * np.sum(labels == label))
        pulls[patient] = pulls.get(patient, 0.0) + pull
    squares = sum(pull**2 for pull in pulls.values())

    (found,) = compare(correct, labels, owner, [(1, 0)])

    # The gap between the classes is estimated too: G / (G − 1) times the squares.
    patients = len(pulls)
    assert found.difference.value == pytest.approx(np.mean(means))
    assert found.statistic == pytest.approx(np.mean(means) / (patients / (patients - 1) * squares) ** 0.5)


def test_patients_of_one_class_do_not_pass_for_a_difference():
    # One entry is better on the diseased, the other as much on the healthy: balanced, they are equal.
    labels = np.repeat([0, 1], 100)
    correct = np.column_stack([labels == 1, labels == 0])

    (found,) = compare(correct, labels, np.arange(200).astype(str), [(0, 1)])

    assert found.difference.value == 0
    assert found.p_adjusted == 1
    assert found.standard_error == pytest.approx(0, abs=1e-12)


def test_the_turnings_of_few_patients_are_all_of_them(monkeypatch):
    # With 20 patients, every way of turning the signs can be looked at in one loop over a smaller board.
    correct, labels, owner = board([0, 0.15], patients=20, seed=3)
    per = np.array(
        [
            (correct[owner == who, 1].astype(float) - correct[owner == who, 0]).sum()
            for who in np.unique(owner)
        ]
    )
    moving = per[per != 0]
    sums = [abs(np.dot(signs, moving)) for signs in itertools.product((-1, 1), repeat=len(moving))]
    exact = np.mean(np.array(sums) >= abs(moving.sum()) - 1e-9)

    (found,) = compare(correct, labels, owner, [(1, 0)], balanced=False)

    assert len(moving) <= 16
    assert found.p_adjusted == pytest.approx(exact, abs=0.02)


def test_a_family_is_judged_by_its_largest_statistic():
    correct, labels, owner = board([0, 0.05, 0.02, 0.03], patients=50, seed=1)
    pairs = list(itertools.combinations(range(4), 2))
    draw, names = np.random.default_rng(11), np.unique(owner)
    signs = draw.choice([-1, 1], (4000, len(names)))
    by_patient = np.array([correct[owner == who].sum(0) for who in names])
    per = np.column_stack([by_patient[:, i] - by_patient[:, j] for i, j in pairs])
    scale = np.sqrt((per.astype(float) ** 2).sum(0))
    largest = np.abs(signs @ per / scale).max(1)
    expected = [(largest >= z - 1e-9).mean() for z in np.abs(per.sum(0)) / scale]

    found = compare(correct, labels, owner, pairs, balanced=False)

    assert [each.p_adjusted for each in found] == pytest.approx(expected, abs=0.025)
    assert 0.01 < min(expected) < 0.9


def test_an_interval_leaves_out_nothing_just_where_p_says_so():
    correct, labels, owner = board([0, 0.02, 0.06, 0.1, 0.2])
    pairs = list(itertools.combinations(range(5), 2))

    found = compare(correct, labels, owner, pairs)

    verdicts = [each.beyond_chance for each in found]
    assert verdicts == [each.difference.low > 0 or each.difference.high < 0 for each in found]
    assert any(verdicts)
    assert not all(verdicts)


def test_at_whatever_level_the_interval_and_p_agree_to_the_turning(monkeypatch):
    correct, labels, owner = board([0, 0.02, 0.06, 0.1])
    pairs = list(itertools.combinations(range(4), 2))
    told = [each.p_adjusted for each in compare(correct, labels, owner, pairs)]
    told = [p for p in told if 0.01 < p < 0.9]
    assert told

    for level in [p + change for p in told for change in (-1e-9, 1e-9)]:
        monkeypatch.setattr("benchmark.statistics.comparison.LEVEL", level)
        found = compare(correct, labels, owner, pairs)
        assert [each.beyond_chance for each in found] == [
            each.difference.low > 0 or each.difference.high < 0 for each in found
        ]


def test_the_ends_of_an_interval_are_where_the_test_would_begin_to_reject():
    correct, labels, owner = board([0, 0.1], patients=20, seed=2)
    per = np.array(
        [
            (correct[owner == who, 1].astype(float) - correct[owner == who, 0]).sum()
            for who in np.unique(owner)
        ]
    )

    (found,) = compare(correct, labels, owner, [(1, 0)], balanced=False)

    # The statistic for a difference that is not 0: what is left of the sum, over the root of its squares.
    gap = (found.difference.high - found.difference.value) * len(owner)
    left = np.sum((per - per.mean()) ** 2) + gap**2 / 20
    turned = np.abs(np.random.default_rng(0).choice([-1, 1], (50_000, 20)) @ per) / np.sum(per**2) ** 0.5
    assert gap / left**0.5 == pytest.approx(np.quantile(turned, 0.95, method="inverted_cdf"))


def test_more_pairs_need_more_evidence():
    correct, labels, owner = board([0, 0.05, 0.02, 0.03, 0.04, 0.01])
    (alone,) = compare(correct, labels, owner, [(1, 0)])
    among = compare(correct, labels, owner, [(1, 0), *itertools.combinations(range(2, 6), 2)])[0]

    assert among.p == alone.p
    assert among.p_adjusted > alone.p_adjusted
    assert among.difference.high - among.difference.low > alone.difference.high - alone.difference.low


def test_a_p_that_no_turning_reaches_comes_from_the_clustered_test():
    correct, labels, owner = board([-0.5, 0.35], patients=200)

    (found,) = compare(correct, labels, owner, [(1, 0)])
    among = compare(np.column_stack([correct, correct]), labels, owner, [(1, 0), (1, 2), (3, 2)])[0]

    assert found.p_adjusted == pytest.approx(found.p, abs=0)
    assert 0 < found.p_adjusted < 1e-10
    assert among.p_adjusted == pytest.approx(3 * found.p, abs=0)


def test_the_same_answers_do_not_differ():
    correct, labels, owner = board([0])

    (found,) = compare(np.repeat(correct, 2, axis=1), labels, owner, [(0, 1)])

    assert (found.difference.low, found.difference.high, found.p_adjusted) == (0, 0, 1)


def test_below_twenty_patients_nothing_is_better():
    correct, labels, _ = board([-0.5, 0.35])
    owner = (np.arange(len(labels)) % 19).astype(str)

    (found,) = compare(correct, labels, owner, [(1, 0)])

    assert found.difference.low is None
    assert not found.beyond_chance


def test_of_boards_of_equal_entries_few_name_a_winner():
    # Five per cent, and three standard errors of so many boards. Comparing with the leader alone gives a half.
    assert false_winners(50, 60, 0.65, 0.3, 0.5, 40) <= 0.05 + 3 * (0.05 * 0.95 / 40) ** 0.5


def test_a_better_entry_is_found():
    found = 0
    for seed in range(20):
        correct, labels, owner = board([0, 0, 0, 0.15], patients=100, seed=seed)
        pairs = compare(correct, labels, owner, list(itertools.combinations(range(4), 2)))
        found += all(each.beyond_chance for each in pairs if each.second == 3)
    assert found >= 15


def test_ranks_say_what_cannot_be_told_apart():
    correct, labels, owner = board([0.3, 0.29, -0.3], patients=150)

    found = rank_intervals(3, compare(correct, labels, owner, [(0, 1), (0, 2), (1, 2)]))

    assert found == (Rank(1, 2), Rank(1, 2), Rank(3, 3))
    assert [each.words for each in found] == ["1–2", "1–2", "3"]


def test_first_places_are_shared_out_as_resamples_fall():
    correct, labels, owner = board([0, 0.01, -0.3], patients=60)
    copy = np.column_stack([correct, correct[:, 1]])

    alone, shared = first_places(correct, labels, owner), first_places(copy, labels, owner)

    assert alone.sum() == pytest.approx(1)
    assert alone[1] > 0.5
    assert alone[2] == 0
    assert shared[1] == shared[3] == pytest.approx(alone[1] / 2, rel=0.02)


def test_copies_of_images_make_no_first_place_surer():
    correct, labels, owner = board([0, 0.01, 0.02], patients=60)

    once, often = (
        first_places(*(np.repeat(told, times, axis=0) for told in (correct, labels, owner)))
        for times in (1, 5)
    )

    assert once[1:].min() > 0.3  # nobody is first for certain
    assert often == pytest.approx(once, abs=1e-3)


@pytest.mark.parametrize(
    ("images", "expected"),
    [(175, (4.75, 6.75, 9.5)), (378, (3.25, 4.75, 6.5)), (560, (2.75, 3.75, 5.5)), (858, (2.25, 3.25, 4.5))],
)
def test_the_planned_difference_is_connor_s(images, expected):
    found = [100 * planned_difference(images, discordance) for discordance in (0.05, 0.1, 0.2)]

    assert found == pytest.approx(expected, abs=0.35)


def test_the_planned_difference_is_found_in_four_of_five_samples():
    images, discordance, draw = 400, 0.2, np.random.default_rng(5)
    difference, found = planned_difference(images, discordance), 0
    chances = [(discordance + difference) / 2, (discordance - difference) / 2]
    for _ in range(400):
        first, second, _ = draw.multinomial(images, [*chances, 1 - sum(chances)])
        found += 2 * norm.sf(abs(first - second) / (first + second) ** 0.5) <= 0.05

    assert found / 400 == pytest.approx(0.8, abs=0.06)


def test_alike_images_and_more_pairs_ask_for_a_larger_difference():
    labels = np.arange(400) % 2
    apart = planned_for(labels, np.arange(400).astype(str))

    assert apart == pytest.approx(planned_difference(400, 0.2))
    assert planned_for(labels, (np.arange(400) // 4).astype(str)) > 1.3 * apart
    assert planned_for(labels, np.arange(400).astype(str), pairs=1000) > 1.3 * apart
    assert planned_for((np.arange(400) % 20 == 0).astype(int), np.arange(400).astype(str)) > 2 * apart


def test_what_a_board_shows_is_its_middling_pair():
    correct, labels, owner = board([0, 0.05, 0.1])
    found = compare(correct, labels, owner, [(0, 1), (0, 2), (1, 2)])

    shown = shown_difference(found)

    widths = sorted(
        each.difference.high - each.difference.value + 0.8416 * each.standard_error for each in found
    )
    assert shown == pytest.approx(widths[1], abs=1e-4)
    assert shown_difference([]) is None


def test_the_turnings_are_the_same_every_time():
    correct, labels, owner = equal_entries(np.random.default_rng(0), 40, 3, 0.5, 0.3, 0.5)
    first = compare(correct, labels, owner, [(0, 1), (1, 2)])
    comparison._signs.cache_clear()

    assert compare(correct, labels, owner, [(0, 1), (1, 2)]) == first
