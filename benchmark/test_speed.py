"""What `pytest benchmark/test_speed.py` runs: what a pass, an attack and a curve take, and our engine beside other codes.

It holds no logic and asserts no time. It runs only when it is named, since it says nothing of an entry's robustness;
`oncorobust bench` makes the same tables at any size.
"""

import pytest

from benchmark.bench.compare import QUESTIONS, compare
from benchmark.bench.engine import run_engine
from benchmark.bench.meter import Floor
from benchmark.bench.report import Report
from benchmark.bench.run import small_task
from benchmark.bench.task import restricted

# How many times fewer passes ours must need for the same answer. Passes are counted, so these do not flicker.
FEWER = {
    ("vgg16-slim-naive", "pgd"): 3.5,
    ("vgg16-slim-naive", "worst-case"): 7.0,
    ("vgg16-slim-naive", "paper"): 7.0,
    ("vgg16-slim-pgd-at", "pgd"): 4.0,
    ("vgg16-slim-pgd-at", "worst-case"): 6.5,
    ("vgg16-slim-pgd-at", "paper"): 4.4,
}


@pytest.fixture(scope="module")
def task():
    return small_task("vgg16-slim-pgd-at")


@pytest.fixture(scope="module")
def bare(task):
    return Floor(task.attacked, task.images)


def test_one_forward_pass(benchmark, bare):
    benchmark(bare.forward)


def test_one_forward_and_backward_pass(benchmark, bare):
    benchmark(bare.both)


@pytest.mark.parametrize("attack", ["fgsm", "bim", "pgd", "apgd", "fab", "square"])
def test_one_curve_over_the_grid(benchmark, task, attack):
    run = benchmark.pedantic(run_engine, (task, restricted(task.protocol, [attack])), rounds=1)

    benchmark.extra_info.update(forward=run.cost.forward, backward=run.cost.backward)


@pytest.mark.parametrize(("name", "question"), FEWER)
def test_the_same_answer_with_fewer_passes(name, question, capsys):
    task = small_task(name)
    result = compare(task, QUESTIONS[question])

    with capsys.disabled():
        print("\n\n" + Report(task.protocol, [result]).markdown())
    if result.theirs is None:
        pytest.skip(f"{result.question.rival.package} is not installed")
    assert max(max(counts) for counts in result.differing.values()) <= 1
    assert result.fewer_passes >= FEWER[name, question]
