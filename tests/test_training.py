"""Training gives the same weights every time, keeps the best that validation saw, and goes on after a kill."""

import hashlib
import signal
import subprocess
import sys
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import nn
from training_models import TOML, adversarial, bright_split, naive

from benchmark.cli import main
from benchmark.data.split import Split
from benchmark.errors import DataError, ProtocolError, SubmissionError
from benchmark.folders import cache_folder
from benchmark.models import vgg
from benchmark.training import train
from benchmark.training.checkpoint import keeper_for
from benchmark.training.command import train_to_files
from benchmark.training.effort import epoch_passes
from benchmark.training.log import as_csv

# The function of the same name stands before the module in the package.
LOOP = import_module("benchmark.training.train")
NAIVE, ADVERSARIAL = naive(), adversarial()


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    """The same architecture with a 64th of its channels."""
    monkeypatch.setattr(LOOP, "build", lambda name: vgg.VGG16(64))


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

        monkeypatch.setattr(LOOP, "validate", validate)
        return shown

    return say


# -- determinism -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "recipe",
    [
        NAIVE,
        ADVERSARIAL,
        adversarial("n-fgsm"),
        adversarial("trades", averaging={"decay": 0.9}, awp={"gamma": 0.01, "warm_up_epochs": 2}),
    ],
    ids=["naive", "pgd", "n-fgsm", "trades-awp-average"],
)
def test_the_same_seed_gives_the_same_weights_to_the_bit(recipe):
    torch.manual_seed(1)
    first = trained(recipe)
    torch.manual_seed(2)

    second = trained(recipe)

    assert same(first, second)
    assert first.log[-1].loss == second.log[-1].loss


def test_another_seed_gives_other_weights():
    assert not same(trained(seed=0), trained(seed=1))


@pytest.mark.parametrize(
    ("option", "tables"),
    [
        ("averaging", {"averaging": {"decay": 0.9}}),
        ("awp", {"awp": {"gamma": 0.01, "warm_up_epochs": 2}}),
    ],
)
def test_each_option_changes_the_weights(option, tables):
    assert not same(trained(ADVERSARIAL), trained(adversarial(**tables)))


def test_awp_begins_after_its_warm_up(monkeypatch):
    perturbed, begun = LOOP.perturbed, []
    monkeypatch.setattr(LOOP, "perturbed", lambda *given: begun.append(len(told)) or perturbed(*given))
    told = []

    trained(adversarial(awp={"gamma": 0.01, "warm_up_epochs": 3}), report=told.append)

    assert begun == [3, 3]  # the two batches of the fourth epoch


def test_training_leaves_the_random_state_alone():
    torch.manual_seed(1)
    before = torch.random.get_rng_state(), torch.get_num_threads()

    trained()

    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]


# -- what is kept ----------------------------------------------------------------------------


def test_the_best_weights_are_kept_and_not_the_last(validations):
    shown = validations((0.6, np.nan), (0.9, np.nan), (0.7, np.nan))

    result = trained()

    assert (result.best.number, result.best.validation_clean) == (2, 0.9)
    assert all(torch.equal(result.weights[key], shown[1][key]) for key in result.weights)
    assert not torch.equal(shown[1]["head.2.weight"], shown[2]["head.2.weight"])


class Normed(nn.Module):
    """A network with normalisation of its own, into which nothing is put."""

    def __init__(self, outputs=2):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3, 2), nn.GroupNorm(2, 4), nn.ReLU(), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1)
        )
        self.head = nn.Linear(4, outputs)

    def forward(self, images):
        return self.head(self.layers(images).flatten(1))


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_network_with_its_own_normalisation_is_trained_as_it_is(monkeypatch, validations, outputs):
    monkeypatch.setattr(LOOP, "build", lambda name: Normed(outputs))
    shown = validations((0.6, 0.5), (0.6, 0.4))

    result = trained(ADVERSARIAL)

    Normed(outputs).load_state_dict(result.weights)
    # Such a network goes on changing in place after it was the best.
    assert all(torch.equal(result.weights[key], shown[0][key]) for key in result.weights)
    assert not torch.equal(shown[0]["head.weight"], shown[1]["head.weight"])


def test_of_equals_the_first_is_kept(validations):
    validations((0.6, np.nan), (0.9, np.nan), (0.9, np.nan))

    assert trained().best.number == 2


