"""The engine: who is asked what, what happens when something fails, and that no record hangs on who computed it."""

import os
import signal
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from models import EPSILONS, Linear, oracle_split, small_protocol
from torch import nn

from benchmark import Record, evaluate
from benchmark.attacks import battery, patience
from benchmark.attacks.battery import propose, pursue
from benchmark.attacks.two_class import gap, margins
from benchmark.data.split import Split
from benchmark.errors import DataError, ProtocolError, SubmissionError
from benchmark.evaluation import pool, search
from benchmark.evaluation.plan import parse_share
from benchmark.protocol import APGD, BIM, FAB, FGSM, PGD, PROTOCOLS, full_grid, get_protocol

LINEAR_STEPS = replace(APGD, parameters={**APGD.parameters, "steps": 20})
PURSUED = replace(small_protocol(FGSM, LINEAR_STEPS), pursuit="apgd", headline="0.004")


class Counting(nn.Module):
    """A model that remembers how many images it was asked about in each call."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.asked = inner, []

    def forward(self, images):
        self.asked.append(len(images))
        return self.inner(images)


# -- broken images leave ---------------------------------------------------------------------


@pytest.mark.parametrize("spec", [BIM, PGD, LINEAR_STEPS], ids=lambda spec: spec.name)
def test_a_broken_image_is_not_asked_about_again_and_the_others_do_not_notice(spec, wobbly):
    model, split = wobbly
    images, labels = split.batch()
    right = margins(gap(model(images)), labels) > 0
    images, labels = images[right], labels[right]
    alone = Counting(model)

    together = propose(spec, alone, 1.0, images, labels, 0.004, 5)

    assert together.broken.any(), "the test needs images that break"
    assert not together.broken.all(), "and images that do not"
    assert min(alone.asked) <= int((~together.broken).sum()), "broken images were still asked about"
    stock = _stock(spec, model, images, labels, 0.004, 5)
    standing = ~together.broken
    assert torch.equal(together.images[standing], stock[standing])


def _stock(spec, model, images, labels, epsilon, seed):
    """What torchattacks gives when nobody stands between it and the model."""
    from benchmark.attacks.guard import guarded
    from benchmark.attacks.two_class import TwoClass

    with guarded(model, seed):
        return battery.stock_attack(spec, TwoClass(model, 1.0).eval(), epsilon, seed)(images, labels).detach()


# -- the attack that is not stopped ----------------------------------------------------------


def test_the_pursuit_goes_as_low_as_a_linear_model_can_go_also_where_it_was_wrong():
    model = Linear()
    split = oracle_split(model)
    images, labels = split.batch()
    wrong = torch.where(torch.arange(len(labels)) % 3 == 0, 1 - labels, labels)

    found = pursue(LINEAR_STEPS, model, 1.0, images, wrong, 0.004, 3)

    weight = model.weight.detach()
    sign = torch.where(wrong == 1, -1.0, 1.0).view(-1, 1, 1, 1)
    lowest = (images + 0.004 * sign * weight.sign().view(1, 1, 16, 16)).clamp(0, 1)
    expected = margins(gap(model(lowest)), wrong)
    reached = found.trace.amin(0)
    torch.testing.assert_close(reached, expected.detach(), rtol=0, atol=1e-3)
    assert (found.trace[0] <= 0).any(), "the test needs images that are wrong when clean"


def test_the_record_holds_the_lowest_margin_of_every_image_and_the_headline_answer_of_the_same_run():
    model = Linear()
    split = oracle_split(model)

    record = evaluate(model, split, PURSUED)

    at_headline = record.attacks["apgd"].margins["0.004"]
    right = record.clean_correct
    assert (record.lowest_margins <= record.clean_margins).all()
    assert (record.lowest_margins[right] <= at_headline[right] + 1e-6).all()
    assert ((record.lowest_margins > 0) == record.robust("0.004", "apgd"))[right].all()
    smallest = model.smallest_epsilon(split)
    assert ((record.lowest_margins > 0)[right] == (smallest > 0.004)[right]).all()


# -- fewer questions, the same answers -------------------------------------------------------


def test_the_short_way_gives_the_full_grids_answer_with_far_fewer_passes(wobbly):
    model, split = wobbly
    protocol = replace(small_protocol(FGSM, PGD), epsilons=PROTOCOLS["standard"].epsilons, headline="0.004")

    short, full = evaluate(model, split, protocol), evaluate(model, split, full_grid(protocol))

    different = [int((short.robust(e, "pgd") != full.robust(e, "pgd")).sum()) for e in protocol.epsilons]
    assert max(different) <= 1
    assert full.protocol["name"].endswith("-full-grid")
    assert short.attacks["pgd"].backward * 2.5 < full.attacks["pgd"].backward


def test_far_images_get_fewer_starts_below_the_headline_and_all_of_them_at_it(monkeypatch):
    asked = {}

    class Far(nn.Module):
        """Margins that hardly move."""

        def forward(self, images):
            mean = images.mean((1, 2, 3))
            return torch.stack((torch.zeros_like(mean), 100 + mean), 1)

    split = Split(
        "ct",
        np.random.default_rng(0).uniform(0.4, 0.6, (4, 1, 16, 16)),
        np.ones(4, int),
        list("abcd"),
        list("abcd"),
        "far",
    )
    protocol = replace(small_protocol(replace(PGD, starts=12, scouts=4)), headline=EPSILONS[0])
    original = search._Bisection._ask

    def spy(self, rows, targets, starts):
        original(self, rows, targets, starts)
        for index in range(len(self.grid)):
            asked[index] = int((~np.isnan(self.seen[0, index])).sum())

    monkeypatch.setattr(search._Bisection, "_ask", spy)
    evaluate(Far(), split, protocol)

    assert asked[0] == 12, "all starts at the headline"
    assert asked[len(EPSILONS) - 1] == 4, "the scouts only, where they stay far from a success"


def test_the_proof_notices_a_search_that_asks_too_little(monkeypatch, wobbly):
    model, split = wobbly
    protocol = replace(small_protocol(replace(PGD, starts=3)), proof=1)
    seen = []
    monkeypatch.setattr(
        "benchmark.evaluation.engine.health_checks",
        lambda *arguments: seen.append(arguments[-1].full_grid) or [],
    )
    evaluate(model, split, protocol)

    def lazy(self):
        self.broken_at[:] = len(self.grid)  # asks nothing and takes every image for robust

    monkeypatch.setattr(search._Bisection, "run", lazy)
    evaluate(model, split, protocol)

    honest, wrong = seen
    assert honest <= 0.02
    assert wrong > 0.1


# -- what is stored --------------------------------------------------------------------------


def test_the_worst_images_are_judged_again_after_rounding_to_each_depth():
    model = Linear()
    split = oracle_split(model)

    record = evaluate(model, split, small_protocol(FGSM))

    from benchmark.evaluation.adversarial import load_adversarial

    worst = torch.from_numpy(np.array(load_adversarial(record)))
    for bits in (8, 12, 16):
        rounded = (worst.double() * (2**bits - 1)).round() / (2**bits - 1)
        expected = margins(gap(model(rounded.float()).detach()), torch.from_numpy(split.labels))
        np.testing.assert_allclose(record.stored_margins[bits], expected.numpy(), atol=1e-5)
    assert record.stored_accuracy(16) == pytest.approx(record.robust_accuracy(record.headline), abs=0.06)


# -- something fails -------------------------------------------------------------------------


class FailsOn(Linear):
    """Raises, or answers wrongly, whenever it is asked about a marked image."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, images):
        marked = (images[:, 0, 0, 0] == 1.0).any() & (images.requires_grad or images.shape[0] != 8)
        if marked and torch.is_grad_enabled():
            if self.how == "raises":
                raise RuntimeError("no luck today")
            if self.how == "memory":
                raise MemoryError
            if self.how == "shape":
                return super().forward(images)[:, :0]
        return super().forward(images)


