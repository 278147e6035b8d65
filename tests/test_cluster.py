"""Whoever computes the blocks, however many, and whatever befalls them: the record comes out the same, byte for byte."""

import os
import resource
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from models import random_split, vgg_weights
from safetensors.torch import save

from benchmark import evaluate
from benchmark.errors import ClusterError, SubmissionError
from benchmark.isolation import sandbox
from benchmark.models import build
from benchmark.processes import OWN_COMMAND

pytest.importorskip("distributed", reason="needs oncorobust[cluster]")

from cluster_workers import TWELVE_BLOCKS, Workers, asking, evaluated, eventually

from benchmark.cluster import greeting
from benchmark.cluster.certificates import make_certificates
from benchmark.cluster.crew import connected
from benchmark.cluster.line import Line
from benchmark.cluster.serve import local_cluster


@pytest.fixture
def tiny(make_submission):
    """A submission, and a split of 12 images: as many blocks."""
    return make_submission(weights=[vgg_weights(0)]), random_split(12)


@pytest.fixture
def somewhere_else(monkeypatch, tmp_path):
    """An empty cache from now on: nothing is left of what was computed before."""

    def move(name):
        monkeypatch.setenv("ONCOROBUST_CACHE", str(tmp_path / name))

    return move


@pytest.fixture
def workers(tmp_path):
    """A scheduler in this process; its workers keep their cache apart from whoever asks."""
    with local_cluster(0) as (url, certificates, _):
        found = Workers(url, certificates, tmp_path / "cache of the workers")
        yield found
        for process in found.processes:
            process.kill()
            process.wait()


def after(count, act):
    """A crew's `run` that calls `act` when so many blocks are finished."""

    def wrapped(run):
        def crew(plan, jobs, beside, done):
            ended = []

            def noted(number):
                ended.append(number)
                done(number)
                if len(ended) == count:
                    act()

            return run(plan, jobs, beside, noted)

        return crew

    return wrapped


def test_one_two_and_four_workers_give_the_bytes_of_one_process(tiny, tmp_path, workers, somewhere_else):
    whole = evaluated(tiny, tmp_path / "whole")

    for count in (1, 2, 4):
        while len(workers.processes) < count:
            workers.start()
        somewhere_else(f"cache {count}")
        with workers.asked(count) as (cluster, told):
            found = evaluated(tiny, tmp_path / str(count), crew=cluster.run)

        assert found == whole, f"{count} workers"
        assert told == []
    sent = [path.name for path in (tmp_path / "cache of the workers" / "cluster").glob("*") if path.is_file()]
    assert len(sent) == 3, "weights, images and the evaluation: each was sent once"


def test_the_order_of_blocks_changes_nothing(tiny, tmp_path, workers, somewhere_else):
    whole = evaluated(tiny, tmp_path / "whole")
    somewhere_else("backwards")
    workers.start()

    with workers.asked() as (cluster, _):

        def backwards(plan, jobs, beside, done):
            return cluster.run(plan, jobs[::-1], beside, lambda number: done(len(jobs) - 1 - number))[::-1]

        found = evaluated(tiny, tmp_path / "backwards", crew=backwards)

    assert found == whole


def test_workers_that_leave_by_force_and_others_that_join_change_nothing(
    tiny, tmp_path, workers, somewhere_else
):
    whole = evaluated(tiny, tmp_path / "whole")
    somewhere_else("second")
    first, _ = workers.start(), workers.start()

    def exchange():
        os.kill(first.pid, signal.SIGKILL)
        workers.start(cache=tmp_path / "a cache of its own")

    with workers.asked(2) as (cluster, told):
        found = evaluated(tiny, tmp_path / "found", crew=after(3, exchange)(cluster.run))

    assert found == whole
    assert not [line for line in told if "takes no part" in line]
    assert not psutil.pid_exists(first.pid) or psutil.Process(first.pid).status() == psutil.STATUS_ZOMBIE


def test_a_process_killed_in_a_block_costs_that_block_a_second_try(tiny, tmp_path, workers, somewhere_else):
    whole = evaluated(tiny, tmp_path / "whole")
    somewhere_else("second")
    worker = workers.start()

    def kill():
        workers.computing(worker).kill()

    with workers.asked() as (cluster, told):
        found = evaluated(tiny, tmp_path / "found", crew=after(4, kill)(cluster.run))

    assert found == whole
    assert len(told) <= 1
    assert all(
        "its process was killed, most likely for want of memory; asked for again" in line for line in told
    )


def test_a_block_kept_from_one_worker_goes_back_to_it_when_the_others_are_gone(
    tiny, tmp_path, workers, somewhere_else
):
    whole = evaluated(tiny, tmp_path / "whole")
    somewhere_else("second")
    troubled, other = workers.start(), workers.start()

    def gone(line):
        told.append(line)
        other.kill()

    def stop():
        os.kill(
            workers.computing(troubled).pid, signal.SIGSTOP
        )  # killed between two blocks it would cost none

    with workers.asked(2, limit=20.0) as (cluster, told):
        cluster.tell = gone
        found = evaluated(tiny, tmp_path / "found", crew=after(2, stop)(cluster.run))

    assert found == whole
    assert len(told) == 1
    assert "asked for again" in told[0]


