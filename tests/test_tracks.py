"""A folder of files as they were downloaded, or exported by a hospital, is a track; its ids stay where it is."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from lidc_tree import SERIES, write_scan

from benchmark.data import lidc
from benchmark.data.phantom import as_lidc
from benchmark.data.prepared.rehearsal import FILE, rehearsal_manifest
from benchmark.data.tracks import load_split
from benchmark.data.tree import tree_split

NAMES = ("Mueller-7", "Anna-1", "Zacharias-3")


@pytest.fixture
def ward(tmp_path):
    """Scans of three patients, one of which nobody has annotated."""
    for number, name in enumerate(NAMES):
        folder = tmp_path / "ward" / name
        write_scan(folder, name, f"{SERIES}.{number}")
        if number == 2:
            (folder / "annotation.xml").unlink()
    return tmp_path / "ward"


def told(split):
    """All that a record would say of a split."""
    return json.dumps(
        [split.name, split.track, split.patient_ids, split.image_ids, dict(split.notes), dict(split.facts)]
    )


def test_the_ids_of_a_tree_become_keyed_hashes(ward, monkeypatch):
    raw = tree_split(lidc, ward)
    assert any(SERIES in sentence for sentence in raw.notes["left_out"])
    split = load_split("ct", str(ward))

    for name in (*NAMES, SERIES, str(ward)):
        assert name not in told(split)
    assert all(len(name) == 20 for name in (*split.patient_ids, *split.image_ids))
    assert (split.patients, len(set(split.image_ids))) == (2, len(raw))
    assert list(split.patient_ids) == sorted(split.patient_ids), "their order says nothing of the names"
    assert split.notes["left_out"] == {
        "files and findings that could not be used": len(raw.notes["left_out"])
    }
    assert load_split("ct", str(ward)).sha256 == split.sha256
    monkeypatch.setenv("ONCOROBUST_KEY", "another key of sixteen characters")
    assert not set(load_split("ct", str(ward)).patient_ids) & set(split.patient_ids)


def test_images_labels_and_facts_go_with_their_ids(ward):
    raw, split = tree_split(lidc, ward), load_split("ct", str(ward))

    def rows(one):
        facts = [tuple(values) for values in zip(*(one.facts[key] for key in sorted(one.facts)), strict=True)]
        return sorted((one.images[i].tobytes(), int(one.labels[i]), str(facts[i])) for i in range(len(one)))

    assert rows(split) == rows(raw)
    sizes = sorted(np.unique(raw.patient_ids, return_counts=True)[1].tolist())
    assert sorted(np.unique(split.patient_ids, return_counts=True)[1].tolist()) == sizes


def test_a_phantom_tree_keeps_its_ids_until_something_else_lies_in_it(tmp_path):
    folder = tmp_path / "rehearsal"
    as_lidc.write_tree(folder, images=6)
    rehearsal_manifest(lidc, folder, "drawn for a test")
    drawn = tree_split(lidc, folder)
    assert load_split("ct", str(folder)).patient_ids == drawn.patient_ids

    write_scan(folder / "own", NAMES[0], SERIES)
    assert NAMES[0] not in told(load_split("ct", str(folder)))
    shutil.rmtree(folder / "own")
    (folder / FILE).unlink()
    assert not set(load_split("ct", str(folder)).patient_ids) & set(drawn.patient_ids)


def test_a_rehearsal_of_downloaded_files_is_private(ward):
    rehearsal_manifest(lidc, ward)
    assert NAMES[0] not in told(load_split("ct", str(ward)))
