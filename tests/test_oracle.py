"""A linear model's robustness is known in closed form: |g| / ‖w‖₁. The harness must find it."""

import numpy as np
import pytest
import torch
from models import EPSILONS, FGSM, PGD, Linear, oracle_split, small_protocol

from benchmark.attacks.battery import Proposal
from benchmark.evaluation import arena, evaluate

SCALES = {"plain": {}, "times 1e4": {"scale": 1e4}, "cubed": {"cube": True}, "one logit": {"columns": 1}}


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Split, truth and record of the same linear model, written in four ways."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONCOROBUST_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("ONCOROBUST_WORKERS", "1")
        split = oracle_split(Linear())
        truth = Linear().smallest_epsilon(split)
        records = {name: evaluate(Linear(**how), split, small_protocol()) for name, how in SCALES.items()}
    return split, truth, records


@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("attack", ["fgsm", "bim", "pgd", "apgd"])
@pytest.mark.parametrize("how", SCALES)
def test_sign_attacks_are_exact_at_every_epsilon(cases, how, attack, epsilon):
    _, truth, records = cases

    robust = records[how].robust(epsilon, attack)

    assert robust.tolist() == (truth > float(epsilon)).tolist()


@pytest.mark.parametrize("how", SCALES)
def test_worst_case_is_exact_at_every_epsilon_whatever_the_scale(cases, how):
    _, truth, records = cases

    found = [records[how].robust(epsilon).tolist() for epsilon in EPSILONS]

    assert found == [(truth > float(epsilon)).tolist() for epsilon in EPSILONS]


@pytest.mark.parametrize(
    "how", ["plain", "times 1e4", "one logit"]
)  # a cubed gap misleads FAB, and FAB alone
def test_minimum_norm_attack_is_close_to_the_smallest_perturbation(cases, how):
    _, truth, records = cases
    right = truth > 0

    ratio = records[how].attacks["fab"].linf[right] / truth[right]

    assert ratio.min() >= 1 - 1e-3
    assert ratio.max() <= 1.05


def test_no_attack_goes_below_the_smallest_perturbation(cases):
    _, truth, records = cases
    right = truth > 0

    smallest = np.min([record.minimal_epsilon[right] for record in records.values()], axis=0)

    assert (smallest >= truth[right] * (1 - 1e-3)).all()


def test_margins_are_those_of_the_best_perturbation(cases):
    split, truth, records = cases
    size = np.abs(Linear().weight.detach().numpy()).sum()
    signed = np.where(split.labels == 1, 1, -1) * Linear().exact_gaps(split)
    unbroken = truth > 0.008

    margins = records["plain"].attacks["fgsm"].margins["0.008"]

    assert margins[unbroken] == pytest.approx(signed[unbroken] - 0.008 * size, rel=1e-3)


def test_clean_wrong_images_are_broken_at_every_epsilon_by_every_attack(cases):
    _, truth, records = cases
    wrong = truth == 0

    assert wrong.sum() == 2
    for record in records.values():
        assert not any(
            record.robust(e, a)[wrong].any() for e in ("0", *EPSILONS) for a in [None, *record.attacks]
        )


def test_epsilon_zero_gives_clean_accuracy(cases):
    _, truth, records = cases

    record = records["plain"]

    assert record.robust_accuracy(0) == record.clean_accuracy == (truth > 0).mean()
    assert {record.robust_accuracy("0", attack) for attack in record.attacks} == {record.clean_accuracy}


def test_robust_accuracy_never_rises_with_epsilon(cases):
    record = cases[2]["cubed"]

    for attack in [None, *record.attacks]:
        curve = [record.robust_accuracy(epsilon, attack) for epsilon in (0, "0.0007", *EPSILONS)]
        assert curve == sorted(curve, reverse=True)


def test_honest_models_are_not_in_doubt(cases):
    assert [flag for record in cases[2].values() for flag in record.flags if flag.severity == "doubt"] == []


def test_large_logits_are_noticed(cases):
    records = cases[2]

    flags = {how: [flag.id for flag in record.flags] for how, record in records.items()}

    assert flags == {"plain": [], "cubed": [], "one logit": [], "times 1e4": ["saturated-cross-entropy"]}


def test_an_attack_that_would_mend_a_wrong_image_cannot(monkeypatch):
    split = oracle_split(Linear())
    truth = Linear().smallest_epsilon(split)
    weight = Linear().weight.detach().view(1, 1, 16, 16)

    def mend(spec, model, temperature, images, labels, epsilon, seed, numbers):
        towards = torch.where(labels == 1, 1.0, -1.0).view(-1, 1, 1, 1) * weight.sign()
        return Proposal(images + epsilon * towards, len(images), 0)

    monkeypatch.setattr(arena, "propose", mend)
    record = evaluate(Linear(), split, small_protocol(FGSM, PGD))

    assert record.robust("0.008").tolist() == (truth > 0).tolist()


def test_a_tie_counts_as_broken():
    class Tie(Linear):
        def forward(self, images):
            return super().forward(images) * 0

    record = evaluate(Tie(), oracle_split(Linear()), small_protocol(FGSM))

    assert record.clean_accuracy == 0
    assert record.robust_accuracy(0) == 0


def test_a_tie_under_attack_counts_as_broken():
    class Dead(Linear):
        def forward(self, images):  # a gap that stops at 0 and never changes its sign
            return torch.relu(super().forward(images))

    split = oracle_split(Linear(columns=1), wrong=0)
    truth = Linear().smallest_epsilon(split)
    sick = split.labels == 1

    record = evaluate(Dead(columns=1), split, small_protocol(FGSM))

    assert record.robust("0.004")[sick].tolist() == (truth > 0.004)[sick].tolist()