def test_what_the_scheduler_forgets_is_asked_for_again(tiny, tmp_path, workers, somewhere_else, monkeypatch):
    whole = evaluated(tiny, tmp_path / "whole")
    somewhere_else("second")
    workers.start()
    asked_for = []

    def but_one(line, keys, asked, orders, priority, submit_all=Line.submit_all):
        asked_for.append(len(keys))
        if len(asked_for) > 1:
            return submit_all(line, keys, asked, orders, priority)
        never = line.client.submit(print, workers=["tcp://127.0.0.1:9"])
        return [never, *submit_all(line, keys[1:], asked, orders[1:], priority)]

    monkeypatch.setattr(Line, "submit_all", but_one)

    with workers.asked(patience=3.0) as (cluster, told):
        found = evaluated(tiny, tmp_path / "found", crew=cluster.run)

    assert found == whole
    assert asked_for[1:] == [1]
    assert told == [
        f"the scheduler at {workers.url} has forgotten what it was asked for; looking for it for 3 s"
    ]


def test_a_block_that_hangs_is_stopped_and_computed_elsewhere(tiny, tmp_path, workers, somewhere_else):
    whole = evaluated(tiny, tmp_path / "whole")
    somewhere_else("second")
    stuck, _ = workers.start(), workers.start()

    def stop():
        os.kill(workers.computing(stuck).pid, signal.SIGSTOP)

    with workers.asked(2, limit=20.0) as (cluster, told):
        found = evaluated(tiny, tmp_path / "found", crew=after(2, stop)(cluster.run))

    assert found == whole
    assert any("it took longer than 20 s and was stopped; asked for again" in line for line in told)


def test_a_block_that_can_be_computed_nowhere_is_named_after_three_tries(tiny, tmp_path, workers):
    workers.start()

    with (
        workers.asked(limit=0.001) as (cluster, told),
        pytest.raises(SubmissionError) as error,
    ):
        evaluated(tiny, tmp_path / "none", crew=cluster.run)

    assert "no block could be computed: tried 3 times: it took longer than 0 s" in str(error.value)
    assert len(told) == 12 * 2


def test_a_full_disk_on_one_worker_sends_its_blocks_to_the_others(
    tiny, tmp_path, workers, somewhere_else, cache
):
    whole = evaluated(tiny, tmp_path / "whole")
    somewhere_else("second")
    here = os.environ["ONCOROBUST_CACHE"]
    # It shares the folder of whoever asks, so it lacks no data; a block's file is larger than what it may write.
    workers.start(cache=here, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)))
    workers.start()

    with workers.asked(2) as (cluster, told):
        found = evaluated(tiny, tmp_path / "found", crew=cluster.run)

    assert found == whole
    assert told
    assert all("cannot write" in line for line in told)


def test_a_worker_whose_disk_is_full_from_the_start_is_named_before_any_work(tiny, tmp_path, workers, cache):
    workers.start(before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)))

    with (
        workers.asked() as (cluster, _),
        pytest.raises(ClusterError, match="cannot take the data: cannot write"),
    ):
        evaluated(tiny, tmp_path / "none", crew=cluster.run)

    assert not list(cache.glob("blocks/*/block-*"))


def test_a_client_that_dies_and_comes_back_finds_its_blocks(tiny, tmp_path, workers, somewhere_else):
    whole = evaluated(tiny, tmp_path / "whole")
    somewhere_else("second")
    workers.start()
    client = subprocess.Popen(asking(workers.url, workers.certificates, tiny[0], tmp_path / "none"))
    blocks = Path(os.environ["ONCOROBUST_CACHE"])
    eventually(lambda: len(list(blocks.glob("blocks/*/block-*.safetensors"))) >= 2)
    client.kill()
    client.wait()
    kept = len(list(blocks.glob("blocks/*/block-*.safetensors")))
    asked_for = []

    with workers.asked() as (cluster, _):

        def noted(plan, jobs, beside, done):
            asked_for.extend(jobs)
            return cluster.run(plan, jobs, beside, done)

        found = evaluated(tiny, tmp_path / "found", crew=noted)

    assert found == whole
    assert len(asked_for) == 12 - kept


