"""Every entry in turn, small ones first; what stops it costs nothing that was finished; and what it was thought to take."""

import hashlib
import threading

import pytest
from click.testing import CliRunner
from models import vgg_weights
from safetensors.torch import save

from benchmark.cli import main
from benchmark.cluster import farm as farming
from benchmark.cluster.farm import Farm, run_farm, summary
from benchmark.cluster.forecast import Measured, measure, predict
from benchmark.evaluation.engine import here

RECORDS = "private/results-quick/scans/ct"


@pytest.fixture
def farm(make_submission, scans, tmp_path, monkeypatch):
    """Three entries: a small one, a larger one, and one whose weights are gone."""
    monkeypatch.setenv("ONCOROBUST_RESULTS", str(tmp_path / "results"))
    make_submission("larger", weights=[vgg_weights(0), vgg_weights(1)])
    make_submission("small", weights=[vgg_weights(0)])
    (make_submission("broken") / "ct-0.safetensors").unlink()
    return Farm("ct", str(scans), "quick", "cpu")


def test_small_entries_come_first_and_one_that_fails_stops_no_other(farm, tmp_path):
    said = []

    in_time = run_farm(farm, None, None, said.append, progress=False)

    assert in_time
    assert [line.partition(" ")[0] for line in said] == ["broken", "small", "larger"]
    assert "failed: submission 'broken', ct: weights file 'ct-0.safetensors' cannot be read" in said[0]
    assert all(": evaluated in " in line for line in said[1:])
    told = list(summary(farm))
    assert "failed: submission 'broken'" in told[0]
    assert told[1].startswith("small · ct: clean ")
    assert told[-1] == "2 done, 1 failed"


def test_several_entries_at_once_on_a_cluster_give_the_records_of_one_after_the_other(
    farm, scans, cache, tmp_path, monkeypatch
):
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    line = f"evaluate --all --modality ct --track {scans} --protocol quick".split()
    alone = CliRunner().invoke(main, line)
    records = {path.name: path.read_bytes() for path in cache.glob(f"{RECORDS}/*.*") if _compared(path)}
    monkeypatch.setenv("ONCOROBUST_CACHE", str(tmp_path / "another"))

    together = CliRunner().invoke(main, [*line, "--cluster", "local:2"])

    assert len(records) == 4, alone.output  # a table and its description of each of the two that work
    for name, content in records.items():
        assert (tmp_path / "another" / RECORDS / name).read_bytes() == content
    assert together.exit_code == alone.exit_code
    assert (
        "failed: submission 'broken', ct: weights file 'ct-0.safetensors' cannot be read" in together.output
    )
    assert "2 done, 1 failed" in CliRunner().invoke(main, [*line, "--summary"]).output
    assert not list((tmp_path / "another").glob("blocks/*/*"))


def _compared(path):
    return path.suffix in (".json", ".csv") and "." not in path.stem  # not what tells seconds


def test_a_second_run_verifies_and_a_mended_entry_is_no_longer_failed(farm, submissions):
    run_farm(farm, None, None, lambda line: None, progress=False)
    content = save(vgg_weights(0))
    toml = submissions / "broken" / "submission.toml"
    found = next(word for word in toml.read_text().split('"') if len(word) == 64)
    toml.write_text(toml.read_text().replace(found, hashlib.sha256(content).hexdigest()))
    (submissions / "broken" / "ct-0.safetensors").write_bytes(content)
    said = []

    run_farm(farm, None, None, said.append, progress=False)

    assert sorted(line.split(": ")[1].partition(" ")[0] for line in said) == [
        "evaluated",
        "verified",
        "verified",
    ]
    assert list(summary(farm))[-1] == "3 done"


def test_when_the_budget_is_spent_finished_blocks_are_kept_and_the_next_run_goes_on(farm, monkeypatch):
    clock = iter([0.0, *[1.0] * 5, *[9e9] * 1000])
    monkeypatch.setattr(farming.time, "monotonic", lambda: next(clock))
    said = []

    in_time = run_farm(farm, None, 1.0, said.append, progress=False)
    monkeypatch.undo()

    assert not in_time
    assert "the budget is spent; finished blocks are kept" in said[-1]


def test_a_budget_stops_between_blocks(farm, monkeypatch):
    done = []

    def slow(plan, jobs, beside, ended):
        def noted(number):
            done.append(number)
            farming.time.sleep(0)
            ended(number)

        return here(plan, jobs, beside, noted)

    timed = farming._timed(slow, 0.0, _held())
    monkeypatch.setattr(farming, "here", timed)

    told = farming._one(farm, "small", "ct", timed, False)

    assert "small · ct: the budget is spent" in told
    assert done == [0]
    (line,) = [line for line in summary(farm) if line.startswith("small")]
    assert line == "small · ct: 1 of 2 blocks"


def _held():
    lock = threading.Lock()
    lock.acquire()
    return lock


def test_all_and_a_name_exclude_each_other(farm):
    for words in (["evaluate"], ["evaluate", "small", "--all"]):
        said = CliRunner().invoke(main, words)

        assert said.exit_code == 2
        assert "name one SUBMISSION, or --all of them" in said.output


def test_the_summary_is_printed_from_the_files_alone(farm, scans):
    said = CliRunner().invoke(
        main,
        ["evaluate", "--all", "--modality", "ct", "--track", str(scans), "--protocol", "quick", "--summary"],
    )

    assert said.exit_code == 0, said.output
    assert said.output.splitlines()[-1] == "3 waiting"


# -- forecasts -------------------------------------------------------------------------------


def test_a_prediction_counts_the_passes_that_are_made_and_is_compared_with_them(make_submission, scans):
    make_submission("small", weights=[vgg_weights(0)])
    line = ["--modality", "ct", "--track", str(scans), "--protocol", "quick", "--device", "cpu"]

    planned = CliRunner().invoke(
        main, ["plan", "--like", "small", *line, "--entries", "10", "--images", "100000"]
    )
    evaluated = CliRunner().invoke(main, ["evaluate", "small", *line])

    assert planned.exit_code == 0, planned.output
    assert "10 entries × 100,000 images: 31,250 blocks" in planned.output
    (told,) = [line for line in evaluated.output.splitlines() if line.startswith("predicted ")]
    assert "passes; it took " in told


def test_the_measured_block_is_the_one_that_is_evaluated(make_submission, scans):
    make_submission("small", weights=[vgg_weights(0)])

    found = measure("small", "ct", str(scans), "quick", "cpu")

    assert (found.block, found.images, found.draws) == (32, 40, 0)
    assert found.forward > found.backward > 0
    assert found.memory > 100


MEASURED = Measured(
    "a", "ct", "phantom", "standard", "cpu", 50, 200, 10.0, 5000, 4000, 10**6, 2.0, 1.0, 0.5, 4, 500.0
)


def test_a_prediction_of_one_entry_counts_whole_rounds_of_blocks():
    two, three = predict(MEASURED, workers=2), predict(MEASURED, workers=3)

    assert two.blocks == 4
    assert two.passes == 4 * 9000
    assert two.seconds == pytest.approx(2 + 2 * 1.0 + (4 * 10 + 2) / 2)
    assert three.seconds == pytest.approx(2 + 2 * 1.0 + 20.0)
    assert three.memory == 1500


def test_a_prediction_of_many_grows_with_entries_and_images():
    one, many = predict(MEASURED, workers=8), predict(MEASURED, entries=100, images=10_000, workers=8)

    assert many.passes == 100 * 50 * one.passes
    assert many.work == pytest.approx(100 * (200 * 10 + 2))
    assert many.seconds > many.work / 8
