"""What is installed from the wheel works without the repository, and does not keep anyone waiting."""

import os
import subprocess
import sys
import time
import zipfile

import pytest

from benchmark.folders import ROOT

IMPORT, HELP = 0.3, 0.5  # seconds


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of the files that a clone has."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    names = subprocess.run(
        [
            "git",
            "ls-files",
            "-co",
            "--exclude-standard",
            "-z",
            "benchmark",
            "leaderboard",
            "*.toml",
            "*.md",
            "LICENSE",
        ],
        cwd=ROOT,
        capture_output=True,
        check=False,
    ).stdout.split(b"\0")
    if not any(names):
        pytest.skip("not a clone: git does not tell which files belong to it")
    for name in filter(None, names):
        to = source / os.fsdecode(name)
        to.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / os.fsdecode(name)).is_file():
            to.write_bytes((ROOT / os.fsdecode(name)).read_bytes())
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        out,
        source,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Run `oncorobust` of the wheel in an empty folder; nothing of the repository can be imported there."""
    place, here = tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("here")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", place, wheel]
    subprocess.run(pip, check=True, capture_output=True)

    def run(*words, folder=here):
        environment = os.environ | {"PYTHONPATH": str(place), "ONCOROBUST_CACHE": str(here / "cache")}
        program = [sys.executable, "-P", place / "bin" / "oncorobust"]
        return subprocess.run(
            [*program, *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    run.here, run.place = here, place
    return run


def test_the_wheel_holds_what_is_read_at_run_time_and_no_results(wheel):
    names = zipfile.ZipFile(wheel).namelist()

    for part in (
        "benchmark/data/phantom/parts/ct-test-1.safetensors",
        "benchmark/data/manifests/lidc-idri-1.csv",
        "benchmark/training/recipes/naive.toml",
        "benchmark/entering/submission.toml.j2",
        "leaderboard/templates/overview.html.j2",
        "leaderboard/static/style.css",
    ):
        assert part in names
    assert not [name for name in names if name.startswith(("leaderboard/results", "submissions", "tests"))]


def test_every_data_file_of_the_packages_is_in_the_wheel(wheel):
    named = subprocess.run(
        ["git", "ls-files", "benchmark", "leaderboard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()

    left = {name for name in named if (ROOT / name).exists()} - set(zipfile.ZipFile(wheel).namelist())

    # Records are what a clone is for; the maps of the house and its pictures are looked at there.
    for_clones = ("leaderboard/results/", "leaderboard/screenshots/")
    assert {n for n in left if not n.startswith(for_clones) and not n.endswith("README.md")} == set()


def test_what_is_installed_evaluates_an_entry_of_ones_own(installed):
    made = installed("new-submission", "mine", "--architecture", "constant", "--modality", "ct")
    assert made.returncode == 0, made.stderr
    assert (installed.here / "submissions" / "mine" / "submission.toml").is_file()

    for words in (
        ("check", "mine"),
        ("evaluate", "mine", "--modality", "ct", "--protocol", "quick"),
        ("leaderboard",),
        ("data", "status"),
    ):
        done = installed(*words)
        assert done.returncode == 0, done.stderr

    assert (installed.here / "leaderboard" / "site" / "index.html").is_file()


def test_nobody_waits_for_an_import_or_for_help():
    def fastest(code):
        def once():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)
            return time.perf_counter() - start

        return min(once() for _ in range(7))

    bare = fastest("pass")

    assert fastest("import benchmark") - bare < IMPORT
    assert fastest("from benchmark.cli import main; main(['--help'])") - bare < HELP


def test_help_imports_nothing_heavy():
    code = "import sys; from benchmark.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"

    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout

    heavy = {"torch", "numpy", "scipy", "pandas", "pydantic", "matplotlib", "rich"}
    assert heavy & set(told.split()) == set()
