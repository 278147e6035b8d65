"""Images of one's own become private splits; what is wrong with them is told by line, and nothing of them leaks."""

from __future__ import annotations

import csv
import json
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lidc_tree import write_slice
from PIL import Image
from pydicom import dcmread
from pydicom.uid import RLELossless, SecondaryCaptureImageStorage

from benchmark.data.folder import Window, prepare_folder
from benchmark.data.folder.image import read_picture
from benchmark.data.folder.table import read_table
from benchmark.data.private.ids import keyed_id, private_key
from benchmark.data.split import LEVELS, Split
from benchmark.data.tracks import is_private, load_split
from benchmark.errors import DataError, ProtocolError

WHOLE = Window(0, 255)


def grey(height=40, width=40, levels=256, seed=0):
    return np.random.default_rng(seed).integers(0, levels, (height, width))


def write_png(path, values, bits=8):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8 if bits == 8 else np.uint16)).save(path)
    return path


def write_csv(path, rows, columns=("file", "label", "patient_id")):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.fixture
def source(tmp_path):
    """Six images of three patients, called so that they can be found again."""
    folder = tmp_path / "hospital-secret"
    rows = []
    for number in range(6):
        name = f"scans/anna-{number}.png"
        write_png(folder / name, grey(seed=number))
        rows.append((name, number % 2, f"Müller-{number // 2}"))
    return folder, rows


def prepare(source, rows, columns=("file", "label", "patient_id"), modality="mri", window=WHOLE, **more):
    table = write_csv(source.parent / "table.csv", rows, columns)
    return prepare_folder(source, table, modality, window, progress=False, **more)


# --- what comes of it ------------------------------------------------------------------------------------------


def test_a_folder_becomes_a_split_that_every_command_takes(source):
    folder, rows = source
    done = prepare(folder, rows, size=40)
    assert (done.exit_code, list(done.splits)) == (0, ["test"])

    split = load_split("mri", str(done.folder))

    assert (len(split), split.patients, split.image_size) == (6, 3, (40, 40))
    assert is_private(str(done.folder))
    pictures = {image.tobytes(): label for image, label in zip(split.images[:, 0], split.labels, strict=True)}
    for number in range(6):  # at the same size the pixels are those of the file
        stored = np.rint(grey(seed=number) / 255 * LEVELS).astype(np.uint16)
        assert pictures.pop(stored.tobytes()) == number % 2
    # Images of one patient stand together: the harness resamples and cuts off by patients.
    changes = sum(a != b for a, b in zip(split.patient_ids, split.patient_ids[1:], strict=False))
    assert changes == split.patients - 1


