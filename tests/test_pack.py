"""A pack carries a test part from one machine to another, whole and as the manifest says, or not at all."""

import hashlib
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_prepare import Made

from benchmark import load_split
from benchmark.data.manifest import Item, write_manifest
from benchmark.data.prepared import pack as module
from benchmark.data.prepared.lock import LOCK_FILE, Lock, prepared_folder, read_lock, verify_prepared
from benchmark.data.prepared.pack import import_pack, pack
from benchmark.data.prepared.prepare import prepare
from benchmark.errors import DataError

ABOUT = {
    "collection": "lidc-idri",
    "version": 1,
    "modality": "ct",
    "title": "Made-up CT",
    "doi": "10/x",
    "licence": "CC BY 3.0",
    "citation": "Nobody 2026",
    "labels": "drawn",
}


@pytest.fixture
def frozen(tmp_path, monkeypatch):
    """A made-up manifest that ships, so that what is prepared by it is the clinical track."""
    folder = tmp_path / "manifests"
    monkeypatch.setattr("benchmark.data.manifest.FOLDER", folder)
    monkeypatch.setattr("benchmark.data.prepared.lock.FOLDER", folder)
    parts = ["train"] * 7 + ["validation"] * 2 + ["test"] * 3
    items = [Item(part, f"P{n:02}", f"1.{n}", f"P{n:02}/x", n % 2, 2) for n, part in enumerate(parts)]
    return write_manifest(folder / "lidc-idri-1.csv", items, ABOUT)


@pytest.fixture
def packed(frozen, tmp_path):
    """A pack, and an empty cache to import it into; the lock of what was prepared."""
    lock = prepare(Made(), Path(), frozen).lock
    pack(frozen, tmp_path / "a.zip")
    shutil.rmtree(prepared_folder(frozen))
    return tmp_path / "a.zip", lock


def test_a_packed_test_part_is_evaluated_on_another_machine(packed, frozen):
    path, lock = packed
    manifest, taken = import_pack(path)

    assert (manifest.name, taken.parts) == ("lidc-idri-1", {"test": lock.parts["test"]})
    split = load_split("ct", "clinical")
    assert split.sha256 == lock.parts["test"].sha256
    assert split.track == "clinical"
    assert verify_prepared(prepared_folder(frozen), "ct") == (taken, [])
    with pytest.raises(DataError, match="lidc-idri-1-train is not prepared"):
        load_split("ct", "clinical", "train")
    assert sorted(each.name for each in prepared_folder(frozen).iterdir()) == [
        "ct-test.safetensors",
        "lock.json",
    ]


def test_importing_keeps_the_other_parts(packed, frozen):
    prepare(Made(), Path(), frozen, parts=["train"])

    import_pack(packed[0])

    assert verify_prepared(prepared_folder(frozen), "ct")[1] == []
    assert read_lock(prepared_folder(frozen) / LOCK_FILE).parts.keys() == {"train", "test"}


def test_a_pack_is_the_same_bytes_each_time_and_says_whose_images_it_holds(packed, frozen, tmp_path):
    prepare(Made(), Path(), frozen)

    told = pack(frozen, tmp_path / "b.zip")

    content = (tmp_path / "b.zip").read_bytes()
    assert content == packed[0].read_bytes()
    assert told == hashlib.sha256(content).hexdigest()
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        licence = archive.read("LICENCE.txt").decode()
    for words in (
        "CC BY 3.0",
        "creativecommons.org/licenses/by/3.0",
        "Nobody 2026",
        "10/x",
        "Changes:",
        frozen.sha256,
    ):
        assert words in licence


@pytest.mark.parametrize("licence", ["as on the collection's page", None, "CC BY-NC 4.0"])
def test_a_collection_that_may_not_be_passed_on_is_not_packed(frozen, tmp_path, licence):
    prepare(Made(), Path(), frozen)
    manifest = replace(frozen, about={**ABOUT, "licence": licence})

    with pytest.raises(DataError, match="cannot be packed; only public collections"):
        pack(manifest, tmp_path / "a.zip")

    assert not (tmp_path / "a.zip").exists()


