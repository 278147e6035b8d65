"""The codes that `independent.py` sets on our survivors are set up rightly: on a linear model they are exact."""

import json

import independent
import numpy as np
import pytest
from models import Linear, oracle_split

from benchmark.attacks.guard import guarded
from benchmark.attacks.two_class import gap, margins, temperature
from benchmark.threat_model import ThreatModel

EPSILON = 0.004
LIBRARY = {"foolbox": "foolbox", "art": "art"}


@pytest.mark.parametrize("name", ["apgd", "foolbox-pgd", "fab", "art-autopgd", "art-pgd"])
def test_a_gradient_code_is_exact_on_a_linear_model(name):
    pytest.importorskip(LIBRARY.get(name.partition("-")[0], "pyautoattack"))
    code, model, split = (
        independent.CODES[name],
        Linear(scale=1e4).requires_grad_(False),
        oracle_split(Linear()),
    )
    truth = Linear().smallest_epsilon(split)
    near = np.abs(truth - EPSILON) < 0.001
    images, labels = (tensor[near] for tensor in split.batch())

    with guarded(model, 1):
        view = code.view(model, temperature(gap(model(images)))).eval()
        proposed = code.attack(view, images, labels, EPSILON).detach()
    allowed = ThreatModel("0.004").project(images, proposed)

    assert (margins(gap(model(allowed)), labels) <= 0).tolist() == (truth[near] <= EPSILON).tolist()
    assert near.sum() == 4


class Survivors:
    """What is read of a record: 120 images, every second of which stands, the last the nearest to being broken."""

    submission, modality, headline, count = "entry", "ct", "0.004", 120

    def __init__(self, weights="w"):
        self.provenance, self.split = {"identity": weights, "temperature": 2.0}, {"sha256": "s"}
        self.image_ids = [f"i{row}" for row in range(self.count)]
        self.minimal_epsilon = np.linspace(0.01, 0.005, self.count)

    def robust(self, epsilon):
        return np.arange(self.count) % 2 == 0


def tried(task, work, margins):
    """Write what a batch would leave."""
    path = task.path(work)
    path.parent.mkdir(exist_ok=True)
    body = {"code": task.code, "subject": task.subject, "temperature": task.temperature, "margins": margins}
    path.write_text(json.dumps(body | {"forward": 10, "backward": 5}))


def test_the_table_counts_survivors_once_and_names_what_fell(tmp_path):
    asked = independent.subjects([(Survivors(), "test")])
    made = independent.tasks(asked, ["apgd", "fab", "square"], tmp_path)
    tried(made[0], tmp_path, {"i0": 0.5, "i2": 0.5, "i1": -0.4})  # i1 is no survivor
    tried(made[2], tmp_path, {"i0": -0.1, "i2": 0.2})

    lines = list(independent.table(asked, ["apgd", "fab", "square"], tmp_path))

    assert lines[1].split()[-6:] == ["2", "0", "0.00%", "10", "5", "0.2500"]
    assert lines[2].split()[-6:] == ["2", "1", "50.00%", "10", "5", "-0.0500"]
    assert lines[4].split() == ["any", "of", "them", "2", "1", "50.00%"]
    assert lines[5] == "  broken: entry · ct · test · i0"


def test_the_nearest_come_first_and_what_was_tried_is_not_tried_again(tmp_path):
    asked = independent.subjects([(Survivors(), "test")])
    made = independent.tasks(asked, ["apgd", "fab"], tmp_path)
    tried(made[0], tmp_path, {f"i{row}": 1.0 for row in made[0].rows})

    left = independent.tasks(asked, ["apgd", "fab"], tmp_path)
    others = independent.tasks(independent.subjects([(Survivors("v"), "test")]), ["apgd"], tmp_path)

    assert [len(task.rows) for task in made] == [50, 10] * 2
    assert made[0].rows[:2] == (118, 116)
    assert [(task.code, len(task.rows)) for task in left] == [("apgd", 10), ("fab", 50), ("fab", 10)]
    assert [len(task.rows) for task in others] == [50, 10]  # other weights: nothing is known of them