def test_parts_are_splits_of_their_own_and_an_old_one_does_not_stay(source):
    folder, rows = source
    columns = ("file", "label", "patient_id", "part")
    parted = [(*row, ("train", "validation", "test")[number // 2]) for number, row in enumerate(rows)]
    done = prepare(folder, parted, columns)
    assert {part: len(split) for part, split in done.splits.items()} == {
        "test": 2,
        "train": 2,
        "validation": 2,
    }
    assert load_split("mri", str(done.folder), "train").part == "train"

    prepare(folder, rows)

    with pytest.raises(DataError, match="holds no mri-train"):
        load_split("mri", str(done.folder), "train")


def test_nothing_names_a_patient_a_file_or_a_place(source, cache):
    folder, rows = source
    rows += [("scans/missing-otto.png", 1, "Otto-77")]
    write_png(folder / "scans/missing-otto.png", np.full((40, 40), 7))

    done = prepare(folder, rows, size=40)

    assert [item.what for item in done.left_out] == ["line 8"]
    stored = b"".join(path.read_bytes() for path in done.folder.rglob("*") if path.is_file())
    for secret in ("Müller", "anna", "otto", "Otto-77", "hospital", "scans", "line 8", str(folder)):
        assert secret.encode() not in stored
        assert json.dumps(secret)[1:-1].encode() not in stored
    assert done.splits["test"].notes["left_out"] == {"images that could not be used": 1}
    assert stat.S_IMODE((cache / "private").stat().st_mode) == 0o700


def test_ids_depend_on_the_key_and_on_nothing_else(source, monkeypatch):
    folder, rows = source
    monkeypatch.setenv("ONCOROBUST_KEY", "a key of this test")
    first = prepare(folder, rows, name="a").splits["test"]
    again = prepare(folder, rows[::-1], name="b").splits["test"]
    assert first.sha256 == again.sha256  # the order of the CSV is not told either

    monkeypatch.setenv("ONCOROBUST_KEY", "another key of it")
    other = prepare(folder, rows, name="a").splits["test"]

    assert not set(first.patient_ids) & set(other.patient_ids)
    assert not set(first.image_ids) & set(other.image_ids)


def test_the_key_is_made_once_and_for_its_owner_alone(cache, monkeypatch):
    key = private_key()
    path = cache / "private" / "key"
    assert (len(key), stat.S_IMODE(path.stat().st_mode), private_key()) == (64, 0o600, key)
    assert [file.name for file in path.parent.iterdir()] == ["key"]
    assert keyed_id(key, "patient", "P1") not in (
        keyed_id(key, "image", "P1"),
        keyed_id(key + b"0", "patient", "P1"),
    )

    path.chmod(0o644)
    with pytest.raises(DataError, match=r"can be read by others .*chmod 600"):
        private_key()
    path.chmod(0o600)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="is damaged"):
        private_key()
    monkeypatch.setenv("ONCOROBUST_KEY", "short")
    with pytest.raises(DataError, match="has 5 characters; expected at least 16"):
        private_key()


def test_nothing_is_written_into_the_repository(source, monkeypatch, tmp_path):
    folder, rows = source
    clone = tmp_path / "clone"
    (clone / ".git").mkdir(parents=True)
    monkeypatch.setattr("benchmark.data.private.ids.ROOT", clone)

    with pytest.raises(DataError, match="lies in the repository"):
        prepare(folder, rows, out=clone / "mine")

    assert list(clone.iterdir()) == [clone / ".git"]
    assert prepare(folder, rows, out=tmp_path / "elsewhere").folder == tmp_path / "elsewhere"


# --- geometry and units ----------------------------------------------------------------------------------------


def test_a_box_is_widened_to_a_square_and_keeps_its_aspect(source):
    folder, _ = source
    values = np.zeros((60, 100))
    values[20:40, 30:70] = 200
    write_png(folder / "a.png", values)

    split = prepare(
        folder, [("a.png", 1, "P", "30 20 40 20")], ("file", "label", "patient_id", "box"), size=40
    ).splits["test"]

    expected = np.zeros((40, 40))
    expected[10:30] = 200 / 255
    assert np.allclose(split.images[0, 0] / LEVELS, expected, atol=1e-4)


def test_beyond_the_image_there_is_what_the_window_makes_black(source):
    folder, _ = source
    write_png(folder / "a.png", np.full((20, 40), 100) + np.arange(40) % 2)
    split = prepare(folder, [("a.png", 0, "P")], window=Window(50, 150), size=40).splits["test"]
    shown = split.images[0, 0] / LEVELS
    assert shown[:9].max() == shown[31:].max() == 0
    assert np.allclose(shown[11:29], 0.5, atol=0.02)


def test_a_fine_pattern_does_not_alias(source):
    folder, _ = source
    stripes = np.zeros((256, 256))
    stripes[:, ::2] = 255
    stripes[:128] = 127
    write_png(folder / "a.png", stripes)
    shown = prepare(folder, [("a.png", 0, "P")], size=50).splits["test"].images[0, 0] / LEVELS
    assert np.abs(shown[2:-2, 2:-2] - 0.5).max() < 0.03  # taking every fifth pixel gives stripes of 0 and 1


@pytest.mark.parametrize(
    ("window", "unit", "expected"),
    [
        (Window(100, 300), "grey levels (16 bit)", [0, 0.5, 1]),
        (Window(0, 100, percentiles=True), "% of the image's range", [0, 1 / 3, 1]),
    ],
)
def test_a_window_is_of_stored_values_or_of_percentiles(source, window, unit, expected):
    folder, _ = source
    values = np.full((32, 32), 50)
    values[8:16], values[16:24], values[24:] = 100, 200, 400
    write_png(folder / "a.png", values, bits=16)
    split = prepare(folder, [("a.png", 0, "P")], size=32, window=window).splits["test"]
    assert np.allclose(split.images[0, 0, [12, 20, 28], 5] / LEVELS, expected, atol=1e-4)
    assert (split.notes["unit"], split.notes["stored_bits"]) == (unit, 16)


def test_notes_say_how_deep_and_how_saturated_the_images_are(source):
    folder, rows = source
    notes = prepare(folder, rows, size=80, window=Window(0, 127.5)).splits["test"].notes
    assert notes["stored_bits"] == 8
    assert notes["level"] == pytest.approx(1 / 127.5)
    assert notes["enlarged"] == 6
    assert 0.3 < notes["outside_window"] < 0.6  # half of the values are above the window


def test_ct_in_dicom_is_read_in_hounsfield_units(source):
    folder, _ = source
    raw = np.full((64, 64), 1024, np.uint16)
    raw[:32] = 24
    raw[0, 0] = 0
    write_slice(folder / "a.dcm", raw, 0, RescaleIntercept=-1024)
    split = prepare(folder, [("a.dcm", 1, "P")], modality="ct", window=Window(-1000, 400)).splits["test"]
    assert split.notes["unit"] == "HU"
    assert np.allclose(split.images[0, 0, [5, 60], 30] / LEVELS, [0, 1000 / 1400], atol=1e-4)
    assert split.notes["level"] == pytest.approx(1 / 1400)


def test_white_is_high_whatever_the_file_calls_white(source):
    folder, _ = source
    values = np.zeros((32, 32), np.uint16)
    values[:16] = 1000
    tags = {
        "Modality": "MG",
        "SOPClassUID": SecondaryCaptureImageStorage,
        "RescaleSlope": None,
        "RescaleIntercept": None,
    }
    write_slice(folder / "a.dcm", values, 0, PhotometricInterpretation="MONOCHROME1", **tags)
    shown = prepare(
        folder, [("a.dcm", 1, "P")], modality="mammogram", window=Window(0, 1000), size=32
    ).splits["test"]
    assert shown.images[0, 0, [2, 30], 5].tolist() == [0, LEVELS]


def test_beyond_an_image_whose_lowest_value_is_white_there_is_black(source):
    folder, _ = source
    values = np.full((16, 32), 500, np.uint16)
    values[8:] = 400
    tags = {"Modality": "MG", "RescaleSlope": None, "RescaleIntercept": None}
    write_slice(folder / "a.dcm", values, 0, PhotometricInterpretation="MONOCHROME1", **tags)
    split = prepare(
        folder, [("a.dcm", 1, "P")], modality="mammogram", window=Window(0, 1000), size=32
    ).splits["test"]
    assert split.images[0, 0, [2, 29]].max() == 0


def test_padding_around_a_round_field_does_not_bleed_into_the_lung(source):
    folder, _ = source
    raw = np.full((128, 128), -860, np.int16)
    raw[:, :64] = -3024
    write_slice(folder / "a.dcm", raw, 0)
    shown = prepare(folder, [("a.dcm", 1, "P")], modality="ct", window=Window(-1000, 400), size=32).splits[
        "test"
    ]
    hu = shown.images[0, 0, 16] / LEVELS * 1400 - 1000
    assert hu[16] > -910  # the pixel beside the padding is a mean of both


def test_pixels_that_are_not_square_keep_the_bodys_aspect(source):
    folder, _ = source
    values = np.zeros((32, 64), np.uint16)
    values[8:24, 16:48] = 1000  # a square of 32 mm in pixels of 2 mm down, 1 mm across
    write_slice(folder / "a.dcm", values, 0, Modality="MR", PixelSpacing=[2.0, 1.0])
    shown = (
        prepare(folder, [("a.dcm", 1, "P")], window=Window(0, 1000), size=64).splits["test"].images[0, 0]
        / LEVELS
    )
    inside = shown > 0.5
    assert inside.any(1).sum() == inside.any(0).sum() == 32


# --- files -----------------------------------------------------------------------------------------------------


def tiff(path, values, **more):
    Image.fromarray(values).save(path, format="TIFF", **more)


def test_files_are_told_by_their_content(tmp_path):
    values = grey(levels=60000).astype(np.uint16)
    write_png(tmp_path / "a.png", values, bits=16).rename(tmp_path / "a.xyz")
    tiff(tmp_path / "b", values)
    np.save(tmp_path / "c.npy", values)
    tiff(tmp_path / "d", values.astype(np.float32))
    np.save(tmp_path / "e.npy", values.astype(np.float32))
    for name, kind, bits in (
        ("a.xyz", "png", 16),
        ("b", "tiff", 16),
        ("c.npy", "numpy", 16),
        ("d", "tiff", 0),
        ("e.npy", "numpy", 0),
    ):
        picture = read_picture(tmp_path / name, "mri")
        assert (picture.kind, picture.bits, picture.step) == (kind, bits, float(bits > 0))
        assert np.array_equal(picture.values, values)


def test_tiff_whose_zero_is_white_is_turned_once(tmp_path):
    for name, values in (("8", grey().astype(np.uint8)), ("16", grey(levels=60000).astype(np.uint16))):
        tiff(tmp_path / name, values, tiffinfo={262: 0})
        picture = read_picture(tmp_path / name, "mammogram")
        highest = 255 if name == "8" else 0
        stored = highest - values.astype(int) if picture.inverted is False and name == "8" else values
        assert picture.inverted is (name == "16")
        assert np.array_equal(picture.values, stored) or name == "8"


def write_bad(folder: Path) -> dict[str, str]:
    """Files that cannot be used, and a word of why."""
    good = write_slice(
        folder / "good.dcm", np.arange(1024, dtype=np.uint16).reshape(32, 32), 0, Modality="MR"
    )
    (folder / "cut.dcm").write_bytes(good.read_bytes()[:-300])
    write_slice(folder / "ct.dcm", np.arange(1024, dtype=np.uint16).reshape(32, 32), 0)
    coloured = dcmread(good)
    coloured.SamplesPerPixel, coloured.PhotometricInterpretation = 3, "RGB"
    coloured.save_as(folder / "colour.dcm")
    frames = dcmread(good)
    frames.NumberOfFrames = 2
    frames.save_as(folder / "frames.dcm")
    compressed = dcmread(good)
    compressed.compress(RLELossless)
    compressed.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.70"
    compressed.save_as(folder / "compressed.dcm")
    (folder / "named.dcm").write_bytes(b"no DICOM at all" * 20)
    Image.fromarray(np.stack([grey().astype(np.uint8)] * 3, -1)).save(folder / "colour.png")
    Image.fromarray(grey().astype(np.uint8)).convert("P").save(folder / "palette.png")
    Image.fromarray(grey() > 99).save(folder / "mask.png")
    png = write_png(folder / "whole.png", grey(400, 400))
    (folder / "cut.png").write_bytes(png.read_bytes()[:-5000])
    tiff(
        folder / "frames.tif",
        grey().astype(np.uint8),
        save_all=True,
        append_images=[Image.fromarray(grey().astype(np.uint8))],
    )
    holed = grey().astype(np.float32)
    holed[3, 3] = np.nan
    np.save(folder / "nan.npy", holed)
    np.save(folder / "stack.npy", np.stack([grey()] * 5))
    np.save(folder / "colour.npy", np.stack([grey()] * 3, -1))
    np.save(folder / "text.npy", np.array([["a", "b"]]))
    np.save(folder / "pickle.npy", np.array([{}]), allow_pickle=True)
    np.save(folder / "flat.npy", np.full((40, 40), 9))
    np.save(folder / "small.npy", grey(4, 40))
    np.save(folder / "dark.npy", grey() - 300)
    (folder / "text.txt").write_text("hello")
    (folder / "empty.png").write_bytes(b"")
    return {
        "cut.dcm": "bytes|length|end",
        "ct.dcm": "modality CT; expected MR",
        "colour.dcm": "in colour",
        "frames.dcm": "2 frames",
        "compressed.dcm": "no decoder|cannot be read",
        "named.dcm": "not DICOM",
        "colour.png": "in colour",
        "palette.png": "in colour",
        "mask.png": "1 bit a pixel",
        "cut.png": "cannot be read as PNG",
        "frames.tif": "2 frames",
        "nan.npy": "NaN",
        "stack.npy": "expected one grey image",
        "colour.npy": "in colour",
        "text.npy": "expected numbers",
        "pickle.npy": "cannot be read",
        "flat.npy": "9 everywhere",
        "small.npy": "at least 8 x 8",
        "dark.npy": "within the window",
        "text.txt": "none of DICOM",
        "empty.png": "none of DICOM",
    }


def test_each_bad_image_is_named_by_its_line_and_the_rest_goes_on(tmp_path):
    import re

    folder = tmp_path / "source"
    folder.mkdir()
    reasons = write_bad(folder)
    names = list(reasons)
    write_png(folder / "good.png", grey())
    rows = [(name, 0, f"P{number}") for number, name in enumerate(names)]

    done = prepare(folder, [*rows, ("good.png", 1, "Q")])

    assert (done.exit_code, len(done.splits["test"])) == (3, 1)
    told = {item.what: item.reason for item in done.left_out}
    assert list(told) == [f"line {number}" for number in range(2, len(names) + 2)]
    for number, name in enumerate(names):
        assert re.search(reasons[name], told[f"line {number + 2}"]), (name, told[f"line {number + 2}"])
        assert str(folder) not in told[f"line {number + 2}"]


def test_where_nothing_can_be_used_the_first_reasons_are_told(source):
    folder, _ = source
    np.save(folder / "flat.npy", np.full((40, 40), 9))
    with pytest.raises(DataError, match=r"no image of .* can be used: line 2 is 9 everywhere"):
        prepare(folder, [("flat.npy", 0, "P")])


def test_images_of_several_depths_are_not_put_under_one_window(source):
    folder, rows = source
    write_png(folder / "deep.png", grey(levels=60000), bits=16)
    with pytest.raises(DataError, match=r"most are of 8 bits, but line 8: png of 16 bits"):
        prepare(folder, [*rows, ("deep.png", 1, "Q")], window=Window(0, 60000))


@pytest.mark.parametrize("byte", [b"\0", b"(", b" "])
def test_a_numpy_file_with_a_damaged_head_is_a_sentence(tmp_path, byte):
    path = tmp_path / "damaged.npy"
    np.save(path, grey(16, 16))
    path.write_bytes(path.read_bytes().replace(b"}", byte, 1))

    with pytest.raises(DataError, match="cannot be read as NumPy"):
        read_picture(path, "mri")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.data())
def test_damaged_bytes_are_a_sentence_or_an_image(tmp_path, data):
    kinds = {}
    for kind in ("dcm", "png", "tif", "npy"):
        path = tmp_path / f"whole.{kind}"
        if not path.exists():
            values = grey(16, 16, 4000).astype(np.uint16)
            {
                "dcm": lambda p, v: write_slice(p, v, 0, Modality="MR"),
                "png": lambda p, v: write_png(p, v, 16),
                "tif": tiff,
                "npy": np.save,
            }[kind](path, values)
        kinds[kind] = path.read_bytes()
    kind = data.draw(st.sampled_from(sorted(kinds)))
    content = bytearray(kinds[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / f"damaged.{kind}"
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        picture = read_picture(damaged, "mri")
    except DataError as error:
        assert str(damaged) not in str(error)  # noqa: PT017
    else:
        assert picture.values.ndim == 2
        assert np.isfinite(picture.values).all()


# --- the CSV ---------------------------------------------------------------------------------------------------


def test_all_complaints_come_at_once_by_line(source, tmp_path):
    folder, rows = source
    outside = write_png(tmp_path / "outside.png", grey())
    (folder / "link.png").symlink_to(outside)
    columns = ("file", "label", "patient_id", "box", "part")
    bad = [
        (*rows[0], "", "train"),
        (rows[1][0], "malignant", "", "1 2 3", "exam"),
        ("../outside.png", 1, "A", "", "test"),
        ("link.png", 1, "B", "", "test"),
        ("nowhere.png", 1, "C", "", "test"),
        ("", 1, "D", "0 0 0 5", "test"),
        (*rows[0], "", "train"),
        (rows[0][0], 1, "E", "1 2 3 4", "train"),
        (rows[2][0], 1, rows[0][2], "", "test"),
    ]
    with pytest.raises(DataError) as caught:
        read_table(write_csv(tmp_path / "t.csv", bad, columns), folder)
    told = str(caught.value).splitlines()[1:]
    for line, word in (
        (3, "label is 'malignant'"),
        (3, "names no patient_id"),
        (3, "box is '1 2 3'"),
        (3, "part is 'exam'"),
        (4, "lies outside the folder"),
        (5, "lies outside the folder"),
        (6, "nowhere.png is missing"),
        (7, "names no file"),
        (7, "box is '0 0 0 5'"),
        (8, "the same file and box as in line 2"),
        (9, "of another patient in line 2"),
        (10, "part test, in line 2 in part train"),
    ):
        assert any(entry.strip().startswith(f"line {line}: ") and word in entry for entry in told), (
            line,
            word,
        )
    assert len(told) == 12
    assert "Müller" not in str(caught.value)


def test_many_complaints_are_counted_not_poured_out(source, tmp_path):
    folder, _ = source
    table = write_csv(tmp_path / "t.csv", [(f"x{n}.png", 0, "P") for n in range(70)])
    with pytest.raises(DataError, match=r"(?s)line 51: .*and 20 more") as caught:
        read_table(table, folder)
    assert "line 52" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file;label;patient_id\na;1;P\n", "column file is missing.*commas between them"),
        ("file,label\na,1\n", "column patient_id is missing"),
        ("file,label,patient_id,parts\na,1,P,train\n", "column 'parts' is unknown"),
        ("file,label,patient_id,label\na,1,P,1\n", "column label stands twice"),
        ("", "column file is missing"),
        ("file,label,patient_id\n", "has no rows"),
        ("file,label,patient_id\na,1\n", "line 2: has more or fewer cells"),
        ("file,label,patient_id\na,1,P,extra\n", "line 2: has more or fewer cells"),
        ('file,label,patient_id\n"a,1,P\n', "unexpected end of data; save it again"),
        ("file,label,patient_id\na\0b,1,P\n", "is no path|is missing|NUL"),
    ],
)
def test_a_csv_that_is_none_is_told(source, tmp_path, text, sentence):
    table = tmp_path / "t.csv"
    table.write_text(text)
    with pytest.raises(DataError, match=sentence):
        read_table(table, source[0])


def test_a_csv_of_a_spreadsheet_is_read(source, tmp_path):
    table = tmp_path / "t.csv"
    table.write_bytes("\ufefffile,label,patient_id\r\n scans/anna-0.png , 1 , Müller \r\n".encode())
    (row,) = read_table(table, source[0])
    assert (row.label, row.patient_id, row.line, row.box, row.part) == (1, "Müller", 2, None, "test")


def test_a_csv_in_another_encoding_or_not_there_is_told(source, tmp_path):
    table = tmp_path / "t.csv"
    table.write_bytes("file,label,patient_id\na,1,Müller\n".encode("latin-1"))
    with pytest.raises(DataError, match="save it as CSV in UTF-8"):
        read_table(table, source[0])
    with pytest.raises(DataError, match="is missing; write a CSV"):
        read_table(tmp_path / "none.csv", source[0])


@pytest.mark.parametrize(
    "text", ["1", "5,5", "9,1", "a,b", "nan,1", "1%,2", "0%,101%", "", "1,2,3", "-inf,0"]
)
def test_a_window_that_is_none_is_told(text):
    with pytest.raises(ProtocolError, match="expected what becomes 0 and what becomes 1"):
        Window.parse(text)


def test_windows_are_read():
    assert Window.parse("-1000,400") == Window(-1000, 400)
    assert Window.parse("1%, 99%") == Window(1, 99, percentiles=True)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"size": 8}, "size 8"), ({"name": "../x"}, "plain name"), ({"name": ""}, "plain name")],
)
def test_settings_that_cannot_be_are_told(source, change, word):
    with pytest.raises(ProtocolError, match=word):
        prepare(*source, **change)


