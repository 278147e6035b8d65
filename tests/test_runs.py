"""Who ran an entry stands beside its record, and whether a maintainer came to the same verdicts on the page."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from models import BIM, FGSM, random_split, small_protocol
from test_leaderboard import Reader, make, write

from benchmark.cli import main
from benchmark.errors import DataError
from benchmark.evidence import Run, Runs
from benchmark.evidence.facts import read_facts
from benchmark.evidence.files import beside, read_runs, save_runs
from benchmark.evidence.runs import add_run, compared, sign
from benchmark.protocol import PROTOCOLS
from benchmark.record import Record
from benchmark.record.files import table_sha256
from leaderboard.build import build

MAINTAINER = "The OncoRobust developers"


@pytest.fixture
def row(tmp_path):
    """The text of an entry's row on the page of a clinical record, after `change(record, folder)`."""

    def told(change, track="clinical"):
        record = make("entry", track=track)
        write(tmp_path / "results", record)
        change(record, tmp_path / "results" / track / "ct")
        folder = build(tmp_path / "results", tmp_path / "site").parent / track / "ct"
        (line,) = csv.DictReader((folder / f"{track}-ct-standard.csv").open(newline=""))
        return Reader((folder / "index.html").read_text("utf-8")).cells("entry")["verified"], line

    return told


def test_a_clinical_row_says_that_nobody_signed_it(row):
    text, line = row(lambda record, folder: None)

    assert "not told who ran it; not run again by a maintainer" in text
    assert (line["run_by"], line["run_again_by_maintainer"], line["differing_verdicts"]) == ("", "", "")


def test_a_phantom_row_that_nobody_signed_says_nothing(row):
    assert "ran" not in row(lambda record, folder: None, "phantom")[0]


def test_a_row_says_who_ran_it_and_that_a_maintainer_found_the_same(row):
    def change(record: Record, folder: Path) -> None:
        sign(record, folder, "  A.  Reader, St. Elsewhere ")
        add_run(record, record, folder, MAINTAINER)

    text, line = row(change)

    assert "run by A. Reader, St. Elsewhere on 20" in text
    assert f"run again by a maintainer, {MAINTAINER} on 20" in text
    assert text.rstrip().endswith(": the same verdicts")
    assert (line["run_by"], line["run_again_by_maintainer"]) == ("A. Reader, St. Elsewhere", MAINTAINER)
    assert line["differing_verdicts"] == "0"


@pytest.mark.parametrize(
    ("maker", "again"),
    [("A. Reader", "B. Friend"), (MAINTAINER, MAINTAINER)],
    ids=["no maintainer", "oneself"],
)
def test_neither_a_friend_nor_the_maker_confirms_a_row(row, maker, again):
    def change(record: Record, folder: Path) -> None:
        sign(record, folder, maker)
        add_run(record, record, folder, again)

    text, line = row(change)

    assert f"run by {maker}" in text
    assert "not run again by a maintainer" in text
    assert line["run_again_by_maintainer"] == ""


def test_signatures_of_an_earlier_record_do_not_count(row):
    old = Runs("0" * 64, Run("A. Reader", "2026-01-01", "cpu"), (Run(MAINTAINER, "2026-01-02", "cpu"),))

    text, _ = row(lambda record, folder: save_runs(old, record, folder))

    assert "not told who ran it; not run again" in text


def test_differing_verdicts_are_counted_one_by_one(tmp_path):
    record = make("entry", strength=0.02)
    fallen = np.flatnonzero(record.robust("0.02", "fgsm"))[:3]
    assert len(fallen) == 3
    linf = record.attacks["fgsm"].linf.copy()
    linf[fallen] = 0.015  # broken at 0.02 alone
    attacks = dict(record.attacks) | {"fgsm": replace(record.attacks["fgsm"], linf=linf)}
    other = replace(record, attacks=attacks)

    assert compared(record, record) == (0, 200 * (1 + 7 * 9))
    assert compared(record, other) == (3, 200 * (1 + 7 * 9))

    add_run(record, record, tmp_path, MAINTAINER)
    add_run(record, other, tmp_path, MAINTAINER)  # a later run of the same name is the one that counts
    (run,) = read_runs(record, tmp_path).again
    assert (run.by, run.differing, run.verdicts) == (MAINTAINER, 3, 12800)