@pytest.mark.parametrize(("ramp", "best"), [(0, (3, 0.5)), (1, (4, 0.4))])
def test_an_adversarial_recipe_is_chosen_by_robust_accuracy_under_the_full_attack_alone(
    monkeypatch, ramp, best
):
    told = []
    answers = {1: (1.0, 0.9), 2: (1.0, 0.99), 3: (0.6, 0.5), 4: (0.9, 0.4)}
    monkeypatch.setattr(LOOP, "validate", lambda *_: answers[len(told) + 1])
    stage = {"epsilon": 0.02, "epochs": 2, "ramp_epochs": ramp}

    result = trained(adversarial(stages=(stage,)), report=told.append)

    assert (result.best.number, result.best.validation_robust) == best


def test_validation_attacks_the_very_weights_it_judges(monkeypatch):
    """Examples made for other weights, or made once, would flatter: the paper's code did so."""
    choosing = import_module("benchmark.training.choosing")
    attacked, judged = [], []
    pgd, plain = choosing.pgd, LOOP.plain

    def spy(model, *rest):
        attacked.append(model.head[2].weight.clone())
        return pgd(model, *rest)

    def seen(model):
        judged.append(plain(model).head[2].weight.clone())
        return plain(model)

    monkeypatch.setattr(choosing, "pgd", spy)
    monkeypatch.setattr(LOOP, "plain", seen)
    trained(ADVERSARIAL)

    assert len(attacked) == 2
    assert torch.equal(attacked[1], judged[-1])
    assert not torch.equal(attacked[0], attacked[1])


def test_the_average_is_what_is_validated_and_kept(validations):
    shown = validations((0.9, np.nan), (0.8, np.nan), (0.8, np.nan))

    result = trained(naive(averaging={"decay": 0.99}))

    assert all(torch.equal(result.weights[key], shown[0][key]) for key in result.weights)


def test_the_log_tells_every_epoch_once():
    told = []

    result = trained(naive(validation={"every": 2}), report=told.append)

    assert tuple(told) == result.log
    assert [epoch.number for epoch in result.log] == [1, 2, 3]
    assert [np.isnan(epoch.validation_clean) for epoch in result.log] == [True, False, False]
    assert np.isnan([epoch.validation_robust for epoch in result.log]).all()


@pytest.mark.parametrize(
    "recipe",
    [
        ADVERSARIAL,
        adversarial("n-fgsm", guard={"images": 8, "steps": 3, "step": 0.5, "fall": 0.9, "slow_down": 0.5, "times": 0}),
        adversarial("trades", awp={"gamma": 0.01, "warm_up_epochs": 3}),
    ],
    ids=["pgd", "n-fgsm-guard", "trades-awp"],
)  # fmt: skip
def test_the_passes_of_the_log_are_those_that_were_made(monkeypatch, recipe):
    counted = {"forward": 0, "backward": 0}

    class Counting(Normed):
        def forward(self, images):
            counted["forward"] += len(images)
            logits = super().forward(images)
            if logits.requires_grad:
                logits.register_hook(
                    lambda gradient: counted.update(backward=counted["backward"] + len(gradient))
                )
            return logits

    monkeypatch.setattr(LOOP, "build", lambda name: Counting())
    monkeypatch.setattr(LOOP, "require_trainable", lambda *_: None)

    log = trained(recipe).log

    assert sum(epoch.forward for epoch in log) == counted["forward"]
    assert sum(epoch.backward for epoch in log) == counted["backward"]
    assert [epoch.forward for epoch in log] == [epoch_passes(recipe, n, 16, 16).forward for n in range(1, 5)]


def test_it_learns_what_is_easy():
    result = trained(naive(naive_epochs=20, learning_rate=5e-3))

    assert result.best.validation_clean == 1.0


# -- the guard -------------------------------------------------------------------------------

GUARD = {"images": 16, "steps": 1, "step": 0.5, "fall": 0.2, "slow_down": 0.5, "times": 1}


def collapsing(monkeypatch, *robust):
    """PGD accuracy on the guard's images, epoch by epoch; validation stays as it is."""
    waiting, shown = list(robust), []

    def accuracies(model, split, *rest):
        if len(split) == 16 and rest[1] == 1:  # the guard asks for one step, validation for two
            shown.append({key: value.clone() for key, value in model.state_dict().items()})
            return 1.0, waiting.pop(0)
        return 0.9, 0.5

    monkeypatch.setattr(LOOP, "accuracies", accuracies)
    return shown


def guarded(epochs=4, **changes):
    return adversarial(
        "n-fgsm", stages=({"epsilon": 0.02, "epochs": epochs},), guard=GUARD | changes, naive_epochs=1
    )


