"""The packages that play tricks are the ones meant, and importing the benchmark is cheap."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from benchmark.errors import BenchmarkError
from benchmark.robustbench_import import import_robustbench


def test_robustbench_is_the_real_one():
    found = import_robustbench()

    assert callable(found.benchmark), (
        f"robustbench at {found.__path__[0]} is the copy that torchattacks ships"
    )
    assert version("robustbench") == "1.1.1", (
        f"robustbench is {version('robustbench')}, expected 1.1.1; "
        "mend it with: pip install --force-reinstall --no-deps robustbench==1.1.1"
    )


def test_the_stale_copy_is_told_from_the_real_one(monkeypatch, tmp_path):
    (tmp_path / "robustbench").mkdir()
    (tmp_path / "robustbench" / "__init__.py").write_text("")
    for name in [name for name in sys.modules if name.partition(".")[0] == "robustbench"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(
        BenchmarkError, match="stale copy that torchattacks ships; mend it with: pip install --force"
    ):
        import_robustbench()
    monkeypatch.delitem(sys.modules, "robustbench")


def test_a_missing_robustbench_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "robustbench", None)

    with pytest.raises(BenchmarkError, match=r"robustbench does not import .*pip install robustbench==1.1.1"):
        import_robustbench()


def test_torchattacks_is_the_pinned_version():
    assert version("torchattacks") == "3.5.1", (
        f"torchattacks is {version('torchattacks')}, and every verdict depends on it; "
        "mend it with: pip install torchattacks==3.5.1"
    )


@pytest.mark.parametrize(
    "statement",
    [
        "import benchmark",
        "import benchmark.cli, benchmark.pytest_plugin",
        "from benchmark import Record, PROTOCOLS, Modality, ThreatModel",
        "import leaderboard.build",
    ],
)
def test_torch_is_imported_only_where_a_model_is(statement):
    code = f"import sys; {statement}; print(sorted({{'torch', 'torchattacks', 'robustbench'}} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_every_public_name_is_there():
    import benchmark

    assert {name for name in benchmark.__all__ if not hasattr(benchmark, name)} == set()
    assert {"load_split", "load_submission", "evaluate", "Record", "Split"} <= set(benchmark.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        benchmark.nothing  # noqa: B018 - the look-up itself is what raises
