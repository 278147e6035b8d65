"""The LIDC-IDRI phantom tree must give the phantom back, from the XML and from segmentations alike."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from benchmark.data import lidc
from benchmark.data.dicom.series import find_series, order_slices
from benchmark.data.lidc.annotations import find_annotation_files, read_annotations
from benchmark.data.lidc.nodules import find_nodules
from benchmark.data.lidc.segmentations import find_segmentations, outlines, read_segmentations
from benchmark.data.phantom import as_lidc
from benchmark.data.phantom.as_lidc_segmentations import replace_annotations, write_segmentations
from benchmark.data.prepared.prepare import prepare
from benchmark.data.prepared.rehearsal import rehearsal_manifest
from benchmark.data.split import LEVELS, Split
from benchmark.errors import DataError

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "lidc" / "LIDC-IDRI"
HALF_HU = 0.5 / 1400 * LEVELS  # stored values are whole HU


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lidc")
    return folder, as_lidc.write_tree(folder, images=14)


@pytest.fixture(scope="module")
def readings(tree):
    return {unit.patient_id: lidc.read(unit) for unit in annotated(tree[0])}


def annotated(folder: Path):
    return [unit for unit in lidc.index(folder).units if unit.payload.annotation or unit.payload.segments]


# --- the tree in XML ---------------------------------------------------------------------------------------


def test_the_tree_holds_every_quirk(tree):
    folder, scans = tree
    files = [dcmread(path) for path in sorted(folder.rglob("*.dcm"))]
    ct = [file for file in files if file.Modality == "CT"]
    assert len(scans) >= 3
    assert {file.PixelRepresentation for file in ct} == {0, 1}
    assert {str(file.file_meta.TransferSyntaxUID.name) for file in ct} == {
        "Implicit VR Little Endian",
        "Explicit VR Little Endian",
    }
    assert {file.get("PixelPaddingValue") for file in ct} == {63536, -2000, None}
    assert {int(file.pixel_array.min()) for file in ct} >= {-2000, -1024, 0}
    assert {getattr(file.get("WindowCenter"), "VM", 1) for file in ct} | {
        len(file.WindowCenter) for file in ct if "WindowCenter" in file
    } >= {1, 2}
    assert {file.Modality for file in files} == {"CT", "DX"}
    assert all("PHANTOM" in file.ImageComments for file in files)
    positions = [(file.SeriesInstanceUID, float(file.ImagePositionPatient[2])) for file in ct if axial(file)]
    assert len(positions) - len(set(positions)) == len(scans), "a second image at one position of each scan"
    assert any("LOCALIZER" in file.ImageType for file in ct)
    roots = {path.relative_to(folder).parts[0] for path in folder.rglob("*.dcm")}
    assert roots == {"LIDC-IDRI", "manifest-1600709154662", "lidc_idri"}


def axial(file) -> bool:
    return "LOCALIZER" not in file.ImageType


def test_the_phantom_is_read_back_up_to_the_rounding_to_whole_hu(tree, readings):
    for scan in tree[1]:
        expected = [
            (nodule.label, z, image)
            for nodule in scan.nodules
            if nodule.label is not None
            for z, image in zip(nodule.z, nodule.images, strict=True)
        ]
        reading = readings[scan.patient_id]
        assert list(reading.left_out) == []
        assert [(s.label, s.facts["z_mm"]) for s in reading.samples] == [e[:2] for e in expected]
        for sample, (_, _, image) in zip(reading.samples, expected, strict=True):
            assert np.abs(sample.pixels.astype(int) - image).max() <= HALF_HU + 0.5
        assert reading.notes["undecided_nodules"] == 1, "at a mean of 3; that of two readers is none at all"


def test_facts_and_noise_are_the_phantom_s(tree, readings):
    for scan in tree[1]:
        reading, labelled = readings[scan.patient_id], [n for n in scan.nodules if n.label is not None]
        by_z = {z: nodule for nodule in labelled for z in nodule.z}
        for sample in reading.samples:
            nodule = by_z[sample.facts["z_mm"]]
            assert sample.facts["malignancy"] == pytest.approx(np.mean(nodule.ratings))
            assert sample.facts["readers"] == len(nodule.ratings)
            assert sample.facts["diameter_mm"] == pytest.approx(nodule.diameter_mm, rel=0.25)
        assert all(10 < sigma < 20 for sigma in reading.noise)
        assert reading.noise, "soft tissue stands at the front and the back"


def test_a_scan_that_nobody_annotated_says_so(tree):
    (unit,) = (u for u in lidc.index(tree[0]).units if u.patient_id not in {s.patient_id for s in tree[1]})
    with pytest.raises(DataError, match="no annotation XML names this series"):
        lidc.read(unit)


def test_the_tree_is_prepared_like_the_collection(tree, tmp_path, monkeypatch):
    monkeypatch.setenv("ONCOROBUST_CACHE", str(tmp_path / "cache"))
    folder = shutil.copytree(tree[0], tmp_path / "tree")
    done = prepare(lidc, folder, rehearsal_manifest(lidc, folder, "drawn for a test"), progress=False)
    splits = [Split.load(path) for path in sorted(done.folder.glob("ct-*.safetensors"))]
    assert done.exit_code == 0
    assert sum(map(len, splits)) == 14
    assert {split.image_size for split in splits} == {(64, 64)}
    patients = [set(split.patient_ids) for split in splits]
    assert len(set.union(*patients)) == sum(map(len, patients)) == len(tree[1])


# --- the same marks as segmentations -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def converted(tree, tmp_path_factory):
    """One patient's scan, its XML turned into segmentations and reports."""
    folder = tmp_path_factory.mktemp("seg")
    source = as_lidc.series_folder(tree[0], tree[1][0])
    shutil.copytree(source, folder / "scan")
    replace_annotations(folder)
    return folder