def test_after_a_collapse_the_last_good_epoch_goes_on_with_half_the_learning_rate(monkeypatch):
    said = []
    collapsing(monkeypatch, 0.8, 0.75, 0.55, 0.7, 0.9)

    result = trained(guarded(), say=said.append)
    monkeypatch.undo()
    monkeypatch.setattr(LOOP, "build", lambda name: vgg.VGG16(64))
    collapsing(monkeypatch, 0.8, 0.75, 0.65, 0.7)
    unharmed = trained(guarded())

    assert said == [
        "epoch 4: catastrophic overfitting, PGD-1 accuracy on training images fell from 0.80 to 0.55; "
        "back to epoch 3, with 0.5 times the learning rate"
    ]
    assert [epoch.number for epoch in result.log] == [1, 2, 3, 4, 5]
    assert [epoch.returns for epoch in result.log] == [0, 0, 0, 1, 1]
    rates, usual = ([epoch.learning_rate for epoch in log] for log in (result.log, unharmed.log))
    assert rates == pytest.approx([*usual[:3], usual[3] / 2, usual[4] / 2])


def test_the_weights_after_a_collapse_are_those_from_before_it(monkeypatch):
    go_back, found = LOOP.Course.go_back, []

    def spy(course, slow_down):
        go_back(course, slow_down)
        found.append(LOOP.plain(course.model).state_dict())

    monkeypatch.setattr(LOOP.Course, "go_back", spy)
    shown = collapsing(monkeypatch, 0.8, 0.75, 0.55, 0.7, 0.9)
    trained(guarded())

    assert all(torch.equal(found[0][key], shown[1][key]) for key in found[0])
    assert not all(torch.equal(found[0][key], shown[2][key]) for key in found[0])


def test_it_stops_at_one_collapse_too_many_and_keeps_the_best(monkeypatch):
    said = []
    collapsing(monkeypatch, 0.8, 0.1, 0.1)

    result = trained(guarded(), say=said.append)

    assert said[1].endswith("for the 2th time; stopped: lower learning_rate or ε, or take pgd-at")
    assert result.best.number == 2
    assert [epoch.number for epoch in result.log] == [1, 2]


def test_a_stop_before_any_validation_is_a_sentence(monkeypatch):
    collapsing(monkeypatch, 0.8, 0.1)
    recipe = guarded(times=0).model_copy(update={"validation": adversarial(every=5).validation})

    with pytest.raises(ProtocolError, match="stopped by catastrophic overfitting before any weights"):
        trained(recipe)


def test_one_answer_for_all_images_is_nothing_to_fall_from(monkeypatch):
    """Before it has learnt anything a network gives one answer, and half of its answers stand under attack."""
    said = []
    collapsing(monkeypatch, 0.5, 0.1, 0.2, 0.4)

    assert len(trained(guarded(), say=said.append).log) == 5
    assert said == []


def test_a_network_that_falls_to_a_real_attack_is_caught(monkeypatch):
    """No answers put into its mouth: in one epoch the learnt network is turned against the labels."""
    learn, said = LOOP.learn, []

    def turned(course, recipe, number, *batch):
        loss = learn(course, recipe, number, *batch)
        if number == 22 and not said:
            with torch.no_grad():
                course.model.head[-1].weight.copy_(-course.model.head[-1].weight.abs() * turn)
        return loss

    turn = torch.tensor([[-1.0], [1.0]])
    monkeypatch.setattr(LOOP, "learn", turned)
    stage = {"epsilon": 0.0005, "epochs": 3}
    recipe = adversarial("n-fgsm", stages=(stage,), naive_epochs=20, learning_rate=5e-3, guard=GUARD)

    result = trained(recipe, say=said.append)

    assert len(said) == 1
    assert "fell from 1.00 to 0." in said[0]
    assert (result.log[-1].number, result.log[-1].returns) == (23, 1)


# -- going on after a kill -------------------------------------------------------------------


@pytest.fixture
def scans(tmp_path):
    """A folder with a train and a validation part, and a recipe; no test part to read."""
    for seed, part in enumerate(("train", "validation")):
        bright_split(seed, 24, part=part).save(tmp_path / "scans" / f"ct-{part}.safetensors")
    (tmp_path / "tiny.toml").write_text(TOML, "utf-8")
    return tmp_path / "scans"


START = """
import sys
from importlib import import_module
from benchmark.cli import main
from benchmark.models.vgg import VGG16
import_module("benchmark.training.train").build = lambda name: VGG16(64)
main()
"""


