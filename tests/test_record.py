"""A record's files read back as what was measured, or end in a sentence; a failed write leaves the old ones."""

import errno
import json
import os
import tempfile
from dataclasses import replace

import numpy as np
import pytest
from models import FAB, FGSM, NOISE, small_protocol

from benchmark.errors import DataError, ProtocolError
from benchmark.record import AttackResult, Flag, Record
from benchmark.record.files import FORMAT

NAN, INF = float("nan"), float("inf")


def make_record(**changes):
    """Six images of three patients: one wrong clean, one never broken, the others broken at various ε."""
    protocol = small_protocol(NOISE, FGSM, FAB)
    nothing = np.full(6, NAN, np.float32)
    fgsm = {e: np.array([0.1, -0.2, 1 / 3, NAN, 1e-20, -1e20], np.float32) for e in protocol.epsilons}
    given = {
        "submission": "tiny",
        "modality": "ct",
        "track": "toy",
        "protocol": protocol.described() | {"sha256": protocol.sha256},
        "split": {"sha256": "0" * 64, "patients": 3, "images": 6, "name": "toy"},
        "provenance": {"identity": "1" * 64, "verified": True, "temperature": 0.1},
        "labels": np.array([0, 1, 0, 1, 0, 1]),
        "patient_ids": ("a", "a", 'b, the "second"', 'b, the "second"', "ß\n3", "ß\n3"),
        "image_ids": tuple("uvwxyz"),
        "clean_margins": np.array([1.0, 0.5, 1 / 3, -0.25, 3e-8, 2e9], np.float32),
        "attacks": {
            "noise": AttackResult(np.full(6, INF), dict.fromkeys(protocol.epsilons, nothing), 3, 0),
            "fgsm": AttackResult(np.array([0.001, 0.0019999, INF, INF, 1 / 3, 0.004]), fgsm, 5, 7),
            "fab": AttackResult(
                np.array([0.002, INF, INF, INF, 0.0035, INF]), dict.fromkeys(protocol.epsilons, nothing)
            ),
        },
        "flags": (Flag("saturated-cross-entropy", "notice", 0.5, 0.0, "plain cross-entropy would saturate"),),
        "description": {"title": "Tiny", "kind": "entry"},
    }
    return Record(**given | changes)


@pytest.fixture
def saved(tmp_path):
    """The JSON's path of a record on disk."""
    return make_record().save(tmp_path / "results")


# -- questions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epsilon", "attack", "robust"),
    [
        (0, None, "110111"),
        ("0.001", None, "010011"),
        ("0.001", "fab", "110011"),
        ("0.0019", None, "010011"),
        ("0.002", None, "000011"),
        ("0.004", None, "000000"),
        ("0.004", "noise", "110011"),
        (0.002, "fgsm", "000011"),
    ],
)
def test_robust_is_what_no_perturbation_within_epsilon_broke(epsilon, attack, robust):
    record = make_record()
    expected = [flag == "1" for flag in robust]
    expected[2], expected[3] = True, False  # never broken; wrong clean

    assert record.robust(epsilon, attack).tolist() == expected
    assert record.robust_accuracy(epsilon, attack) == sum(expected) / 6


def test_minimal_epsilon_is_zero_where_wrong_and_infinite_where_never_broken():
    assert make_record().minimal_epsilon.tolist() == [0.001, 0.0019999, INF, 0.0, 0.0035, 0.004]


def test_balanced_accuracy_weighs_the_classes_alike():
    record = make_record(labels=np.array([0, 0, 0, 0, 0, 1]))

    assert record.robust_accuracy("0.002", balanced=True) == pytest.approx((2 / 5 + 1) / 2)


