"""`oncorobust verify`: a record that was touched does not hold."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from models import BIM, FGSM, NOISE, Linear, oracle_split, small_protocol

from benchmark import evaluate, models
from benchmark.errors import DataError
from benchmark.evaluation import harness, recheck
from benchmark.protocol import PROTOCOLS
from benchmark.record import Record
from benchmark.submission import load_submission

SOURCE = (Path(__file__).parent / "rogues" / "cheats.py").read_text("utf-8")


@pytest.fixture
def recorded(make_submission, monkeypatch, tmp_path):
    """A linear submission, its images as a folder, and the path of its record."""
    monkeypatch.setitem(models.ARCHITECTURES, "linear", Linear)
    monkeypatch.setitem(PROTOCOLS, "small", small_protocol(NOISE, FGSM, BIM))
    make_submission("oracle", architecture="linear", more="", weights=[Linear().state_dict()])
    scans = tmp_path / "scans"
    oracle_split(Linear()).save(scans / "ct-test.safetensors")
    split = recheck.loaded("oracle", "ct", str(scans), PROTOCOLS["small"])[1]
    record = evaluate(load_submission("oracle", "ct", split.track), split, "small", progress=False)
    return record.save(tmp_path), str(scans)


def lines(path, scans, **changes):
    return list(recheck.verify_record(Path(path), scans, blocks=2, luck=0, progress=False, **changes))


def change(path, edit):
    body = json.loads(path.read_text("utf-8"))
    edit(body)
    path.write_text(json.dumps(body), encoding="utf-8")


def test_a_record_that_was_not_touched_holds(recorded):
    told = lines(*recorded)

    assert "its summary follows from its rows" in told[1]
    assert sum("0 of 32 worst-case verdicts differ" in line or "0 of 16 worst" in line for line in told) == 2


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda body: body["summary"]["clean"].update(value=1.0), "its summary of 'clean' does not follow"),
        (
            lambda body: body["summary"]["robust"]["0.004"].update(value=0.99),
            "its summary of 'robust' does not",
        ),
        (
            lambda body: body["provenance"].update(identity="0" * 64),
            "it is of other weights or code than are here",
        ),
        (lambda body: body["split"].update(sha256="0" * 64), "it is of other images than are here"),
        (
            lambda body: body["provenance"].pop("versions") and body["provenance"].pop("isolation"),
            "its provenance lacks isolation, versions",
        ),
        (lambda body: body["protocol"].update(sha256="0" * 64), "it is of other attacks than are here"),
        (
            lambda body: body["provenance"].update(temperature=1.01 * body["provenance"]["temperature"]),
            "it says that the scale of the logits is",
        ),
        (
            lambda body: body["provenance"].update(temperature=float("nan")),
            "it says that the scale of the logits is nan",
        ),
    ],
)
def test_a_changed_figure_or_checksum_is_named(recorded, edit, told):
    path, scans = recorded
    change(path, edit)

    with pytest.raises(DataError, match=told):
        lines(path, scans)


def test_a_changed_row_is_named(recorded):
    path, scans = recorded
    table = path.with_suffix(".csv")
    table.write_text(table.read_text("utf-8").replace("\ni0,p0,", "\ni0,p1,", 1), encoding="utf-8")

    with pytest.raises(DataError, match="changed or cut short"):
        lines(path, scans)


def test_rows_that_were_made_up_with_all_their_sums_do_not_survive_a_block_anew(recorded):
    path, scans = recorded
    record = Record.load(path)
    for result in record.attacks.values():
        result.linf[:] = float("inf")  # nothing ever broke it
        for margins in result.margins.values():
            margins[margins <= 0] = 1e-3  # and nothing says that it did
    record.save(path.parent)

    with pytest.raises(DataError, match="worst-case verdicts differ; evaluate it again"):
        lines(path, scans)


@pytest.mark.parametrize("farther", [np.inf, 1.01])
def test_distances_that_contradict_the_margins_are_named(recorded, farther):
    path, scans = recorded
    record = Record.load(path)
    unbroken = {name: replace(each, linf=each.linf * farther) for name, each in record.attacks.items()}
    assert not record.robust(record.headline).all()
    better = replace(record, attacks=unbroken).save(path.parent)

    with pytest.raises(DataError, match=r"broke images at ε = .*, and its distances say that it did not"):
        lines(better, scans)


def test_clean_margins_that_were_made_up_are_found_without_a_block(recorded):
    path, scans = recorded
    record = Record.load(path)
    record.clean_margins[:] = abs(record.clean_margins)
    record.save(path.parent)

    with pytest.raises(DataError, match="clean margins differ by"):
        lines(path, scans)


def test_other_versions_and_the_isolation_are_said(recorded):
    path, scans = recorded
    change(path, lambda body: body["provenance"]["versions"].update(torch="1.0"))

    told = lines(path, scans)

    assert any(line.startswith("it was made with torch 1.0; here are torch ") for line in told)
    assert "isolation of its code, as it says: none needed: no code of the submitter runs" in told


def test_a_doubt_that_was_struck_out_is_found_again(make_code, monkeypatch, tmp_path):
    """One that the health checks see, and one that the second trial of a block sees."""
    monkeypatch.setenv("ONCOROBUST_ISOLATION", "none")
    monkeypatch.setitem(PROTOCOLS, "small", small_protocol(NOISE, FGSM, BIM, block=20))
    scans = tmp_path / "scans"
    oracle_split(Linear()).save(scans / "ct-test.safetensors")
    for cheat, told in (
        ("KnowsTheTestPart", "get answers of their own|led astray"),
        ("ByBatch", "it keeps state, or knows when it is attacked"),
    ):
        make_code(cheat.lower(), f"{SOURCE}\n\ndef build(modality):\n    return {cheat}()\n")
        model, split = recheck.loaded(cheat.lower(), "ct", str(scans), PROTOCOLS["small"])
        record = evaluate(model, split, "small", progress=False)
        path = record.save(tmp_path)
        assert any("health checks find no doubt now" in line for line in lines(path, str(scans)))

        path = replace(record, flags=()).save(tmp_path)

        with pytest.raises(DataError, match=told):
            lines(path, str(scans))


def test_another_harness_is_said(recorded, monkeypatch):
    monkeypatch.setattr(recheck, "harness_sha256", lambda: "other")

    assert "it was made by another version of the harness" in lines(*recorded)
    assert len(harness.harness_sha256()) == 64
