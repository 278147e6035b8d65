"""Masses of CBIS-DDSM must come from the right film, place and row, whatever the download calls and orders its files."""

from __future__ import annotations

import csv
import re
import shutil
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from cbis_tree import (
    BOX,
    SHAPE,
    TEST,
    cut,
    edit,
    expected_patch,
    files,
    marked,
    read_all,
    scan,
    write_case,
    write_rows,
)
from click.testing import CliRunner
from pydicom import dcmread
from pydicom.pixels import get_decoder
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    SecondaryCaptureImageStorage,
)

from benchmark.cli import main
from benchmark.data import cbis_ddsm
from benchmark.data.cbis_ddsm import noise_sigma, patch
from benchmark.data.manifest import write_manifest
from benchmark.data.manifests.cbis import ABOUT, items
from benchmark.data.phantom.as_cbis_ddsm import CALC_HEADER, MASS_HEADER, NOTICE, write_tree
from benchmark.data.prepared.rehearsal import rehearsal_manifest
from benchmark.data.split import Split
from benchmark.errors import DataError

KEY = "Mass-Training_P_00001_LEFT_CC_1"
OTHER = "Mass-Training_P_00002_RIGHT_MLO_1"
CENTRE = (130, 85)  # of BOX


def only(folder: Path):
    samples, left_out, notes = read_all(folder)
    assert left_out == []
    assert list(samples) == [KEY]
    return samples[KEY], notes


def refused(folder: Path) -> str:
    """Why KEY was left out; OTHER, beside it, must have been read."""
    samples, left_out, _ = read_all(folder)
    assert list(samples) == [OTHER]
    assert (samples[OTHER].pixels == expected_patch(scan(seed=2), *CENTRE)).all()
    (reason,) = [item.reason for item in left_out if item.what == KEY]
    return reason


def write_two(folder: Path, **case) -> Path:
    """KEY as `case` has it, and OTHER with nothing odd."""
    first = write_case(folder, KEY, **case)
    return write_rows(folder, first, write_case(folder, OTHER, film=scan(seed=2)))


# --- the phantom's tree: everything at once, from files to pixels ---------------------------------------------


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cbis")
    return folder, write_tree(folder, images=12)


def test_the_phantoms_tree_gives_its_images_back_to_the_bit(phantom):
    folder, films = phantom
    samples, left_out, notes = read_all(folder)
    masses = {f"{film.name}_{mass.number}": (film, mass) for film in films for mass in film.masses}
    assert samples.keys() == masses.keys()
    for key, (film, mass) in masses.items():
        assert (samples[key].pixels == mass.pixels.repeat(2, 0).repeat(2, 1)).all(), key
        assert samples[key].label == mass.label
        assert samples[key].patient_id == film.patient_id
        assert samples[key].facts["mask_height_px"] == pytest.approx(mass.diameter, abs=2)
    assert [(item.what, item.harmless) for item in left_out] == [("calc_case_description_test_set.csv", True)]
    assert notes == {
        "monochrome1_films": 2,
        "masks_resized": 2,
        "masks_in_pieces": 0,
        "masses_beyond_field": 0,
    }