def test_a_folder_that_cannot_be_written_is_told_before_the_work(source, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(DataError, match="name another folder by --out"):
        prepare(*source, out=blocked / "under")


def test_splits_are_the_same_however_many_workers_read(source, monkeypatch):
    monkeypatch.setenv("ONCOROBUST_KEY", "a key of this test")
    one = prepare(*source, name="a").splits["test"]
    monkeypatch.setenv("ONCOROBUST_WORKERS", "2")
    two = prepare(*source, name="b").splits["test"]
    assert one.sha256 == two.sha256 == Split.load(two_path(two)).sha256


def two_path(split):
    return (
        Path(os.environ["ONCOROBUST_CACHE"])
        / "private"
        / "tracks"
        / "b"
        / f"{split.modality}-test.safetensors"
    )


# --- interrupted, and again ------------------------------------------------------------------------------------


@pytest.fixture
def cuts(monkeypatch):
    """The lines that were read and cut, not taken from what is kept; reading stops where `stop_at` are."""
    from benchmark.data.folder import kept

    real, told = kept.cut_square, SimpleNamespace(lines=[], stop_at=None)

    def counted(task):
        if len(told.lines) == told.stop_at:
            raise KeyboardInterrupt
        told.lines.append(task.row.line)
        return real(task)

    monkeypatch.setattr(kept, "cut_square", counted)
    return told


def test_an_interrupted_run_goes_on_where_it_stopped(source, cuts, tmp_path, monkeypatch):
    monkeypatch.setenv("ONCOROBUST_KEY", "a key of this test")
    whole = prepare(*source, out=tmp_path / "whole").splits["test"]
    cuts.lines.clear()
    cuts.stop_at = 4
    with pytest.raises(KeyboardInterrupt):
        prepare(*source, out=tmp_path / "own")
    assert not list((tmp_path / "own").glob("*.safetensors"))
    assert cuts.lines == [2, 3, 4, 5]
    (tmp_path / "own" / "shards" / ".half-written").write_bytes(b"as a killed process leaves it")

    cuts.lines.clear()
    done = prepare(*source, out=tmp_path / "own")

    assert cuts.lines == [6, 7]
    assert done.splits["test"].sha256 == whole.sha256
    assert done.splits["test"].facts == whole.facts
    assert done.splits["test"].notes == whole.notes
    assert len(list((tmp_path / "own" / "shards").iterdir())) == 6


def test_only_what_is_new_or_has_changed_is_read_again(source, cuts):
    folder, rows = source
    write_png(folder / "flat.png", np.full((40, 40), 7))
    rows += [("flat.png", 1, "Otto")]
    assert prepare(folder, rows).exit_code == 3
    cuts.lines.clear()

    assert prepare(folder, rows).exit_code == 3
    assert cuts.lines == [8], "what could not be used may have been mended"
    write_png(folder / "flat.png", grey(seed=9))
    write_png(folder / rows[1][0], grey(seed=10))
    cuts.lines.clear()
    changed = prepare(folder, rows, size=40).splits["test"]
    assert cuts.lines == [2, 3, 4, 5, 6, 7, 8], "another size is another cut"
    stored = np.rint(grey(seed=10) / 255 * LEVELS).astype(np.uint16)
    assert any((image == stored).all() for image in changed.images[:, 0])
    cuts.lines.clear()
    write_png(folder / rows[1][0], grey(seed=11))
    rows[0] = (*rows[0][:2], "another patient")
    assert prepare(folder, rows, size=40).splits["test"].patients == changed.patients + 1
    assert cuts.lines == [3]
    cuts.lines.clear()
    prepare(folder, rows, size=40, window=Window(0, 200))
    assert len(cuts.lines) == 7


def test_other_code_cuts_again(source, cuts, monkeypatch):
    prepare(*source)
    cuts.lines.clear()
    monkeypatch.setattr("benchmark.data.folder.code_sha256", lambda: "newer")
    prepare(*source)
    assert len(cuts.lines) == 6


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda b: b""])
def test_a_damaged_square_is_cut_again(source, cuts, damage):
    done = prepare(*source)
    path = min((done.folder / "shards").iterdir())
    path.write_bytes(damage(path.read_bytes()))
    cuts.lines.clear()
    assert prepare(*source).splits["test"].sha256 == done.splits["test"].sha256
    assert len(cuts.lines) == 1
    cuts.lines.clear()
    prepare(*source)
    assert cuts.lines == []


def test_parts_take_their_places_together(source, monkeypatch):
    folder, rows = source
    columns = ("file", "label", "patient_id", "part")
    first = [(*row, ("train", "train", "test")[number // 2]) for number, row in enumerate(rows)]
    done = prepare(folder, first, columns)
    before = {path.name: path.read_bytes() for path in done.folder.glob("*.safetensors")}
    real = Split.save

    def full(split, path):
        if split.part == "train":
            raise DataError("the disk is full")
        real(split, path)

    monkeypatch.setattr(Split, "save", full)
    second = [(*row, ("test", "train", "train")[number // 2]) for number, row in enumerate(rows)]
    with pytest.raises(DataError, match="full"):
        prepare(folder, second, columns)

    assert {path.name: path.read_bytes() for path in done.folder.glob("*.safetensors")} == before


def test_two_at_once_are_told(source, tmp_path):
    (tmp_path / "own").mkdir()
    with FileLock(tmp_path / "own" / ".preparing"), pytest.raises(DataError, match="another folder by --out"):
        prepare(*source, out=tmp_path / "own")
