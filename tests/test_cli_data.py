"""`oncorobust data`: what is printed is what was done, and the exit code says whether all of it is there."""

import shlex
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from click.testing import CliRunner
from lidc_tree import SERIES, write_scan

from benchmark.cli import main
from benchmark.data import lidc
from benchmark.data.manifest import PARTS, shipped_manifest, write_manifest
from benchmark.data.prepared.download import needed_series
from benchmark.data.prepared.lock import prepared_folder
from benchmark.data.prepared.rehearsal import rehearsal_manifest
from benchmark.data.split import Split

LIDC = shipped_manifest("lidc-idri")


def run(line):
    return CliRunner().invoke(main, shlex.split(f"data {line}"))


@pytest.fixture
def tree(tmp_path):
    """Five patients' scans with a manifest beside them, in two parts."""
    for number in range(5):
        write_scan(tmp_path / "tree" / f"{number}", f"P-{number}", f"{SERIES}.{number}")
    rehearsal_manifest(lidc, tmp_path / "tree")
    return tmp_path / "tree"


def test_status_tells_what_is_missing_how_to_get_it_and_the_licences(cache):
    result = run("status")

    assert result.exit_code == 0
    for words in (
        "lidc-idri-1: LIDC-IDRI",
        "test       not prepared; the manifest has 160 patients, 848 images",
        "get it (645 series, 156,955 files, 82.6 GB): oncorobust data download lidc-idri --to DIR",
        "then       oncorobust data prepare mets-to-brain --source DIR",
        "checksums  not yet published by a maintainer",
        "licence    CC BY 3.0; cite doi 10.7937/K9/TCIA.2016.7O02S9CY",
    ):
        assert words in result.output
    assert not cache.exists(), "asking writes nothing"


def test_a_tree_is_prepared_and_its_status_and_checksums_are_told(tree, tmp_path, monkeypatch):
    done = run(f"prepare lidc-idri --source {tree} --manifest {tree}/rehearsal.csv")
    assert done.exit_code == 0, done.output
    assert "lidc-idri-rehearsal in " in done.output
    assert "train      15 images of 3 patients, 9 with disease\n" in done.output

    (tree / "3" / "annotation.xml").unlink()
    again = run(f"prepare lidc-idri --source {tree} --manifest {tree}/rehearsal.csv --fresh")
    assert again.exit_code == 3
    assert "left out: 1 × no annotation XML names this series" in again.output
    assert "; not all of the manifest" in again.output


def test_a_frozen_manifest_makes_the_clinical_track(tree, monkeypatch, tmp_path):
    folder = tmp_path / "manifests"
    monkeypatch.setattr("benchmark.data.manifest.FOLDER", folder)
    monkeypatch.setattr("benchmark.data.prepared.lock.FOLDER", folder)
    about = {**LIDC.about, "version": 1}
    manifest = write_manifest(folder / "lidc-idri-1.csv", rehearsal_manifest(lidc, tree).items, about)

    done = run(f"prepare lidc-idri --source {tree} --part test")
    assert done.exit_code == 0, done.output
    assert "evaluate with --track clinical" in done.output
    assert "no maintainer has published checksums of this version yet" in done.output
    assert "test       prepared: 1 patients, 5 images, 3 with disease" in run("status").output
    assert run("verify").output == "lidc-idri-1: 5 images, 0 complaints\n"
    again = run(f"prepare lidc-idri --source {tree} --part test").output
    assert again.startswith(
        f"lidc-idri-1 in {prepared_folder(manifest)}, there already; --fresh reads it again"
    )

    assert run(f"pack lidc-idri --out {tmp_path}/a.zip").output.startswith("sha256 ")
    path = prepared_folder(manifest) / "ct-test.safetensors"
    before = Split.load(path).sha256
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    verified = run("verify lidc-idri")
    assert (verified.exit_code, "is damaged: sha256" in verified.output) == (3, True)
    taken = run(f"import {tmp_path}/a.zip")
    assert (taken.exit_code, taken.output) == (0, "lidc-idri-1: 5 images; evaluate with --track clinical\n")
    assert Split.load(path).sha256 == before
    assert run("verify lidc-idri").exit_code == 0

    assert run(f"verify {path.parent}").output == "lidc-idri-1: 5 images, 0 complaints\n"
    (path.parent / "lock.json").unlink()  # as where one's own images are prepared
    assert run(f"verify {path.parent}").output == "lidc-idri-1: 5 images, 0 complaints\n"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert run(f"verify {path.parent}").exit_code == 3


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("prepare lidc-idri --source /nowhere", "folder /nowhere is missing"),
        ("prepare cbis-ddsm --source /nowhere", "folder /nowhere is missing"),
        ("prepare mets-to-brain --source /nowhere", "folder /nowhere is missing"),
        ("prepare lidc-idri --source . --manifest /nowhere.csv", "manifest /nowhere.csv cannot be read"),
        ("prepare pet --source .", "No such command 'pet'"),
        ("verify lidc-idri", "nothing is prepared in "),
        ("verify no-such-folder", "nothing is prepared in no-such-folder"),
        ("pack lidc-idri --out a.zip", "nothing is prepared in "),
        ("pack mets-to-brain --out a.zip", "cannot be packed; only public collections of CC BY 3.0"),
        ("import /nowhere.zip", "pack /nowhere.zip is missing"),
        ("phantom --as lidc /dev/null/x", "/dev/null/x"),
        ("phantom --as lidc --images 1 /tmp/x", "1 is not in the range x>=2"),
    ],
)
def test_each_error_is_a_sentence_and_exit_code_2(line, sentence):
    result = run(line)

    assert result.exit_code == 2, result.output
    assert sentence in result.output
    assert isinstance(result.exception, SystemExit)


