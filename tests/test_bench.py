"""The comparison with other attack codes: passes are counted exactly, and where the truth is known all codes find it."""

import json
import re
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from models import FAB, FGSM, PGD, SQUARE, Linear, oracle_split, small_protocol
from torch import nn

from benchmark.attacks.two_class import TwoClass
from benchmark.bench import compare as comparison
from benchmark.bench import cores
from benchmark.bench.compare import QUESTIONS, ask_for, compare
from benchmark.bench.engine import run_engine
from benchmark.bench.growth import grow
from benchmark.bench.memory import memory
from benchmark.bench.meter import Clock, Cost, Floor, Metered
from benchmark.bench.overhead import measure_overhead
from benchmark.bench.task import finer, make_task, resized, restricted, small
from benchmark.cli import main
from benchmark.errors import ProtocolError
from benchmark.protocol import PROTOCOLS
from benchmark.pytest_plugin import pytest_ignore_collect


def images_of(n):
    return torch.linspace(0.4, 0.6, n * 256).view(n, 1, 16, 16)


class Busy(torch.autograd.Function):
    """Keeps the processor for a while, in both directions."""

    @staticmethod
    def forward(context, images, seconds):
        context.seconds = seconds
        burn(seconds)
        return images.clone()

    @staticmethod
    def backward(context, gradient):
        burn(2 * context.seconds)
        return gradient, None


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


class Slow(Linear):
    def forward(self, images):
        return super().forward(Busy.apply(images, 0.02))


class Sluggish(Linear):
    def forward(self, images):
        return super().forward(Busy.apply(images, 0.001))


# -- the meter -----------------------------------------------------------------------------


def test_each_image_of_each_pass_is_counted_once():
    metered = Metered(Linear())
    labels = torch.zeros(3, dtype=torch.int64)

    with torch.no_grad():
        metered(images_of(5))
    asked = images_of(3).requires_grad_()
    loss = nn.functional.cross_entropy(TwoClass(metered, 1.0)(asked), labels)
    torch.autograd.grad(loss, asked, retain_graph=True)
    torch.autograd.grad(loss, asked)
    metered(images_of(2).requires_grad_())  # a graph that nobody follows back

    assert (metered.forward_passes, metered.backward_passes) == (5 + 3 + 2, 3 + 3)


def test_the_meter_changes_neither_logits_nor_gradients():
    plain, asked, again = Linear(), images_of(4).requires_grad_(), images_of(4).requires_grad_()

    logits, seen = plain(asked), Metered(plain)(again)
    (expected,) = torch.autograd.grad(logits[:, 1].sum(), asked)
    (found,) = torch.autograd.grad(seen[:, 1].sum(), again)

    assert torch.equal(logits, seen)
    assert torch.equal(expected, found)


def test_time_inside_and_outside_of_the_model_are_told_apart():
    metered = Metered(Slow())
    clock = Clock(metered)
    asked = images_of(2).requires_grad_()

    with clock.running():
        logits = metered(asked)
        burn(0.06)
        torch.autograd.grad(logits.sum(), asked)

    assert clock.cost.model == pytest.approx(0.06, abs=0.01)  # 0.02 forward and 0.04 backward
    assert clock.cost.outside == pytest.approx(0.5, abs=0.1)
    assert clock.cost.wall >= clock.cost.seconds - 1e-3


def test_costs_add_up():
    assert Cost(1, 2, 3.0, 1.0, 4.0) + Cost(1, 1, 1.0, 1.0, 1.0) == Cost(2, 3, 4.0, 2.0, 5.0)


def test_the_floor_is_what_passes_take_in_the_bare_model():
    floor = Floor(Slow(), images_of(4))

    floor.sample()
    forward, both = floor.seconds

    assert forward * 4 == pytest.approx(0.02, rel=0.3)
    assert both * 4 == pytest.approx(0.06, rel=0.3)
    assert floor.least(Cost(forward=8, backward=4)) == pytest.approx(2 * 0.02 + 0.04, rel=0.3)


# -- the four codes ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONCOROBUST_CACHE", str(tmp_path_factory.mktemp("cache")))
        split = oracle_split(Linear())
        return make_task(Linear(), split, small_protocol()), Linear().smallest_epsilon(split)