def test_a_killed_training_goes_on_and_ends_in_the_same_file(scans, tmp_path):
    line = f"train --modality ct --track {scans} --recipe {tmp_path}/tiny.toml --out {tmp_path}/".split()
    out, unbroken = [*line[:-1], f"{tmp_path}/a"], [*line[:-1], f"{tmp_path}/b"]
    killed = subprocess.Popen([sys.executable, "-u", "-c", START, *out], stdout=subprocess.PIPE, text=True)
    seen = [killed.stdout.readline() for _ in range(3)]
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert seen[2].startswith("epoch 3/5")
    assert not any((tmp_path / "a").iterdir())

    second, whole = (CliRunner().invoke(main, given).output for given in (out, unbroken))

    # Killed after the line of epoch 3, which is printed when the epoch is kept.
    assert second.splitlines()[0].startswith(("goes on after epoch 3 of 5", "goes on after epoch 4 of 5"))
    assert whole.splitlines()[0].startswith("epoch 1/5")
    for name in ("ct.safetensors", "ct.log.csv", "ct.log.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert second.splitlines()[-1] == whole.splitlines()[-1]
    assert not list((cache_folder() / "training").glob("*"))


def interrupted(recipe, keeper, after):
    """Train and die in the epoch after `after`."""

    def die(epoch):
        if epoch.number == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(recipe, keeper=keeper, report=die)


@pytest.mark.parametrize("rising", [0.1, -0.1], ids=["the last is best", "the first is best"])
@pytest.mark.parametrize("after", [2, 4])
def test_a_resumed_training_knows_its_best_weights_its_guard_and_its_average(monkeypatch, after, rising):
    recipe = guarded(fall=0.3).model_copy(update={"averaging": naive(averaging={"decay": 0.9}).averaging})
    answers = {2: 0.8, 3: 0.75, 4: 0.7, 5: 0.1}

    def accuracies(model, split, epsilon, steps, step, seed, device):
        number = told[-1] + 1
        return (1.0, answers.pop(number, 0.8)) if steps == 1 else (0.9, 0.6 + rising * number)

    monkeypatch.setattr(LOOP, "accuracies", accuracies)
    told = [0]
    keeper = keeper_for("tiny", {"seed": 0}, told.append)
    report = {"report": lambda epoch: told.append(epoch.number)}
    whole = trained(recipe, **report)

    answers.update({2: 0.8, 3: 0.75, 4: 0.7, 5: 0.1})
    told[:] = [0]

    def die(epoch):
        told.append(epoch.number)
        if epoch.number == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(recipe, keeper=keeper, report=die)
    resumed = trained(recipe, keeper=keeper, **report)

    assert same(whole, resumed)
    assert resumed.best == whole.best
    assert as_csv(resumed.log) == as_csv(whole.log)
    assert (
        [epoch.returns for epoch in resumed.log] == [epoch.returns for epoch in whole.log] == [0, 0, 0, 0, 1]
    )


def test_a_checkpoint_of_another_training_is_left_alone(tmp_path):
    said = []
    first = keeper_for("ct-tiny", {"recipe": "a", "seed": 0}, said.append)
    interrupted(NAIVE, first, 1)
    kept = first.path.read_bytes()

    other = keeper_for("ct-tiny", {"recipe": "b", "seed": 0}, said.append)
    assert other.load() is None
    assert said == [f"{first.path.name} is of another recipe: it is left alone, training begins anew"]
    assert first.path.read_bytes() == kept


def test_a_checkpoint_under_a_wrong_name_or_damaged_is_not_used(tmp_path):
    said = []
    first = keeper_for("ct-tiny", {"recipe": "a", "seed": 0}, said.append)
    interrupted(NAIVE, first, 1)
    renamed = replace(first, identity={"recipe": "b", "seed": 1})

    assert renamed.load() is None
    first.path.write_bytes(first.path.read_bytes()[:-40])
    assert first.load() is None

    assert said == [
        f"checkpoint {first.path} is of another recipe, seed: training begins anew",
        f"checkpoint {first.path} is damaged or of another version: training begins anew",
    ]


def test_fresh_begins_anew(scans, tmp_path, monkeypatch):
    def run(say, **options):
        line = ("ct", str(tmp_path / "tiny.toml"), "vgg16-slim", 0, tmp_path / "out")
        return list(train_to_files(*line, say, track=str(scans), **options))

    def die(line):
        if line.startswith("epoch 2"):
            raise KeyboardInterrupt

    said = []
    with pytest.raises(KeyboardInterrupt):
        run(die)
    run(said.append, fresh=True)

    assert said[0].startswith("epoch 1/5")


# -- bad input -------------------------------------------------------------------------------


def refused(error, match, training=None, validation=None, recipe=NAIVE):
    with pytest.raises(error, match=match):
        train("x", recipe, training or bright_split(0), validation or bright_split(1), progress=False)


def test_patients_in_two_parts_are_refused():
    same_patients = bright_split(1, patient_ids=bright_split(0).patient_ids)

    refused(
        DataError, "16 patients are in the train and the validation part; split", validation=same_patients
    )


def test_the_audit_speaks_for_the_test_part():
    found = {"audit": {"overlap": {"test": {"patients": 3}, "validation": {"patients": 0}}}}

    refused(
        DataError, "its audit found 3 patients in the train and the test part", bright_split(0, notes=found)
    )


def test_a_part_of_one_class_is_refused():
    half = bright_split(1).chosen(range(0, 16, 2))

    refused(DataError, "the validation part holds images of class 0 alone", validation=half)


def test_all_complaints_of_the_parts_come_at_once():
    found = {"audit": {"overlap": {"test": {"patients": 3}}}}
    first = bright_split(0, 4, notes=found).chosen([0, 2])

    with pytest.raises(DataError) as raised:
        train("x", NAIVE, first, bright_split(1), progress=False)

    assert [word in str(raised.value) for word in ("audit", "class 0 alone", "batch of 8 is more")] == [
        True
    ] * 3


def test_a_loss_that_is_no_number_stops_with_a_sentence(monkeypatch):
    monkeypatch.setattr(LOOP, "cross_entropy", lambda model, x, y: model(x).sum() * float("nan"))

    refused(ProtocolError, r"diverged in epoch 1: the loss is nan; lower learning_rate \(it is 0.001\)")


def test_a_loss_that_grows_without_bound_stops_with_a_sentence():
    recipe = naive(naive_epochs=30, learning_rate=10.0, clip_gradient=1e9, batch_norm=False)

    refused(ProtocolError, "diverged in epoch", recipe=recipe)


class Breaking(nn.Module):
    def __init__(self, logits):
        super().__init__()
        self.weight, self.logits = nn.Parameter(torch.ones(())), logits

    def forward(self, images):
        return self.weight * self.logits(images)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (nn.Flatten(), "'x' has no weights to train"),
        (
            Breaking(lambda images: images.new_zeros(len(images), 3)),
            r"'x' cannot be trained here: .* \(2, 3\)",
        ),
        (
            Breaking(lambda images: images.new_full((len(images), 2), np.nan)),
            "cannot be trained here: .* NaN",
        ),
        (nn.Conv2d(3, 2, 3), "cannot be trained here: the model raised RuntimeError"),
    ],
)
def test_an_architecture_that_breaks_the_contract_is_refused(monkeypatch, model, sentence):
    monkeypatch.setattr(LOOP, "build", lambda name: model)

    refused(SubmissionError, sentence)


