"""Walls stand for an ordinary user as they do for root; and without bubblewrap on the machine all but code goes on."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from models import random_split

from benchmark.isolation import sandbox
from benchmark.processes import OWN_COMMAND

ROOT = Path(__file__).parent.parent
CODE = """import torch

class Bright(torch.nn.Module):
    def forward(self, images):
        try:
            open("/etc/hostname").read()
            seen = 100.0
        except OSError:
            seen = 0.0
        gap = images.mean((1, 2, 3)) + seen
        return torch.stack((-gap, gap), 1)

def build(modality):
    return Bright()
"""
TOML = """name = "coder"
title = "A model of the tests"
authors = ["A. Tester"]
licence = "Apache-2.0"
[training]
kind = "none"
[[weights]]
modality = "ct"
files = []
sha256 = []
"""
ASK = """import os, torch
from benchmark.isolation import sandbox
from benchmark.isolation.entered import load_submission
assert not sandbox.complaint(), sandbox.complaint()
images = torch.full((2, 1, 16, 16), 0.25, requires_grad=True)
logits = load_submission({folder!r}, "ct")(images)
(gradient,) = torch.autograd.grad(logits[:, 1].sum(), images)
print(os.getuid(), logits.tolist(), float(gradient.sum()))
"""
NOBODY = 65534


def as_nobody(*command, **given):
    return subprocess.run(
        command,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        **given,
    )


def interpreter():
    """One of this version that nobody may run: this, or the system's."""
    asked = "import sys; print(sys.version_info[:2])"
    for path in (str(Path(sys.executable).resolve()), "/usr/bin/python3"):
        try:
            if as_nobody(path, "-c", asked, env={}).stdout.strip() == str(sys.version_info[:2]):
                return path
        except OSError:
            continue
    return ""


@pytest.fixture
def public():
    """A folder that everybody may read; pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="oncorobust-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(bool(sandbox.complaint()), reason=f"no sandbox here: {sandbox.complaint()}")
def test_an_ordinary_user_gets_the_same_walls(public):
    if os.getuid() != 0:
        pytest.skip("this user is an ordinary one already, and so were the tests of isolation")
    python = interpreter()
    if not python:
        pytest.skip("no interpreter of this version that an ordinary user may run")
    try:
        readable = as_nobody("/usr/bin/test", "-r", str(ROOT / "benchmark" / "__init__.py")).returncode == 0
    except OSError:
        readable = False
    if not readable:
        pytest.skip(f"{ROOT} cannot be read by an ordinary user")
    folder = public / "coder"
    folder.mkdir()
    (folder / "model.py").write_text(CODE, encoding="utf-8")
    (folder / "submission.toml").write_text(TOML, encoding="utf-8")
    paths = [str(ROOT), *sandbox.libraries()]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}

    done = as_nobody(python, "-B", "-c", ASK.format(folder=str(folder)), env=environment, timeout=240)

    assert done.stdout == f"{NOBODY} [[-0.25, 0.25], [-0.25, 0.25]] 2.0\n", done.stderr


def test_a_path_without_bubblewrap_stops_code_alone(make_submission, make_code, tmp_path, monkeypatch):
    """The command itself, on a machine where bwrap is not to be found."""
    monkeypatch.setenv("ONCOROBUST_RESULTS", str(tmp_path / "results"))
    make_submission()
    make_code("coder", f"open({str(tmp_path / 'ran')!r}, 'w')\n{CODE}")
    random_split(6, 64).save(tmp_path / "scans" / "ct-test.safetensors")
    programs = tmp_path / "bin"
    programs.mkdir()
    environment = os.environ | {"PATH": str(programs), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def told(name):
        words = [
            "evaluate",
            name,
            "--modality",
            "ct",
            "--track",
            str(tmp_path / "scans"),
            "--protocol",
            "quick",
        ]
        return subprocess.run(
            [*OWN_COMMAND, *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )

    named, code = told("tiny"), told("coder")

    assert named.returncode == 0, named.stderr
    assert "tiny" in named.stdout
    assert code.returncode == 2
    for part in ("bubblewrap (bwrap) is not installed", "apt-get install bubblewrap", "--isolation none"):
        assert part in code.stderr
    assert "Traceback" not in code.stderr
    assert not (tmp_path / "ran").exists()


# -- the command line for a GPU ----------------------------------------------------------------


def test_the_devices_of_a_gpu_are_bound_and_nothing_else_of_dev(monkeypatch, tmp_path):
    present = ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset"]
    monkeypatch.setattr(sandbox, "DEVICES", tmp_path)
    (tmp_path / "nvidia-caps").mkdir()
    for name in (*present, "sda", "mem"):
        (tmp_path / name).touch()

    words = sandbox.command(["worker.py"], None, (), cuda=True)
    without = sandbox.command(["worker.py"], None, (), cuda=False)

    bound = [words[at + 1] for at, word in enumerate(words) if word == "--dev-bind"]
    assert sorted(bound) == sorted(["/dev/null", "/dev/urandom", *(str(tmp_path / name) for name in present)])
    at = words.index("/sys")
    assert words[at - 1 : at + 2] == ["--ro-bind", "/sys", "/sys"]
    assert "/sys" not in without
    assert [without[at + 1] for at, word in enumerate(without) if word == "--dev-bind"] == [
        "/dev/null",
        "/dev/urandom",
    ]
    assert words.index("--remount-ro") < words.index("--")