def test_segmentations_give_the_same_nodules_as_the_xml(tree, readings, converted):
    (unit,) = annotated(converted)
    assert not list(converted.rglob("*.xml"))
    assert unit.payload.annotation is None
    one, other = readings[unit.patient_id], lidc.read(unit)
    assert [(s.image_id, s.label) for s in one.samples] == [(s.image_id, s.label) for s in other.samples]
    assert one.notes == other.notes
    for a, b in zip(one.samples, other.samples, strict=True):
        assert a.facts["malignancy"] == b.facts["malignancy"]
        assert a.facts["readers"] == b.facts["readers"]
        assert a.facts["diameter_mm"] == pytest.approx(b.facts["diameter_mm"], abs=1.6)


def compare(folder: Path, target: Path) -> int:
    """Convert the marks of one series and compare the nodules; how many there are."""
    series, _ = find_series(folder)
    files, _ = find_annotation_files(folder)
    ((uid, path),) = files.items()
    slices = order_slices(series[uid])
    markings = (read_annotations(path) or ("", ()))[1]
    write_segmentations(target, slices, markings)
    found, wrong = find_segmentations(target.rglob("*.dcm"))
    assert wrong == []
    again = read_segmentations(found[uid], slices)
    assert sorted(m.malignancy for m in again) == sorted(m.malignancy for m in markings)
    nodules = list(zip(find_nodules(markings, slices), find_nodules(again, slices), strict=True))
    for one, other in nodules:
        assert (one.label, one.readers, one.z) == (other.label, other.readers, other.z)
        assert one.malignancy == other.malignancy
        assert np.hypot(*np.subtract(one.centre, other.centre)) < 0.6, "pixels"
        assert abs(one.diameter((1, 1)) - other.diameter((1, 1))) < 2.5, "pixels"
    return len(nodules)


@pytest.mark.skipif(not REAL.is_dir(), reason="no sample of LIDC-IDRI beside the repository")
def test_the_real_marks_come_back(tmp_path):
    assert compare(REAL, tmp_path / "seg") >= 2


def test_an_outline_is_what_surrounds_a_mask():
    mask = np.zeros((12, 14), bool)
    mask[3:6, 4:9] = True
    mask[4, 6] = False  # a hole is no outline
    mask[9, 2] = True  # a piece of its own
    mask[0, 13] = True  # at the corner, its outline leaves the image
    corner, block, pixel = sorted(outlines(mask), key=lambda points: points[:, 0].min())
    assert {tuple(point) for point in block} == {
        *((2, c) for c in range(4, 9)),
        *((6, c) for c in range(4, 9)),
        *((r, 3) for r in range(3, 6)),
        *((r, 9) for r in range(3, 6)),
    }
    assert {tuple(point) for point in pixel} == {(8, 2), (10, 2), (9, 1), (9, 3)}
    assert corner.min() == -1
    assert list(outlines(np.zeros((4, 4), bool))) == []


# --- what can be wrong with them ---------------------------------------------------------------------------


@pytest.fixture
def scan(converted, tmp_path):
    """A copy that a test may damage: its folder, a segmentation, and the report on it."""
    folder = shutil.copytree(converted, tmp_path / "copy")
    masks = min(folder.rglob("SEG_*/*.dcm"))
    uid = dcmread(masks, stop_before_pixels=True).SOPInstanceUID
    report = next(path for path in folder.rglob("SR_*/*.dcm") if uid.encode() in path.read_bytes())
    return folder, masks, report


def refused(folder: Path, message: str) -> None:
    """The scan has no marks that could be used, and it is said why."""
    index = lidc.index(folder)
    assert annotated(folder) == []
    assert any(message in item.reason and not item.harmless for item in index.left_out)


