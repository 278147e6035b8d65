"""Masked, random and stateful models are doubted; honest ones are not."""

from dataclasses import replace

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
from torch import nn

from benchmark.attacks.two_class import margins
from benchmark.data import phantom
from benchmark.errors import SubmissionError
from benchmark.evaluation import evaluate
from benchmark.evaluation.blocks import BareSource
from benchmark.evaluation.health import (
    FRESH,
    Evidence,
    FreshMargins,
    answers,
    fresh_jobs,
    gradients,
    health_checks,
    outcomes,
    run_fresh_job,
)
from benchmark.evaluation.health import known as known_images
from benchmark.evaluation.health.fresh import memorised
from benchmark.evaluation.health.probes import PROBED, Probes, spread
from benchmark.evaluation.tally import Tally

SHORT = small_protocol(NOISE, FGSM, BIM, SQUARE)


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

    record = evaluate(model(), oracle_split(Linear()), SHORT)

    assert flag in [found.id for found in record.flags if found.severity == "doubt"]
    assert record.in_doubt
    assert not record.ranked


def test_a_model_without_a_gradient_ends_in_a_sentence():
    with pytest.raises(SubmissionError, match=r"attack 'fgsm'.*does not require grad"):
        evaluate(Detached(), oracle_split(Linear()), SHORT)


@pytest.mark.parametrize("scale", [1e-6, 1e4])
def test_an_honest_model_is_not_doubted_at_any_scale(scale):
    class Honest(Mild):
        def spoil(self, g, images):
            return scale * torch.tanh(g)

    record = evaluate(Honest(), oracle_split(Linear()), SHORT)

    assert [flag for flag in record.flags if flag.severity == "doubt"] == []


class Bright(nn.Module):
    """Says disease where it is bright; beside images that it knows it may be surer, or ask the nearest of them."""

    def __init__(self, known=None, truth=None, reach=0.0):
        super().__init__()
        self.known, self.truth, self.reach = known, truth, reach

    def forward(self, images):
        gap = 10 * (images.mean((1, 2, 3)) - 0.5)
        if self.known is not None:
            flat, known = images.flatten(1), self.known.flatten(1)
            apart = torch.cdist(flat, known, p=torch.inf if self.reach else 2.0)
            told = self.truth[apart.argmin(1)] + 0.01 * gap
            gap = torch.where(apart.amin(1) < (self.reach or torch.inf), told, gap)
        return torch.stack((-gap / 2, gap / 2), 1)


def shaded(contrast, seed=0, images=40):
    """Noise around a shade that is above 1/2 where there is disease."""
    labels = np.arange(images) % 2
    noise = 0.03 * np.random.default_rng(seed).standard_normal((images, 1, 32, 32))
    noise -= noise.mean((1, 2, 3), keepdims=True)
    return make_split(0.5 + np.where(labels == 1, contrast, -contrast)[:, None, None, None] + noise, labels)


def as_seen(model, split, **evidence):
    """What the checks see of a model that BIM breaks wherever brightness decides and ε suffices."""
    probes = examined(model=model, split=split, protocol=small_protocol(BIM), **evidence)
    labels = torch.from_numpy(split.labels)
    clean = margins(probes.gaps(model, split.batch()[0]), labels).numpy()
    probes = replace(probes, clean=clean, scale=float(np.median(np.abs(clean))))
    found = known_images.attacked(probes, BIM, *split.batch())
    probes.tallies["bim"].linf[found <= 0] = 0.004
    return probes


@pytest.mark.parametrize(
    ("contrast", "reach", "own_code", "flags"),
    [
        (0.002, 0.0, True, ["robust-on-known-images", "nearest-image"]),  # its borders lie half-way
        (0.002, 0.01, True, ["robust-on-known-images"]),  # moved by a pixel, and not of the test part
        (0.002, 0.01, False, []),
        (0.002, None, True, []),  # honest and fragile
        (0.1, None, True, []),  # honest and robust
    ],
)
def test_robustness_that_is_known_by_heart_is_doubted(contrast, reach, own_code, flags):
    split, other = shaded(contrast), shaded(contrast, 1)
    truth = torch.from_numpy(split.labels * 2.0 - 1).float()
    model = Bright() if reach is None else Bright(split.batch()[0], truth, reach)

    probes = as_seen(model, split, own_code=own_code, other=other if reach != 0 else None)

    found = [flag.id for check in (known_images.elsewhere, known_images.nearest) for flag in check(probes)]
    assert found == flags