@pytest.fixture
def two_blocks():
    split = oracle_split(Linear())
    images = split.images.copy()
    images[8:16, 0, 0, 0] = 65535  # the second block of eight
    images[:8, 0, 0, 0] = images[16:, 0, 0, 0] = 0
    return replace(split, images=images)


@pytest.mark.parametrize(
    ("how", "told"),
    [("raises", "RuntimeError: no luck today"), ("memory", "MemoryError"), ("shape", "shape")],
)
def test_a_block_that_fails_is_named_and_the_others_go_on(two_blocks, how, told):
    protocol = replace(small_protocol(FGSM), block=8)

    record = evaluate(FailsOn(how), two_blocks, protocol)

    (missing,) = record.missing
    assert missing["block"] == 1
    assert missing["images"] == "8–15"
    assert told.split(":")[0] in missing["reason"]
    assert "attack 'fgsm', ε = " in missing["reason"]
    assert "block 1" in missing["reason"]
    assert len(record.labels) == len(two_blocks) - 8
    assert not set(record.image_ids) & set(two_blocks.image_ids[8:16])
    assert [flag.id for flag in record.flags if flag.id == "incomplete"] == ["incomplete"]
    assert not record.ranked


def test_a_record_with_missing_blocks_survives_its_files_and_is_not_current(tmp_path, two_blocks):
    record = evaluate(FailsOn("raises"), two_blocks, replace(small_protocol(FGSM), block=8))

    again = Record.load(record.save(tmp_path))

    assert again.missing == record.missing
    assert again.in_doubt


