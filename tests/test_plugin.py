"""`pytest benchmark/` answers a wrong request with a sentence, and a broken entry with a failed test."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from models import BIM, FGSM, random_split, small_protocol
from safetensors.torch import save

from benchmark.cli import main
from benchmark.protocol import PROTOCOLS

ROOT = Path(__file__).parent.parent

# A smaller protocol, loaded before the benchmark's own tests; as `-p smaller`.
SMALLER = """
from models import BIM, FGSM, small_protocol
from benchmark.protocol import PROTOCOLS

PROTOCOLS["quick"] = small_protocol(FGSM, BIM, name="quick", ranked=False)
"""


@pytest.fixture
def scans(tmp_path):
    """A folder of one's own with a CT split."""
    random_split(6, 64).save(tmp_path / "scans" / "ct-test.safetensors")
    return str(tmp_path / "scans")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`pytest benchmark/` with some words more, in a process of its own."""
    (tmp_path / "smaller.py").write_text(SMALLER)
    monkeypatch.setenv("ONCOROBUST_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("ONCOROBUST_SITE", str(tmp_path / "site"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT / "tests")]))

    def run(*words, smaller=True):
        plugin = ["-p", "smaller"] if smaller else []
        command = [sys.executable, "-m", "pytest", "benchmark", "-p", "no:cacheprovider", *plugin, *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)

    return run


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--modality", "pet"], "unknown modality 'pet'; expected one of all, ct, mammogram, mri"),
        (
            ["--track", "/no/such/folder"],
            "unknown track '/no/such/folder'; expected phantom, clinical or a folder",
        ),
        (["--submission", "nobody"], "no submission 'nobody'; there are constantlike"),
        (["--submission", "constantlike", "--modality", "mri"], "no entry has weights for modality 'mri'"),
    ],
    ids=["modality", "track", "submission", "weights"],
)
def test_a_wrong_request_is_a_usage_error_with_a_sentence(run, constant, words, sentence):
    done = run(*words, smaller=False)

    assert sentence in done.stdout + done.stderr
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [([], "there is no entry in "), (["--modality", "ct"], "no entry has weights for modality 'ct'")],
)
def test_a_house_without_entries_says_so(run, submissions, words, sentence):
    done = run(*words, smaller=False)

    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {sentence}" in done.stderr
    for word in ("Traceback", "pytest_plugin.py", "UsageError"):
        assert word not in done.stdout + done.stderr


def test_an_entry_that_cannot_be_read_is_told_in_a_sentence(run, submissions):
    (submissions / "broken").mkdir()
    (submissions / "broken" / "submission.toml").write_text("name = ", encoding="utf-8")

    done = run(smaller=False)

    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "submission 'broken': submission.toml is not valid TOML" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_an_entry_is_evaluated_with_a_table_and_a_page(run, constant, cache, scans):
    done = run("--protocol", "quick", "--submission", "constantlike", "--modality", "ct", "--track", scans)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 evaluated, 0 verified" in done.stdout
    assert "page: " in done.stdout
    assert not list((cache.parent / "results").glob("**/*"))  # one's own images stay private
    (record,) = cache.glob("private/results-quick/scans/ct/constantlike.json")
    assert json.loads(record.read_text("utf-8"))["protocol"]["name"] == "quick"


def test_a_broken_entry_is_a_failed_test_whose_report_is_the_sentence(run, constant, scans):
    next(constant.glob("*.safetensors")).write_bytes(b"damaged")

    done = run("--protocol", "quick", "--modality", "ct", "--track", scans)

    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "submission 'constantlike', ct: weights file 'ct-0.safetensors' has sha256" in done.stdout
    assert "Traceback" not in done.stdout
    assert "pytest_plugin.py" not in done.stdout


def test_further_trainings_are_verified_with_their_record(run, constant, cache, scans, monkeypatch):
    (constant / "1.safetensors").write_bytes(content := save({"logits": torch.tensor([0.5, -0.5])}))
    told = f'files = ["1.safetensors"]\nsha256 = ["{hashlib.sha256(content).hexdigest()}"]\n'
    with (constant / "submission.toml").open("a") as file:
        file.write(f'[[weights]]\nmodality = "ct"\ntraining_seed = 1\n{told}')
    monkeypatch.setitem(PROTOCOLS, "quick", small_protocol(FGSM, BIM, name="quick", ranked=False))
    words = ["--protocol", "quick", "--modality", "ct", "--track", scans]
    for command in ("evaluate", "trainings"):
        assert CliRunner().invoke(main, [command, "constantlike", *words]).exit_code == 0
    (path,) = cache.glob("private/results-quick/scans/ct/constantlike.trainings.json")

    good = run("--submission", "constantlike", *words)
    body = json.loads(path.read_text("utf-8"))
    body["trainings"][0]["identity"] = "of other weights"
    path.write_text(json.dumps(body), "utf-8")
    bad = run("--submission", "constantlike", *words)

    assert good.returncode == 0, good.stdout + good.stderr
    assert "constantlike on ct: clean margins of training seeds 1" in good.stdout
    assert bad.returncode == pytest.ExitCode.TESTS_FAILED
    assert "training seed 1 has other weights now" in bad.stdout
    assert "Traceback" not in bad.stdout
