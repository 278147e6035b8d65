"""Preparing a collection: the same bits however it lies there and however often it is interrupted; nothing left unsaid."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from filelock import FileLock
from lidc_tree import SERIES, mark, square, write_scan, write_xml

from benchmark import load_split
from benchmark.data import lidc
from benchmark.data.collection import Index, LeftOut, Reading, Sample, Unit
from benchmark.data.manifest import PARTS, Item, Manifest, write_manifest
from benchmark.data.prepared.assembly import by_reason
from benchmark.data.prepared.lock import (
    LOCK_FILE,
    PartLock,
    differences,
    prepared_folder,
    read_lock,
    verify_prepared,
)
from benchmark.data.prepared.prepare import prepare
from benchmark.data.prepared.rehearsal import rehearsal_manifest
from benchmark.data.prepared.shards import Task, open_shard, read_to_shard, shard_file
from benchmark.data.split import Split
from benchmark.data.tree import tree_split
from benchmark.errors import DataError
from benchmark.folders import ROOT

REAL = ROOT.parent / "shared" / "data" / "lidc" / "LIDC-IDRI"
PATIENTS = 3


# --- a collection that needs no files -----------------------------------------------------------------------


class Made:
    """Twelve units of a patient each; what happens when they are read is written in their payload."""

    NAME, MODALITY = "lidc-idri", "ct"
    SOURCE = MappingProxyType(
        {"title": "made up", "doi": "10/x", "licence": "CC BY 3.0", "citation": "nobody"}
    )

    def __init__(self, trouble=None, absent=()):
        self.trouble, self.absent = trouble or {}, absent

    def index(self, source):
        units = [Unit(f"1.{n}", f"P{n:02}", self.trouble.get(n)) for n in range(12) if n not in self.absent]
        return Index(units, [LeftOut("notes.txt", "is not an image", harmless=True)])

    def read(self, unit):
        return read_made(unit)


def read_made(unit):
    number = int(unit.key.partition(".")[2])
    if unit.payload == "damaged":
        raise DataError(f"/data/{unit.key}/a.dcm is damaged: download it again")
    if unit.payload == "bug":
        raise ZeroDivisionError("by nothing")
    if unit.payload == "slow":
        time.sleep(60)
    pixels = np.random.default_rng(number).integers(0, 65536, (2, 8, 8)).astype(np.uint16)
    if unit.payload == "float":
        pixels = pixels / 65535
    label = number % 2 if unit.payload != "turned" else 1 - number % 2
    count = 1 if unit.payload == "short" else 2
    samples = [
        Sample(pixels[i], label, unit.patient_id, f"{unit.patient_id}/x/{i}", {"size_mm": number + i / 2})
        for i in range(count)
    ]
    if unit.payload == "stranger":
        samples.append(Sample(pixels[0], label, unit.patient_id, "another/0"))
    if unit.payload == "none, as the rules say":
        return Reading((), [LeftOut(f"{unit.patient_id}/x", "has no slice without disease", harmless=True)])
    return Reading(samples, noise=[10.0 + number], notes={"resized": 1})


@pytest.fixture
def made(tmp_path):
    parts = ["train"] * 7 + ["validation"] * 2 + ["test"] * 3
    items = [Item(part, f"P{n:02}", f"1.{n}", f"P{n:02}/x", n % 2, 2) for n, part in enumerate(parts)]
    about = {"collection": "lidc-idri", "version": "made", "modality": "ct", "synthetic": "random numbers"}
    return write_manifest(tmp_path / "made.csv", items, about)


def reasons(done):
    return by_reason(item for item in done.left_out if not item.harmless)


def test_every_part_is_a_split_of_what_the_manifest_names(made, cache):
    done = prepare(Made(), Path(), made)

    assert (done.exit_code, done.read, reasons(done)) == (0, 12, {})
    assert done.folder == cache / "rehearsal" / "lidc-idri-made"
    for part, first, count in (("train", 0, 14), ("validation", 7, 4), ("test", 9, 6)):
        split = Split.load(done.folder / f"ct-{part}.safetensors")
        assert (len(split), split.part, split.track) == (count, part, "lidc-idri-made")
        assert split.image_ids[:2] == (f"P{first:02}/x/0", f"P{first:02}/x/1")
        assert split.labels.tolist() == [n % 2 for n in range(first, first + count // 2) for _ in range(2)]
        assert split.facts["size_mm"][1] == first + 0.5
        here = done.lock.parts[part]
        assert (here.sha256, here.images, here.complete) == (split.sha256, count, True)
        assert here.samples.keys() == set(split.image_ids)
    pixels = np.random.default_rng(9).integers(0, 65536, (2, 8, 8))
    assert (split.images[:2, 0] == pixels).all()
    assert split.notes["noise_sigma_unit"] == 20
    assert split.notes["noise_sigma"] == pytest.approx(20 / 1400)
    assert (split.notes["stored_bits"], split.notes["unit"], split.notes["resized"]) == (16, "HU", 3)
    assert split.notes["source"] == "synthetic: random numbers; not from patients"
    assert not list((done.folder / "shards").glob("*.safetensors"))
    assert load_split("ct", str(done.folder), "validation").images.shape == (4, 1, 8, 8)


def test_a_prepared_file_is_that_which_a_split_saves(made, tmp_path):
    done = prepare(Made(), Path(), made)
    path = done.folder / "ct-test.safetensors"

    Split.load(path).save(tmp_path / "again.safetensors")

    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_preparing_again_reads_nothing_unless_asked(made):
    first = prepare(Made(), Path(), made)

    assert prepare(Made(absent=range(12)), Path(), made).read == 0
    again = prepare(Made(), Path(), made, fresh=True)
    assert (again.read, again.lock) == (12, first.lock)


def test_one_part_alone_needs_only_its_own_units(made):
    done = prepare(Made(absent=range(9)), Path(), made, parts=["test"])
    assert (done.exit_code, done.read, list(done.lock.parts)) == (0, 3, ["test"])
    rest = prepare(Made(absent=[9, 10, 11]), Path(), made, parts=["train", "validation"])
    assert (rest.exit_code, rest.read, list(rest.lock.parts)) == (0, 9, list(PARTS))
    assert rest.lock == prepare(Made(), Path(), made, fresh=True).lock


def test_a_part_that_the_manifest_has_nothing_of_is_not_missing(made, tmp_path):
    items = [item for item in made.items if item.part != "validation"]
    manifest = write_manifest(tmp_path / "two.csv", items, {**made.about, "version": "two"})

    done = prepare(Made(), Path(), manifest)
    assert (done.exit_code, list(done.lock.parts)) == (0, ["train", "test"])
    assert "  validation none in the manifest" in list(done.lines())
    again = prepare(Made(absent=range(12)), Path(), manifest)
    assert (again.exit_code, again.read) == (0, 0)
    assert "  validation none in the manifest" in list(again.lines())
    with pytest.raises(DataError, match="lidc-idri-two has nothing of validation; name another --part"):
        prepare(Made(), Path(), manifest, parts=["validation"], fresh=True)
    assert prepare(Made(absent=[11]), Path(), manifest, fresh=True).exit_code == 3


TROUBLES = {
    "damaged": "… is damaged: download it again",
    "bug": "reading it failed unexpectedly (ZeroDivisionError: by nothing); please report it with the file's name",
    "float": "the reader gave … with label … please report it with the file's name",
    "turned": "has label … the manifest says …",
    "short": "gave … images, the manifest says …",
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_cannot_be_used_is_counted_and_the_rest_goes_on(made, trouble):
    done = prepare(Made({10: trouble}), Path(), made)

    assert done.exit_code == 3
    assert TROUBLES[trouble] in reasons(done)
    assert (done.lock.parts["test"].complete, done.lock.parts["train"].complete) == (False, True)
    split = Split.load(done.folder / "ct-test.safetensors")
    assert len(split) == (5 if trouble == "short" else 4)
    assert sum(split.notes["left_out"].values()) == len([i for i in done.left_out if i.what != "notes.txt"])
    names = (done.folder / "left-out.csv").read_text("utf-8")
    assert "P10" in names or "1.10" in names


def test_a_mended_unit_is_read_and_the_others_are_not_read_again(made):
    assert prepare(Made({10: "damaged", 3: "bug"}, absent=[4]), Path(), made).exit_code == 3

    done = prepare(Made(), Path(), made)

    assert (done.exit_code, done.read) == (0, 3)
    assert done.lock == prepare(Made(), Path(), made, fresh=True).lock


def test_what_is_missing_is_named(made):
    done = prepare(Made(absent=[3, 10]), Path(), made)

    assert {item.what for item in done.left_out if not item.harmless} == {"P03/x", "P10/x"}
    assert reasons(done) == {"is not in the folder: download it": 2}
    assert done.exit_code == 3


def test_what_the_rules_leave_out_is_told_and_does_not_make_the_split_incomplete(made):
    done = prepare(Made({3: "none, as the rules say", 10: "stranger"}), Path(), made)

    assert done.exit_code == 0
    assert by_reason(item for item in done.left_out if item.harmless) == {
        "is not an image": 1,
        "has no slice without disease": 1,
        "is not in the manifest": 1,
    }
    assert done.lock.parts["train"].images == 12


def test_a_unit_of_another_patient_is_not_taken(made):
    other = replace(made.items[10], patient_id="P99", name="P10/x")
    manifest = Manifest((*made.items[:10], other, made.items[11]), made.sha256, made.about)

    done = prepare(Made(), Path(), manifest)

    assert "is of patient … the manifest says …" in reasons(done)
    assert "P10" not in Split.load(done.folder / "ct-test.safetensors").patient_ids


def test_nothing_at_all_is_a_sentence_and_leaves_what_was_there(made):
    first = prepare(Made(), Path(), made)

    with pytest.raises(
        DataError, match=r"nothing of lidc-idri-made could be prepared: 12 × is not in the folder"
    ):
        prepare(Made(absent=range(12)), Path(), made, fresh=True)

    assert verify_prepared(first.folder, "ct") == (first.lock, [])


# --- interrupts, two at once, a full disk -------------------------------------------------------------------


def test_two_at_once_are_refused(made):
    folder = prepared_folder(made)
    folder.mkdir(parents=True)

    with FileLock(folder / ".preparing"), pytest.raises(DataError, match="another process is preparing into"):
        prepare(Made(), Path(), made)

    assert prepare(Made(), Path(), made).exit_code == 0


class Interrupted(Made):
    """Stops at the ninth unit read, as Ctrl-C would."""

    def read(self, unit):
        if unit.key == "1.6":
            raise KeyboardInterrupt
        return read_made(unit)


def test_an_interrupted_run_goes_on_where_it_stopped(made):
    with pytest.raises(KeyboardInterrupt):
        prepare(Interrupted(), Path(), made)

    done = prepare(Made(), Path(), made)

    assert (done.exit_code, done.read) == (0, 6)
    assert done.lock == prepare(Made(), Path(), made, fresh=True).lock


KILLED = """
import signal, sys; sys.path.insert(0, {tests!r})
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started deaf to it
from pathlib import Path
from test_prepare import Made
from benchmark.data.manifest import read_manifest
from benchmark.data.prepared.prepare import prepare
print("started", flush=True)
prepare(Made({{8: "slow", 9: "slow"}}), Path(), read_manifest(Path({manifest!r})), progress=False)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_leaves_whole_files_and_no_lock(made, cache, tmp_path, how, workers, monkeypatch):
    code = KILLED.format(tests=str(Path(__file__).parent), manifest=str(tmp_path / "made.csv"))
    environment = os.environ | {"ONCOROBUST_WORKERS": str(workers), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    shards = cache / "rehearsal" / "lidc-idri-made" / "shards"
    try:
        waited = time.monotonic() + 60
        while len(list(shards.glob("*.safetensors"))) < 8 and time.monotonic() < waited:
            time.sleep(0.05)
        os.kill(process.pid, how)
        process.wait(30)
    finally:
        with suppress(ProcessLookupError):  # its workers, which a killed parent cannot stop
            os.killpg(process.pid, signal.SIGKILL)

    assert all(open_shard(path) for path in shards.glob("*.safetensors"))
    done = prepare(Made(), Path(), made)
    assert done.exit_code == 0
    assert done.read <= 4
    assert done.lock == prepare(Made(), Path(), made, fresh=True).lock


def test_a_full_disk_is_a_sentence(made, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match=r"cannot write .*No space left on device"):
        prepare(Made(), Path(), made)
    monkeypatch.undo()

    assert prepare(Made(), Path(), made).exit_code == 0


@pytest.mark.parametrize("damage", [b"", b"\x10", b"x" * 100])
def test_a_damaged_shard_is_read_again(made, damage):
    prepare(Made({10: "damaged"}), Path(), made)
    shard_file(prepared_folder(made) / "shards", "1.9").write_bytes(damage)

    assert prepare(Made(), Path(), made).read == 2


def test_other_code_or_another_manifest_reads_everything_again(made, monkeypatch):
    prepare(Made({10: "damaged"}), Path(), made)
    monkeypatch.setattr("benchmark.data.prepared.prepare.code_sha256", lambda *_: "newer")

    assert prepare(Made({10: "damaged"}), Path(), made).read == 12


def test_a_change_of_a_reader_reads_everything_again(made, monkeypatch, tmp_path):
    reader = tmp_path / "data" / "lidc" / "nodules.py"
    reader.parent.mkdir(parents=True)
    reader.write_text("as it was")
    monkeypatch.setattr("benchmark.data.__file__", str(tmp_path / "data" / "__init__.py"))
    prepare(Made({10: "damaged"}), Path(), made)
    same = prepare(Made({10: "damaged"}), Path(), made).read
    reader.write_text("mended")

    assert (same, prepare(Made({10: "damaged"}), Path(), made).read) == (1, 12)


def test_workers_give_the_same_bits_as_one(made, monkeypatch):
    alone = prepare(Made({10: "bug"}), Path(), made)
    monkeypatch.setenv("ONCOROBUST_WORKERS", "2")

    assert prepare(Made({10: "bug"}), Path(), made, fresh=True).lock == alone.lock


# --- locks --------------------------------------------------------------------------------------------------


def test_each_image_that_differs_from_the_published_ones_is_named(made, monkeypatch):
    done = prepare(Made(), Path(), made)
    test = done.lock.parts["test"]
    changed = {**test.samples, "P09/x/0": "0" * 64, "P77/x/0": "1" * 64}
    del changed["P10/x/1"]
    published = replace(done.lock, parts={"test": replace(test, samples=changed, sha256="2" * 64)})

    assert differences(done.lock, done.lock) == []
    told = differences(done.lock, published)
    assert [line.partition(":")[0] for line in told] == [
        "image P09/x/0 differs",
        "image P10/x/1 is not in the published split",
        "image P77/x/0 is missing",
        "split test differs",
    ]
    monkeypatch.setattr("benchmark.data.prepared.prepare.shipped_lock", lambda name: published)
    again = prepare(Made(), Path(), made)
    assert (again.exit_code, list(again.differing)) == (3, told)


def test_a_changed_file_does_not_verify(made):
    done = prepare(Made(), Path(), made)
    path = done.folder / "ct-test.safetensors"
    whole = path.read_bytes()
    assert verify_prepared(done.folder, "ct") == (done.lock, [])

    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "is damaged: sha256" in verify_prepared(done.folder, "ct")[1][0]
    path.unlink()
    assert "is missing" in verify_prepared(done.folder, "ct")[1][0]
    shutil.copy(done.folder / "ct-train.safetensors", path)
    assert "is not the split of lock.json" in verify_prepared(done.folder, "ct")[1][0]
    assert prepare(Made(), Path(), made).read == 12, "what does not verify is prepared again"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": 1, "manifest_sha256": 2, "parts": {"test": {}}}'])
def test_a_damaged_lock_is_a_sentence(tmp_path, text):
    (tmp_path / LOCK_FILE).write_text(text)

    with pytest.raises(DataError, match=r"lock\.json cannot be read"):
        read_lock(tmp_path / LOCK_FILE)


def test_a_lock_is_read_as_it_was_written(made):
    done = prepare(Made(), Path(), made)

    assert read_lock(done.folder / LOCK_FILE) == done.lock
    assert isinstance(done.lock.parts["test"], PartLock)
    assert json.loads((done.folder / LOCK_FILE).read_text())["parts"]["test"]["images"] == 6


# --- LIDC-IDRI ----------------------------------------------------------------------------------------------


@pytest.fixture
def scans(tmp_path):
    """Three patients' scans and a manifest of them."""
    for number in range(PATIENTS):
        write_scan(tmp_path / "tree" / f"{number}", f"P-{number}", f"{SERIES}.{number}")
    return tmp_path / "tree"


def layouts(tree, folder):
    """The same files as three downloaders lay them out; the XML beside the images, above them, or in a tree of its own."""
    from pydicom import dcmread

    for path in sorted(tree.rglob("*.dcm")):
        header = dcmread(path, stop_before_pixels=True)
        who, series, image = header.PatientID, header.SeriesInstanceUID, header.SOPInstanceUID
        targets = (
            f"old/LIDC-IDRI/{who}/{series}.1/{series}/{header.InstanceNumber:06}.dcm",
            f"nbia/manifest-1/LIDC-IDRI/{who}/01-01-2000-NA-NA-{series[-5:]}/3000566.000000-NA-{series[-5:]}/{path.name}",
            f"idc/lidc_idri/{who}/{series}.1/CT_{series}/{hashlib.md5(image.encode()).hexdigest()}.dcm",
        )
        for target in targets:
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / target)
    for path in sorted(tree.rglob("*.xml")):
        series = f"{SERIES}.{path.parent.name}"
        for target in (
            f"old/LIDC-IDRI/P-{path.parent.name}/{series}.1/{series}/069.xml",
            f"nbia/manifest-1/LIDC-IDRI/P-{path.parent.name}/{path.parent.name}.xml",
            f"idc/LIDC-XML-only/tcia-lidc-xml/185/{path.parent.name}.xml",
        ):
            shutil.copy(path, folder / target) if (folder / target).parent.is_dir() else (
                (folder / target).parent.mkdir(parents=True),
                shutil.copy(path, folder / target),
            )
    (folder / "nbia" / "manifest-1" / "metadata.csv").write_text("Series UID,Collection\n1.2,LIDC-IDRI\n")
    return [folder / name for name in ("old", "nbia", "idc")]


