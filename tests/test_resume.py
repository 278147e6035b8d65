"""Whatever stops an evaluation, and whoever goes on with it: the record comes out the same, byte for byte."""

import multiprocessing
import os
import random
import resource
import signal
import time

import pytest
from models import BIM, FGSM, PGD, random_split, small_protocol, vgg_weights

from benchmark import evaluate, load_submission
from benchmark.errors import DataError
from benchmark.evaluation import housekeeping
from benchmark.evaluation.plan import make_plan, unfinished
from benchmark.protocol import PROTOCOLS

TWELVE_BLOCKS = small_protocol(FGSM, BIM, PGD, block=1, epsilons=("0.05", "0.1", "0.3"), headline="0.1")
FORK = multiprocessing.get_context("fork")  # a fresh interpreter would take longer to start than to be killed


@pytest.fixture
def tiny(make_submission):
    """A submission, and a split of 12 images: as many blocks."""
    return make_submission(weights=[vgg_weights(0)]), random_split(12)


def evaluated(folder, split, where):
    """The bytes of the record's files."""
    path = evaluate(load_submission(folder, "ct"), split, TWELVE_BLOCKS, progress=False).save(where)
    return path.read_bytes(), path.with_suffix(".csv").read_bytes()


def in_another_process(work, *arguments):
    def run():
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are deaf to it
        work(*arguments)

    child = FORK.Process(target=run)
    child.start()
    return child


def stopped_at_random(number, folder, split, where, times):
    """Start an evaluation again and again, and stop each after a while; how many blocks were there each time."""
    moments, found = random.Random(5), []
    for _ in range(times):
        child = in_another_process(evaluated, folder, split, where)
        time.sleep(moments.uniform(0.05, 0.8))
        os.kill(child.pid, number)
        child.join(60)
        assert child.exitcode is not None, "the process did not stop"
        found.append(sum(each.finished for each in unfinished()))
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_evaluation_stopped_at_random_moments_gives_the_same_record(tiny, tmp_path, monkeypatch, number):
    whole = evaluated(*tiny, tmp_path / "whole")
    monkeypatch.setenv("ONCOROBUST_CACHE", str(tmp_path / "second cache"))

    found = stopped_at_random(number, *tiny, tmp_path / "stopped", 5)
    resumed = evaluated(*tiny, tmp_path / "resumed")

    assert resumed == whole
    assert found == sorted(found), "finished blocks were lost"
    assert not [path for path in (tmp_path / "second cache").rglob(".*") if path.suffix == ".safetensors"]


def test_a_full_disk_is_a_sentence_and_leaves_nothing_half_written(tiny, tmp_path, monkeypatch):
    whole = evaluated(*tiny, tmp_path / "whole")
    monkeypatch.setenv("ONCOROBUST_CACHE", str(tmp_path / "second cache"))
    told = FORK.Queue()

    def on_a_full_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))  # a block's file is larger than that
        try:
            evaluated(*tiny, tmp_path / "none")
        except DataError as error:
            told.put(str(error))

    child = in_another_process(on_a_full_disk)
    sentence = told.get(timeout=60)
    child.join(60)

    assert "block-00000.safetensors" in sentence
    assert not list((tmp_path / "second cache").glob("blocks/*/block-*"))
    assert not (tmp_path / "none").exists()
    assert evaluated(*tiny, tmp_path / "resumed") == whole


def test_shares_computed_apart_and_merged_give_the_bytes_of_one_evaluation(
    run, make_submission, scans, cache, monkeypatch, tmp_path
):
    make_submission(weights=[vgg_weights(0)])
    line = f"tiny --modality ct --protocol quick --track {scans}"
    assert run(f"evaluate {line}").exit_code == 0
    (whole,) = cache.glob("private/results-quick/scans/ct/tiny.json")
    monkeypatch.setenv("ONCOROBUST_CACHE", str(tmp_path / "shared"))

    second = run(f"evaluate {line} --blocks 2/2")
    early = run(f"merge {line}")
    first = run(f"evaluate {line} --blocks 1/2")
    state = run("status").output
    merged = run(f"merge {line}")

    assert "tiny · ct: 1 of 2 blocks are finished" in second.output
    assert early.exit_code == 2
    assert (
        "1 of 2 blocks of tiny on ct are not finished (0); compute them first: oncorobust evaluate"
        in early.output
    )
    assert "tiny · ct: 2 of 2 blocks are finished" in first.output
    assert "tiny · ct · scans · quick: 2 of 2 blocks" in state
    assert merged.exit_code == 0
    (path,) = (tmp_path / "shared").glob("private/results-quick/scans/ct/tiny.json")
    assert path.read_bytes() == whole.read_bytes()
    assert path.with_suffix(".csv").read_bytes() == whole.with_suffix(".csv").read_bytes()
    assert not list((tmp_path / "shared").glob("blocks/*/*")), "a merged evaluation leaves no blocks"


def test_clean_removes_what_it_is_asked_to_and_says_how_much(run, tiny):
    folder, split = tiny
    evaluate(load_submission(folder, "ct"), split, TWELVE_BLOCKS, progress=False)
    assert len(unfinished()) == 1
    before = {each.kind: each for each in housekeeping.kept()}

    result = run("clean blocks adversarial")

    after = {each.kind: each for each in housekeeping.kept()}
    assert result.exit_code == 0
    assert f"blocks: {before['blocks'].megabytes:.1f} MB removed" in result.output
    assert before["blocks"].files == 13
    assert before["adversarial"].files == 1
    assert after["blocks"].files == after["adversarial"].files == 0
    assert after["layouts"].files == before["layouts"].files == 1
    assert run("clean everything").exit_code == 2
    assert "no unfinished evaluation" in run("status").output


def test_a_layout_is_tried_once_and_kept(tiny, cache):
    folder, split = tiny
    model = load_submission(folder, "ct")

    first, second = (
        make_plan(model, split, PROTOCOLS["quick"], _cpu(), cache / "blocks").source for _ in range(2)
    )

    assert first == second
    (path,) = cache.glob("layouts/*")
    path.write_text("contiguous")
    assert make_plan(model, split, PROTOCOLS["quick"], _cpu(), cache / "blocks").source.layout == "contiguous"


def _cpu():
    import torch

    return torch.device("cpu")