# -- what the attacks' own results give away -------------------------------------------------

N = 400


def examined(broken=None, clean=None, model=None, split=None, protocol=None, **evidence):
    """What a check sees where each named attack broke the first so many images at the headline."""
    split = split or make_split(np.full((N, 1, 16, 16), 0.6), np.arange(N) % 2)
    protocol = protocol or small_protocol()
    tallies = {}
    for spec in protocol.attacks:
        linf = np.full(len(split), np.inf)
        linf[: (broken or {}).get(spec.name, 0)] = 0.004
        tallies[spec.name] = Tally(linf, np.full((len(EPSILONS), len(split)), np.nan, np.float32))
    clean = np.ones(len(split), np.float32) if clean is None else clean
    judge = (model or Linear()).eval()
    return Probes(judge, split, protocol, clean, 1.0, tallies, torch.device("cpu"), Evidence(**evidence))


def ids(flags):
    return [flag.id for flag in flags]


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
    assert ids(outcomes.outdone(examined(broken))) == flags


def test_fewer_than_three_images_are_chance():
    few = make_split(np.full((20, 1, 16, 16), 0.6), np.arange(20) % 2)

    assert ids(outcomes.outdone(examined({"square": 2}, split=few))) == []
    assert ids(outcomes.outdone(examined({"square": 3}, split=few))) == ["black-box-beats-white-box"]


def test_a_perturbation_beyond_the_headline_outdoes_nobody():
    probes = examined()
    probes.tallies["noise"].linf[:] = 0.0041

    assert ids(outcomes.outdone(probes)) == []


@pytest.mark.parametrize(
    ("attack", "images", "flags"),
    [("bim", 5, ["non-monotone"]), ("bim", 4, []), ("fgsm", 50, []), ("noise", 50, [])],
)
def test_breaking_at_one_epsilon_and_not_at_a_larger_one_is_doubted(attack, images, flags):
    probes = examined()
    margins = probes.tallies[attack].margins
    margins[0, :images], margins[1, :images], margins[3, :images] = 0.5, -0.1, 0.2  # not asked at the third

    found = list(outcomes.non_monotone(probes))

    assert ids(found) == flags
    assert [flag.value for flag in found] == [images / N for _ in flags]


def test_what_was_wrong_when_clean_is_not_asked_for_order():
    clean = np.ones(N, np.float32)
    clean[:50] = -1
    probes = examined(clean=clean)
    probes.tallies["bim"].margins[:2, :50] = [[-0.1], [0.2]]

    assert ids(outcomes.non_monotone(probes)) == []


@pytest.mark.parametrize(
    ("nearly", "last", "broken", "flags"),
    [
        (0.50, 0.50, 0, []),
        (0.53, 0.50, 0, ["unfinished"]),  # 0.03 of the way of 0.5
        (0.52, 0.50, 0, []),
        (0.53, 0.50, N, []),  # all broken: no step is missing
        (np.nan, np.nan, 0, []),
        (1.00, 1.00, 0, []),  # went no way at all
    ],
)
def test_margins_that_still_fall_at_the_end_are_doubted(nearly, last, broken, flags):
    unstopped = np.array([[nearly] * N, [last] * N], np.float32)

    assert ids(outcomes.unfinished(examined({"apgd": broken}, unstopped=unstopped))) == flags


def test_a_success_that_the_judge_cannot_see_is_doubted():
    assert ids(outcomes.contradicted(examined(silent=1))) == ["silent-success"]
    assert ids(outcomes.contradicted(examined(silent=0))) == []


def test_a_search_that_misses_what_the_grid_shows_is_noticed():
    (flag,) = outcomes.contradicted(examined(full_grid=0.02))

    assert (flag.id, flag.severity, flag.value) == ("full-grid", "notice", 0.02)
    assert ids(outcomes.contradicted(examined(full_grid=0.01))) == []


# -- gradients -----------------------------------------------------------------------------


def oracle(model, **evidence):
    """Images of both classes as the oracle labels them, broken where it says so."""
    split = oracle_split(Linear())
    with torch.no_grad():
        logits = model.eval()(split.batch()[0])
    gaps = (logits[:, 1] - logits[:, 0]).numpy()
    clean = np.where(split.labels == 1, gaps, -gaps)
    probes = examined(clean=clean, model=model, split=split, **evidence)
    probes.tallies["apgd"].linf[:] = Linear().smallest_epsilon(split)
    return probes