@pytest.mark.parametrize(
    ("epsilon", "attack", "sentence"),
    [
        ("0.0081", None, "ε = 0.0081 lies beyond the protocol's grid, which ends at 0.008"),
        ("0.004", "cw", "no attack 'cw' in this record; it has noise, fgsm, fab"),
        ("-0.1", None, "epsilon lies between 0 and 1"),
        ("much", None, "epsilon must be a number such as 0.004"),
        (NAN, None, "epsilon"),
    ],
)
def test_a_question_beyond_the_protocol_is_refused(epsilon, attack, sentence):
    with pytest.raises(ProtocolError, match=sentence):
        make_record().robust_accuracy(epsilon, attack)


@pytest.mark.parametrize(
    "change",
    [
        {"flags": (Flag("random", "doubt", 1.0, 0.0, "the model is random"),)},
        {"description": {"kind": "baseline"}},
        {"split": {"patients": 19}},
        {"provenance": {"verified": False}},
        {"protocol": make_record().protocol | {"ranked": False}},
    ],
    ids=["doubt", "baseline", "19 patients", "unverified", "quick"],
)
def test_each_reason_alone_takes_the_rank_away(change):
    enough = make_record(split={"patients": 20})

    assert enough.ranked
    assert not replace(enough, **change).ranked


def test_the_summary_can_be_had_from_the_rows_alone():
    summary = make_record().summary()

    assert summary["clean"]["value"] == pytest.approx(5 / 6)
    assert summary["clean"]["low"] is None
    assert {e: round(figure["value"] * 6) for e, figure in summary["robust"].items()} == {
        "0.001": 4,
        "0.002": 3,
        "0.004": 1,
        "0.008": 1,
    }
    assert summary["by_attack"]["noise"]["0.008"] == pytest.approx(5 / 6)
    by_class = summary["directions"]
    assert by_class["none_to_disease"]["kept"]["0.008"]["value"] == pytest.approx(1 / 3)
    assert by_class["disease_to_none"]["kept"]["0.008"]["value"] == 0.0


# -- files -----------------------------------------------------------------------------------


def test_what_is_saved_reads_back_equal(saved):
    record, again = make_record(), Record.load(saved)

    for field in ("labels", "clean_margins"):
        assert getattr(again, field).tobytes() == getattr(record, field).tobytes()
    for field in (
        "submission",
        "modality",
        "track",
        "protocol",
        "split",
        "provenance",
        "patient_ids",
        "image_ids",
    ):
        assert getattr(again, field) == getattr(record, field)
    assert (again.flags, again.description, list(again.attacks)) == (
        record.flags,
        record.description,
        list(record.attacks),
    )
    assert again.summary() == record.summary()


@pytest.mark.parametrize("attack", ["noise", "fgsm", "fab"])
def test_every_attack_reads_back_equal_with_its_gaps(saved, attack):
    result, again = make_record().attacks[attack], Record.load(saved).attacks[attack]

    assert np.array_equal(again.linf, result.linf)
    assert (again.forward, again.backward) == (result.forward, result.backward)
    assert list(again.margins) == list(result.margins)
    for epsilon, margins in result.margins.items():
        assert again.margins[epsilon].dtype == np.float32
        assert np.array_equal(again.margins[epsilon], margins, equal_nan=True)


def test_saving_twice_gives_the_same_bytes(saved, tmp_path):
    again = Record.load(saved).save(tmp_path / "again")

    assert again.read_bytes() == saved.read_bytes()
    assert again.with_suffix(".csv").read_bytes() == saved.with_suffix(".csv").read_bytes()


def test_nothing_but_the_two_files_is_left_in_the_folder(saved):
    assert sorted(path.name for path in saved.parent.iterdir()) == ["tiny.csv", "tiny.json"]


def test_the_json_is_for_every_reader(saved):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    json.loads(saved.read_text("utf-8"), parse_constant=refuse)


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), encoding="utf-8")


def edit_table(path, edit):
    table = path.with_suffix(".csv")
    table.write_bytes(edit(table.read_bytes()))