def test_what_is_not_of_a_frozen_manifest_is_not_packed(frozen, tmp_path):
    own = write_manifest(tmp_path / "own.csv", frozen.items[:5], {**ABOUT, "version": 2})
    prepare(Made(), Path(), own)

    with pytest.raises(DataError, match="cannot be packed"):
        pack(own, tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        ({10: "damaged"}, "its test part is not prepared whole"),
        ({}, "is damaged"),
        (None, "nothing is prepared in"),
    ],
)
def test_what_is_not_whole_is_not_packed(frozen, tmp_path, trouble, sentence):
    if trouble is not None:
        prepare(Made(trouble), Path(), frozen)
    if trouble == {}:
        path = prepared_folder(frozen) / "ct-test.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"!")

    with pytest.raises(DataError, match=sentence):
        pack(frozen, tmp_path / "a.zip")


def rewritten(path, change):
    """The pack with its files changed: a dict of names to bytes."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def changed_lock(**changes):
    def change(files):
        lock = module.parse_lock(files[LOCK_FILE])
        test = replace(lock.parts["test"], **changes.pop("test", {}))
        files[LOCK_FILE] = replace(lock, parts={"test": test}, **changes).text()

    return change


def another_split(files):
    from benchmark.data.split import Split

    path = Path("other.safetensors").resolve()
    path.write_bytes(files["ct-test.safetensors"])
    split = Split.load(path)
    replace(split, labels=1 - split.labels).save(path)
    files["ct-test.safetensors"] = path.read_bytes()
    lock = module.parse_lock(files[LOCK_FILE])
    test = replace(lock.parts["test"], sha256=Split.load(path).sha256)
    files[LOCK_FILE] = replace(lock, parts={"test": test}).text()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda files: files.pop(LOCK_FILE), "is not a whole pack"),
        (lambda files: files.pop("ct-test.safetensors"), "is not a whole pack"),
        (lambda files: files.update({LOCK_FILE: b"{}"}), "it is no lock"),
        (lambda files: files.update({"ct-test.safetensors": b"nothing"}), "its split is damaged"),
        (changed_lock(name="lidc-idri-9"), "it is of 'lidc-idri-9', this version has lidc-idri-1"),
        (changed_lock(manifest_sha256="0"), "by another manifest than lidc-idri-1 of this version"),
        (changed_lock(test={"sha256": "0"}), "its split is not the one that its lock names"),
        (changed_lock(test={"samples": {}}), "image P09/x/0 is not the one that its lock names"),
        (another_split, "6 images are not as the manifest says, such as P09/x/0"),
    ],
)
def test_a_pack_that_was_tampered_with_is_not_taken(packed, frozen, tmp_path, monkeypatch, change, sentence):
    monkeypatch.chdir(tmp_path)
    path, _ = packed
    rewritten(path, change)

    with pytest.raises(DataError, match=sentence):
        import_pack(path)

    assert not list(prepared_folder(frozen).glob("*"))


def test_a_pack_that_differs_from_the_published_checksums_is_not_taken(packed, frozen, monkeypatch):
    path, lock = packed
    test = lock.parts["test"]
    published = Lock(
        lock.name, lock.manifest_sha256, {"test": replace(test, samples={**test.samples, "P09/x/0": "0"})}
    )
    monkeypatch.setattr("benchmark.data.prepared.pack.shipped_lock", lambda name: published)

    with pytest.raises(DataError, match="image P09/x/0 differs"):
        import_pack(path)


def test_a_pack_that_is_not_there_or_no_zip_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match=r"pack .* is missing"):
        import_pack(tmp_path / "nowhere.zip")
    (tmp_path / "a.zip").write_text("hello")
    with pytest.raises(DataError, match="is not a whole pack"):
        import_pack(tmp_path / "a.zip")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(data=st.data())
def test_flipped_bytes_are_told_or_change_nothing(packed, frozen, data):
    """What is taken in spite of damage holds the same images: the damage was in the zip's own words."""
    path, lock = packed
    damaged = bytearray(path.read_bytes())
    for where, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 255)), max_size=3)
    ):
        damaged[where] = byte
    other = path.with_name("b.zip")
    other.write_bytes(bytes(damaged[: data.draw(st.sampled_from([len(damaged), len(damaged) // 2, 10]))]))
    try:
        _, taken = import_pack(other)
    except DataError as error:
        sentence = str(error)
    else:
        sentence = "b.zip"
        assert taken.parts["test"].sha256 == lock.parts["test"].sha256
    assert "b.zip" in sentence
