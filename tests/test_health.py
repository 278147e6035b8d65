"""Masked, random and stateful models are doubted; honest ones are not."""

import numpy as np
import pytest
import torch
from models import (
    BIM,
    EPSILONS,
    FGSM,
    NOISE,
    SQUARE,
    BatchDependent,
    Detached,
    Linear,
    Masked,
    Mild,
    Probabilities,
    Random,
    Stateful,
    WrongGradient,
    make_split,
    oracle_split,
    small_protocol,
)

from benchmark.data import phantom
from benchmark.errors import SubmissionError
from benchmark.evaluation import evaluate
from benchmark.evaluation.arena import Tally
from benchmark.evaluation.health import FRESH, health_checks

CHEAP = small_protocol(NOISE, FGSM, BIM, SQUARE)


@pytest.mark.parametrize(
    ("model", "flag"),
    [
        (Random, "random"),
        (Stateful, "random"),
        (BatchDependent, "batch-dependent"),
        (Masked, "zero-gradient"),
        (Probabilities, "probabilities"),
        (WrongGradient, "black-box-beats-white-box"),
    ],
)
def test_a_model_that_misleads_is_doubted_for_the_right_reason(model, flag):
    torch.manual_seed(0)

    record = evaluate(model(), oracle_split(Linear()), CHEAP)

    assert flag in [found.id for found in record.flags if found.severity == "doubt"]
    assert record.in_doubt
    assert not record.ranked


def test_a_model_without_a_gradient_ends_in_a_sentence():
    with pytest.raises(SubmissionError, match=r"attack 'fgsm'.*does not require grad"):
        evaluate(Detached(), oracle_split(Linear()), CHEAP)


@pytest.mark.parametrize("scale", [1e-6, 1e4])
def test_an_honest_model_is_not_doubted_at_any_scale(scale):
    class Honest(Mild):
        def spoil(self, g, images):
            return scale * torch.tanh(g)

    record = evaluate(Honest(), oracle_split(Linear()), CHEAP)

    assert [flag for flag in record.flags if flag.severity == "doubt"] == []


# -- one attack outdone by another ---------------------------------------------------------


def flags_of(broken, n=400, model=None, track="toy", split=None):
    """The flags where each named attack broke the first so many images at the headline."""
    split = split or make_split(np.full((n, 1, 16, 16), 0.6), np.arange(n) % 2, track=track)
    tallies = {}
    for spec in small_protocol().attacks:
        linf = np.full(len(split), np.inf)
        linf[: broken.get(spec.name, 0)] = 0.004
        tallies[spec.name] = Tally(linf, np.zeros((len(EPSILONS), len(split)), np.float32))
    clean = np.ones(len(split), np.float32)
    judge = (model or Linear()).eval()
    return health_checks(judge, split, small_protocol(), clean, 1.0, tallies, "me", torch.device("cpu"))


@pytest.mark.parametrize(
    ("broken", "flags"),
    [
        ({}, []),
        ({"square": 5, "noise": 5, "fgsm": 5, "apgd": 5}, []),
        ({"square": 5}, ["black-box-beats-white-box"]),
        ({"square": 4}, []),  # 1 % of 400 is allowed
        ({"square": 10, "fab": 5}, ["black-box-beats-white-box"]),
        ({"square": 10, "fab": 6}, []),
        ({"noise": 5}, ["noise-beats-attack"]),
        ({"noise": 5, "square": 5}, ["noise-beats-attack", "black-box-beats-white-box"]),
        ({"fgsm": 5}, ["one-step-beats-iterative"]),
        ({"fgsm": 5, "noise": 5, "square": 5}, ["one-step-beats-iterative"]),
    ],
)
def test_an_attack_outdone_on_more_than_one_percent_is_doubted(broken, flags):
    assert [flag.id for flag in flags_of(broken)] == flags


def test_fewer_than_three_images_are_chance():
    assert flags_of({"square": 2}, n=20) == []
    assert [flag.id for flag in flags_of({"square": 3}, n=20)] == ["black-box-beats-white-box"]


def test_a_perturbation_beyond_the_headline_outdoes_nobody():
    split = oracle_split(Linear())
    clean = np.ones(len(split), np.float32)
    tally = Tally(np.full(len(split), 0.0041), np.zeros((4, len(split)), np.float32))

    flags = health_checks(
        Linear(), split, small_protocol(NOISE), clean, 1.0, {"noise": tally}, "me", torch.device("cpu")
    )

    assert flags == []


# -- learnt by heart -------------------------------------------------------------------------


@pytest.mark.parametrize(("known", "doubted"), [(1.0, True), (0.0, False)])
def test_a_test_part_known_by_heart_is_doubted(monkeypatch, known, doubted):
    seeds = []

    def draw(modality, part, seed, images, progress=False):
        seeds.append(seed)
        labels = np.arange(images) % 2
        bright = np.where(labels == 1, 0.6, 0.4) if not known else np.full(images, 0.6)
        return make_split(np.broadcast_to(bright[:, None, None, None], (images, 1, 16, 16)), labels)

    class Brightness(Linear):
        def forward(self, images):
            g = (images - 0.5).mean((1, 2, 3))
            return torch.stack((-g, g), 1)

    monkeypatch.setattr(phantom, "draw_split", draw)
    flags = flags_of({}, n=200, model=Brightness(), track="phantom")

    assert [flag.id for flag in flags] == (["memorised"] if doubted else [])
    assert len(seeds) == 1
    assert FRESH >= 1000
