"""All figures of a record and of a board: each is what its name says, and none is moved by what should not move it."""

import dataclasses
import json

import numpy as np
import pytest
from test_leaderboard import DOUBT, always_healthy, make, naive_and_trained

from benchmark.errors import DataError
from benchmark.evidence.facts import read_facts, save_facts
from benchmark.measures import board, measure, positive_words
from benchmark.measures.subgroups import groups, subgroups
from benchmark.record import Validation
from benchmark.statistics import bootstrap
from benchmark.statistics.comparison import compare


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)


def full(**changes):
    """A record with a validation part and an attack that was never stopped."""
    record = make("full", strength=0.003, **changes)
    draw = np.random.default_rng(7)
    labels = draw.integers(0, 2, 80)
    validation = Validation(
        "validation", "v" * 64, labels, draw.normal(1, 1, 80).astype(np.float32), ["v"] * 80, ["i"] * 80
    )
    lowest = record.clean_margins - draw.gamma(2, 0.5, 200).astype(np.float32)
    return dataclasses.replace(record, validation=validation, lowest_margins=lowest)


def test_accuracies_are_shares_of_the_right_images():
    record = full()
    robust, diseased = record.robust("0.002"), record.labels == 1

    found = measure(record).at("0.002")

    assert found.accuracy.value == pytest.approx(robust.mean())
    assert found.sensitivity.value == pytest.approx(robust[diseased].mean())
    assert found.specificity.value == pytest.approx(robust[~diseased].mean())
    assert found.balanced.value == pytest.approx((found.sensitivity.value + found.specificity.value) / 2)
    assert found.lower.value == min(found.sensitivity.value, found.specificity.value)
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high


def copied(record, times):
    """Each image so many times; a patient has had one of them."""

    def several(told):
        return None if told is None else np.repeat(told, times)

    attacks = {
        name: dataclasses.replace(
            each, linf=several(each.linf), margins={e: several(m) for e, m in each.margins.items()}
        )
        for name, each in record.attacks.items()
    }
    return dataclasses.replace(
        record,
        labels=several(record.labels),
        patient_ids=several(record.image_ids).tolist(),
        image_ids=[f"i{number}" for number in range(times * len(record.labels))],
        clean_margins=several(record.clean_margins),
        lowest_margins=several(record.lowest_margins),
        attacks=attacks,
    )


def ends(estimate):
    return pytest.approx((estimate.value, estimate.low, estimate.high), abs=1e-6)


def test_copies_of_images_make_no_figure_surer():
    once, often = (measure(copied(full(), times)) for times in (1, 4))

    for one, many in zip(once.curve, often.curve, strict=True):
        for name in ("balanced", "accuracy", "sensitivity", "specificity"):
            each, other = getattr(one, name), getattr(many, name)
            assert (other.value, other.low, other.high) == ends(each)
    assert (often.area.value, often.area.low, often.area.high) == ends(once.area)
    auroc, other = once.clean_confidence.auroc, often.clean_confidence.auroc
    assert (other.value, other.low, other.high) == pytest.approx(
        (auroc.value, auroc.low, auroc.high), abs=0.01
    )
    assert once.design_effect == pytest.approx(1, abs=0.01)
    assert often.design_effect == pytest.approx(4, abs=0.04)


def test_copies_of_images_make_no_rank_surer():
    records = [*naive_and_trained(), make("third", strength=0.007, seed=3)]
    once, often = (board([copied(record, times) for record in records]) for times in (1, 4))

    for one, many in zip(once.comparisons, often.comparisons, strict=True):
        difference = many.difference
        assert (difference.value, difference.low, difference.high) == ends(one.difference)
        assert (many.p, many.p_adjusted) == pytest.approx((one.p, one.p_adjusted))
    for one, many in zip(once.standings, often.standings, strict=True):
        assert many.first_place == pytest.approx(one.first_place, abs=0.02)
        if one.against_leader:
            alone = many.against_leader.alone
            assert (alone.value, alone.low, alone.high) == ends(one.against_leader.alone)