@pytest.mark.parametrize(
    ("hurt", "sentence"),
    [
        (
            lambda path: edit_json(path, format=FORMAT - 1),
            f"has format {FORMAT - 1}, this version reads {FORMAT}",
        ),
        (
            lambda path: edit_json(path, format=FORMAT + 1),
            f"has format {FORMAT + 1}, this version reads {FORMAT}",
        ),
        (
            lambda path: edit_table(path, lambda text: text[:-40]),
            "tiny.csv was changed or cut short",
        ),
        (
            lambda path: edit_table(path, lambda text: text.replace(b"0.001", b"0.002")),
            "was changed or cut short",
        ),
        (lambda path: edit_table(path, lambda text: b""), "was changed or cut short"),
        (lambda path: path.with_suffix(".csv").unlink(), "tiny.csv is missing"),
        (lambda path: path.unlink(), "tiny.json is missing"),
        (lambda path: path.write_text("{"), "is damaged"),
        (lambda path: path.write_text(""), "is damaged"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "is damaged"),
        (lambda path: path.write_text("[]"), "is damaged"),
        (lambda path: path.write_text("{}"), "is damaged"),
        (lambda path: edit_json(path, flags=[{"id": "x"}]), "is damaged"),
        (lambda path: edit_json(path, protocol={"attacks": "x"}), "is damaged"),
        (lambda path: edit_json(path, protocol=None), "is damaged"),
        (lambda path: edit_json(path, passes={}), "is damaged"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be read|is damaged"),
    ],
)
def test_a_record_that_is_not_whole_is_refused_in_a_sentence(saved, hurt, sentence):
    hurt(saved)

    with pytest.raises(DataError, match=sentence) as caught:
        Record.load(saved)

    assert "evaluate the submission again" in str(caught.value)


def test_an_empty_table_with_the_right_checksum_is_refused(saved):
    edit_table(saved, lambda text: b"")
    edit_json(saved, images_sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

    with pytest.raises(DataError, match="is damaged"):
        Record.load(saved)


# -- a write that fails ----------------------------------------------------------------------


def changed():
    """Another record of the same name."""
    return make_record(clean_margins=np.full(6, 9.0, np.float32))


def fail_from(monkeypatch, module, name, number, code):
    """Let the calls of `module.name` from the `number`-th on fail as the system does."""
    real, calls = getattr(module, name), []

    def sometimes(*arguments, **options):
        calls.append(arguments)
        if len(calls) >= number:
            raise OSError(code, os.strerror(code))
        return real(*arguments, **options)

    monkeypatch.setattr(module, name, sometimes)


@pytest.mark.parametrize(
    ("module", "name", "code", "number"),
    [
        (tempfile, "NamedTemporaryFile", errno.EROFS, 1),
        (tempfile, "NamedTemporaryFile", errno.ENOSPC, 2),
        (os, "fsync", errno.ENOSPC, 1),
        (os, "fsync", errno.ENOSPC, 2),
        (os, "replace", errno.EACCES, 1),
    ],
    ids=["read-only", "full at the second file", "full", "full at the end of the second", "renaming"],
)
def test_a_failed_write_leaves_the_old_record_whole(saved, monkeypatch, module, name, code, number):
    before = saved.read_bytes()

    with monkeypatch.context() as patch:
        fail_from(patch, module, name, number, code)

        with pytest.raises(DataError, match=f"cannot write .*: {os.strerror(code)}; nothing was changed"):
            changed().save(saved.parent)

    assert saved.read_bytes() == before
    assert Record.load(saved).clean_margins.tolist() == make_record().clean_margins.tolist()
    assert sorted(path.name for path in saved.parent.iterdir()) == ["tiny.csv", "tiny.json"]


def test_a_folder_that_is_a_file_ends_in_a_sentence(tmp_path):
    (tmp_path / "results").write_text("not a folder")

    with pytest.raises(DataError, match="Make the folder writable, or name another one"):
        make_record().save(tmp_path / "results")