def test_the_phantoms_tree_holds_every_quirk(phantom):
    folder, films = phantom
    headers = [dcmread(path, stop_before_pixels=True) for path in folder.rglob("*.dcm")]
    assert {header.SOPClassUID for header in headers} == {SecondaryCaptureImageStorage}
    assert {header.file_meta.TransferSyntaxUID for header in headers} == {ImplicitVRLittleEndian}
    assert {"MONOCHROME1", "MONOCHROME2"} == {header.PhotometricInterpretation for header in headers}
    assert {"P_90000_LEFT_CC.dcm", films[0].name, f"{films[0].name}_1"} <= {
        header.PatientID for header in headers
    }
    assert {path.relative_to(folder).parts[0] for path in folder.rglob("*.dcm")} == {"CBIS-DDSM", "cbis_ddsm"}
    assert {path.name for path in folder.rglob("*.dcm")} >= {"1-1.dcm", "1-2.dcm", "000000.dcm", "000001.dcm"}
    assert "_P_90004_" in (folder / TEST).read_text()
    assert '.dcm\n"\n' in (folder / TEST).read_text()
    assert "breast density" in (folder / "calc_case_description_test_set.csv").read_text()
    # Masks: which number they have in their series, what the series is called, what the table calls them.
    series = Counter(header.SeriesInstanceUID for header in headers)
    met = set()
    for table in folder.glob("mass*.csv"):
        for row in csv.DictReader(table.open(newline="")):
            uid = row["ROI mask file path"].split("/")[2]
            mask = next(h for h in headers if h.SeriesInstanceUID == uid and h.BitsAllocated == 8)
            listed = row["ROI mask file path"].strip()[-10:]
            met.add((series[uid], mask.InstanceNumber, mask.SeriesDescription, listed))
    assert {(count, number) for count, number, _, _ in met} == {(1, 1), (2, 1), (2, 2)}
    assert {what for _, _, what, _ in met} == {"ROI mask images", "cropped images"}
    shared = {(number, name) for count, number, _, name in met if count == 2}
    assert len(shared) == 4, (
        "whichever is first in its series, the table may call the mask the first or the second"
    )
    assert Counter(film.part for film in films) == {"Training": 8, "Test": 2}
    pathologies = {
        row["pathology"] for table in folder.glob("mass*.csv") for row in csv.DictReader(table.open())
    }
    assert pathologies == {"MALIGNANT", "BENIGN", "BENIGN_WITHOUT_CALLBACK"}


def test_units_are_named_alike_wherever_the_files_lie(phantom, tmp_path):
    folder, _ = phantom
    for number, path in enumerate(sorted(folder.rglob("*.dcm"))):
        (tmp_path / f"{97 * number % 101:03d}").symlink_to(path)  # one folder, no suffix, another order
    for path in folder.glob("*.csv"):
        (tmp_path / "tables" / "deep").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "tables" / "deep" / f"renamed {path.name}")
    before, after = cbis_ddsm.index(folder), cbis_ddsm.index(tmp_path)
    assert [(u.key, u.patient_id) for u in before.units] == [(u.key, u.patient_id) for u in after.units]
    for one, two in zip(before.units[:3], after.units[:3], strict=True):
        (a, *_), (b, *_) = cbis_ddsm.read(one).samples, cbis_ddsm.read(two).samples
        assert a.image_id == b.image_id
        assert (a.pixels == b.pixels).all()


# --- one quirk at a time --------------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("mask_first", [False, True])
def test_the_mask_is_known_by_its_content(tmp_path, mask_first, apart):
    others = [cut(scan()), marked()][:: -1 if mask_first else 1]
    write_rows(tmp_path, write_case(tmp_path, others=others, apart=apart))
    sample, _ = only(tmp_path)
    assert (sample.pixels == expected_patch(scan(), *CENTRE)).all()
    assert sample.facts["mask_area_px"] == 60 * 70


def test_a_crop_of_eight_bits_and_two_values_is_not_taken_for_the_mask(tmp_path):
    crop = marked((5, 40, 3, 50), (60, 70))
    write_rows(tmp_path, write_case(tmp_path, others=[crop, marked()]))
    assert (only(tmp_path)[0].pixels == expected_patch(scan(), *CENTRE)).all()


def test_a_missing_crop_is_no_loss(tmp_path):
    write_rows(tmp_path, write_case(tmp_path, others=[marked()]))
    assert (only(tmp_path)[0].pixels == expected_patch(scan(), *CENTRE)).all()


def test_patient_ids_of_headers_play_no_part(tmp_path):
    write_two(tmp_path)
    own = {True: "Mass-Training_P_00001_LEFT_CC", False: "Mass-Training_P_00002_RIGHT_MLO"}
    for path in tmp_path.rglob("*.dcm"):
        edit(path, PatientID=own["P_00002" in str(path)] + "_1", SeriesDescription=None)
    samples, left_out, _ = read_all(tmp_path)
    assert left_out == []
    assert (samples[KEY].pixels == expected_patch(scan(), *CENTRE)).all()
    assert (samples[OTHER].pixels == expected_patch(scan(seed=2), *CENTRE)).all()
    assert (samples[KEY].patient_id, samples[OTHER].patient_id) == ("P_00001", "P_00002")