def test_attack_success_leaves_clean_errors_out():
    record = full()
    clean, robust = record.clean_correct, record.robust("0.004")

    found = measure(record)

    assert found.at("0").attack_success is None
    assert found.at("0.004").attack_success.value == pytest.approx(np.sum(clean & ~robust) / clean.sum())
    assert found.at("0.004").attack_success.value < 1 - found.at("0.004").accuracy.value
    alone = found.by_attack["fgsm"]
    assert alone.accuracy.value == pytest.approx(record.robust("0.004", "fgsm").mean())
    assert alone.accuracy.value > found.at("0.004").accuracy.value


def test_a_constant_answer_is_one_half_whoever_is_drawn():
    record = always_healthy()

    found = measure(record, {"size": np.arange(200) % 2.0})

    exact = [point.balanced for point in found.curve] + [found.by_attack["fgsm"].balanced, found.area]
    exact += [each for group in found.subgroups for each in (group.clean, group.robust)]
    assert {(each.value, each.low, each.high) for each in exact} == {(0.5, None, None)}
    assert found.at("0").accuracy.low < 0.6 < found.at("0").accuracy.high
    assert measure(dataclasses.replace(record, flags=())).at("0").balanced.low is not None


def test_an_attack_on_survivors_has_counts_and_no_accuracy():
    record = full()
    square, asked = record.attacks["square"], np.flatnonzero(record.robust("0.004"))
    # Of the images that all others left standing, this one breaks three at the headline ε.
    linf, margins = square.linf.copy(), square.margins["0.004"].copy()
    linf[asked[:3]], margins[asked[:3]] = 0.004, -1
    broke = dataclasses.replace(square, linf=linf, margins={**square.margins, "0.004": margins})
    record = dataclasses.replace(record, attacks={**record.attacks, "square": broke})

    found = measure(record)

    assert "square" not in found.by_attack
    smaller, headline = found.survivors
    assert (smaller.epsilon, smaller.broken, smaller.asked) == ("0.002", 0, record.robust("0.002").sum())
    assert (headline.epsilon, headline.broken, headline.asked) == ("0.004", 3, len(asked))
    assert headline.patients == len({record.patient_ids[image] for image in asked})
    nothing = {epsilon: np.full(200, np.nan, np.float32) for epsilon in record.epsilons}
    never = dataclasses.replace(
        record, attacks={**record.attacks, "square": dataclasses.replace(square, margins=nothing)}
    )
    assert [met.words for met in measure(never).survivors] == ["none asked", "none asked"]


def test_confidence_under_attack_comes_from_the_attack_that_was_never_stopped():
    record = full()

    found = measure(record)

    assert found.attacked_confidence.auroc.value < found.clean_confidence.auroc.value
    sure = 1 / (1 + np.exp(record.lowest_margins)) > 0.9
    assert found.attacked_confidence.sure_errors.value == pytest.approx(sure.mean())
    assert measure(make("stopped")).attacked_confidence is None


def test_the_threshold_comes_from_validation_alone():
    record = full()
    found = measure(record)
    validation = record.validation
    healthy = -validation.margins[validation.labels == 0]

    assert np.mean(healthy <= found.threshold.score) >= 0.9
    assert np.mean(healthy < found.threshold.score) < 0.9
    attacked = np.where(record.labels == 1, record.lowest_margins, -record.lowest_margins)
    expected = np.mean(attacked[record.labels == 1] > found.threshold.score)
    assert found.attacked_confidence.sensitivity.value == pytest.approx(expected)
    assert measure(dataclasses.replace(record, validation=None)).clean_confidence.sensitivity is None


def test_the_area_is_that_of_the_page():
    from leaderboard.tables import collect

    record = full()

    assert measure(record).area.value == pytest.approx(collect([record])[0].rows[0].area)


def test_a_class_that_is_not_there_has_no_figure():
    record = full()
    one = dataclasses.replace(record, labels=np.ones(200, int))

    found = measure(one)

    assert found.at("0").specificity is None
    assert found.at("0").lower is None
    assert found.clean_confidence.auroc is None
    json.dumps(dataclasses.asdict(found), allow_nan=False)


@pytest.mark.parametrize(
    ("modality", "track", "word"),
    [
        ("ct", "clinical", "not pathology"),
        ("mammogram", "clinical", "pathology found"),
        ("mri", "clinical", "metastasis"),
        ("mri", "phantom", "synthetic"),
        ("ct", "Our Ward", "by who made the split"),
    ],
)
def test_what_a_positive_is_is_said_by_track(modality, track, word):
    assert word in positive_words(modality, track)