def test_the_images_are_the_same_from_whichever_downloader(scans, tmp_path):
    manifest = rehearsal_manifest(lidc, scans)
    locks = [prepare(lidc, folder, manifest, fresh=True).lock for folder in layouts(scans, tmp_path / "as")]

    assert locks[0] == locks[1] == locks[2] == prepare(lidc, scans, manifest, fresh=True).lock
    assert sum(part.images for part in locks[0].parts.values()) == 5 * PATIENTS


@pytest.fixture
def placed(scans, tmp_path):
    """A manifest that says where the malignant nodule of each scan is, half a pixel off its outlines' middle."""
    facts = {
        "row": "40.5",
        "column": "30.25",
        "z_mm": "5.00 7.50",
        "diameter_mm": "8",
        "malignancy": "4",
        "readers": "3",
    }
    items = [Item("test", f"P-{n}", f"{SERIES}.{n}", f"P-{n}/{n}-1", 1, 2, facts) for n in range(PATIENTS)]
    about = {"collection": "lidc-idri", "version": "placed", "modality": "ct"}
    return write_manifest(tmp_path / "placed.csv", items, about)


def test_the_manifest_says_where_a_nodule_is_whatever_the_annotations(scans, placed):
    with_xml = prepare(lidc, scans, placed, parts=["test"])
    for path in scans.rglob("*.xml"):
        path.unlink()
    without = prepare(lidc, scans, placed, parts=["test"], fresh=True)

    assert (with_xml.exit_code, without.exit_code) == (0, 0)
    assert with_xml.lock == without.lock
    split = Split.load(without.folder / "ct-test.safetensors")
    assert split.image_ids[:2] == ("P-0/0-1/5.00", "P-0/0-1/7.50")
    # From rows 40 and 41 a nodule of rows 37 to 43 reaches one pixel less far down than up.
    column = split.images[0, 0, :, 31].astype(int)
    assert (column > 40000).nonzero()[0].tolist() == [28, 29, 30, 31, 32, 33, 34]


