"""A claim stands beside the measured number, in a file of its own, and never in the record."""

import json

import pytest
from click.testing import CliRunner
from models import BIM, NOISE, small_protocol
from test_leaderboard import Reader

from benchmark.cli import main
from benchmark.errors import DataError
from benchmark.evidence.claims import Claim, compare, read_claims, save_claims
from benchmark.folders import ROOT
from benchmark.protocol import PROTOCOLS
from benchmark.record import Record
from leaderboard.build import build


@pytest.fixture(scope="module")
def record():
    return Record.load(ROOT / "leaderboard/results/phantom/ct/resnet8-gn-naive.json")


def test_a_claim_is_held_against_the_interval(record):
    clean, robust = compare(record, {"clean": 0.9, "robust": 0.95})

    assert (clean.measured, robust.measured) == (record.clean_accuracy, record.robust_accuracy("0.004"))
    assert not clean.outside
    assert robust.outside
    assert robust.sentence.startswith(
        "claimed 95.0 % robust, measured 73.0 %: outside of the interval (64.5–80.7)"
    )


@pytest.mark.parametrize(
    ("claimed", "outside"), [(0.5, False), (0.4, False), (0.6, False), (0.39, True), (0.61, True)]
)
def test_the_ends_of_an_interval_are_inside(claimed, outside):
    assert Claim("clean", claimed, 0.5, 0.4, 0.6).outside is outside


def test_the_board_and_the_entry_say_what_is_outside(record, tmp_path):
    folder = tmp_path / "results" / "phantom" / "ct"
    folder.mkdir(parents=True)
    record.save(folder)
    save_claims(compare(record, {"clean": 0.9, "robust": 0.95}), record, folder)

    site = build(tmp_path / "results", tmp_path / "site").parent

    board = Reader((site / "phantom/ct/index.html").read_text("utf-8"))
    cells = board.cells(record.description["title"])
    told = "claimed 95.0 % robust, measured 73.0 %: outside of the interval (64.5–80.7)"
    assert told in cells["verified"]
    assert "claimed 90.0 % clean, measured 90.5 %: inside" in cells["verified"]
    assert told in (site / "phantom/ct/resnet8-gn-naive.html").read_text("utf-8")


def test_without_an_interval_nothing_is_outside():
    assert not Claim("clean", 1.0, 0.0, None, None).outside


def test_claims_come_back_and_are_measured_anew(record, tmp_path):
    claims = compare(record, {"robust": 0.95})
    path = save_claims(claims, record, tmp_path)

    body = json.loads(path.read_bytes())
    body["claims"][0] |= {"measured": 0.95, "low": 0.9, "high": 1.0, "outside": False}
    path.write_text(json.dumps(body))

    assert read_claims(record, tmp_path) == claims


def test_claims_of_another_record_are_passed_over(record, tmp_path):
    path = save_claims(compare(record, {"clean": 0.9}), record, tmp_path)
    path.write_text(path.read_text().replace(json.loads(path.read_bytes())["record_sha256"], "0" * 64))

    assert read_claims(record, tmp_path) == ()


def test_where_nothing_is_claimed_an_older_file_goes(record, tmp_path):
    path = save_claims(compare(record, {"clean": 0.9}), record, tmp_path)

    assert save_claims((), record, tmp_path) is None
    assert not path.exists()
    assert read_claims(record, tmp_path) == ()


def test_a_damaged_file_says_what_to_do(record, tmp_path):
    (tmp_path / f"{record.submission}.claims.json").write_text("{")

    with pytest.raises(DataError, match="delete it and evaluate the entry again"):
        read_claims(record, tmp_path)


def test_evaluate_says_what_came_of_a_claim(make_submission, tmp_path, monkeypatch):
    monkeypatch.setitem(
        PROTOCOLS, "standard", small_protocol(NOISE, BIM, name="standard", images=20, block=20)
    )
    quick = small_protocol(NOISE, BIM, name="quick", ranked=False, images=20, block=20)
    monkeypatch.setitem(PROTOCOLS, "quick", quick)
    monkeypatch.setenv("ONCOROBUST_RESULTS", str(tmp_path / "results"))
    claim = "[[weights]]\nclaimed = { robust_accuracy = 0.99 }"
    make_submission(edit=lambda text: text.replace("[[weights]]", claim))

    for protocol, expected in (("standard", True), ("standard", True), ("quick", False)):
        done = CliRunner().invoke(main, ["evaluate", "tiny", "--modality", "ct", "--protocol", protocol])
        assert done.exit_code == 0, done.output
        assert ("  tiny · ct: claimed 99.0 % robust, measured " in done.output) is expected