# --- download -----------------------------------------------------------------------------------------------


@pytest.fixture
def cloud(monkeypatch):
    """A stand-in of idc-index that keeps what it was asked for."""
    asked = []
    client = SimpleNamespace(download_from_selection=lambda **what: asked.append(what))
    module = ModuleType("idc_index")
    module.IDCClient = SimpleNamespace(client=lambda: client)
    monkeypatch.setitem(sys.modules, "idc_index", module)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1e14))
    return asked


def test_only_the_series_of_the_part_are_downloaded(cloud, tmp_path):
    result = run(f"download lidc-idri --to {tmp_path} --part test")

    assert result.exit_code == 0, result.output
    (asked,) = cloud
    assert set(asked["seriesInstanceUID"]) == {item.unit for item in LIDC.items if item.part == "test"}
    assert (asked["downloadDir"], asked["use_s5cmd_sync"]) == (str(tmp_path), True)
    assert f"then: oncorobust data prepare lidc-idri --source {tmp_path} --part test" in result.output


def test_masks_and_crops_are_downloaded_with_their_mammograms():
    series = needed_series(shipped_manifest("cbis-ddsm"), PARTS)

    assert len(series) == shipped_manifest("cbis-ddsm").about["downloads"]["series"] == 3391
    assert all(uid.startswith("1.3.6.1.4.1.9590.") for uid in series)


def test_a_disk_that_is_too_small_is_found_out_before(cloud, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=30e9))

    assert "takes about 83 GB and" in run(f"download lidc-idri --to {tmp_path}").output
    assert run(f"download lidc-idri --to {tmp_path} --part test").exit_code == 0


def test_a_broken_network_is_a_sentence(cloud, tmp_path, monkeypatch):
    def fail(**_):
        raise RuntimeError("s5cmd\n  timed out")

    monkeypatch.setattr(sys.modules["idc_index"].IDCClient.client(), "download_from_selection", fail)

    result = run(f"download lidc-idri --to {tmp_path}")
    assert (
        result.exit_code,
        "the download stopped: s5cmd timed out; the same command goes on" in result.output,
    ) == (2, True)


def test_without_the_extra_and_without_dicom_the_other_way_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "idc_index", None)

    assert "pip install 'oncorobust[download]'" in run(f"download lidc-idri --to {tmp_path}").output
    result = run(f"download mets-to-brain --to {tmp_path}")
    assert result.exit_code == 2
    assert "cannot be downloaded from here; get it so: download the NIfTI package" in result.output


def test_the_real_client_still_takes_what_we_ask_of_it():
    idc_index = pytest.importorskip("idc_index")
    import inspect

    names = inspect.signature(idc_index.IDCClient.download_from_selection).parameters
    assert {"downloadDir", "seriesInstanceUID", "use_s5cmd_sync"} <= names.keys()
    assert Path(idc_index.__file__).exists()