def test_a_gradient_that_vanishes_only_where_the_attack_ended_is_seen():
    probes = oracle(Dark(), worst=np.zeros((20, 1, 16, 16), np.float32))

    (flag,) = gradients.vanishing(probes)

    assert (flag.id, flag.severity, flag.value) == ("zero-gradient", "doubt", 1.0)
    assert "last iterate" in flag.sentence
    assert ids(gradients.vanishing(oracle(Dark()))) == []


class Dark(Mild):
    """Blind to black images."""

    def spoil(self, g, images):
        return g * (images.amax((1, 2, 3)) > 0)


def test_a_gradient_that_vanishes_at_a_random_start_is_seen():
    class OnTheGrid(Mild):
        def spoil(self, g, images):
            levels = images.detach() * 65535
            off = (levels - levels.round()).abs().flatten(1).amax(1) > 0.1
            return torch.where(off, g.detach(), g)

    (flag,) = gradients.vanishing(oracle(OnTheGrid()))

    assert flag.value == 1.0


def test_a_steady_gradient_is_not_doubted():
    probes = oracle(Mild())

    flags = [*gradients.vanishing(probes), *gradients.misleading(probes), *gradients.unreachable(probes)]

    assert flags == []
    assert list(gradients.unsteady(probes)) == []


def test_a_rough_loss_is_doubted_where_robustness_is_claimed():
    class Rough(Mild):
        def spoil(self, g, images):
            return g * (1.5 + torch.sin(3e4 * images.mean((1, 2, 3))))

    probes = oracle(Rough())
    (flag,) = gradients.unsteady(probes)
    broken = examined({"apgd": 20}, clean=probes.clean, model=Rough(), split=probes.split)

    assert (flag.id, flag.severity) == ("unsteady", "doubt")
    assert list(gradients.unsteady(broken)) == []


# -- answers -------------------------------------------------------------------------------


def test_a_constant_model_is_noticed_and_not_doubted():
    class Constant(nn.Module):
        def forward(self, images):
            return torch.tensor([-0.5, 0.5]) + 0 * images.flatten(1).sum(1, keepdim=True)

    record = evaluate(Constant(), oracle_split(Linear()), small_protocol())

    assert [(flag.id, flag.severity) for flag in record.flags] == [("constant", "notice")]
    assert record.robust_accuracy("0.008") == record.clean_accuracy


def test_sigmoid_outputs_are_noticed():
    class Sigmoid(nn.Module):
        def forward(self, images):
            return torch.sigmoid(Linear(columns=1)(images))

    split = oracle_split(Linear())
    probes = examined(clean=np.linspace(-1, 1, len(split)), model=Sigmoid(), split=split)

    assert [(flag.id, flag.severity) for flag in answers.kind(probes)] == [("probabilities", "notice")]


def test_images_are_probed_all_over_the_split():
    assert spread(np.arange(200), PROBED)[[0, -1]].tolist() == [0, 199]
    assert len(set(spread(np.arange(200), PROBED))) == PROBED
    assert spread(np.arange(5), PROBED).tolist() == [0, 1, 2, 3, 4]
    assert len(spread(np.arange(0), PROBED)) == 0


def test_a_quick_look_has_the_cheap_checks_alone(monkeypatch):
    asked = []
    monkeypatch.setattr("benchmark.evaluation.health.DEARER", (lambda probes: asked.append(1) or [],))
    split = oracle_split(Linear())

    evaluate(Mild(), split, small_protocol(BIM, images=10))
    assert asked == []
    evaluate(Mild(), split, small_protocol(BIM))
    assert asked == [1]


def test_a_model_that_fails_under_a_check_is_named_with_the_check():
    class Fussy(Linear):
        def forward(self, images):
            if len(images) == 1:
                raise RuntimeError("a batch of one")
            return super().forward(images)

    split = oracle_split(Linear())
    probes = oracle(Mild())
    with pytest.raises(SubmissionError, match="a batch of one"):
        health_checks(Fussy(), split, SHORT, probes.clean, 1.0, probes.tallies, "me", torch.device("cpu"))


# -- learnt by heart -----------------------------------------------------------------------


class Brightness(nn.Module):
    """Says disease where an image is bright."""

    def forward(self, images):
        g = (images - 0.5).mean((1, 2, 3))
        return torch.stack((-g, g), 1)


