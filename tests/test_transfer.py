"""Each entry's adversarial images on every other entry; and evidence from the command line to the files."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from models import FGSM, NOISE, Linear, oracle_split, small_protocol

from benchmark import models
from benchmark.attacks.second_opinion import SECOND_OPINION
from benchmark.attacks.two_class import gap, margins
from benchmark.cli_evidence import external, transfer
from benchmark.data.split import Split
from benchmark.errors import DataError, ProtocolError
from benchmark.evaluation import evidence
from benchmark.evaluation.adversarial import adversarial_file, load_adversarial
from benchmark.evaluation.entry import records_folder, run_entry
from benchmark.evaluation.evidence import add_files, ask_second_opinion
from benchmark.evaluation.external import save_external
from benchmark.evaluation.transfer import transfer as judge_transfer
from benchmark.protocol import PROTOCOLS
from benchmark.record import Record
from benchmark.submission import load_submission


def weights(seed):
    """Of a linear model: 0 is the oracle's own, others lean away from it."""
    state = Linear().state_dict()
    if seed:
        lean = torch.randn(state["weight"].shape, generator=torch.Generator().manual_seed(seed))
        state["weight"] = state["weight"] + 0.3 * lean
    return state


@pytest.fixture
def scans(tmp_path, monkeypatch, make_submission):
    """A folder of one's own with oracle images, and a maker of entries on it."""
    monkeypatch.setitem(models.ARCHITECTURES, "linear", Linear)
    monkeypatch.setitem(PROTOCOLS, "quick", small_protocol(FGSM, name="quick"))
    folder = tmp_path / "scans"
    oracle_split(Linear(), wrong=0).save(folder / "ct-test.safetensors")

    def enter(name, seed, evaluated=True, **toml):
        make_submission(name, architecture="linear", weights=[weights(seed)], **{"more": ""} | toml)
        if evaluated:
            run_entry(name, "ct", str(folder), "quick", progress=False)

    enter.folder = folder
    return enter


def matrix(scans):
    return judge_transfer("ct", str(scans.folder), "quick", progress=False)


def record_of(scans, name):
    return Record.load(records_folder(str(scans.folder), "quick") / "ct" / f"{name}.json")


def expected(scans, source, target):
    """The share of images, right clean, that the source's images turn on the target; worked out from the weights."""
    split = Split.load(scans.folder / "ct-test.safetensors")
    images, labels = split.batch()
    model = Linear()
    model.load_state_dict(load_submission(target, "ct", "own").inner.state_dict())
    with torch.no_grad():
        right = margins(gap(model(images)), labels) > 0
        turned = (
            margins(
                gap(model(torch.from_numpy(np.array(load_adversarial(record_of(scans, source)))))), labels
            )
            <= 0
        )
    return float(turned[right].float().mean())


def test_the_matrix_is_what_each_models_answers_say(scans):
    for name, seed in (("aa", 0), ("bb", 1), ("cc", 2)):
        scans(name, seed)

    found = matrix(scans)

    assert found.submissions == ("aa", "bb", "cc")
    shares = [
        [expected(scans, source, target) for target in found.submissions] for source in found.submissions
    ]
    assert found.success == pytest.approx(np.array(shares))
    assert found.success[0, 0] > found.success[0, 1] > 0  # one's own images hurt most, others' some
    assert found.median == pytest.approx(
        np.median([shares[i][j] for i in range(3) for j in range(3) if i != j])
    )


def test_the_diagonal_is_the_records_own(scans):
    scans("aa", 0)
    scans("bb", 1)

    found = matrix(scans)

    for number, name in enumerate(found.submissions):
        record = record_of(scans, name)
        assert found.success[number, number] == pytest.approx(
            1 - record.robust("0.004").sum() / record.clean_correct.sum()
        )


def test_images_that_are_not_here_leave_a_row_out_and_say_how_to_get_them(scans):
    scans("aa", 0)
    scans("bb", 1)
    adversarial_file(record_of(scans, "aa").provenance["adversarial_sha256"]).unlink()

    found = matrix(scans)

    assert np.isnan(found.success[0]).all()
    assert np.isfinite(found.success[1]).all()
    (sentence,) = found.left_out
    assert "adversarial images of aa on ct are not in the cache" in sentence
    assert "oncorobust evaluate aa --modality ct --fresh" in sentence
    assert "/" not in sentence  # it is written beside the records, and a path is one machine's


