"""Programs of ours compute by kernels that every processor with AVX2 has."""

import os
import subprocess
import sys

import pytest

from benchmark import kernels
from benchmark.isolation import sandbox
from benchmark.kernels import KERNELS, fix_kernels

HERE = kernels._have_avx2()


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """A machine of one's own."""
    for name in KERNELS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(kernels, "PROCESSORS", tmp_path / "cpuinfo")
    monkeypatch.setattr(kernels.platform, "machine", lambda: "x86_64")
    return lambda text: (tmp_path / "cpuinfo").write_text(text)


def told():
    return {name: os.environ[name] for name in KERNELS if name in os.environ}


def test_a_processor_with_more_is_held_to_avx2(processor):
    processor("flags\t\t: fpu sse4_2 avx avx2 avx512f\nmodel name\t: A\nflags\t\t: fpu avx2\n")
    fix_kernels()
    assert told() == KERNELS


def test_what_was_set_by_hand_stays(processor, monkeypatch):
    processor("flags\t\t: avx2\n")
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    fix_kernels()
    assert told() == KERNELS | {"ATEN_CPU_CAPABILITY": "default"}


@pytest.mark.parametrize(
    "text", ["flags\t\t: fpu avx\n", "flags\t: avx2\nflags\t: avx\n", "Features\t: neon\n", None]
)
def test_one_without_it_is_left_alone(processor, text):
    if text:
        processor(text)
    fix_kernels()
    assert told() == {}


def test_another_kind_of_processor_is_left_alone(processor, monkeypatch):
    processor("flags\t\t: avx2\n")
    monkeypatch.setattr(kernels.platform, "machine", lambda: "aarch64")
    fix_kernels()
    assert told() == {}


@pytest.mark.skipif(not HERE, reason="this processor has no AVX2")
def test_the_tests_compute_as_programs_of_ours_do():
    import torch

    assert torch.backends.cpu.get_cpu_capability() == "AVX2"


# A command that does next to nothing, and a run of pytest that collects entries, each followed by a look at torch.
COMMAND = """
from benchmark.cli import main
main(["schema"], standalone_mode=False)
"""
COLLECTION = """
import pytest
pytest.main(["-q", "--collect-only", "--modality", "ct", "--submission", "constant", {tests!r}])
"""
LOOK = """
import os, torch
print("\\n" + torch.backends.cpu.get_cpu_capability(), *(os.environ.get(name) for name in {names!r}))
"""


@pytest.mark.skipif(not HERE, reason="this processor has no AVX2")
@pytest.mark.parametrize("program", [COMMAND, COLLECTION], ids=["oncorobust", "pytest"])
def test_torch_is_held_to_it_in_programs_of_ours(program):
    benchmark = str(kernels.__file__).removesuffix("kernels.py") + "test_robustness.py"
    text = program.format(tests=benchmark) + LOOK.format(names=tuple(KERNELS))
    free = {name: value for name, value in os.environ.items() if name not in KERNELS}

    found = subprocess.run([sys.executable, "-c", text], env=free, capture_output=True, text=True, check=True)

    assert found.stdout.splitlines()[-1].split() == ["AVX2", *KERNELS.values()]


def test_code_behind_walls_computes_by_the_same(monkeypatch):
    for name in KERNELS:
        monkeypatch.setenv(name, "as here")
    assert {name: sandbox.environment().get(name) for name in KERNELS} == dict.fromkeys(KERNELS, "as here")