def test_an_outline_without_a_rating_leaves_the_series_out(scan):
    scan[2].unlink()
    refused(scan[0], f"{scan[1]} holds an outline that no report rates")


def test_a_rating_without_its_outline_leaves_the_series_out(scan):
    scan[1].unlink()
    refused(scan[0], f"{scan[2]} rates an outline whose segmentation is not here")


def test_truncated_files_leave_the_series_out(scan):
    scan[2].write_bytes(scan[2].read_bytes()[:900])
    refused(scan[0], "no report rates")


def test_two_ratings_that_differ_are_refused(scan):
    copy = scan[2].with_name("copy.dcm")
    shutil.copy(scan[2], copy)
    assert len(annotated(scan[0])) == 1, "the same report twice is one"
    report = dcmread(copy)
    items = [item for element in report.iterall() if element.VR == "SQ" for item in element.value]
    (rating,) = [item for item in items if item.get("CodingSchemeDesignator") == "99LIDCQIICR"]
    rating.CodeValue = "905" if rating.CodeValue != "905" else "904"
    report.save_as(copy)
    refused(scan[0], "rate one outline differently")


def test_an_unknown_rating_is_refused(scan):
    data = scan[2].read_bytes()
    scan[2].write_bytes(data.replace(b"99LIDCQIICR", b"99OTHERCODE"))
    refused(scan[0], "not 901 to 905 of 99LIDCQIICR")


def test_two_segmentations_of_one_uid_that_differ_are_refused(scan):
    copy = scan[1].with_name("copy.dcm")
    shutil.copy(scan[1], copy)
    assert len(annotated(scan[0])) == 1
    data = bytearray(copy.read_bytes())
    data[-3] ^= 255
    copy.write_bytes(bytes(data))
    refused(scan[0], "have one SOPInstanceUID and differ")


def change(path: Path, edit) -> None:
    dataset = dcmread(path)
    edit(dataset)
    dataset.save_as(path, enforce_file_format=True)


def shared(dataset):
    return dataset.SharedFunctionalGroupsSequence[0]


def move(dataset, axis: int, by: float) -> None:
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        position[axis] = float(position[axis]) + by


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: move(d, 2, 1.2), "lies on no slice of its CT"),
        (lambda d: move(d, 0, 0.75), "lies on no slice of its CT"),
        (
            lambda d: setattr(shared(d).PixelMeasuresSequence[0], "PixelSpacing", [0.7, 0.75]),
            "of other pixels",
        ),
        (
            lambda d: setattr(
                shared(d).PlaneOrientationSequence[0], "ImageOrientationPatient", [-1, 0, 0, 0, 1, 0]
            ),
            "of other pixels",
        ),
        (lambda d: setattr(d, "Rows", d.Rows // 2), "it is of other images"),
        (lambda d: setattr(d, "NumberOfFrames", 10**6), "frames of"),
        (lambda d: setattr(d, "SegmentationType", "FRACTIONAL"), "expected BINARY"),
        (lambda d: setattr(d, "PixelData", bytes(len(d.PixelData))), "no pixel in segment 1"),
        (lambda d: setattr(d, "PixelData", d.PixelData[: len(d.PixelData) // 4 * 2]), "cannot be read"),
    ],
)
def test_masks_that_do_not_fit_their_scan_are_explained(scan, edit, message):
    change(scan[1], edit)
    (unit,) = annotated(scan[0])
    with pytest.raises(DataError, match=message):
        lidc.read(unit)


@pytest.fixture(scope="module")
def pair(converted):
    """One segmentation, the report on it, and the slices that they are of."""
    masks = min(converted.rglob("SEG_*/*.dcm"))
    uid = dcmread(masks, stop_before_pixels=True).SOPInstanceUID
    report = next(path for path in converted.rglob("SR_*/*.dcm") if uid.encode() in path.read_bytes())
    slices = order_slices(next(iter(find_series(converted / "scan")[0].values())))
    return masks.read_bytes(), report.read_bytes(), slices


@settings(
    max_examples=80,
    database=None,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damaged_bytes_end_in_a_sentence_or_in_the_marking(pair, tmp_path, data):
    *contents, slices = pair
    victim = data.draw(st.integers(0, 1))
    damaged = bytearray(contents[victim])
    place = st.integers(132, len(damaged) - 1)
    for where, byte in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=4)):
        damaged[where] = byte
    contents[victim] = bytes(damaged[: data.draw(st.one_of(st.just(len(damaged)), place))])
    paths = [tmp_path / "masks.dcm", tmp_path / "report.dcm"]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    found, wrong = find_segmentations(paths)
    markings = []
    for segments in found.values():
        try:
            markings += read_segmentations(segments, slices)
        except DataError as error:
            wrong.append(str(error))
    assert len(markings) == 1 or wrong
    assert all(1 <= m.malignancy <= 5 and m.contours for m in markings)
