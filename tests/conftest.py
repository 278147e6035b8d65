"""Every test keeps its files in a folder of its own, and never starts more than one process unasked."""

import hashlib

import pytest
import torch
from click.testing import CliRunner
from hypothesis import settings
from models import Wobbly, random_split, tiny_split, vgg_weights
from safetensors.torch import save

from benchmark.cli import main
from benchmark.kernels import fix_kernels

fix_kernels()  # as in programs of ours, which are held to what is computed here
settings.register_profile("here", database=None, deadline=None, max_examples=60)
settings.load_profile("here")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of this test alone; one worker unless the test asks for more."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ONCOROBUST_CACHE", str(folder))
    monkeypatch.setenv("ONCOROBUST_WORKERS", "1")
    monkeypatch.delenv("ONCOROBUST_RAN_BY", raising=False)
    return folder


@pytest.fixture
def submissions(tmp_path, monkeypatch):
    """An empty submissions folder, the one that names are looked up in."""
    folder = tmp_path / "submissions"
    folder.mkdir()
    monkeypatch.setenv("ONCOROBUST_SUBMISSIONS", str(folder))
    return folder


@pytest.fixture
def run(submissions, tmp_path, monkeypatch):
    """Type a command; its records go to a folder of this test."""
    monkeypatch.setenv("ONCOROBUST_RESULTS", str(tmp_path / "results"))
    return lambda line: CliRunner().invoke(main, line.split())


@pytest.fixture
def scans(tmp_path):
    """A folder with a prepared split, which the quick protocol cuts into two blocks."""
    folder = tmp_path / "scans"
    folder.mkdir()
    random_split(40).save(folder / "ct-test.safetensors")
    return folder


TOML = """
name = "{name}"
title = "A model of the tests"
authors = ["A. Tester"]
licence = "Apache-2.0"
architecture = "{architecture}"
{more}
[training]
kind = "none"

[[weights]]
modality = "ct"
trained_on = "phantom"
files = [{files}]
sha256 = [{sha256}]
"""


@pytest.fixture
def make_submission(submissions):
    """Write a submission folder: make_submission("name", weights=[state, ...], **changes of its toml)."""

    def make(
        name="tiny",
        architecture="vgg16-slim",
        more="architecture_options = { divisor = 64 }",
        weights=None,
        edit=str,
    ):
        folder = submissions / name
        folder.mkdir()
        files, sums = [], []
        for number, state in enumerate([vgg_weights(0)] if weights is None else weights):
            content = state if isinstance(state, bytes) else save(state)
            (folder / f"ct-{number}.safetensors").write_bytes(content)
            files.append(f'"ct-{number}.safetensors"')
            sums.append(f'"{hashlib.sha256(content).hexdigest()}"')
        text = TOML.format(
            name=name, architecture=architecture, more=more, files=", ".join(files), sha256=", ".join(sums)
        )
        (folder / "submission.toml").write_text(edit(text), encoding="utf-8")
        return folder

    return make


@pytest.fixture
def make_code(submissions):
    """Write a submission folder with code: make_code("name", source of model.py, weights as bytes)."""

    def make(name, source, weights=None, more=""):
        folder = submissions / name
        folder.mkdir()
        (folder / "model.py").write_text(source, encoding="utf-8")
        files = sums = ""
        if weights is not None:
            (folder / "ct.safetensors").write_bytes(weights)
            files, sums = '"ct.safetensors"', f'"{hashlib.sha256(weights).hexdigest()}"'
        text = TOML.format(name=name, architecture="", more=more, files=files, sha256=sums)
        (folder / "submission.toml").write_text(text, encoding="utf-8")
        return folder

    return make


@pytest.fixture
def constant(make_submission):
    """A submission that answers disease for every image."""
    weights = [{"logits": torch.tensor([-0.5, 0.5])}]
    return make_submission("constantlike", architecture="constant", more='kind = "baseline"', weights=weights)


@pytest.fixture
def wobbly():
    """A small smooth model and images of which it gets most right; none of it is linear."""
    model = Wobbly()
    return model, tiny_split(model)