@pytest.mark.parametrize("name", ["", " ", "X", "A\u202eB", "x" * 121])
def test_what_is_no_name_is_refused(name, tmp_path):
    record = make("entry")

    with pytest.raises(DataError, match="does not say who runs this"):
        sign(record, tmp_path, name)
    assert not beside(record, tmp_path, "runs").exists()


def test_a_damaged_file_is_named(tmp_path):
    record = make("entry")
    sign(record, tmp_path, "A. Reader").write_text('{"format": 1, "made": {"by": "x"}}')

    with pytest.raises(DataError, match=r"entry\.runs\.json is damaged"):
        read_runs(record, tmp_path)


# -- the commands --------------------------------------------------------------------------------


@pytest.fixture
def results(monkeypatch, tmp_path, make_submission):
    """A tiny entry on a folder of six images, under a quick protocol made quicker; where its records go."""
    monkeypatch.setitem(PROTOCOLS, "quick", small_protocol(FGSM, BIM, name="quick", ranked=False))
    split = replace(random_split(6, 64), facts={"diameter_mm": [3.0, 4, 5, 6, 7, 8]})
    split.save(tmp_path / "scans" / "ct-test.safetensors")
    make_submission()
    return tmp_path / "cache" / "private" / "results-quick" / "scans" / "ct"


def run(command: str, tmp_path: Path, *more: str):
    line = [
        command,
        "tiny",
        "--modality",
        "ct",
        "--track",
        str(tmp_path / "scans"),
        "--protocol",
        "quick",
        *more,
    ]
    return CliRunner().invoke(main, line)


def test_evaluate_signs_and_again_confirms(results, tmp_path, monkeypatch):
    monkeypatch.setenv("ONCOROBUST_RAN_BY", "A. Reader")
    first = run("evaluate", tmp_path)
    record = Record.load(results / "tiny.json")
    assert read_facts(record, results)["diameter_mm"].tolist() == [3, 4, 5, 6, 7, 8]
    before = {path.name: path.read_bytes() for path in results.iterdir() if ".runs." not in path.name}

    again = run("again", tmp_path, "--ran-by", MAINTAINER)

    assert (first.exit_code, again.exit_code) == (0, 0), first.output + again.output
    runs = read_runs(record, results)
    assert runs.record_sha256 == table_sha256(record)
    assert runs.made.by == "A. Reader"
    assert [(one.by, one.differing, one.verdicts) for one in runs.again] == [(MAINTAINER, 0, 6 * (1 + 2 * 4))]
    assert "0 of 54 verdicts differ from the record's; its table is the same to the last bit" in again.output
    assert before == {path.name: path.read_bytes() for path in results.iterdir() if ".runs." not in path.name}


def test_again_tells_what_differs(results, tmp_path):
    run("evaluate", tmp_path)
    record = Record.load(results / "tiny.json")
    attacks = {
        name: replace(result, linf=np.where(record.clean_correct, 0.0001, np.inf))
        for name, result in record.attacks.items()
    }
    replace(record, attacks=attacks).save(results)  # as if every image had fallen to the smallest change

    told = run("again", tmp_path, "--ran-by", MAINTAINER).output

    standing = sum(int(record.robust(e, name).sum()) for name in record.attacks for e in record.epsilons)
    assert standing > 0
    assert f"{standing} of 54 verdicts differ from the record's\n" in told


@pytest.mark.parametrize("command", ["evaluate", "again"])
def test_a_bad_name_stops_before_anything_is_computed(command, results, tmp_path):
    told = run(command, tmp_path, "--ran-by", "?")

    assert told.exit_code == 2
    assert "'?' does not say who runs this" in told.output
    assert not results.exists()


def test_again_wants_a_name_and_a_current_record(results, tmp_path):
    assert "'' does not say who runs this" in run("again", tmp_path).output
    assert "has no record of protocol quick on ct" in run("again", tmp_path, "--ran-by", "A. Reader").output

    run("evaluate", tmp_path)
    record = Record.load(results / "tiny.json")
    replace(record, provenance={**record.provenance, "identity": "other"}).save(results)

    assert "there is nothing to compare with" in run("again", tmp_path, "--ran-by", "A. Reader").output