def test_images_that_were_changed_leave_a_row_out(scans):
    scans("aa", 0)
    scans("bb", 1)
    path = adversarial_file(record_of(scans, "aa").provenance["adversarial_sha256"])
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\0")

    found = matrix(scans)

    assert np.isnan(found.success[0]).all()
    assert "adversarial images of aa on ct in the cache are damaged" in found.left_out[0]


def test_an_entry_without_a_record_is_named_and_a_baseline_is_not(scans):
    scans("aa", 0)
    scans("bb", 1)
    scans("late", 2, evaluated=False)
    scans("floor", 3, more='kind = "baseline"')

    found = matrix(scans)

    assert found.submissions == ("aa", "bb")
    assert found.left_out == (
        "late has no record of protocol quick; make it: oncorobust evaluate late --modality ct --fresh",
    )


def test_one_entry_alone_is_a_sentence(scans):
    scans("aa", 0)
    scans("late", 2, evaluated=False)

    with pytest.raises(
        ProtocolError, match=r"(?s)needs the records of two entries, there are 1.*late has no record"
    ):
        matrix(scans)


# -- from the command line to the files ----------------------------------------------------------


def typed(command, *words):
    result = CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_transfer_is_printed_and_written(scans):
    scans("aa", 0)
    scans("bb", 1)

    told = typed(transfer, "--modality", "ct", "--track", scans.folder, "--protocol", "quick")

    path = records_folder(str(scans.folder), "quick") / "ct" / "all.transfer.json"
    body = json.loads(path.read_text())
    assert f"wrote {path}" in told
    assert body["success"]["aa"]["bb"] == pytest.approx(expected(scans, "aa", "bb"))
    assert f"{100 * body['success']['aa']['bb']:.1f}" in told
    assert f"median off the diagonal {100 * body['median_off_diagonal']:.1f} %" in told


def weak_entry(scans, monkeypatch):
    """The oracle with a record of noise alone, and images that break it."""
    monkeypatch.setitem(PROTOCOLS, "quick", small_protocol(NOISE, name="quick"))
    scans("aa", 0)
    split = Split.load(scans.folder / "ct-test.safetensors")
    images, labels = split.batch()
    signs = (2 * labels - 1).view(-1, 1, 1, 1) * Linear().weight.detach().sign().view(1, 1, 16, 16)
    path = scans.folder / "sent.safetensors"
    ids = split.image_ids[:6]
    save_external(path, (images - 0.00399 * signs).numpy()[:6], ids, "A. Breaker", "https://example.org")
    return path


def test_external_is_printed_and_written(scans, monkeypatch):
    path = weak_entry(scans, monkeypatch)

    told = typed(external, "aa", "--modality", "ct", "--track", scans.folder, "--protocol", "quick", path)

    assert "by A. Breaker: 6 of 6 images break aa on ct at ε = 0.004, 6 of them for the first time" in told
    assert (
        "best known: at most 70.0 % of all images, 70.0 % balanced (the battery alone: 100.0 and 100.0)"
        in told
    )
    assert (records_folder(str(scans.folder), "quick") / "ct" / "aa.external.json").exists()


def test_a_second_opinion_is_told_and_both_count_together(scans, monkeypatch):
    path = weak_entry(scans, monkeypatch)
    where = ("aa", "ct", str(scans.folder), "quick")
    monkeypatch.setattr(
        evidence, "second_opinion", partial(evidence.second_opinion, attacks=SECOND_OPINION[:1])
    )

    asked = "\n".join(ask_second_opinion(*where, progress=False))
    added = "\n".join(add_files("aa", "ct", [path], str(scans.folder), "quick"))

    assert "pyautoattack 0.2.0 broke 12 of the 20 images that the battery left standing at ε = 0.004" in asked
    assert "best known: at most 40.0 %" in asked
    assert "6 of 6 images break aa on ct at ε = 0.004, 0 of them for the first time" in added
    assert "best known: at most 40.0 %" in added


def test_an_entry_without_a_record_has_nothing_to_stand_beside(scans):
    scans("aa", 0, evaluated=False)

    with pytest.raises(
        DataError, match=r"aa has no record of protocol quick on ct .* oncorobust evaluate aa --modality ct"
    ):
        list(ask_second_opinion("aa", "ct", str(scans.folder), "quick"))
