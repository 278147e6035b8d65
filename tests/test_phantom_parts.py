"""A part of the phantom track, written as a collection is delivered and prepared from there, is that part again."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.ndimage import maximum_filter, minimum_filter

from benchmark import load_split
from benchmark.cli import main
from benchmark.data.audit import audit
from benchmark.data.audit.noise import noise_notes
from benchmark.data.phantom.as_mets_to_brain import SIGNAL
from benchmark.data.split import LEVELS, Split
from benchmark.modality import MODALITIES

STORED = 0.5 / LEVELS  # a prepared image is rounded to 16 bits
HALF_HU = 0.5 / 1400
HALF_SIGNAL = max(0.5 / (high - low) for low, high in SIGNAL)


def run(line):
    done = CliRunner().invoke(main, shlex.split(line))
    assert done.exit_code == 0, done.output
    return done.output


def prepared(form, part, images, folder, cache):
    """What comes of the two commands that a reader of the help would give."""
    drawn = run(f"data phantom --as {form} --part {part} --images {images} {folder}")
    told = run(drawn.splitlines()[-1].partition("oncorobust ")[2])
    assert told.count("none in the manifest") == 2, "all of it is one part"
    (path,) = (cache / "rehearsal").rglob(f"*-{part}.safetensors")
    return Split.load(path)


# --- how far what is read lies from what was drawn: (64, 64) drawn, and what was read of it ------------------


def apart(drawn, read):
    return np.abs(drawn - read).max()


def apart_enlarged(drawn, read):
    return apart(drawn.repeat(2, 0).repeat(2, 1), read)


def apart_at_half_the_step(drawn, read):
    """New pixels lie a quarter of the old step to either side of each old one."""
    for _ in range(2):  # rows, then columns
        padded = np.pad(drawn, [(1, 1), (0, 0)])
        pair = (3 * drawn + padded[:-2]) / 4, (3 * drawn + padded[2:]) / 4
        drawn = np.stack(pair, 1).reshape(2 * len(drawn), -1).T
    return apart(drawn, read)


def apart_from_neighbours(drawn, read):
    """0 where a field was moved by less than a pixel: then every pixel lies between its neighbours."""
    above, below = read - maximum_filter(drawn, 3), minimum_filter(drawn, 3) - read
    return np.maximum(above, below)[1:-1, 1:-1].max()


def matches(found, track, measure, bound):
    """For each prepared image the row of the track that it is: the only one of the patient within `bound`."""
    names, patients = sorted(set(found.patient_ids)), list(dict.fromkeys(track.patient_ids))
    assert len(names) == len(patients)
    twin = dict(zip(names, patients, strict=True))
    rows = []
    for read, name in zip(found.images[:, 0] / LEVELS, found.patient_ids, strict=True):
        own = [row for row, patient in enumerate(track.patient_ids) if patient == twin[name]]
        distances = [measure(track.images[row, 0] / LEVELS, read) for row in own]
        near = [row for row, distance in zip(own, distances, strict=True) if distance <= bound]
        assert len(near) == 1, (name, distances, bound)
        rows += near
    assert len(set(rows)) == len(rows)
    assert (found.labels == track.labels[rows]).all()
    return rows


@pytest.mark.parametrize(
    ("form", "modality", "images", "measure", "bound"),
    [
        ("lidc", "ct", 24, apart, HALF_HU + STORED),
        ("lidc-segmentations", "ct", 7, apart_from_neighbours, HALF_HU + STORED),
        ("cbis-ddsm", "mammogram", 12, apart_enlarged, 0),
    ],
)
def test_the_test_part_comes_back_whole(form, modality, images, measure, bound, tmp_path, cache):
    track = load_split(modality).first_patients(images)
    found = prepared(form, "test", images, tmp_path / "tree", cache)
    assert sorted(matches(found, track, measure, bound)) == list(range(len(track)))
    assert f"synthetic: images of the split phantom-{modality}-test-1" in found.notes["source"]


def test_slices_of_the_brain_come_back_in_pairs_of_either_class(tmp_path, cache):
    track = load_split("mri").first_patients(30)
    found = prepared("mets-to-brain", "test", 30, tmp_path / "tree", cache)
    rows = matches(found, track, apart_at_half_the_step, HALF_SIGNAL + STORED)
    drawn = Counter(zip(track.patient_ids, track.labels.tolist(), strict=True))
    read = Counter((track.patient_ids[row], int(track.labels[row])) for row in rows)
    pairs = {name: min(drawn[name, 0], drawn[name, 1]) for name in track.patient_ids}
    assert read == {(name, label): pairs[name] for name, label in drawn}
    assert len(found) < len(track), "some patients have three images, so that one finds no partner"


def test_films_of_another_part_are_not_of_the_collection_s_test_part(tmp_path, cache, monkeypatch):
    part = replace(load_split("mammogram").first_patients(12), part="validation")
    monkeypatch.setattr(
        "benchmark.data.phantom.phantom_split", lambda _, wanted: {"validation": part}[wanted]
    )
    found = prepared("cbis-ddsm", "validation", 12, tmp_path / "tree", cache)
    assert found.patients == 4
    assert all(name.startswith("Mass-Training_") for name in found.image_ids)


@pytest.mark.parametrize("modality", ["ct", "mammogram", "mri"])
def test_the_committed_test_part_says_how_noisy_it_is_and_what_its_audit_found(modality):
    test = load_split(modality)

    measured = noise_notes(replace(test, notes={}))
    assert {key: test.notes[key] for key in measured} == pytest.approx(measured)
    assert test.notes["audit"]["overlap"] == {
        part: {"patients": 0, "exact_copies": 0, "near_copies": 0} for part in ("train", "validation")
    }
    alone = audit({"test": test}).described("test")
    assert test.notes["audit"] | {"overlap": {}, "pixel_logistic_accuracy": None} == alone
    told = MODALITIES[modality].told("0.004", test.notes)
    assert told.endswith(" σ") == (modality != "mri"), "of brains noise cannot be told from structure"