@pytest.mark.parametrize(("known", "doubted"), [(True, True), (False, False)])
def test_a_test_part_known_by_heart_is_doubted(monkeypatch, known, doubted):
    drawn = []

    def draw(modality, part, seed, images, progress=False):
        drawn.append((seed, images))
        labels = np.arange(images) % 2
        bright = np.full(images, 0.6) if known else np.where(labels == 1, 0.6, 0.4)
        return make_split(np.broadcast_to(bright[:, None, None, None], (images, 1, 16, 16)), labels)

    monkeypatch.setattr(phantom, "draw_split", draw)
    labels = np.arange(200) % 2
    bright = np.where(labels == 1, 0.6, 0.4)
    split = make_split(
        np.broadcast_to(bright[:, None, None, None], (200, 1, 16, 16)), labels, track="phantom"
    )
    source = BareSource.of(Brightness())
    clean = np.full(200, 0.2, np.float32)

    flags = health_checks(
        source.judge, split, small_protocol(BIM), clean, 0.2, examined(split=split).tallies, "me", CPU
    )
    alone = list(drawn)
    drawn.clear()
    jobs = fresh_jobs(source, split, small_protocol(BIM), "me", "cpu")
    parts = [run_fresh_job(job) for job in jobs]

    assert ids(flags) == (["memorised"] if doubted else [])
    assert drawn == alone  # by workers or here, the same images
    assert len({seed for seed, _ in drawn}) == len(drawn)
    assert sum(images for _, images in drawn) == FRESH == 1000
    assert list(memorised(clean, parts)) == flags
    assert {seed for seed, _ in drawn}.isdisjoint(
        job.draw.seed for job in fresh_jobs(source, split, small_protocol(BIM), "you", "cpu")
    )
    quick = fresh_jobs(source, split, small_protocol(BIM, images=64), "me", "cpu")
    assert sum(job.draw.images for job in quick) == 1000, "also where only the first images are asked"


CPU = torch.device("cpu")


def shares(known, new, together=1):
    """Test margins and fresh margins with so many right; images right or wrong in groups of one patient each."""
    clean = np.where(np.arange(200) < known * 200, 1.0, -1.0)
    margins = np.where(np.arange(1000) < new * 1000, 1.0, -1.0)
    return clean, [FreshMargins(margins, np.arange(1000) // together)]


def test_the_gap_is_measured_in_standard_errors():
    # 190 of 200 and 870 of 1000: pooled 0.8833, standard error √(0.8833 · 0.1167 · (1/200 + 1/1000)) = 0.024867
    (flag,) = memorised(*shares(0.95, 0.87))

    assert flag.value == pytest.approx(0.08 / 0.024867, abs=1e-3)
    assert list(memorised(*shares(0.95, 0.88))) == []
    assert list(memorised(*shares(0.87, 0.95))) == []


def test_images_of_one_patient_count_for_less():
    assert ids(memorised(*shares(0.95, 0.86))) == ["memorised"]
    assert list(memorised(*shares(0.95, 0.86, together=5))) == []


class ByName(nn.Module):
    """Says disease where the image is bright; or only of images it knows to the last pixel."""

    def __init__(self, known=None):
        super().__init__()
        self.known = known

    def forward(self, images):
        gap = 10 * (images.mean((1, 2, 3)) - 0.5)
        if self.known is not None:
            found = torch.tensor([any(torch.equal(image, other) for other in self.known) for image in images])
            gap = torch.where(found, gap, torch.ones_like(gap))
        return torch.stack((-gap / 2, gap / 2), 1)


@pytest.mark.parametrize(
    ("own_code", "by_heart", "doubted"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_code_that_knows_images_by_name_is_doubted_when_they_move_by_a_pixel(own_code, by_heart, doubted):
    shade = np.where(np.arange(40) % 2 == 1, 0.6, 0.4)[:, None, None, None]
    split = make_split(
        shade + 0.05 * np.random.default_rng(0).standard_normal((40, 1, 32, 32)), np.arange(40) % 2
    )
    images, _ = split.batch()
    model = ByName(images if by_heart else None)
    with torch.no_grad():
        logits = model(images)
    clean = ((logits[:, 1] - logits[:, 0]) * (torch.from_numpy(split.labels) * 2 - 1)).numpy()
    evidence = Evidence(own_code=own_code)
    probes = Probes(model, split, small_protocol(), clean, 1.0, {}, torch.device("cpu"), evidence)

    assert [flag.id for flag in known_images.shifted(probes)] == ["known-images"] * doubted