@pytest.fixture(scope="module")
def answers(linear):
    return {name: compare(linear[0], question) for name, question in QUESTIONS.items()}


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_code_finds_the_closed_form(linear, answers, name):
    task, truth = linear
    expected = [(truth <= float(epsilon)).tolist() for epsilon in task.protocol.epsilons]
    result = answers[name]

    if result.theirs is None:
        pytest.skip(f"{result.question.rival.package} is not installed")
    assert {curve: fallen.tolist() for curve, fallen in result.ours.fallen.items()} == dict.fromkeys(
        result.question.rival.curves, expected
    )
    assert {curve: fallen.tolist() for curve, fallen in result.theirs.fallen.items()} == dict.fromkeys(
        result.question.rival.curves, expected
    )


def test_passes_of_stock_pgd_are_those_of_its_definition(linear, answers):
    task, truth = linear
    theirs = answers["pgd"].theirs.cost
    steps, starts = PGD.parameters["steps"], PGD.starts

    standing = sum(int((truth > float(epsilon)).sum()) for epsilon in task.protocol.epsilons)
    fallen = len(truth) * len(task.protocol.epsilons) - standing  # after their first start

    assert theirs.backward == steps * (standing * starts + fallen)
    assert theirs.forward == (steps + 1) * (standing * starts + fallen)


def test_passes_of_ours_are_those_that_the_engine_itself_counts(linear):
    task, _ = linear

    run = run_engine(task, restricted(task.protocol, ["fgsm", "bim"]))

    asked = int((task.clean > 0).sum()) * len(task.protocol.epsilons)
    assert run.costs["fgsm"].backward == asked
    assert run.costs["fgsm"].forward == 2 * asked  # the attack's pass and the judge's
    assert asked <= run.costs["bim"].backward <= 10 * asked


def test_fewer_passes_than_every_other_code(answers):
    assert [r.question.name for r in answers.values() if r.theirs and r.fewer_passes <= 1] == []


def test_what_differs_is_counted(linear, monkeypatch):
    task, truth = linear
    stand = {"pgd": task.images}
    lazy = comparison.Rival("Lazy", "torchattacks", {"pgd": ("pgd",)}, lambda *_: stand)
    question = comparison.Question("pgd", "a curve", ("pgd",), lazy, 1)

    result = compare(task, question)

    expected = [int(((truth > 0) & (truth <= float(epsilon))).sum()) for epsilon in task.protocol.epsilons]
    assert result.differing == {"pgd": expected}
    assert result.theirs.fallen["pgd"].sum(1).tolist() == [2] * 4  # the two that were wrong clean


def test_a_code_that_is_not_installed_leaves_its_place_empty(linear):
    absent = comparison.Rival("Absent", "no-such-package", {"fgsm": ("fgsm",)}, None)

    result = compare(linear[0], comparison.Question("fgsm", "a curve", ("fgsm",), absent, 1))

    assert result.theirs is None
    assert result.differing == {}
    assert np.isnan(result.faster)


def test_nothing_of_the_surroundings_is_changed(linear):
    torch.manual_seed(3)
    np.random.seed(3)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(3)
    np.random.seed(3)

    compare(linear[0], QUESTIONS["paper"])

    assert (torch.rand(1), np.random.rand()) == expected


def test_an_unknown_question_is_named():
    with pytest.raises(ProtocolError, match=r"'?speed'?; expected pgd, worst-case, paper"):
        ask_for(("pgd", "speed"))


# -- overhead and growth -------------------------------------------------------------------


def test_time_outside_of_the_model_is_told_for_each_attack(tmp_path):
    protocol = small_protocol(FGSM, SQUARE)
    task = make_task(Sluggish(), oracle_split(Sluggish()), protocol)

    result = measure_overhead(task)

    assert [share.title for share in result.shares] == ["FGSM", "Square"]
    fgsm = result.shares[0]
    assert fgsm.allowed == 0.10
    assert 0 < fgsm.cost.outside < 1
    assert fgsm.least <= fgsm.cost.seconds * 1.3


def test_the_finer_grid_holds_the_old_one():
    protocol = PROTOCOLS["standard"]

    twice = finer(protocol)

    assert len(twice.epsilons) == 2 * len(protocol.epsilons)
    assert set(protocol.grid) < set(twice.grid)
    assert list(twice.grid) == sorted(twice.grid)
    assert twice.headline in twice.epsilons
    assert all(e in twice.epsilons for spec in twice.attacks for e in spec.epsilons)


