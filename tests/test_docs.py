"""Each command of the README and of CONTRIBUTING runs, or it would rot."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.cli import main
from benchmark.folders import ROOT, results_folder
from leaderboard.build import read_records
from leaderboard.findings import findings
from leaderboard.paper import read_papers
from leaderboard.readme import results_table

DOCUMENTS = ("README.md", "CONTRIBUTING.md")

# Who runs the commands that a test cannot: .ci/run runs these and the suite, a training takes minutes.
RUN_BY_CI = ("python3 -m venv", ".venv/bin/ruff", ".venv/bin/mypy")
SUITE = ".venv/bin/pytest tests/"
TRAINS = ".venv/bin/oncorobust train "


def commands(document):
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / document).read_text("utf-8"), re.S)
    lines = [line.strip() for block in blocks for line in block.splitlines()]  # in a list they are indented
    return [re.split(r"\s+#", line)[0][2:].strip() for line in lines if line.startswith("$ ")]


COMMANDS = [(document, command) for document in DOCUMENTS for command in commands(document)]
RUNNABLE = [c for _, c in COMMANDS if c != SUITE and not c.startswith((*RUN_BY_CI, TRAINS))]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("command", list(dict.fromkeys(RUNNABLE)))
def test_the_command_runs(command, cache):
    environment = os.environ | {"ONCOROBUST_CACHE": str(cache), "ONCOROBUST_SITE": str(cache / "site")}
    environment |= {"PYTHONPATH": str(ROOT)}
    if "my-resnet" in command:  # an entry that the reader makes; the commands that do are run in their order
        environment |= {"ONCOROBUST_SUBMISSIONS": str(cache / "submissions")}
    here = command.replace(".venv/bin/", f"{Path(sys.executable).parent}/")

    done = subprocess.run(
        here, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200, check=False
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("command", [c for _, c in COMMANDS if c.startswith(TRAINS)])
def test_the_training_command_is_understood(command):
    words = command.split()[1:]

    context = main.commands["train"].make_context("train", words[1:])

    assert context.params["recipe"] == "naive"


@pytest.mark.parametrize("mark", ["main-job", "tests"])
def test_ci_finds_the_command_it_takes_from_the_readme(mark):
    readme = (ROOT / "README.md").read_text("utf-8")

    following = readme.split(f"<!-- {mark} -->\n", 1)[1].splitlines()[:2]

    assert following[0] == "```console"
    assert following[1].startswith("$ python3 -m venv .venv && .venv/bin/pip install ")
    assert f"command_after {mark}" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_the_python_example_runs(cache, monkeypatch):
    monkeypatch.setenv("ONCOROBUST_CACHE", str(cache))
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    small = example.replace('protocol="quick"', "protocol=small")
    found = {"small": _two_blocks()}

    exec(compile(small, "README.md", "exec"), found)

    assert 0 <= found["record"].robust_accuracy("0.004") <= found["record"].clean_accuracy


def test_the_results_in_the_readme_are_those_of_the_records():
    records = [r for r in read_records(results_folder("phantom").parent)[0] if r.track == "phantom"]

    papers = read_papers(results_folder("phantom").parent, records)
    readme = (ROOT / "README.md").read_text("utf-8")

    assert records
    assert results_table(records) in readme, "run: python -m leaderboard readme"
    assert findings(records, papers) in readme, "run: python -m leaderboard readme"


def _two_blocks():
    """The quick protocol on a handful of images, so that the example takes a second."""
    from dataclasses import replace

    from benchmark import PROTOCOLS

    quick = PROTOCOLS["quick"]
    return replace(quick, images=6, block=6, attacks=quick.attacks[:3])
