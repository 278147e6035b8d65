"""The scripts that SLURM is given, read by a shell and, where it can be had, run by a real SLURM of one node."""

import os
import signal
import subprocess

import pytest
from cluster_workers import eventually
from models import vgg_weights
from slurm_node import complaint, slurm

from benchmark.cluster import slurm as scripts
from benchmark.errors import ClusterError
from benchmark.folders import ROOT

REQUEST = {
    "entries": (("an entry", "ct"), ("other", "mri")),
    "options": ("--track", "/a b"),
    "tasks": 3,
    "gpus": 1,
}


@pytest.fixture
def request_(tmp_path):
    return scripts.Request(**REQUEST, limit="01:00:00", folder=tmp_path / "out", lines=("--account=a",))


@pytest.mark.parametrize("form", [scripts.array_scripts, scripts.dask_scripts])
def test_a_shell_reads_the_scripts_and_every_word_is_one_word(request_, form):
    for text in form(request_).values():
        read = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)

        assert read.returncode == 0, read.stderr
        assert "'an entry' --modality ct --track '/a b'" in text
        assert text.startswith("#!/bin/bash\n#SBATCH --job-name=oncorobust-")
        assert "#SBATCH --account=a\n" in text
        assert "#SBATCH --gpus-per-task=1\n" in text
        assert "export HF_HUB_OFFLINE=1\n" in text


def test_every_share_and_every_entry_is_asked_for_once(request_):
    blocks, merge = scripts.array_scripts(request_).values()

    assert "#SBATCH --array=1-3\n" in blocks
    assert blocks.count(' --blocks "$SLURM_ARRAY_TASK_ID/3"') == merge.count(" merge ") == 2


def test_a_share_that_nears_its_time_limit_stops_its_work_and_goes_back_into_the_queue(
    request_, tmp_path, monkeypatch
):
    said = tmp_path / "said"
    for name, text in (
        ("program", f"echo begun $1 > {said}; exec sleep 100"),
        ("scontrol", f'echo "$@" >> {said}'),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(scripts, "_program", lambda: str(tmp_path / "program"))
    (blocks, _) = scripts.write_scripts(request_, scripts.array_scripts(request_))
    told = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2", "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    job = subprocess.Popen(["bash", str(blocks)], env=os.environ | told)
    eventually(lambda: said.exists() and said.read_text())
    job.send_signal(signal.SIGUSR1)

    assert job.wait(30) == 0
    assert said.read_text() == "begun evaluate\nrequeue 7_2\n"


def test_a_dry_run_prints_the_scripts_and_writes_nothing(run, make_submission, scans, tmp_path):
    make_submission()

    said = run(f"slurm tiny --modality ct --track {scans} --out {tmp_path / 'out'} --dry-run")

    assert said.exit_code == 0, said.output
    assert "blocks.sh\n#!/bin/bash" in said.output
    assert "merge.sh\n#!/bin/bash" in said.output
    assert not (tmp_path / "out").exists()


def test_a_word_for_sbatch_of_two_lines_is_refused(tmp_path):
    with pytest.raises(ClusterError, match="must be on one line"):
        scripts.Request(**REQUEST, limit="1", folder=tmp_path, lines=("--a\nrm -r x",))


def test_without_sbatch_it_is_said_where_to_submit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ClusterError, match="there is no sbatch here; copy the scripts"):
        scripts.submit([tmp_path / "blocks.sh"])


@pytest.mark.skipif(bool(complaint()), reason=complaint())
@pytest.mark.parametrize("form", ["array", "dask"])
def test_a_real_slurm_gives_the_record_of_one_process(
    run, make_submission, scans, tmp_path, monkeypatch, cache, form
):
    make_submission(weights=[vgg_weights(0)])
    line = f"tiny --modality ct --protocol quick --track {scans} --device cpu"
    assert run(f"evaluate {line}").exit_code == 0
    (whole,) = cache.glob("private/results-quick/scans/ct/tiny.json")
    monkeypatch.setenv("ONCOROBUST_CACHE", str(tmp_path / "shared"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    node, out = tmp_path / "node", tmp_path / "scripts"
    node.mkdir()

    with slurm(node) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        said = run(f"slurm {line} --form {form} --tasks 2 --time 10 --out {out} --submit")
        assert said.exit_code == 0, said.output
        queue = ["squeue", "--noheader"]
        eventually(lambda: not subprocess.run(queue, capture_output=True, check=False).stdout.strip(), 240)

    logs = "\n".join(path.read_text() for path in sorted(out.glob("*.log")))
    found = list((tmp_path / "shared").glob("private/results-quick/scans/ct/tiny.json"))
    assert found, logs
    assert found[0].read_bytes() == whole.read_bytes()
    assert found[0].with_suffix(".csv").read_bytes() == whole.with_suffix(".csv").read_bytes()
