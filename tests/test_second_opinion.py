"""An independent attack code finds what a weak battery missed, is judged like any other, and changes nothing else."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from models import FGSM, NOISE, Linear, oracle_split, small_protocol

from benchmark import models
from benchmark.attacks import second_opinion as adapter
from benchmark.attacks.second_opinion import SECOND_OPINION, Opinion, ask
from benchmark.attacks.two_class import gap, margins, temperature
from benchmark.errors import DataError, ProtocolError, SubmissionError
from benchmark.evaluation import evaluate
from benchmark.evaluation import second_opinion as opinions
from benchmark.evaluation.second_opinion import second_opinion
from benchmark.evidence.best_known import best_known
from benchmark.evidence.files import beside, read_second_opinion, save_second_opinion
from benchmark.protocol import PROTOCOLS
from benchmark.record import Record
from benchmark.submission import load_submission

HEADLINE = 0.004
SHORT = tuple(
    replace(
        spec,
        parameters={**spec.parameters, **({"n_queries": 40} if spec.name == "square" else {"n_iter": 10})},
    )
    for spec in SECOND_OPINION
)


@pytest.fixture
def oracle(make_submission, monkeypatch):
    """A linear submission and its split; records of a battery that is only noise, or one that is exact."""
    monkeypatch.setitem(models.ARCHITECTURES, "linear", Linear)
    monkeypatch.setitem(PROTOCOLS, "weak", small_protocol(NOISE, name="weak"))
    monkeypatch.setitem(PROTOCOLS, "exact", small_protocol(FGSM, name="exact"))
    make_submission("oracle", architecture="linear", more="", weights=[Linear().state_dict()])
    return load_submission("oracle", "ct", "toy"), oracle_split(Linear())


RECORDS = {}  # by protocol; a record depends on the weights, not on where they lie


@pytest.fixture
def weak(oracle):
    """The linear submission, its split, and a record of noise alone: every image that was right still stands."""
    if "weak" not in RECORDS:
        RECORDS["weak"] = evaluate(*oracle, "weak")
    return *oracle, RECORDS["weak"]


@pytest.fixture
def truth():
    return Linear().smallest_epsilon(oracle_split(Linear()))


def test_it_breaks_exactly_what_a_weak_battery_missed(weak, truth):
    model, split, record = weak

    opinion = second_opinion(record, model, split, attacks=SHORT)

    reachable = (truth > 0) & (truth <= HEADLINE)
    assert record.robust("0.004").tolist() == (truth > 0).tolist()  # the battery saw nothing
    assert {one.image_id for one in opinion.broken} == set(np.array(split.image_ids)[reachable])
    assert opinion.asked == (truth > 0).sum()
    assert all(one.linf <= HEADLINE and one.margin <= 0 for one in opinion.broken)


def test_what_it_breaks_lowers_best_known_and_is_flagged(weak, truth, tmp_path):
    model, split, record = weak
    save_second_opinion(second_opinion(record, model, split, attacks=SHORT), record, tmp_path)

    best = best_known(record, tmp_path)

    standing = truth > HEADLINE
    assert best.robust.tolist() == standing.tolist()
    assert best.accuracy() == standing.mean()
    assert best.accuracy(balanced=True) == np.mean(
        [standing[split.labels == label].mean() for label in (0, 1)]
    )
    (flag,) = best.flags
    missed = int(((truth > 0) & ~standing).sum())
    assert (flag.id, flag.severity) == ("battery-missed", "notice")
    assert f"broke {missed} of the {(truth > 0).sum()} images" in flag.sentence
    assert [(credit.name, credit.images) for credit in best.credits] == [("pyautoattack 0.2.0", missed)]


def test_where_the_battery_was_exact_it_finds_nothing_and_says_nothing(oracle, tmp_path):
    record = evaluate(*oracle, "exact")
    save_second_opinion(second_opinion(record, *oracle, attacks=SHORT), record, tmp_path)

    best = best_known(record, tmp_path)

    assert best.robust.tolist() == record.robust("0.004").tolist()
    assert best.evidence
    assert (best.flags, best.credits, best.sentences) == ((), (), ())


def test_nobody_asked_is_not_nothing_found(weak, tmp_path):
    *_, record = weak

    assert not best_known(record, tmp_path).evidence


def test_the_file_reads_back_as_it_was_written(weak, tmp_path):
    model, split, record = weak
    opinion = second_opinion(record, model, split, attacks=SHORT)

    save_second_opinion(opinion, record, tmp_path)

    assert read_second_opinion(record, tmp_path) == opinion
    assert opinion.passes["apgd-ce"]["backward"] > 0
    assert opinion.passes["square"]["backward"] == 0


# -- it is not trusted -----------------------------------------------------------------------


def proposing(monkeypatch, propose):
    """Let AutoAttack be `propose(images, labels)`."""

    def stub(spec, model, scale, images, labels, epsilon, seed):
        return Opinion(propose(images, labels), 0, 0, ())

    monkeypatch.setattr(opinions, "ask", stub)


def test_a_proposal_outside_the_ball_is_judged_inside_it(weak, truth, monkeypatch):
    model, split, record = weak
    signs = Linear().weight.detach().sign().view(1, 1, 16, 16)
    proposing(monkeypatch, lambda images, labels: images - (2 * labels - 1).view(-1, 1, 1, 1) * signs * 0.1)

    opinion = second_opinion(record, model, split, attacks=SHORT[:1])

    assert len(opinion.broken) == ((truth > 0) & (truth <= HEADLINE)).sum()
    assert max(one.linf for one in opinion.broken) <= HEADLINE


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_proposal_of_no_numbers_breaks_nothing(weak, monkeypatch, value):
    model, split, record = weak
    proposing(monkeypatch, lambda images, labels: torch.full_like(images, value))

    assert second_opinion(record, model, split, attacks=SHORT[:1]).broken == ()


def test_a_proposal_of_another_shape_ends_in_a_sentence(weak, monkeypatch):
    model, split, record = weak
    proposing(monkeypatch, lambda images, labels: images[:1])

    with pytest.raises(
        SubmissionError, match=r"oracle on ct, second opinion: proposals have shape \(1, 1, 16, 16\)"
    ):
        second_opinion(record, model, split, attacks=SHORT[:1])


def test_an_attack_that_raises_ends_in_a_sentence(weak, monkeypatch):
    model, split, record = weak

    def fail(images, labels):
        raise IndexError("index -3 is out of bounds")

    proposing(monkeypatch, fail)

    with pytest.raises(SubmissionError, match=r"apgd-ce, ε = 0.004, part-00000: IndexError: index -3"):
        second_opinion(record, model, split, attacks=SHORT[:1])


# -- whose record ----------------------------------------------------------------------------


def test_a_record_of_other_weights_is_refused(weak, make_submission):
    _, split, record = weak
    make_submission(
        "other",
        architecture="linear",
        more="",
        weights=[{k: v + 1 for k, v in Linear().state_dict().items()}],
    )

    with pytest.raises(DataError, match="is not of this model, these images and today's protocol 'weak'"):
        second_opinion(record, load_submission("other", "ct", "toy"), split, attacks=SHORT)


def test_an_opinion_of_an_earlier_record_is_passed_over_with_a_sentence(weak, oracle, monkeypatch, tmp_path):
    model, split, record = weak
    save_second_opinion(second_opinion(record, model, split, attacks=SHORT), record, tmp_path)
    monkeypatch.setitem(PROTOCOLS, "weak", small_protocol(NOISE, name="weak", seed=1))
    later = evaluate(*oracle, "weak")

    best = best_known(later, tmp_path)

    assert best.robust.tolist() == later.robust("0.004").tolist()
    assert not best.evidence
    assert "pyautoattack 0.2.0 broke was judged for another record of this entry" in best.sentences[0]


def test_an_opinion_survives_saving_and_loading_its_record(weak, tmp_path):
    model, split, record = weak
    save_second_opinion(second_opinion(record, model, split, attacks=SHORT), record, tmp_path)
    record.save(tmp_path)

    best = best_known(Record.load(tmp_path / "oracle.json"), tmp_path)

    assert best.evidence
    assert best.flags


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 9}', '{"format": 1, "broken": 3}'])
def test_a_damaged_file_is_named(weak, tmp_path, content):
    *_, record = weak
    beside(record, tmp_path, "second-opinion").write_text(content)

    with pytest.raises(
        DataError, match=r"oracle.second-opinion.json is damaged .*delete it and make it again"
    ):
        best_known(record, tmp_path)


# -- interruption, and the world outside -------------------------------------------------------


def test_an_interrupted_opinion_goes_on_where_it_stopped(weak, monkeypatch):
    model, split, record = weak
    whole = second_opinion(record, model, split, attacks=SHORT)
    asked = []

    def interrupted(question):
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(question.path.name)
        return opinions_answer(question)

    opinions_answer = opinions.answer
    monkeypatch.setattr(opinions, "answer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        second_opinion(record, model, split, attacks=SHORT)
    first, asked[:] = list(asked), []

    again = second_opinion(record, model, split, attacks=SHORT)

    assert first == ["part-00000.json", "part-00001.json"]
    assert asked == ["part-00002.json"]
    assert again == whole


@pytest.mark.parametrize("spec", SHORT, ids=lambda spec: spec.name)
def test_the_world_is_as_it_was(spec):
    model = torch.nn.Sequential(Linear(), torch.nn.Dropout(0.0)).requires_grad_(False)
    model[0].eval()
    images, labels = oracle_split(Linear()).batch(0, 4)
    tracer = sys.gettrace()
    torch.manual_seed(5)
    before = torch.random.get_rng_state()

    def trace(frame, event, argument):
        return None

    sys.settrace(trace)
    try:
        ask(spec, model, 1.0, images, labels, HEADLINE, 3)
        assert sys.gettrace() is trace
    finally:
        sys.settrace(tracer)

    assert torch.equal(torch.random.get_rng_state(), before)
    assert [module.training for module in model] == [False, True]


def test_an_attack_that_raises_leaves_the_world_as_it_was(monkeypatch):
    model = Linear().requires_grad_(False).train()
    images, labels = oracle_split(Linear()).batch(0, 4)
    before = torch.random.get_rng_state()

    with pytest.raises(ProtocolError, match="AutoAttack's apgd-ce has no parameter 'steps'"):
        ask(replace(SHORT[0], parameters={"steps": 3}), model, 1.0, images, labels, HEADLINE, 3)

    assert torch.equal(torch.random.get_rng_state(), before)
    assert model.training


def test_what_autoattack_warns_of_is_passed_on():
    images, labels = oracle_split(Linear()).batch(0, 8)

    class Noisy(Linear):
        def forward(self, images):
            return super().forward(images) * torch.randn(len(images), 1)

    warnings = ask(SHORT[0], Noisy().requires_grad_(False), 1.0, images, labels, HEADLINE, 3).warnings

    assert any("randomized defense" in told for told in warnings)


@pytest.mark.parametrize(
    ("spec", "how"),
    [(spec, how) for spec in SHORT[:2] for how in ({}, {"scale": 1e4}, {"columns": 1})]
    + [(SHORT[0], {"cube": True})],  # a cubed gap misleads FAB, and FAB alone
)
def test_gradient_attacks_are_exact_on_a_linear_model_however_it_is_written(spec, how, truth):
    model, split = Linear(**how).requires_grad_(False), oracle_split(Linear())
    images, labels = (tensor[truth > 0] for tensor in split.batch())

    proposed = ask(spec, model, temperature(gap(model(images))), images, labels, HEADLINE, 3).images

    assert (margins(gap(model(proposed)), labels) <= 0).tolist() == (truth[truth > 0] <= HEADLINE).tolist()


def test_the_parameters_are_the_authors_own():
    from pyautoattack import AutoAttack

    theirs = AutoAttack(Linear(), attacks=["apgd-ce"], version="custom", seed=0)
    AutoAttack._set_version(theirs, "standard")
    for spec in SECOND_OPINION:
        for name, value in spec.parameters.items():
            if name != "n_target_classes":  # two classes leave one target
                assert getattr(getattr(theirs, adapter.PARTS[spec.method][0]), name) == value, name