def test_monochrome1_is_turned_and_the_same_as_its_negative(tmp_path):
    write_rows(
        tmp_path, write_case(tmp_path, film=65535 - scan(), others=[marked()], photometric="MONOCHROME1")
    )
    sample, notes = only(tmp_path)
    assert (sample.pixels == expected_patch(scan(), *CENTRE)).all()
    assert notes["monochrome1_films"] == 1


def test_a_mask_may_be_monochrome1_too(tmp_path):
    write_rows(tmp_path, write_case(tmp_path, others=[255 - marked()]))
    edit(files(tmp_path)[1], PhotometricInterpretation="MONOCHROME1")
    assert (only(tmp_path)[0].pixels == expected_patch(scan(), *CENTRE)).all()


def test_twelve_bits_fill_the_range(tmp_path):
    film = scan() % 4096
    film[0, 0] = 4095
    write_rows(tmp_path, write_case(tmp_path, film=film, others=[marked()]))
    edit(files(tmp_path)[0], BitsStored=12, HighBit=11)
    sample, _ = only(tmp_path)
    exact = patch(film, CENTRE, 65535) * (65535 / 4095)
    assert (
        np.abs(sample.pixels - exact).max() <= 0.5 * 65535 / 4095 + 0.5
    )  # the expected was rounded at 12 bits
    assert sample.pixels.max() > 20000


@pytest.mark.parametrize(
    ("shape", "box", "centre"),
    [
        ((261, 348), (87, 139, 43, 104), (129, 84)),  # 0.87 of the film's size, as 78 of the collection are
        ((300, 400), BOX, CENTRE),
        ((302, 402), (100, 160, 50, 121), (129, 85)),
        ((299, 401), (100, 160, 50, 120), (130, 84)),
    ],
)
def test_a_mask_of_another_size_is_laid_over_the_film(tmp_path, shape, box, centre):
    write_rows(tmp_path, write_case(tmp_path, others=[cut(scan()), marked(box, shape)]))
    sample, notes = only(tmp_path)
    row = (box[0] + box[1]) / 2 * SHAPE[0] / shape[0]
    column = (box[2] + box[3]) / 2 * SHAPE[1] / shape[1]
    assert centre == (int(row), int(column))
    assert (sample.pixels == expected_patch(scan(), *centre)).all()
    assert notes["masks_resized"] == (shape != SHAPE)
    assert sample.facts["mask_height_px"] == pytest.approx((box[1] - box[0]) * SHAPE[0] / shape[0])


def test_specks_do_not_move_the_field(tmp_path):
    mask = marked()
    mask[290:296, 390:396] = 255
    mask[2, 3] = 255
    write_rows(tmp_path, write_case(tmp_path, others=[mask]))
    sample, notes = only(tmp_path)
    assert (sample.pixels == expected_patch(scan(), *CENTRE)).all()
    assert (notes["masks_in_pieces"], sample.facts["mask_area_px"]) == (1, 60 * 70)


def test_the_field_is_centred_on_the_box_not_on_the_centre_of_gravity(tmp_path):
    mask = marked()
    mask[BOX[0] : BOX[0] + 40, BOX[2] + 5 : BOX[3]] = 0
    write_rows(tmp_path, write_case(tmp_path, others=[mask]))
    assert (only(tmp_path)[0].pixels == expected_patch(scan(), *CENTRE)).all()


def test_size_does_not_change_the_scale(tmp_path):
    film, small, large = scan(), (120, 140, 75, 95), (30, 230, 5, 165)
    first = write_case(tmp_path, KEY, film=film, others=[marked(small)])
    second = write_case(tmp_path, OTHER, film=film, others=[marked(large)])
    samples, _, _ = read_all(write_rows(tmp_path, first, second))
    assert (samples[KEY].pixels == samples[OTHER].pixels).all()
    assert samples[KEY].facts["mask_area_px"] * 80 == samples[OTHER].facts["mask_area_px"]


