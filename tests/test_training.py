"""Training gives the same weights every time, and keeps the best that validation saw."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from models import Linear, make_split, oracle_split

from benchmark.attacks.two_class import gap, margins
from benchmark.errors import ProtocolError
from benchmark.models import vgg
from benchmark.training import RECIPES, Recipe, read_recipe, train
from benchmark.training.adversary import pgd
from benchmark.training.command import train_to_files

LOOP = import_module(
    "benchmark.training.train"
)  # the function of the same name stands before it in the package
NAIVE = Recipe("tiny", "Tiny", "the tests", 3, 8, 1e-3, 5e-4, 0.3, 1.0, 1)
ADVERSARIAL = replace(NAIVE, epochs=4, naive_epochs=2, epsilon=0.02, steps=2, step=0.5)


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    """The same architecture with a 64th of its channels."""
    monkeypatch.setattr(LOOP, "build", lambda name: vgg.VGG16(64))


def bright_split(seed, images=16):
    """Images of 32 pixels that are a little brighter with disease."""
    random = np.random.default_rng(seed)
    labels = np.arange(images) % 2
    drawn = random.normal(0.4, 0.05, (images, 1, 32, 32)) + 0.2 * labels[:, None, None, None]
    return make_split(drawn.clip(0, 1), labels)


def trained(recipe=NAIVE, seed=0, **options):
    return train("vgg16-slim", recipe, bright_split(0), bright_split(1), seed, progress=False, **options)


def same(first, second):
    return all(torch.equal(first.weights[key], second.weights[key]) for key in first.weights)


@pytest.fixture
def validations(monkeypatch):
    """Let validation say these (clean, robust) instead, and note the weights it was shown."""
    shown = []

    def say(*answers):
        waiting = list(answers)

        def validate(model, recipe, validation, seed):
            shown.append({key: value.clone() for key, value in model.state_dict().items()})
            return waiting.pop(0)

        monkeypatch.setattr(LOOP, "_validate", validate)
        return shown

    return say


@pytest.mark.parametrize("recipe", [NAIVE, ADVERSARIAL], ids=["naive", "adversarial"])
def test_the_same_seed_gives_the_same_weights_to_the_bit(recipe):
    torch.manual_seed(1)
    first = trained(recipe)
    torch.manual_seed(2)

    second = trained(recipe)

    assert same(first, second)
    assert [epoch.loss for epoch in first.log] == [epoch.loss for epoch in second.log]


def test_another_seed_gives_other_weights():
    assert not same(trained(seed=0), trained(seed=1))


def test_training_leaves_the_random_state_alone():
    torch.manual_seed(1)
    before = torch.random.get_rng_state(), torch.get_num_threads()

    trained()

    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]


def test_the_best_weights_are_kept_and_not_the_last(validations):
    shown = validations((0.6, np.nan), (0.9, np.nan), (0.7, np.nan))

    result = trained()

    assert (result.best.number, result.best.validation_clean) == (2, 0.9)
    assert all(torch.equal(result.weights[key], shown[1][key]) for key in result.weights)
    assert not torch.equal(shown[1]["head.2.weight"], shown[2]["head.2.weight"])


def test_of_equals_the_first_is_kept(validations):
    validations((0.6, np.nan), (0.9, np.nan), (0.9, np.nan))

    assert trained().best.number == 2


@pytest.mark.parametrize(("ramp", "best"), [(0, (3, 0.5)), (1, (4, 0.4))])
def test_an_adversarial_recipe_is_chosen_by_robust_accuracy_under_the_full_attack_alone(
    monkeypatch, ramp, best
):
    told = []
    answers = {1: (1.0, 0.9), 2: (1.0, 0.99), 3: (0.6, 0.5), 4: (0.9, 0.4)}
    monkeypatch.setattr(LOOP, "_validate", lambda *_: answers[len(told) + 1])

    result = trained(replace(ADVERSARIAL, ramp_epochs=ramp), report=told.append)

    assert (result.best.number, result.best.validation_robust) == best


def test_the_attack_begins_after_the_naive_epochs_and_rises_to_its_full_size():
    recipe = replace(ADVERSARIAL, epochs=6, ramp_epochs=2, epsilon=0.03)

    sizes = [recipe.epsilon_at(epoch) for epoch in range(1, 7)]

    assert sizes == pytest.approx([0, 0, 0.01, 0.02, 0.03, 0.03])
    assert sizes[-1] == 0.03


def test_the_log_tells_every_epoch_once():
    told = []

    result = trained(replace(NAIVE, epochs=3, validate_every=2), report=told.append)

    assert tuple(told) == result.log
    assert [epoch.number for epoch in result.log] == [1, 2, 3]
    assert [np.isnan(epoch.validation_clean) for epoch in result.log] == [True, False, False]
    assert np.isnan([epoch.validation_robust for epoch in result.log]).all()


def test_the_first_epochs_see_clean_images(monkeypatch):
    attacked = []

    def spy(model, images, labels, *rest):
        attacked.append(len(images))
        return pgd(model, images, labels, *rest)

    monkeypatch.setattr(LOOP, "pgd", spy)
    trained(replace(ADVERSARIAL, validate_every=4))

    assert attacked == [8, 8, 8, 8, 16]  # two batches in each of the last two epochs, and one validation


def test_it_learns_what_is_easy():
    result = trained(replace(NAIVE, epochs=20, learning_rate=5e-3))

    assert result.best.validation_clean == 1.0


# -- the attack of adversarial training ------------------------------------------------------


def test_pgd_stays_in_the_ball_and_the_range_and_lowers_every_margin():
    model, split = Linear(), oracle_split(Linear(), wrong=0)
    images, labels = split.batch()
    images[0, 0, 0, :4] = torch.tensor([0.0, 0.001, 0.999, 1.0])

    moved = pgd(model, images, labels, 0.004, 10, 0.25, torch.Generator().manual_seed(0))

    assert float((moved.double() - images.double()).abs().max()) <= 0.004 + 1e-7
    assert 0 <= float(moved.min()) <= float(moved.max()) <= 1
    assert not moved.requires_grad
    with torch.no_grad():
        before, after = (margins(gap(model(x)), labels) for x in (images, moved))
    size = float(model.weight.detach().abs().sum())
    assert (before[1:] - after[1:]).numpy() == pytest.approx(0.004 * size, rel=1e-3)
    assert before[0] > after[0]
    assert model.weight.grad is None


def test_pgd_starts_at_random():
    images, labels = oracle_split(Linear()).batch()

    starts = [
        pgd(Linear(), images, labels, 0.004, 0, 0.25, torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    ]

    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])
    assert 0.003 < float((starts[0] - images).abs().max()) <= 0.004 + 1e-7


# -- recipes and files -----------------------------------------------------------------------


def test_every_recipe_reads_and_can_be_chosen_from():
    assert {"naive", "pgd-at"} <= set(RECIPES)
    for name in RECIPES:
        recipe = read_recipe(name)
        assert recipe.name == name
        assert recipe.adversarial == (recipe.steps > 0)
        assert recipe.naive_epochs < recipe.epochs


def test_an_unknown_recipe_is_refused():
    with pytest.raises(ProtocolError, match=r"unknown recipe 'magic'; expected one of .*naive"):
        read_recipe("magic")


def test_training_to_files_writes_weights_that_load(tmp_path, monkeypatch):
    import hashlib

    from safetensors.torch import load_file

    asked = []

    def load(modality, track="phantom", part="test"):
        asked.append(part)
        return bright_split(asked.index(part))

    monkeypatch.setattr("benchmark.training.command.load_split", load)
    monkeypatch.setattr("benchmark.training.command.read_recipe", lambda name: NAIVE)
    lines = list(train_to_files("ct", "tiny", "vgg16-slim", 0, tmp_path))

    weights = tmp_path / "ct.safetensors"
    vgg.VGG16(64).load_state_dict(load_file(weights))
    assert lines[-1] == f'sha256 = ["{hashlib.sha256(weights.read_bytes()).hexdigest()}"]'
    assert (tmp_path / "ct.log.csv").read_text().splitlines()[
        0
    ] == "epoch,loss,validation_clean,validation_robust"
    assert asked == ["train", "validation"]
