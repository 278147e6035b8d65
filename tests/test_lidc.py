"""CT slices must become HU in the body's order; readers' outlines must become the nodules that pylidc finds."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lidc_tree import LUNG, NODULE, SERIES, mark, square, write_scan, write_slice, write_xml
from pydicom.pixels import get_decoder
from pydicom.uid import JPEGLosslessSV1

from benchmark.data import lidc
from benchmark.data.dicom.series import find_series, order_slices, read_series
from benchmark.data.lidc.annotations import Marking, find_annotation_files, read_annotations
from benchmark.data.lidc.nodules import Nodule, cluster, find_nodules
from benchmark.data.lidc.patches import crop, noise_sigma, window
from benchmark.data.tree import tree_split
from benchmark.errors import DataError

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "lidc"
needs_real = pytest.mark.skipif(
    not (REAL / "LIDC-IDRI").is_dir(), reason="no sample of LIDC-IDRI beside the repository"
)


def lidc_split(folder, progress=None):
    return tree_split(lidc, folder, progress)


def values(*stored: int, dtype: type = np.uint16) -> np.ndarray:
    return np.resize(np.array(stored, dtype), (8, 8))


# --- DICOM -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "slope", "intercept", "hu", "dtype"),
    [
        (values(1024, 0, 3000), 1, -1024, [0, -1024, 1976], np.int16),
        (values(-1000, 40, dtype=np.int16), 1, 0, [-1000, 40], np.int16),
        (values(-2000, 63536 - 65536, 1064, dtype=np.int16), 1, -1024, [-1024, -1024, 40], np.int16),
        (values(500, 512), 2, -1024, [-24, 0], np.int16),
        (values(2001, 2048), 0.5, -1024, [-23.5, 0], np.float32),
        (values(65535), 1, 0, [32767], np.int16),
    ],
)
def test_stored_values_become_hounsfield_units(tmp_path, raw, slope, intercept, hu, dtype):
    tags = {
        "RescaleSlope": slope,
        "RescaleIntercept": intercept,
        "WindowCenter": [45, -400],
        "WindowWidth": [400, 1500],
    }
    write_slice(tmp_path / "a.dcm", raw, 0, PixelPaddingValue=None, **tags)
    series = read_series(tmp_path)
    assert series.hu.dtype == dtype
    assert series.hu.shape == (1, 8, 8)
    assert series.hu.ravel()[: len(hu)].tolist() == hu


def test_twelve_bit_signed_values_keep_their_sign(tmp_path):
    raw = values(0x0FFF, 0x0800, 0x07FF)  # -1, -2048 and 2047 in twelve bits
    write_slice(tmp_path / "a.dcm", raw, 0, BitsStored=12, HighBit=11, PixelRepresentation=1)
    assert read_series(tmp_path).hu.ravel()[:3].tolist() == [-1, -1024, 2047]


def test_slices_are_ordered_by_position_not_by_name_or_number(tmp_path):
    for name, number, z in (("a", 1, 5.0), ("b", 2, -2.5), ("c", 3, 0.0), ("d", 4, 2.5)):
        write_slice(tmp_path / name / "x.dcm", values(round(100 + 10 * z)), z, InstanceNumber=number)
    series = read_series(tmp_path)
    assert series.z.tolist() == [-2.5, 0, 2.5, 5]
    assert series.hu[:, 0, 0].tolist() == [75, 100, 125, 150]
    assert len(set(series.sop_uids)) == 4
    assert (series.spacing, series.thickness, series.patient_id) == ((0.75, 0.75), 2.5, "P-1")


def test_of_two_images_at_one_position_the_lower_instance_number_stays(tmp_path):
    for name, number in (("a", 7), ("b", 3), ("c", 5)):
        write_slice(tmp_path / f"{name}.dcm", values(number), 0.0, InstanceNumber=number)
    assert read_series(tmp_path).hu[:, 0, 0].tolist() == [3]


def test_a_gap_is_named(tmp_path):
    for z in (0.0, 2.5, 7.5, 10.0):
        write_slice(tmp_path / f"{z}.dcm", values(1), z)
    assert read_series(tmp_path).gaps == ((2.5, 7.5),)


def test_only_axial_ct_is_read_and_series_are_told_apart_by_their_headers(tmp_path):
    write_slice(tmp_path / "1.dcm", values(1), 0)
    write_slice(tmp_path / "2.dcm", values(2), 0, SeriesInstanceUID="1.2.3")
    write_slice(
        tmp_path / "3.dcm", values(3), 0, Modality="DX", SeriesInstanceUID="1.2.4", ImagePositionPatient=None
    )
    write_slice(tmp_path / "4.dcm", values(4), 0, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_slice(tmp_path / "no-suffix", values(5), 1)
    (tmp_path / "LICENSE").write_text("not DICOM, and not called so")
    found, unreadable = find_series(tmp_path)
    assert {uid: len(slices) for uid, slices in found.items()} == {SERIES: 2, "1.2.3": 1}
    assert unreadable == []
    assert read_series(tmp_path, SERIES).hu[:, 0, 0].tolist() == [1, 5]
    assert read_series([tmp_path / "2.dcm"]).hu[0, 0, 0] == 2
    with pytest.raises(DataError, match=r"2 CT series; ask by series_uid for one of 1\.2\.3, 1\.2\.8"):
        read_series(tmp_path)
    with pytest.raises(DataError, match="no series 9"):
        read_series(tmp_path, "9")


@pytest.mark.parametrize(
    "tags",
    [
        {"PixelSpacing": [0.75, 0.8]},
        {"ImageOrientationPatient": [-1, 0, 0, 0, -1, 0]},
        {"PatientID": "P-2"},
        {"Rows": 4},
    ],
)
def test_slices_that_do_not_belong_together_are_refused(tmp_path, tags):
    write_slice(tmp_path / "a.dcm", values(1), 0)
    write_slice(tmp_path / "b.dcm", values(1)[: tags.get("Rows", 8)], 1, **tags)
    with pytest.raises(DataError, match=r"b\.dcm.* expected the same in all slices"):
        read_series(tmp_path)


def refused(tmp_path: Path, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_series(tmp_path)


def test_damaged_or_foreign_files_are_named(tmp_path):
    path = write_slice(tmp_path / "a.dcm", values(1), 0)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    refused(tmp_path, r"a\.dcm cannot be read as a CT image.*download it again")
    path.write_bytes(b"")
    refused(tmp_path, r"a\.dcm")
    path.write_bytes(b"<html>sign in</html>" * 20)
    refused(tmp_path, r"a\.dcm is not DICOM in spite of its name")
    path.unlink()
    refused(tmp_path, "holds no CT image")
    with pytest.raises(DataError, match="is missing"):
        read_series(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"RescaleSlope": None}, "RescaleSlope"),
        ({"RescaleSlope": 0}, "positive, finite slope"),
        ({"PixelSpacing": None}, "PixelSpacing"),
        ({"PixelSpacing": [0, 0.7]}, "pixels of 0.05 to 5 mm"),
        ({"ImagePositionPatient": None}, "ImagePositionPatient"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "expected axial"),
        ({"NumberOfFrames": 2}, "several frames"),
        ({"Rows": 9}, r"a\.dcm cannot be read"),
    ],
)
def test_a_header_that_cannot_be_used_is_explained(tmp_path, tags, message):
    write_slice(tmp_path / "a.dcm", values(1), 0, **tags)
    refused(tmp_path, message)


@pytest.mark.skipif(
    get_decoder(JPEGLosslessSV1).is_available, reason="a decoder for JPEG Lossless is installed"
)
def test_a_missing_decoder_is_named(tmp_path):
    write_slice(tmp_path / "a.dcm", values(1), 0, TransferSyntaxUID=JPEGLosslessSV1)
    refused(tmp_path, r"compressed as JPEG Lossless.*install pylibjpeg and pylibjpeg-libjpeg, or python-gdcm")


@pytest.fixture(scope="module")
def whole_slice(tmp_path_factory):
    return write_slice(tmp_path_factory.mktemp("fuzz") / "a.dcm", values(1000, 1100), 0).read_bytes()


@settings(
    max_examples=60,
    database=None,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damaged_bytes_end_in_a_sentence_or_an_image(whole_slice, tmp_path, data):
    place = st.integers(128, len(whole_slice) - 1)
    damaged = bytearray(whole_slice[: data.draw(st.one_of(st.just(len(whole_slice)), place))])
    for where, byte in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=4)):
        if where < len(damaged):
            damaged[where] = byte
    path = tmp_path / "a.dcm"
    path.write_bytes(bytes(damaged))
    try:
        series = read_series(tmp_path)
    except DataError as error:
        sentence = str(error)
    else:
        sentence = "a.dcm"
        assert np.isfinite(series.hu).all()
        assert series.hu.min() >= -1024
    assert "a.dcm" in sentence or "no CT image" in sentence


# --- crops -------------------------------------------------------------------------------------------------


def test_a_crop_at_the_same_spacing_copies_pixels():
    hu = np.arange(200 * 210).reshape(200, 210) % 1999 - 999
    cut = crop(hu, (90.5, 120.5), (0.75, 0.75))
    assert cut.shape == (64, 64)
    assert np.allclose(cut, hu[90 - 31 : 90 + 33, 120 - 31 : 120 + 33])


def test_a_coarse_slice_is_interpolated_and_a_fine_one_averaged():
    rows, columns = np.mgrid[:300, :300]
    cut = crop(10.0 * rows + columns, (150, 150), (1.5, 0.375))
    # 0.75 mm are half a row of 1.5 mm and two columns of 0.375 mm: +5 down, +2 across, 1650 in the middle.
    assert np.allclose(np.diff(cut, axis=0), 5)
    assert np.allclose(np.diff(cut, axis=1), 2)
    assert cut[31:33, 31:33].mean() == pytest.approx(1650)
    spike = np.zeros((300, 300))
    spike[150, 150] = 800
    # Two columns wide, the triangle weighs 1/4 1/2 1/4; a position on the spike sits at pixel 32 of each axis.
    fine = crop(spike, (149.5, 149), (0.75, 0.375))
    assert fine[32, 32] == pytest.approx(400)
    assert fine[31].max() == pytest.approx(0)
    assert crop(spike, (149.5, 148), (0.75, 0.375))[32, 32] == pytest.approx(200)


def test_beyond_the_slice_there_is_air():
    cut = crop(np.full((100, 100), 40), (-0.5, 99.5), (0.75, 0.75))
    assert np.allclose(cut[:32], -1024)
    assert np.allclose(cut[:, 32:], -1024)
    assert np.allclose(cut[32:, :32], 40)
    assert np.allclose(crop(np.full((100, 100), 40), (-500, 0), (0.75, 0.75)), -1024)


def test_the_window_is_lung_wide():
    assert window(np.array([-1024, -1000, -300, 400, 3000])).tolist() == [0, 0, 0.5, 1, 1]


@pytest.mark.parametrize("sigma", [5, 12, 25])
def test_noise_is_measured_in_soft_tissue(sigma):
    rng = np.random.default_rng(3)
    hu = rng.normal(50, sigma, (256, 256))
    hu[:100] = rng.normal(LUNG, 90, (100, 256))
    hu[180:, :100] = 50 + 90 * np.sin(np.arange(100))  # structure, which is not noise
    # The 20th percentile of an SD from 64 pixels lies 7 % under the SD.
    assert noise_sigma(hu, (0.75, 0.75)) == pytest.approx(0.93 * sigma, rel=0.05)
    assert noise_sigma(np.full((256, 256), LUNG), (0.75, 0.75)) is None


# --- nodules -----------------------------------------------------------------------------------------------


def marking(reader: int, row: float, column: float, z: float = 0.0, malignancy: int = 4) -> Marking:
    return Marking(
        reader, malignancy, ((z, np.array([[row, column], [row + 1, column], [row, column + 1]])),)
    )


def sizes(markings: list[Marking], tolerance: float) -> list[int]:
    return sorted(len(group) for group in cluster(markings, 1.25, tolerance))


def test_markings_within_the_tolerance_are_one_nodule():
    three = [marking(r, 10, 10 + 3 * r) for r in range(3)]  # nearest points 2 apart, in a chain
    assert sizes(three, 2.0) == [3]
    assert sizes(three, 1.99) == [1, 1, 1]
    assert sizes([marking(0, 10, 10, 0.0), marking(1, 10, 10, 2.5)], 2.0) == [2], (
        "two slices apart, whatever their mm"
    )
    assert sizes([marking(0, 10, 10, 0.0), marking(1, 10, 10, 3.75)], 2.0) == [1, 1]
    assert cluster([], 1.25, 2.0) == []


def test_the_tolerance_shrinks_while_a_nodule_has_more_than_four_markings():
    left, right = (
        [marking(r, 10, 10) for r in range(3)],
        [marking(r, 10, 13.5) for r in range(3)],
    )  # 2.5 apart
    assert sizes(left + right, 3.0) == [3, 3]
    assert sizes([marking(r % 4, 10, 10) for r in range(6)], 3.0) == [6], "what cannot be parted stays one"


@pytest.mark.parametrize(
    ("ratings", "label"),
    [((3, 3, 4), 1), ((3, 3, 2), 0), ((3, 3, 3), None), ((1, 5, 3, 3), None), ((5, 5, 1, 2), 1)],
)
def test_the_label_is_the_side_of_three_on_which_the_mean_lies(ratings, label):
    assert Nodule(tuple(marking(r, 0, 0, 0.0, m) for r, m in enumerate(ratings))).label == label


def test_a_nodule_lies_on_slices_that_half_of_its_readers_outlined():
    seen = [(0.0, 2.5, 5.0), (2.5, 5.0), (2.5,), (2.5, 7.5, 7.5)]
    outline = np.array([[1.0, 1.0], [1.0, 7.0]])
    nodule = Nodule(tuple(Marking(r, 4, tuple((z, outline) for z in zs)) for r, zs in enumerate(seen)))
    assert nodule.z == (2.5, 5.0)
    assert nodule.centre == (1.0, 4.0)
    assert nodule.diameter((0.5, 0.7)) == pytest.approx(4.2)


def test_holes_stray_points_and_unrated_marks_are_dropped(tmp_path):
    outline, hole = (5.0, square(20, 30, 4)), (5.0, square(20, 30, 1))
    readers = [
        [mark(4, [outline], holes=[hole]), mark(None, [(5.0, [(3, 3)])])],
        [mark(0, [outline])],
        [mark(2, [(7.5, [(9, 9)])]), mark(2, [outline, (7.5, [(9, 9)])])],
    ]
    uid, markings = read_annotations(write_xml(tmp_path / "a.xml", readers)) or ("", ())
    assert uid == SERIES
    assert [(m.reader, m.malignancy, len(m.contours)) for m in markings] == [(0, 4, 1), (2, 2, 1)]
    z, points = markings[0].contours[0]
    assert z == 5.0
    assert len(points) == 32
    assert points.mean(0).tolist() == [20, 30], "row from yCoord, column from xCoord"


def test_outlines_are_counted_as_the_published_counts_do(tmp_path):
    """Readers are told apart in the XML alone; its segmentations and the tables of the whole collection name none."""
    folder = write_scan(tmp_path / "scan")
    here = (5.0, square(40, 30, 4))
    write_xml(folder / "annotation.xml", [[mark(5, [here]), mark(5, [here])], [mark(5, [here])]])
    assert lidc_split(folder).facts["readers"] == [3]
    write_xml(folder / "annotation.xml", [[mark(5, [here])], [mark(5, [here])]])
    with pytest.raises(DataError, match="gives no labelled image of lidc-idri; its reader found nothing"):
        lidc_split(folder)


def test_a_thick_nodule_gives_its_three_middle_slices():
    assert lidc.middle((1.0,)) == (1.0,)
    assert lidc.middle((1.0, 2.0)) == (1.0, 2.0)
    assert lidc.middle((1.0, 2.0, 3.0, 4.0)) == (1.0, 2.0, 3.0)
    assert lidc.middle((1.0, 2.0, 3.0, 4.0, 5.0)) == (2.0, 3.0, 4.0)


# --- the split ---------------------------------------------------------------------------------------------


def test_a_tree_becomes_a_split(tmp_path):
    write_scan(tmp_path / "own" / "z", "P-1")
    write_scan(tmp_path / "own" / "a", "P-2", SERIES + ".2")
    said: list[str] = []
    split = lidc_split(tmp_path / "own", said.append)
    one = ["1/5.00", "1/7.50", "1/10.00", "2/15.00", "2/17.50"]  # nodule 0 is undecided
    series = {"P-1": "1", "P-2": "2"}
    assert split.image_ids == tuple(f"{who}/{uid}-{rest}" for who, uid in series.items() for rest in one)
    assert split.labels.tolist() == [1, 1, 1, 0, 0] * 2
    assert (split.patients, split.image_size, split.track, split.name) == (2, (64, 64), "own", "own-ct")
    assert split.notes["left_out"] == []
    assert split.notes["undecided_nodules"] == 2
    assert split.notes["nodules"] == 4
    assert said == ["1 of 2: P-1, 5 images", "2 of 2: P-2, 5 images"]
    assert split.facts["diameter_mm"][0] == pytest.approx(0.75 * 8 * 2**0.5)
    assert split.facts["malignancy"][:4] == pytest.approx([13 / 3] * 3 + [2])
    pixels = split.images[:, 0] / 65535 * 1400 - 1000
    # A pixel's centre falls between four pixels of the crop, so the nodule of 7 x 7 fills the inner 6 x 6.
    assert np.allclose(pixels[:, 29:35, 29:35], NODULE, atol=0.02)
    assert abs(np.median(pixels[0]) - LUNG) < 2
    # Row 70, column 80 of 96: columns past 95 are air, which the window makes black.
    assert (split.images[3, 0, :, 48:] == 0).all()
    assert (split.images[3, 0, :40, :47] > 0).all()


def test_nodules_of_two_series_of_a_patient_have_names_of_their_own(tmp_path):
    write_scan(tmp_path / "a")
    write_scan(tmp_path / "b", series=SERIES + ".2")
    split = lidc_split(tmp_path)
    assert split.patients == 1
    assert sorted({name.split("/")[1] for name in split.image_ids}) == ["1-1", "1-2", "2-1", "2-2"]


def test_the_split_does_not_depend_on_names_or_folders(tmp_path):
    write_scan(tmp_path / "flat")
    for number, path in enumerate(sorted((tmp_path / "flat").iterdir())):
        target = tmp_path / "deep" / f"{97 * number % 11}" / f"{number}{path.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    shutil.copy(tmp_path / "flat" / "annotation.xml", tmp_path / "deep" / "again.xml")
    assert lidc_split(tmp_path / "flat").sha256 == lidc_split(tmp_path / "deep").sha256


def test_a_bad_series_is_left_out_by_name_and_the_rest_used(tmp_path):
    write_scan(tmp_path / "a")
    write_scan(tmp_path / "b", "P-2", SERIES + ".2", annotated=False)
    write_scan(tmp_path / "c", "P-3", SERIES + ".3")
    write_slice(tmp_path / "c" / "odd.dcm", values(1), 50, PatientID="P-3", SeriesInstanceUID=SERIES + ".3")
    write_scan(tmp_path / "d", "P-4", SERIES + ".4")
    (tmp_path / "d" / "1-006.dcm").unlink()  # z 7.5, inside the malignant nodule
    (tmp_path / "d" / "1-003.dcm").write_bytes(b"nothing")  # z 15, inside the benign one
    split = lidc_split(tmp_path)
    assert set(split.patient_ids) == {"P-1"}
    text = "\n".join(split.notes["left_out"])
    assert f"P-2, {SERIES}.2: no annotation XML names this series" in text
    assert f"P-3, {SERIES}.3: " in text
    assert "odd.dcm has shape (8, 8)" in text
    assert "P-4/4-1: no slice at z 7.5 mm" in text
    assert "P-4/4-2: no slice at z 15 mm" in text
    assert "1-003.dcm" in text


def test_a_slice_with_broken_pixels_costs_its_nodule_only(tmp_path):
    path = write_scan(tmp_path) / "1-006.dcm"
    path.write_bytes(path.read_bytes()[:-50])
    split = lidc_split(tmp_path)
    assert split.labels.tolist() == [0, 0]
    assert "1-006.dcm cannot be read" in split.notes["left_out"][0]


MALFORMED = {
    "well-formed": "<LidcReadMessage",
    "document type": "<!DOCTYPE a [<!ENTITY b 'c'>]><LidcReadMessage xmlns='http://www.nih.gov'/>",
    "names no series": "<LidcReadMessage xmlns='http://www.nih.gov'/>",
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_bad_annotation_file_is_named(tmp_path, what):
    write_scan(tmp_path)
    (tmp_path / "annotation.xml").write_text(MALFORMED[what])
    with pytest.raises(
        DataError, match=rf"no labelled image.*annotation\.xml.*{what}.*no annotation XML names this"
    ):
        lidc_split(tmp_path)


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        (mark(6, [(5.0, square(9, 9, 2))]), "malignancy 6"),
        (mark(4, [(float("nan"), square(9, 9, 2))]), "imageZposition nan"),
        (mark(4, [(5.0, square(9, 9, 2))]).replace("<xCoord>11<", "<xCoord>1x<"), "'1x'"),
        (mark(4, [(5.0, square(9, 9, 2))]).replace("<xCoord>11<", f"<xCoord>{'9' * 400}<"), "too large"),
        (mark(4, [(5.0, square(9, 9, 2))]).replace("<xCoord>11</xCoord>", ""), "'?'"),
        (mark(4, [(5.0, square(95, 9, 2))]), "leaves the image of 96 x 96 pixels"),
        (mark(4, [(5.0, square(1, 9, 2))]), "leaves the image of 96 x 96 pixels"),
    ],
)
def test_marks_that_cannot_be_read_are_explained(tmp_path, marks, message):
    write_scan(tmp_path)
    write_xml(tmp_path / "annotation.xml", [[marks]])
    with pytest.raises(DataError, match=message.replace("?", r"\?")):
        lidc_split(tmp_path)


def test_annotations_of_another_series_or_in_two_versions_are_refused(tmp_path):
    folder = write_scan(tmp_path)
    shutil.copy(folder / "annotation.xml", folder / "copy.xml")
    assert len(lidc_split(folder)) == 5
    write_xml(folder / "copy.xml", [[mark(4, [(5.0, square(9, 9, 2))])]])
    with pytest.raises(DataError, match=r"copy\.xml and .*annotation\.xml both annotate"):
        lidc_split(folder)
    (folder / "copy.xml").unlink()
    write_xml(folder / "annotation.xml", [[mark(4, [(5.0, square(9, 9, 2))])]], "1.2.3")
    with pytest.raises(
        DataError,
        match=r"of series that are not here, such as 1\.2\.3; P-1, .*no annotation XML names this",
    ):
        lidc_split(folder)


def test_a_folder_without_anything_usable_says_why(tmp_path):
    with pytest.raises(DataError, match="is missing"):
        lidc_split(tmp_path / "nowhere")
    (tmp_path / "other.xml").write_text("<metadata/>")
    with pytest.raises(DataError, match="no CT image"):
        lidc_split(tmp_path)
    write_scan(tmp_path, patient="")
    with pytest.raises(DataError, match=r"no patient, .* names no PatientID"):
        lidc_split(tmp_path)


# --- the collection itself ---------------------------------------------------------------------------------


@needs_real
def test_the_real_sample_gives_the_expected_nodules():
    found, _ = find_series(REAL / "LIDC-IDRI")
    annotations, refused_files = find_annotation_files(REAL / "LIDC-IDRI")
    assert refused_files == []
    assert len(found) == 1
    ((uid, path),) = annotations.items()
    markings = read_annotations(path)[1]
    slices = order_slices(found[uid])
    nodules = [nodule for nodule in find_nodules(markings, slices) if nodule.label is not None]
    with open(REAL / "expected_nodules_ge3readers.csv") as file:
        expected = sorted(
            (row for row in csv.DictReader(file) if row["series"] == uid), key=lambda row: float(row["cz"])
        )
    assert len(nodules) == len(expected) == 2
    for nodule, row in zip(nodules, expected, strict=True):
        assert (nodule.readers, nodule.label) == (int(row["nread"]), int(row["label"]))
        assert nodule.malignancy == pytest.approx(float(row["mean"]), abs=1e-3)
        assert nodule.centre == pytest.approx((float(row["ci"]), float(row["cj"])), abs=1e-3)
        assert nodule.diameter(slices[0].spacing) == pytest.approx(float(row["diam"]), abs=1e-3)


@needs_real
def test_the_real_sample_becomes_centred_images():
    split = lidc_split(REAL / "LIDC-IDRI")
    assert split.labels.tolist() == [0] * 3 + [1] * 3
    assert 9 < split.notes["noise_sigma_unit"] < 19
    middle, around = split.images[1, 0, 29:35, 29:35], split.images[1, 0, 20:44, 20:44]
    assert middle.mean() > 2 * np.median(around), (
        "the small nodule is a bright spot in the middle of dark lung"
    )