def test_a_scheduler_that_is_lost_and_started_again_goes_on(tiny, tmp_path, somewhere_else):
    whole = evaluated(tiny, tmp_path / "whole")
    somewhere_else("second")
    certificates, file = make_certificates(tmp_path / "certificates"), tmp_path / "address"

    def schedule(port):
        words = [*OWN_COMMAND, "cluster", "scheduler", "--port", str(port)]
        words += ["--certificates", str(certificates), "--file", str(file)]
        return subprocess.Popen(words, stdout=subprocess.DEVNULL)

    schedulers = [schedule(0)]
    url = eventually(lambda: file.exists() and file.read_text().strip())
    workers = Workers(url, certificates, tmp_path / "cache of the workers")
    workers.start()

    def lose():
        schedulers[0].kill()
        schedulers[0].wait()
        schedulers.append(schedule(url.rpartition(":")[2]))

    try:
        with workers.asked() as (cluster, told):
            found = evaluated(tiny, tmp_path / "found", crew=after(3, lose)(cluster.run))
    finally:
        for process in [*schedulers, *workers.processes]:
            process.kill()
            process.wait()

    assert found == whole
    assert [line for line in told if "is lost; looking for it" in line]


def test_a_scheduler_that_is_lost_for_good_ends_in_a_sentence_and_keeps_the_blocks(tiny, tmp_path, cache):
    certificates, file = make_certificates(tmp_path / "certificates"), tmp_path / "address"
    words = [*OWN_COMMAND, "cluster", "scheduler", "--port", "0", "--certificates", str(certificates)]
    scheduler = subprocess.Popen([*words, "--file", str(file)])
    url = eventually(lambda: file.exists() and file.read_text().strip())
    workers = Workers(url, certificates, tmp_path / "cache of the workers")
    workers.start()

    try:
        with workers.asked() as (cluster, _):
            cluster.line.patience = 3.0
            with pytest.raises(ClusterError) as error:
                evaluated(tiny, tmp_path / "none", crew=after(3, scheduler.kill)(cluster.run))
    finally:
        for process in [scheduler, *workers.processes]:
            process.kill()
            process.wait()

    assert "was lost and did not come back within 3 s; 3 of 12 parts" in str(error.value)
    assert len(list(cache.glob("blocks/*/block-*.safetensors"))) == 3


# -- before any work -------------------------------------------------------------------------


def test_another_version_on_a_worker_is_named_before_any_work(tiny, tmp_path, workers, cache, monkeypatch):
    workers.start()
    mine = greeting.ours()
    monkeypatch.setattr(greeting, "ours", lambda: mine | {"engine": 99, "torch": "1.0"})

    with workers.asked() as (cluster, _), pytest.raises(ClusterError) as error:
        evaluated(tiny, tmp_path / "none", crew=cluster.run)

    assert (
        f"has engine {mine['engine']}, here 99; torch {mine['torch'][:12]}, here 1.0; install the same"
        in str(error.value)
    )
    assert not list(cache.glob("blocks/*/block-*"))


def test_no_cluster_at_the_address_is_a_sentence():
    sentence = r"no cluster answers at tcp://127.0.0.1:9 .*is its scheduler running"

    with pytest.raises(ClusterError, match=sentence), connected("tcp://127.0.0.1:9"):
        pass


def test_a_model_given_in_python_is_not_pickled(workers):
    import torch

    workers.start()
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32 * 32, 2))

    with (
        workers.asked() as (cluster, _),
        pytest.raises(ClusterError, match="cannot be sent to other machines"),
    ):
        evaluate(model, random_split(12), TWELVE_BLOCKS, progress=False, crew=cluster.run)


def test_a_stranger_without_the_certificates_is_not_heard(workers, tmp_path):
    strange = make_certificates(tmp_path / "other certificates")
    line = Line(workers.url, strange, 1.0, 1.0)

    with pytest.raises(ClusterError, match="with the certificates of this folder"):
        line.dial(1.0)


# -- submissions with code -------------------------------------------------------------------

# A linear model: of an untrained deep one a few gradients are looked at by chance, and may be found wanting.
CODE = """from benchmark.models import build as named


def build(modality):
    return named("logistic-regression", {"grid": 8})
"""
behind_walls = pytest.mark.skipif(bool(sandbox.complaint()), reason=f"no sandbox here: {sandbox.complaint()}")


@pytest.fixture
def coder(make_code):
    return make_code(
        "coder", CODE, save(build("logistic-regression", {"grid": 8}).state_dict())
    ), random_split(3)


@behind_walls
def test_code_runs_in_the_same_sandbox_on_a_worker(coder, tmp_path, workers, somewhere_else):
    whole = evaluated(coder, tmp_path / "whole")
    somewhere_else("second")
    workers.start(ONCOROBUST_ISOLATION="none")  # which is not asked

    with workers.asked() as (cluster, told):
        found = evaluated(coder, tmp_path / "found", crew=cluster.run)

    assert found == whole
    assert told == []


@behind_walls
def test_a_worker_without_bubblewrap_is_named_before_any_work(coder, tmp_path, workers, cache):
    workers.start(PATH=str(tmp_path))

    with workers.asked() as (cluster, _), pytest.raises(ClusterError) as error:
        evaluated(coder, tmp_path / "none", crew=cluster.run)

    assert "has no sandbox for the code of a submission: bubblewrap (bwrap) is not installed" in str(
        error.value
    )
    assert not list(cache.glob("blocks/*/block-*"))