def test_two_masses_of_one_film_are_two_images(tmp_path):
    first = write_case(tmp_path, KEY)
    second = write_case(tmp_path, KEY[:-1] + "2", others=[marked((200, 220, 300, 340))], pathology="BENIGN")
    second[11] = first[11]
    samples, left_out, _ = read_all(write_rows(tmp_path, second, first))
    assert left_out == []
    assert [(sample.label, sample.patient_id) for sample in samples.values()] == [
        (1, "P_00001"),
        (0, "P_00001"),
    ]
    assert (samples[KEY].pixels == expected_patch(scan(), *CENTRE)).all()
    assert (samples[KEY[:-1] + "2"].pixels == expected_patch(scan(), 210, 320)).all()
    assert len(cbis_ddsm.index(tmp_path).units) == 1


@pytest.mark.parametrize(
    ("pathology", "label"), [("MALIGNANT", 1), ("BENIGN", 0), ("BENIGN_WITHOUT_CALLBACK", 0)]
)
def test_labels(tmp_path, pathology, label):
    write_rows(tmp_path, write_case(tmp_path, pathology=pathology))
    assert only(tmp_path)[0].label == label


def test_both_spellings_of_a_column_and_any_newlines_are_read(tmp_path):
    row = write_case(tmp_path)
    row = [*(f" {cell} " for cell in row[:-3]), *(f"{path.strip()}\r\n" for path in row[-3:])]
    header = ["breast density" if name == "breast_density" else name for name in MASS_HEADER]
    write_rows(tmp_path, row, header=header)
    text = (tmp_path / "mass_case_description_train_set.csv").read_bytes()
    (tmp_path / "mass_case_description_train_set.csv").write_bytes(b"\xef\xbb\xbf" + text)
    sample, _ = only(tmp_path)
    assert {key: sample.facts[key] for key in ("breast_density", "assessment", "subtlety")} == {
        "breast_density": 3,
        "assessment": 4,
        "subtlety": 5,
    }


def test_copies_of_files_and_tables_count_once(tmp_path):
    write_rows(tmp_path, write_case(tmp_path))
    shutil.copytree(tmp_path, tmp_path / "copy")
    assert (only(tmp_path)[0].pixels == expected_patch(scan(), *CENTRE)).all()


def test_other_files_are_passed_over(tmp_path):
    write_rows(tmp_path, write_case(tmp_path))
    (tmp_path / "LICENSE").write_text("not DICOM")
    (tmp_path / "metadata.csv").write_text("Series UID,Collection\n1.2.3,CBIS-DDSM\n")
    (tmp_path / "broken.csv").write_bytes(b'"\xff\x00')
    assert only(tmp_path)


# --- the patch ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("centre", [(0, 0), (700, 900), (699, 1), (1399, 1099), (513, 512)])
def test_the_patch_is_the_mean_of_squares_and_black_beyond_the_film(centre):
    film = scan((1400, 1100))
    found = patch(film, centre, 65535)
    assert (found.dtype, found.shape) == (np.uint16, (128, 128))
    assert (found == expected_patch(film, *centre)).all()


def test_noise_is_measured_where_film_is_exposed():
    rng = np.random.default_rng(3)
    pixels = np.rint(30000 + rng.normal(0, 400, (128, 128))).astype(np.uint16)
    assert noise_sigma(pixels) == pytest.approx(400, rel=0.05)
    pixels[:, :80] = 0
    assert noise_sigma(pixels) == pytest.approx(400, rel=0.08)
    pixels[:, :100] = 65535
    assert noise_sigma(pixels) is None
    assert noise_sigma(np.full((128, 128), 500, np.uint16)) is None


def test_a_reading_brings_the_noise_of_its_film(tmp_path):
    film = np.rint(30000 + np.random.default_rng(4).normal(0, 800, (1100, 1100))).astype(np.uint16)
    write_rows(tmp_path, write_case(tmp_path, film=film, others=[marked((500, 600, 500, 600), film.shape)]))
    (unit,) = cbis_ddsm.index(tmp_path).units
    (sigma,) = cbis_ddsm.read(unit).noise
    assert sigma == pytest.approx(100, rel=0.1)  # 8 x 8 pixels are averaged


