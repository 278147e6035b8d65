"""One thing varied at a time: what is trained, what it is judged on, and the table that stays when it is interrupted."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib import import_module
from itertools import islice

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from models import make_split
from training_models import TOML, bright_split

from benchmark.cli import main
from benchmark.errors import DataError
from benchmark.evidence.variants import BASE, Trained, Variant, as_table, read_trained, save_trained
from benchmark.models import build
from benchmark.training import study
from benchmark.training.command import train_to_files
from benchmark.training.effort import epoch_passes
from benchmark.training.recipe import read_recipe

SMALL = Variant(32, 64, "0.004")
PARTS = {"train": 0, "validation": 1, "large": 2}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A study of four variants for each seed, on splits of 64 images of 32 pixels."""
    for name, value in (
        ("BASE", SMALL),
        ("SIDES", (16, 32)),
        ("IMAGES", (32, 64)),
        ("EPSILONS", ("0.004", "0.008")),
    ):
        monkeypatch.setattr(study, name, value)
    for module in (study, import_module("benchmark.training.command")):
        monkeypatch.setattr(
            module, "load_split", lambda modality, track, part: bright_split(PARTS[part], images=64)
        )
    path = tmp_path / "tiny.toml"
    path.write_text(TOML.replace("0.02", "0.004"))
    return str(path)


def run(recipe, path, seeds=1, **options):
    return study.run_study("ct", recipe, "logistic-regression", seeds, path, **options)


def test_one_thing_is_varied_at_a_time_and_the_first_seed_of_all_comes_first():
    found = study.variants(2)

    assert len(set(found)) == len(found) == 2 * 9
    assert found[0] == BASE
    assert [one.seed for one in found] == [0] * 9 + [1] * 9
    for one in found:
        assert sum(getattr(one, name) != getattr(BASE, name) for name in ("side", "images", "epsilon")) <= 1


def test_a_smaller_image_shows_the_same_field_of_view():
    ramp = np.linspace(0.1, 0.9, 16, dtype=np.float64)[None, :].repeat(16, 0)
    split = make_split(np.stack([ramp, ramp.T])[:, None], np.array([0, 1]))

    small, _ = study.at_side(split, 8).batch()

    pairs = ramp.reshape(16, 8, 2).mean(2)[:8]  # of a straight ramp every symmetric mean is the middle
    assert small[0, 0, :, 1:-1].numpy() == pytest.approx(pairs[:, 1:-1], abs=2e-5)
    assert torch.equal(small[0, 0], small[1, 0].T)
    assert study.at_side(split, 16) is split


def test_a_smaller_image_averages_noise_over_all_that_it_covers():
    noise = np.random.default_rng(0).normal(0.5, 0.05, (8, 1, 64, 64))
    split = make_split(noise, np.arange(8) % 2)

    small, _ = study.at_side(split, 32).batch()

    # The triangle takes 1/8, 3/8, 3/8, 1/8 along each axis: an SD of 20/64 in two dimensions; two pixels alone give 1/2.
    assert float(small[:, :, 2:-2, 2:-2].std()) / 0.05 == pytest.approx(20 / 64, rel=0.04)