def test_outlines_of_another_nodule_are_not_overlooked(scans, placed):
    here = [(z, square(60, 60, 4)) for z in (5.0, 7.5)]
    write_xml(scans / "1" / "annotation.xml", [[mark(5, here)]] * 3, f"{SERIES}.1")
    right = [(z, square(40, 30, 4)) for z in (5.0, 7.5)]
    write_xml(scans / "2" / "annotation.xml", [[mark(2, right)]] * 3, f"{SERIES}.2")

    done = prepare(lidc, scans, placed, parts=["test"])

    told = {
        item.what: item.reason for item in done.left_out if "outlines here tell of no such" in item.reason
    }
    assert set(told) == {"P-1/1-1", "P-2/2-1"}
    assert "row 40.5, column 30.25, z 5 mm with label 1" in told["P-1/1-1"]
    assert done.exit_code == 3


@pytest.mark.skipif(not REAL.is_dir(), reason="no sample of LIDC-IDRI beside the repository")
def test_the_real_sample_is_cut_where_the_frozen_manifest_says():
    from benchmark.data.manifest import shipped_manifest

    done = prepare(lidc, REAL, shipped_manifest("lidc-idri"))

    assert (done.exit_code, done.read) == (3, 1)
    split = load_split("ct", "clinical", "train")
    own = tree_split(lidc, REAL)
    assert split.image_ids == own.image_ids
    assert split.sha256 == "68c4d0e055868fe7d5d823db517ca72e18b2d744b1d5f74deab1557dd8ec8468"
    # The manifest's places have three decimals, and the pixels cut there are those of the outlines' middles.
    assert np.abs(split.images.astype(int) - own.images).max() < 20
    with pytest.raises(DataError, match="clinical ct split lidc-idri-1-test is not prepared"):
        load_split("ct", "clinical")


# --- shards -------------------------------------------------------------------------------------------------


def test_a_shard_keeps_what_was_read(tmp_path):
    path = tmp_path / "a.safetensors"
    read_to_shard(Task(read_made, Unit("1.3", "P03", None), path))

    shard = open_shard(path)

    assert (shard.patient_id, shard.noise, shard.notes, shard.shape) == (
        "P03",
        (13.0,),
        {"resized": 1},
        (8, 8),
    )
    assert [sample[:2] for sample in shard.samples] == [(1, "P03/x/0"), (1, "P03/x/1")]
    assert (shard.pixels() == np.random.default_rng(3).integers(0, 65536, (2, 8, 8))).all()


def test_reasons_are_counted_without_their_names():
    told = [
        LeftOut("1.2.3", "/a/b/1.dcm cannot be read: bad; download it again"),
        LeftOut("1.2.4", "/d/2.dcm cannot be read: bad; download it again"),
        LeftOut("P1/x", "gave no image"),
    ]

    assert by_reason(told) == {"… cannot be read: bad; download it again": 2, "gave no image": 1}