def test_memory_stays_near_the_size_of_the_film(tmp_path):
    film = np.tile(scan((250, 250)), (16, 12))  # 24 MB
    mask = marked((1000, 1500, 1000, 1400), film.shape)
    mask[5, 5] = mask[-5, -5] = 255
    write_rows(tmp_path, write_case(tmp_path, film=film, others=[mask]))
    (unit,) = cbis_ddsm.index(tmp_path).units
    tracemalloc.start()
    assert len(cbis_ddsm.read(unit).samples) == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * film.nbytes


# --- bad input: the mass is named, the rest goes on -----------------------------------------------------------


def test_a_truncated_film_or_mask(tmp_path):
    write_two(tmp_path)
    film, _, mask = [path for path in files(tmp_path) if "P_00001" in str(path)]
    content = film.read_bytes()
    film.write_bytes(content[: len(content) // 2])
    assert f"{film} holds 119616 bytes of pixels" in refused(tmp_path)
    film.write_bytes(content[:100])
    assert "is not in the folder: download it" in refused(tmp_path)
    film.write_bytes(content)
    mask.write_bytes(mask.read_bytes()[:-1000])
    assert f"{mask} holds 119000 bytes of pixels" in refused(tmp_path)


@pytest.mark.skipif(
    get_decoder(JPEGLosslessSV1).is_available, reason="a decoder of JPEG Lossless is installed"
)
@pytest.mark.parametrize("which", [0, 2])
def test_compressed_without_a_decoder(tmp_path, which):
    from pydicom.encaps import encapsulate

    write_two(tmp_path)
    path = [path for path in files(tmp_path) if "P_00001" in str(path)][which]
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    dataset.save_as(path, implicit_vr=False, little_endian=True)
    assert "install pylibjpeg and pylibjpeg-libjpeg, or python-gdcm" in refused(tmp_path)


def test_compressed_with_a_decoder_is_the_same(tmp_path):
    write_rows(tmp_path, write_case(tmp_path))
    for path in files(tmp_path):
        dataset = dcmread(path)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
        dataset.save_as(path)
    assert (only(tmp_path)[0].pixels == expected_patch(scan(), *CENTRE)).all()


@pytest.mark.parametrize(
    ("which", "tags", "message"),
    [
        (0, {"Modality": "CT"}, "is not a DICOM image of modality MG"),
        (0, {"PixelRepresentation": 1}, "signed"),
        (0, {"NumberOfFrames": 2}, "holds 2 frame"),
        (0, {"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR"),
        (0, {"Rows": 299}, "holds 240000 bytes of pixels"),
        (2, {"Rows": 299}, "holds 120000 bytes of pixels"),
        (0, {"Columns": None}, "has no attribute 'Columns'"),
        (0, {"BitsStored": 12, "HighBit": 11}, "its header says"),
        (0, {"SeriesInstanceUID": "1.2.3"}, "is not in the folder"),
        (2, {"SeriesInstanceUID": "1.2.3"}, "0 of the 1 files"),
        (2, {"Modality": "OT"}, "is not a DICOM image of modality MG"),
        (2, {"Rows": 600}, r"one of 600 x 400 pixels"),
    ],
)
def test_headers_that_do_not_fit(tmp_path, which, tags, message):
    write_two(tmp_path)
    edit([path for path in files(tmp_path) if "P_00001" in str(path)][which], **tags)
    assert re.search(message, refused(tmp_path))


@pytest.mark.parametrize(
    ("others", "message"),
    [
        (
            [cut(scan())],
            "0 of the 1 files of its crop and mask can be the mask of a film of 300 x 400 pixels .one of 16",
        ),
        ([cut(scan()), marked(shape=(150, 200))], "one of 150 x 200 pixels"),
        ([cut(scan()), marked(shape=(400, 300))], "one of 400 x 300 pixels"),
        ([cut(scan()), marked(shape=(300, 380))], "one of 300 x 380 pixels"),
        ([cut(scan()), (scan() % 200).astype(np.uint8)], "one of more than two values"),
        ([cut(scan()), np.zeros(SHAPE, np.uint8)], "marks nothing"),
        ([cut(scan()), np.full(SHAPE, 255, np.uint8)], "marks nothing"),
        ([cut(scan()), 255 - marked()], "marks 115800 of 120000 pixels"),
        ([cut(scan()), marked((100, 104, 50, 54))], "marks 16 of 120000 pixels"),
        ([marked((10, 60, 10, 60)), marked()], "2 of the 2 files"),
        ([], "0 of the 0 files"),
    ],
)
def test_masks_that_do_not_fit(tmp_path, others, message):
    assert re.search(message, refused(write_two(tmp_path, others=others)))


def test_a_blank_film(tmp_path):
    film = np.full(SHAPE, 0, np.uint16)
    assert "blank around its mask" in refused(write_two(tmp_path, film=film, others=[marked()]))


def test_missing_files(tmp_path):
    write_two(tmp_path)
    film, *others = [path for path in files(tmp_path) if "P_00001" in str(path)]
    for path in others:
        path.unlink()
    assert "0 of the 0 files of its crop and mask" in refused(tmp_path)
    film.unlink()
    assert "is not in the folder: download it" in refused(tmp_path)


def test_two_films_in_one_series(tmp_path):
    write_two(tmp_path)
    film = next(path for path in files(tmp_path) if "P_00001" in str(path))
    shutil.copy(film, tmp_path / "second.dcm")
    edit(tmp_path / "second.dcm", SOPInstanceUID="1.2.3.4")
    assert "has 2 images of more than 8 bits, expected one; keep one" in refused(tmp_path)


def test_one_film_named_for_two_views(tmp_path):
    first, second, third = (write_case(tmp_path, key) for key in (KEY, KEY.replace("CC", "MLO"), OTHER))
    second[11] = second[11].replace(second[11].split("/")[2], first[11].split("/")[2])
    samples, left_out, _ = read_all(write_rows(tmp_path, first, second, third))
    assert list(samples) == [OTHER]
    assert {item.what for item in left_out} == {KEY, KEY.replace("CC", "MLO")}
    assert "named for Mass-Training_P_00001_LEFT_CC, Mass-Training_P_00001_LEFT_MLO" in left_out[0].reason


def test_nothing_usable_says_why(tmp_path):
    with pytest.raises(DataError, match="is missing"):
        cbis_ddsm.index(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"holds no case description.*mass_case_description_train_set"):
        cbis_ddsm.index(tmp_path)
    row = write_case(tmp_path / "images")
    write_rows(tmp_path / "tables", row)
    with pytest.raises(DataError, match="holds 0 DICOM files, and no mammogram"):
        cbis_ddsm.index(tmp_path / "tables")
    write_rows(tmp_path, [*row[:9], "UNPROVEN", *row[10:]])
    shutil.rmtree(tmp_path / "tables")
    with pytest.raises(DataError, match=r"holds 3 DICOM files.*line 2: unknown pathology 'UNPROVEN'"):
        cbis_ddsm.index(tmp_path)
    (tmp_path / "a.dcm").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"a\.dcm is not DICOM in spite of its name"):
        cbis_ddsm.index(tmp_path)


def test_calcifications_are_counted_and_harmless(tmp_path):
    write_rows(tmp_path, write_case(tmp_path))
    given = ["P_00038", "2", "LEFT", "CC", "1", "calcification", "PUNCTATE", "CLUSTERED", "4", "BENIGN", "2"]
    write_rows(
        tmp_path, [*given, "a", "b", "c"], [*given, "a", "b", "c"], name="calc.csv", header=CALC_HEADER
    )
    samples, (left,), _ = read_all(tmp_path)
    assert list(samples) == [KEY]
    assert (left.what, left.harmless, left.reason[:16]) == ("calc.csv", True, "2 calcification(")


# --- the whole way: files, command, split ---------------------------------------------------------------------


def test_the_command_prepares_the_phantoms_tree(phantom, tmp_path, cache):
    folder, films = phantom
    manifest = tmp_path / "manifest.csv"
    write_manifest(manifest, items(folder), {**ABOUT, "version": 0, "synthetic": NOTICE})
    command = ["data", "prepare", "cbis-ddsm", "--source", str(folder), "--manifest", str(manifest)]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    masses = {f"{film.name}_{mass.number}": mass for film in films for mass in film.masses}
    found: dict[str, np.ndarray] = {}
    for path in cache.rglob("mammogram-*.safetensors"):
        split = Split.load(path)
        assert "synthetic" in split.notes["source"]
        assert {name.startswith("Mass-Test_") for name in split.image_ids} == {split.part == "test"}
        for name, image, label in zip(split.image_ids, split.images[:, 0], split.labels, strict=True):
            assert label == masses[name].label
            found[name] = image
    assert found.keys() == masses.keys()
    assert all((found[name] == mass.pixels.repeat(2, 0).repeat(2, 1)).all() for name, mass in masses.items())


def test_the_command_names_what_is_damaged_and_prepares_the_rest(tmp_path, cache):
    source = write_two(tmp_path / "source")
    manifest = tmp_path / "manifest.csv"
    write_manifest(manifest, items(source), {**ABOUT, "version": 0, "synthetic": NOTICE})
    mask = [path for path in files(source) if "P_00001" in str(path)][2]
    mask.write_bytes(mask.read_bytes()[:-10])
    command = ["data", "prepare", "cbis-ddsm", "--source", str(source), "--manifest", str(manifest)]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 3, done.output
    (told,) = cache.rglob("left-out.csv")
    assert f"{KEY}," in told.read_text()
    assert "holds 119990 bytes of pixels" in told.read_text()
    assert [
        name for path in cache.rglob("mammogram-*.safetensors") for name in Split.load(path).image_ids
    ] == [OTHER]


def test_a_phantom_is_never_taken_for_the_collection(phantom):
    done = CliRunner().invoke(main, ["data", "prepare", "cbis-ddsm", "--source", str(phantom[0])])
    assert done.exit_code == 2
    assert "nothing of cbis-ddsm-1 could be prepared: 1696 ×" in done.output


def test_a_newcomer_rehearses_with_two_commands(tmp_path, cache):
    folder = tmp_path / "rehearsal"
    drawn = CliRunner().invoke(main, ["data", "phantom", "--as", "cbis-ddsm", "--images", "6", str(folder)])
    assert drawn.exit_code == 0, drawn.output
    command = drawn.output.splitlines()[-1].partition("oncorobust ")[2]
    done = CliRunner().invoke(main, command.split())
    assert done.exit_code == 0, done.output
    assert "none in the manifest" in done.output  # too few for three parts, and nothing is missing
    splits = [Split.load(path) for path in cache.rglob("mammogram-*.safetensors")]
    assert sum(map(len, splits)) == 6
    assert all("synthetic" in split.notes["source"] and split.track != "clinical" for split in splits)


def test_a_rehearsal_keeps_the_official_test_part(phantom):
    manifest = rehearsal_manifest(cbis_ddsm, phantom[0], NOTICE)
    official = {item.name: item.name.startswith("Mass-Test_") for item in manifest.items}

    assert len(set(official.values())) == 2
    assert {item.name: item.part == "test" for item in manifest.items} == official
    assert {item.part for item in manifest.items} == {"train", "validation", "test"}


def test_the_test_part_alone_needs_no_film_of_the_others(tmp_path, cache):
    source, key = tmp_path / "source", "Mass-Test_P_00003_LEFT_CC_1"
    write_rows(source, write_case(source))
    shutil.rmtree(source / "CBIS-DDSM")
    write_rows(source, write_case(source, key), name=TEST)
    manifest = tmp_path / "manifest.csv"
    write_manifest(manifest, items(source), {**ABOUT, "version": 0, "synthetic": NOTICE})
    command = ["data", "prepare", "cbis-ddsm", "--source", str(source), "--manifest", str(manifest)]
    done = CliRunner().invoke(main, [*command, "--part", "test"])
    assert done.exit_code == 0, done.output
    (path,) = cache.rglob("mammogram-*.safetensors")
    assert Split.load(path).image_ids == (key,)
    assert CliRunner().invoke(main, command).exit_code == 3  # of the others, it says so