@pytest.mark.parametrize("modality", ["ct", "mri"])
@pytest.mark.parametrize("name", ["n-fgsm", "pgd-at", "paper-two-stage", "trades-awp"])
@pytest.mark.parametrize("images", [200, 400, 800, 1600])
def test_every_variant_sees_as_many_batches_and_is_chosen_at_the_headline(modality, name, images):
    recipe = read_recipe(name, modality)

    own = study.varied(recipe, replace(BASE, images=images, epsilon="0.008"))

    assert own.epochs * (images // own.batch) == pytest.approx(
        recipe.epochs * (1600 // recipe.batch), rel=0.05
    )
    shares = [[s.epochs / r.epochs for s in r.attack.stages] for r in (own, recipe)]
    assert shares[0] == pytest.approx(shares[1], abs=0.02)
    assert own.epsilon == pytest.approx(2 * recipe.epsilon)
    assert own.validation.epsilon == recipe.validation.epsilon == 0.004
    assert any(epoch_passes(own, n + 1, images, 400).forward for n in range(own.epochs))
    assert study.varied(recipe, BASE).digest == recipe.digest


def test_the_base_is_what_the_command_trains(recipe, tmp_path):
    rows = list(islice(run(recipe, tmp_path / "table.csv"), 4))

    list(train_to_files("ct", recipe, "logistic-regression", 0, tmp_path))

    assert {row.variant for row in rows} == {SMALL}
    assert {row.weights_sha256 for row in rows} == {
        hashlib.sha256((tmp_path / "ct.safetensors").read_bytes()).hexdigest()
    }


def test_the_accuracies_of_a_linear_model_are_its_closed_form():
    model = build("logistic-regression")
    model.pool.output_size = 16
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(1, 256, generator=generator)
    model.weigh = torch.nn.Linear(256, 1)
    model.weigh.weight.data, model.weigh.bias.data = weight, torch.tensor([-0.5 * float(weight.sum())])
    images = 0.5 + 0.02 * torch.randn(64, 1, 16, 16, generator=generator)
    split = make_split(images.numpy(), np.arange(64) % 2)
    images, labels = split.batch()
    margin = (2 * labels - 1) * (((images - 0.5).flatten(1)) @ weight.T)[:, 0]
    split = replace(
        split, labels=np.where((margin > 0).numpy(), labels, 1 - labels)
    )  # right clean, all of them
    smallest = margin.abs() / weight.abs().sum()
    epsilon = float(smallest.median()) * 1.001
    expected = (smallest > epsilon).numpy()

    clean, robust = study.verdicts(
        model.eval(), split, epsilon, study.STEPS, study.STEP, 0, torch.device("cpu")
    )

    assert clean.all()
    assert 0.3 < expected.mean() < 0.7
    assert np.array_equal(robust, expected)


def test_a_study_that_was_interrupted_goes_on_and_gives_the_same_table(recipe, tmp_path, monkeypatch):
    whole, parts, said = tmp_path / "whole.csv", tmp_path / "parts.csv", []
    rows = list(run(recipe, whole))
    list(islice(run(recipe, parts), 5))  # two variants of four ε each, then no more
    asked = []
    trained = study.train
    monkeypatch.setattr(study, "train", lambda *args, **kw: asked.append(args) or trained(*args, **kw))

    again = list(run(recipe, parts, say=said.append))

    assert len(rows) == 4 * 4
    assert as_table(again) == parts.read_text()
    assert parts.read_bytes() == whole.read_bytes()
    assert len(asked) == 2
    assert any("variant 4 of 4: 64 images of 32 pixels, ε 0.008, seed 0" in line for line in said)


def test_another_recipe_is_trained_again(recipe, tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    first = list(run(recipe, path))
    changed = tmp_path / "other" / "tiny.toml"
    changed.parent.mkdir()
    changed.write_text(
        (tmp_path / "tiny.toml").read_text().replace("learning_rate = 1e-3", "learning_rate = 2e-3")
    )

    second = list(run(str(changed), path))

    assert len(read_trained(path)) == len(first) == len(second)
    assert {row.identity for row in first}.isdisjoint(row.identity for row in second)


def test_too_few_training_images_are_refused(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "BASE", replace(SMALL, images=65))

    with pytest.raises(DataError, match=r"the study takes 65 training images, .* has 64"):
        list(run(recipe, tmp_path / "table.csv"))


def test_the_command_prints_and_writes(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("ONCOROBUST_RESULTS", str(tmp_path / "results"))

    done = CliRunner().invoke(main, ["study", "--recipe", recipe, "--architecture", "logistic-regression"])

    assert done.exit_code == 0, done.output
    path = tmp_path / "results" / "phantom" / "ct" / "all.study.csv"
    assert f"wrote {path}" in done.output
    rows = read_trained(path)
    assert len(rows) == 16
    row = next(one for one in rows if one.attacked_at == "0.004")
    assert f"{100 * row.accuracy:.1f} % (" in done.output
    assert row.judged_patients >= 20
    assert row.low is not None


def row_of(variant=BASE, at="0", accuracy=0.5, **changes):
    fixed = Trained(
        variant, "n-fgsm", "vgg16-slim", "abc", "0" * 64, "large", 1000, 350, at, accuracy, 0.4, 0.6
    )
    return replace(fixed, **changes)


def test_the_table_is_read_as_it_was_written(tmp_path):
    rows = [row_of(), row_of(at="0.004", accuracy=0.25, low=None, high=None), row_of(replace(BASE, side=32))]
    path = tmp_path / "all.study.csv"

    save_trained(rows, path)

    assert sorted(map(str, read_trained(path))) == sorted(map(str, rows))
    assert as_table(read_trained(path)) == path.read_text()
    assert read_trained(tmp_path / "none.csv") == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [("0.5", "1.5"), ("0.5", ""), ("n-fgsm", "n-fgsm,"), ("accuracy", "score"), (",1600,", ",x,")],
)
def test_a_damaged_table_is_named(tmp_path, old, new):
    path = tmp_path / "all.study.csv"
    save_trained([row_of()], path)
    path.write_text(path.read_text().replace(old, new, 1))

    with pytest.raises(DataError, match=r"all\.study\.csv is damaged .* run oncorobust study again"):
        read_trained(path)