def test_an_attack_that_hangs_is_ended_with_a_sentence(monkeypatch):
    monkeypatch.setattr(patience, "SILENCE", 0.3)

    def sleep(spec, view, epsilon, seed):
        return lambda images, labels: time.sleep(60)

    monkeypatch.setattr(battery, "stock_attack", sleep)
    started = time.monotonic()

    with pytest.raises(
        SubmissionError, match=r"attack 'fgsm', ε = 0\.\d+, block 0: attack 'fgsm' hangs: nothing"
    ):
        evaluate(Linear(), oracle_split(Linear()), small_protocol(FGSM))
    assert time.monotonic() - started < 20
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_attack_that_asks_for_ever_is_ended_with_a_sentence(monkeypatch):
    monkeypatch.setattr(patience, "PASSES", 50)

    def forever(spec, view, epsilon, seed):
        def ask(images, labels):
            while True:
                view(images)

        return ask

    monkeypatch.setattr(battery, "stock_attack", forever)

    with pytest.raises(SubmissionError, match="asked the model 50 times and did not end"):
        evaluate(Linear(), oracle_split(Linear()), small_protocol(replace(FAB, method="FAB")))


# -- shares of the blocks --------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "a/b", "1/0", "-1/2", "1/2/3"])
def test_a_share_that_is_none_is_refused(text):
    with pytest.raises(ProtocolError, match="blocks must be given as i/n"):
        parse_share(text)


def test_protocols_say_what_they_are():
    standard, thorough, quick = (PROTOCOLS[name] for name in ("standard", "thorough", "quick"))
    assert [protocol.ranked for protocol in (standard, thorough, quick)] == [True, False, False]
    assert {spec.name: spec.parameters.get("steps") for spec in thorough.attacks} == {
        "noise": None, "fgsm": None, "bim": 20, "pgd": 20, "apgd": 200, "fab": 200, "square": None,
    }  # fmt: skip
    assert thorough.attack("apgd").starts == 5
    assert thorough.attack("square").parameters["n_queries"] == 5000
    assert standard.pursuit == thorough.pursuit == "apgd"
    assert get_protocol("standard-full-grid").sha256 != standard.sha256
    assert not {spec.search for spec in get_protocol("standard-full-grid").attacks} & {"bisection"}
    assert all(float(a) < float(b) for a, b in pairwise(standard.epsilons))


# -- who computes ----------------------------------------------------------------------------


def _sleepy(argument):

    time.sleep(argument)
    if argument == 0.123:
        raise DataError("the disk is full")
    if argument == 0.321:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid(), argument


def test_this_process_and_workers_share_the_tasks_and_no_result_is_lost(monkeypatch):

    monkeypatch.setenv("ONCOROBUST_WORKERS", "3")
    tasks = [(_sleepy, 0.02 * (number % 4)) for number in range(60)]
    ended = []

    results = pool.run_all(tasks, "cpu", ended.append)

    assert [argument for _, argument in results] == [argument for _, argument in tasks]
    assert sorted(ended) == list(range(60))
    assert os.getpid() in {process for process, _ in results}
    assert len({process for process, _ in results}) >= 2


@pytest.mark.parametrize(
    ("argument", "error", "told"),
    [(0.123, DataError, "the disk is full"), (0.321, SubmissionError, "a worker process was killed")],
)
def test_what_a_worker_raises_is_raised_here_and_nothing_new_is_begun(monkeypatch, argument, error, told):
    monkeypatch.setenv("ONCOROBUST_WORKERS", "2")
    ended = []

    with pytest.raises(error, match=told):
        pool.run_all([(_sleepy, argument), *[(_sleepy, 0.5)] * 40], "cpu", ended.append)

    assert len(ended) < 35