# -- subgroups -------------------------------------------------------------------------------


def test_few_values_are_categories_and_many_are_thirds():
    density = np.array([1, 2, 2, 4, np.nan])
    size = np.arange(90.0)

    assert [(name, own.sum()) for name, own in groups(density)] == [("1", 1), ("2", 2), ("4", 1)]
    assert [(name, own.sum()) for name, own in groups(size)] == [("≤ 29", 30), ("29–59", 30), ("> 59", 30)]
    assert list(groups(np.full(5, 3.0))) == []


def test_the_worst_group_is_where_the_entry_fails():
    record = full()
    size = record.minimal_epsilon.copy()  # the smaller, the sooner it breaks
    size[~np.isfinite(size)] = 1
    facts = {"size": size, "nothing": np.arange(200) % 2.0, "malignancy": record.labels.astype(float)}

    found = measure(record, facts)

    assert {group.fact for group in found.subgroups} == {"size", "nothing"}  # a label's source is no group
    assert found.worst_group.fact == "size"
    assert found.worst_group.group.startswith("≤")
    own = size <= np.quantile(size, 1 / 3, method="inverted_cdf")
    robust, labels = record.robust("0.004")[own], record.labels[own]
    expected = np.mean([robust[labels == c].mean() for c in (0, 1)])
    assert found.worst_group.robust.value == pytest.approx(expected)
    assert found.worst_group.images == own.sum()


def test_a_group_of_one_class_or_few_patients_is_shown_and_is_not_the_worst():
    record = full()
    lesion = np.where(record.labels == 1, np.arange(200) % 2.0, np.nan)
    broken = np.flatnonzero(~record.robust("0.004"))
    few = np.where(
        np.isin(np.arange(200), broken[:12]), 1.0, 0.0
    )  # all of them broken: the worst, were they enough

    shown = subgroups(record, {"lesion": lesion, "few": few})
    worst = measure(record, {"lesion": lesion, "few": few}).worst_group

    assert {(g.fact, g.classes) for g in shown if g.fact == "lesion"} == {("lesion", (1,))}
    assert next(g for g in shown if g.fact == "few" and g.group == "1").robust.low is None
    assert (worst.fact, worst.group) == ("few", "0")
    assert {g.classes for g in shown if g.fact == "few"} == {(0, 1)}


def test_facts_are_read_back_for_the_record_s_own_images(tmp_path):
    record = full()
    ids = list(reversed(record.image_ids))
    save_facts(
        tmp_path, record.split["sha256"], ids, {"size": [float(i) for i in range(200)], "gap": [np.nan] * 200}
    )

    found = read_facts(record, tmp_path)

    assert found["size"].tolist() == [float(199 - i) for i in range(200)]
    assert np.isnan(found["gap"]).all()
    other = dataclasses.replace(record, split={**record.split, "sha256": "other"})
    assert read_facts(other, tmp_path) == {}
    assert read_facts(record, tmp_path / "nowhere") == {}
    assert save_facts(tmp_path / "none", "x", ids, {}) is None
    (tmp_path / "all.facts.json").write_text('{"format": 1, "split_sha256"')
    with pytest.raises(DataError, match="delete it"):
        read_facts(record, tmp_path)


def test_the_facts_of_the_phantom_lie_beside_its_records():
    from benchmark.folders import results_folder
    from benchmark.record import Record

    folder = results_folder("phantom") / "ct"
    facts = read_facts(Record.load(folder / "vgg16-slim-naive.json"), folder)

    assert 5 < np.median(facts["diameter_mm"]) < 30


# -- boards ----------------------------------------------------------------------------------