def test_the_small_protocol_keeps_grid_and_attacks():
    protocol = PROTOCOLS["standard"]

    less = small(protocol)

    assert less.epsilons == protocol.epsilons
    assert [spec.name for spec in less.attacks] == [spec.name for spec in protocol.attacks]
    assert less.attack("pgd").starts == 5
    assert less.attack("apgd").parameters == {**protocol.attack("apgd").parameters, "steps": 20}
    assert not less.ranked


def test_growth_measures_each_size(tmp_path):
    class Any(Linear):  # takes any size
        def forward(self, images):
            return super().forward(nn.functional.interpolate(images, (16, 16)))

    sizes = list(grow(Any(), oracle_split(Any()), small_protocol(FGSM), [4, 8], [32]))

    assert [(s.varied, s.images, s.epsilons, s.side) for s in sizes] == [
        ("images", 4, 4, 16),
        ("images", 8, 4, 16),
        ("ε", 4, 8, 16),
        ("pixels", 4, 4, 32),
    ]
    assert [s.cost.backward for s in sizes] == [s.right * s.epsilons for s in sizes]
    assert sizes[-1].right == 4


def test_resized_images_have_the_labels_that_the_model_gives():
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 1))
    with torch.no_grad():
        model[2].weight.fill_(1.0)
        model[2].bias.fill_(-0.5)
    split = oracle_split(Linear())

    drawn = resized(model, split, 8, small_protocol())

    assert drawn.images.shape == (20, 1, 8, 8)
    images, labels = drawn.batch()
    assert labels.tolist() == (images.mean((1, 2, 3)) > 0.5).long().tolist()


def test_fab_is_measured_too(linear):
    run = run_engine(linear[0], restricted(small_protocol(), [FAB.name]))

    assert run.cost.backward > 0
    assert 0 < run.cost.outside < 1


# -- the command and the test file ---------------------------------------------------------


def test_the_command_writes_tables_and_the_same_as_data(make_submission, tmp_path):
    make_submission()
    folder = tmp_path / "out"

    words = ["bench", "tiny", "--images", "2", "--small", "--what", "compare", "--question", "pgd"]
    told = CliRunner().invoke(main, [*words, "--out", str(folder)])

    assert told.exit_code == 0, told.output
    table, data = (folder / "bench.md").read_text(), json.loads((folder / "bench.json").read_text())
    assert table in told.output
    assert "The curve of PGD" in table
    assert "PGD-10 × 5 (PGD): starts 5, steps 10" in table
    (found,) = data["comparisons"]
    assert f"| {found['ours']['forward']:,} | {found['ours']['backward']:,} |" in table
    assert found["theirs"]["backward"] > 0
    assert len(found["epsilons"]) == len(found["theirs"]["robust_accuracy"]["pgd"]) == 9
    assert set(found["differing"]) == {"pgd"}


def test_the_command_names_what_it_does_not_know():
    told = CliRunner().invoke(main, ["bench", "tiny", "--question", "speed"])

    assert told.exit_code == 2
    assert "unknown question speed" in told.output
    assert "Traceback" not in told.output


@pytest.mark.parametrize(
    ("words", "ignored"),
    [
        (["benchmark/"], True),
        (["benchmark/test_speed.py"], None),
        (["benchmark/test_speed.py::test_x"], None),
    ],
)
def test_the_table_of_speed_is_made_only_when_it_is_named(words, ignored):
    import benchmark

    path = Path(benchmark.__file__).parent / "test_speed.py"
    config = SimpleNamespace(args=words)

    assert path.exists()
    assert pytest_ignore_collect(path, config) is ignored
    assert pytest_ignore_collect(path.with_name("test_robustness.py"), config) is None


# -- memory and cores -------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_images():
    few, many = (memory("vgg16-slim", images, 96) for images in (40, 1240))

    assert 0.1 < few.gigabytes < 2
    assert many.gigabytes < few.gigabytes + 0.04, "the images alone are 0.044 GB as float32"
    assert "1240 images of 96 × 96" in many.line


def test_processes_and_threads_are_timed_on_the_same_passes(monkeypatch):
    monkeypatch.setattr(cores, "SECONDS", 0.3)
    monkeypatch.setattr(cores, "READY", 0.0)
    monkeypatch.setenv("ONCOROBUST_WORKERS", "1")  # other processes would not see the short times

    told = CliRunner().invoke(cores.main, ["vgg16-slim-naive"]).output

    assert re.search(
        r"naive on ct.*: \d+ images a second in one process of 1 threads, \d+ in 1 processes", told
    )