# -- files -----------------------------------------------------------------------------------


def test_training_to_files_writes_weights_that_load_and_never_reads_the_test_part(tmp_path, monkeypatch):
    asked = []

    def load(modality, track="phantom", part="test"):
        asked.append((track, part))
        return bright_split(len(asked))

    monkeypatch.setattr("benchmark.training.command.load_split", load)
    monkeypatch.setattr("benchmark.training.command.read_recipe", lambda *given: NAIVE)
    lines = list(train_to_files("ct", "tiny", "vgg16-slim", 0, tmp_path))

    weights = tmp_path / "ct.safetensors"
    vgg.VGG16(64).load_state_dict(load_file(weights))
    assert lines[-1] == f'sha256 = ["{hashlib.sha256(weights.read_bytes()).hexdigest()}"]'
    assert asked == [("phantom", "train"), ("phantom", "validation")]
    table = (tmp_path / "ct.log.csv").read_text().splitlines()
    assert table[0] == (
        "number,learning_rate,epsilon,loss,validation_clean,validation_robust,forward,backward,returns"
    )
    assert len(table) == 4
    assert b"<svg" in (tmp_path / "ct.log.svg").read_bytes()


def test_a_folder_with_a_test_part_alone_is_refused(tmp_path):
    folder = tmp_path / "own"
    Split.save(bright_split(0), folder / "ct-test.safetensors")

    with pytest.raises(DataError, match=r"holds no ct-train\.safetensors"):
        list(train_to_files("ct", "naive", "vgg16-slim", 0, tmp_path / "out", track=str(folder)))