def test_the_leader_the_twin_and_the_ranks():
    weak, strong = naive_and_trained()
    copy = dataclasses.replace(weak, submission="copy")

    found = board([copy, weak, strong])

    assert found.leader == "vgg16-slim-pgd-at"
    assert [each.submission for each in found.standings] == ["vgg16-slim-pgd-at", "copy", "vgg16-slim-naive"]
    assert [each.rank.words for each in found.standings] == ["1", "2–3", "2–3"]
    assert found.ties == (("copy", "vgg16-slim-naive"),)
    assert found.pairs == 3
    gain = strong.robust_accuracy("0.004", balanced=True) - weak.robust_accuracy("0.004", balanced=True)
    leader, twin = found.of("vgg16-slim-naive").against_leader, found.of("vgg16-slim-pgd-at").against_twin
    assert twin.difference.value == pytest.approx(gain)
    assert leader.difference.value == pytest.approx(-gain)
    assert leader.difference.low == pytest.approx(-twin.difference.high)
    assert leader.alone.low > leader.difference.low  # together with the others it is wider
    assert found.of("vgg16-slim-pgd-at").against_leader is None
    assert found.of("copy").against_twin is None
    assert found.of("vgg16-slim-pgd-at").first_place == pytest.approx(1)
    assert found.smallest_difference > 0


def test_ties_are_runs_that_overlap():
    # Neighbours differ too little to be told apart, those further away do not.
    records = [make(f"e{i}", strength=0.002 * 1.07**i) for i in range(8)]

    found = board(records)

    order = [each.submission for each in found.standings]
    assert order == [f"e{i}" for i in range(7, -1, -1)]
    assert len(found.ties) > 1
    for group in found.ties:
        start = order.index(group[0])
        assert list(group) == order[start : start + len(group)]
        pairs = [
            found_pair
            for one in group
            for other in group
            if one < other and (found_pair := _versus(records, one, other)) is not None
        ]
        assert not any(pairs)
    ends = [order.index(group[-1]) for group in found.ties]
    assert ends == sorted(set(ends))
    after = order.index(found.ties[0][-1]) + 1
    assert any(_versus(records, order[after], one) for one in found.ties[0])


def _versus(records, one, other):
    """Whether two of these differ beyond chance, among all of them."""
    named = sorted(record.submission for record in records)
    correct = np.column_stack([r.robust("0.004") for r in sorted(records, key=lambda r: r.submission)])
    pairs = [(i, j) for i in range(len(named)) for j in range(i + 1, len(named))]
    found = compare(correct, records[0].labels, records[0].patient_ids, pairs)
    wanted = tuple(sorted((named.index(one), named.index(other))))
    return next(each.beyond_chance for each, pair in zip(found, pairs, strict=True) if pair == wanted)


def test_what_takes_no_rank_is_no_rival():
    weak, strong = naive_and_trained()
    doubtful = make("in-doubt", strength=0.02, flags=(DOUBT,))

    found = board([weak, strong, doubtful])

    assert found.leader == "vgg16-slim-pgd-at"
    standing = found.of("in-doubt")
    assert (standing.rank, standing.first_place, standing.against_leader) == (None, None, None)
    assert found.pairs == 1


def test_an_unranked_twin_is_compared_all_the_same():
    weak, strong = naive_and_trained()
    weak = dataclasses.replace(weak, flags=(DOUBT,))

    found = board([weak, strong])

    assert found.of("vgg16-slim-pgd-at").against_twin.p_adjusted < 0.001
    assert found.of("vgg16-slim-pgd-at").rank.words == "1"
    assert found.smallest_difference is None
    assert found.planned_difference > 0.05


def test_a_twin_of_itself_and_a_twin_that_is_not_there_are_no_comparison():
    found = board([make("a", naive_twin="a"), make("b", naive_twin="nowhere", seed=1)])

    assert [each.against_twin for each in found.standings] == [None, None]


def test_the_order_of_the_records_moves_nothing():
    weak, strong = naive_and_trained()

    assert board([weak, strong]) == board([strong, weak])


def test_two_records_of_one_entry_stop_the_board():
    with pytest.raises(DataError, match="two records claim the place of x"):
        board([make("x"), make("x", seed=1)])


def test_the_committed_summaries_are_those_of_the_rows(monkeypatch):
    from benchmark.folders import results_folder
    from benchmark.record import Record

    monkeypatch.setattr(bootstrap, "RESAMPLES", 10_000)
    paths = [p for p in results_folder("phantom").glob("*/*.json") if "." not in p.stem]

    changed = [
        str(path.relative_to(results_folder("phantom")))
        for path in paths
        if json.loads(path.read_bytes())["summary"] != json.loads(json.dumps(Record.load(path).summary()))
    ]

    assert paths
    assert changed == [], "run: python -m leaderboard summaries"
