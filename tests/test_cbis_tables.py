"""Case descriptions of CBIS-DDSM: every row is a mass, is named, or is counted; nothing passes in silence."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from cbis_tree import TRAIN, expected_patch, files, marked, read_all, scan, write_case, write_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.data.cbis_ddsm.tables import find_rows
from benchmark.data.phantom.as_cbis_ddsm import MASS_HEADER, write_table

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "cbis-ddsm"
NAMES = (
    "Mass-Training_P_00001_LEFT_CC_1",
    "Mass-Training_P_00002_RIGHT_MLO_1",
    "Mass-Training_P_00002_RIGHT_CC_2",
)


def row(key: str = NAMES[0], pathology: str = "MALIGNANT") -> list[str]:
    name, _, number = key.rpartition("_")
    patient, side, view = (
        name[len("Mass-Training_") :].replace("_LEFT_", " LEFT ").replace("_RIGHT_", " RIGHT ").split()
    )
    paths = [
        f"{name}/1.2/1.3.{number}/000000.dcm",
        f"{key}/1.4/1.5.{number}/000000.dcm",
        f"{key}/1.4/1.5.{number}/000001.dcm\n",
    ]
    return [patient, "3", side, view, number, "mass", "OVAL", "OBSCURED", "4", pathology, "5", *paths]


def changed(column: str, value: str) -> list[str]:
    return [value if name == column else cell for name, cell in zip(MASS_HEADER, row(), strict=True)]


def test_a_row_says_where_its_series_are(tmp_path):
    (found,), left_out = find_rows(write_rows(tmp_path, row()))
    assert left_out == ()
    assert (found.key, found.patient_id, found.label) == (NAMES[0], "P_00001", 1)
    assert (found.film, found.crop, found.mask) == ("1.3.1", "1.5.1", "1.5.1")
    assert found.facts == {"breast_density": 3, "assessment": 4, "subtlety": 5}


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (
            "pathology",
            "PROBABLY",
            "unknown pathology 'PROBABLY', expected one of MALIGNANT, BENIGN, BENIGN_WITHOUT",
        ),
        ("pathology", "", "unknown pathology ''"),
        ("abnormality type", "cyst", "abnormality type 'cyst', expected 'mass' or 'calcification'"),
        (
            "patient_id",
            "P_00002",
            "names Mass-Training_P_00001_LEFT_CC, the row is of P_00002 LEFT CC, lesion 1",
        ),
        ("image view", "MLO", "the row is of P_00001 LEFT MLO"),
        (
            "abnormality id",
            "2",
            "cropped image file path names Mass-Training_P_00001_LEFT_CC_1, the row is of",
        ),
        (
            "image file path",
            "somewhere.dcm",
            "image file path 'somewhere.dcm', expected 'name/study/series/file'",
        ),
        ("ROI mask file path", f"{NAMES[0]}/1.4/one/0.dcm", "ROI mask file path '"),
        ("ROI mask file path", "", "ROI mask file path ''"),
    ],
)
def test_rows_that_cannot_be_used_are_named_with_their_line(tmp_path, column, value, message):
    found, (left,) = find_rows(write_rows(tmp_path, row(NAMES[1]), changed(column, value)))
    assert [each.key for each in found] == [NAMES[1]]
    assert (left.what, left.harmless) == (f"{TRAIN}, line 4", False)  # each row before took two lines
    assert message in left.reason


def test_all_that_is_wrong_with_a_row_is_said_at_once(tmp_path):
    bad = [*changed("pathology", "X")[:11], "a", "b", "c"]
    _, (left,) = find_rows(write_rows(tmp_path, bad))
    assert [word in left.reason for word in ("unknown pathology", "'a'", "'b'", "'c'")] == [True] * 4


def test_missing_columns_are_named_and_other_tables_used(tmp_path):
    header = [name for name in MASS_HEADER if name not in ("pathology", "ROI mask file path")]
    write_table(tmp_path / "a.csv", header, [row()[: len(header)]])
    write_rows(tmp_path, row())
    found, (left,) = find_rows(tmp_path)
    assert len(found) == 1
    assert (left.what, left.reason.split(";")[0]) == (
        "a.csv",
        "lacks the column(s) pathology, ROI mask file path",
    )


@pytest.mark.parametrize("content", ["", "\n\n", '"', "a,b,c\n1,2,3\n", "\x00", '"a\nb,c'])
def test_a_case_description_without_its_header_is_named(tmp_path, content):
    write_rows(tmp_path, row())
    (tmp_path / "mass_case_description_test_set.csv").write_text(content)
    found, left_out = find_rows(tmp_path)
    assert len(found) == 1
    assert [left.what for left in left_out] == ["mass_case_description_test_set.csv"]


def test_rows_of_the_wrong_length(tmp_path):
    found, left_out = find_rows(write_rows(tmp_path, row()[:-1], [*row(NAMES[1]), "more"], row(NAMES[2])))
    assert [each.key for each in found] == [NAMES[2]]
    assert ["has 13 cells, its header has 14" in left_out[0].reason, "15 cells" in left_out[1].reason] == [
        True,
        True,
    ]


def test_a_missing_quote_does_not_swallow_rows_in_silence(tmp_path):
    write_rows(tmp_path, *map(row, NAMES))
    text = (tmp_path / TRAIN).read_text()
    quotes = [i for i, letter in enumerate(text) if letter == '"']
    for missing in [{quote} for quote in quotes] + [set(pair) for pair in combinations(quotes, 2)]:
        left = [letter for i, letter in enumerate(text) if i not in missing]
        (tmp_path / TRAIN).write_text("".join(left))
        found, left_out = find_rows(tmp_path)
        assert_accounted(found, left_out, lines=7)
        assert left_out or missing in map(set, zip(quotes[::2], quotes[1::2], strict=True))


def test_a_row_without_numbers_is_the_same_in_two_files(tmp_path):
    write_rows(tmp_path, changed("assessment", ""))
    write_rows(tmp_path, changed("assessment", ""), name="copy.csv")
    (found,), left_out = find_rows(tmp_path)
    assert left_out == ()
    assert np.isnan(found.facts["assessment"])


def test_rows_that_contradict_each_other_are_both_left_out(tmp_path):
    found, (left,) = find_rows(write_rows(tmp_path, row(), row(pathology="BENIGN"), row(NAMES[1])))
    assert [each.key for each in found] == [NAMES[1]]
    assert (left.what, "contradict each other" in left.reason) == (NAMES[0], True)


def assert_accounted(found, left_out, lines: int) -> None:
    """Every row of the three was found or lies on lines that are named."""
    named: set[int] = set()
    whole_file = False
    for left in left_out:
        _, comma, line = left.what.partition(", line ")
        whole_file |= not comma
        if comma:
            last = left.reason.rpartition("up to line ")[2].split(";")[0]
            named |= set(range(int(line), (int(last) if last.isdigit() else int(line)) + 1))
    starts = {NAMES[0]: {2, 3}, NAMES[1]: {4, 5}, NAMES[2]: {6, 7}}
    lost = [key for key in NAMES if key not in {each.key for each in found} and not starts[key] & named]
    assert whole_file or not lost, (lost, left_out)
    assert lines == 7


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_to_a_table_is_told(tmp_path, data):
    write_rows(tmp_path, row(NAMES[0]), row(NAMES[1], "BENIGN"), row(NAMES[2]))
    path = tmp_path / TRAIN
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3), "bytes")):
        content[data.draw(st.integers(0, len(content) - 1), "place")] = data.draw(
            st.one_of(st.sampled_from(b'",\n\r'), st.integers(0, 255)), "value"
        )
    path.write_bytes(bytes(content))
    found, left_out = find_rows(tmp_path)
    labels = {NAMES[0]: 1, NAMES[1]: 0, NAMES[2]: 1}
    for each in found:
        assert each.key in labels, "a mass that there is not"
        assert each.label == labels[each.key]
        assert each.patient_id in each.key
    if content.count(b"\n") + content.count(b"\r") == 7:  # else lines are counted otherwise
        assert_accounted(found, left_out, 7)
    assert len(found) + len(left_out) > 0


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400))
def test_any_bytes_at_all_are_no_crash(tmp_path, content):
    (tmp_path / TRAIN).write_bytes(content)
    found, left_out = find_rows(tmp_path)
    assert not found
    assert left_out


# --- damaged images -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Film, crop and mask of one of two cases on films of 60 x 80 pixels, and the patches of both."""
    folder, shape = tmp_path_factory.mktemp("small"), (60, 80)
    rows = [
        write_case(folder, key, scan(shape, number), [scan(shape, 3)[:20], marked((10, 40, 10, 50), shape)])
        for number, key in enumerate(NAMES[:2])
    ]
    write_rows(folder, *rows)
    samples, _, _ = read_all(folder)
    return [path for path in files(folder) if "P_00001" in str(path)], {
        key: sample.pixels for key, sample in samples.items()
    }


@settings(max_examples=80)
@given(data=st.data())
def test_a_damaged_image_is_no_crash_and_no_silent_sample(small, data):
    images, clean = small
    path = images[data.draw(st.integers(0, 2), "file")]
    whole = path.read_bytes()
    content = bytearray(whole)
    header = len(content) - _pixel_bytes(content)
    if data.draw(st.booleans(), "cut"):
        content = content[: data.draw(st.integers(0, len(content) - 1), "length")]
    else:
        for _ in range(data.draw(st.integers(1, 4), "bytes")):
            content[data.draw(st.integers(0, header - 1), "place")] = data.draw(st.integers(0, 255), "value")
    path.write_bytes(bytes(content))
    try:
        samples, left_out, _ = read_all(images[0].parents[4])
    finally:
        path.write_bytes(whole)
    assert (samples[NAMES[1]].pixels == clean[NAMES[1]]).all()
    named = {left.what for left in left_out if not left.harmless}
    assert (NAMES[0] in samples) != (NAMES[0] in named)
    if (
        NAMES[0] in samples
    ):  # what was hit does not matter, or calls the film a negative, which no reader can know
        turned = expected_patch(65535 - scan((60, 80), 0), 25, 30)
        pixels = samples[NAMES[0]].pixels
        assert (pixels == clean[NAMES[0]]).all() or (pixels == turned).all()
        assert samples[NAMES[0]].label == 1


def _pixel_bytes(content: bytes) -> int:
    """How many there are of film, mask or crop, by the length that stands before them."""
    return next(
        size for size in (9600, 4800, 3200) if content[-size - 4 : -size] == size.to_bytes(4, "little")
    )


# --- the collection itself ------------------------------------------------------------------------------------


@pytest.mark.skipif(not REAL.is_dir(), reason="no tables of CBIS-DDSM beside the repository")
def test_the_real_tables():
    found, left_out = find_rows(REAL)
    train = [each for each in found if each.key.startswith("Mass-Training_")]
    test = [each for each in found if each.key.startswith("Mass-Test_")]
    assert (len(train), len(test), len(found)) == (1318, 378, 1696)
    assert (len({e.patient_id for e in train}), len({e.patient_id for e in test})) == (691, 201)
    assert (sum(e.label for e in train), sum(e.label for e in test)) == (637, 147)
    assert not {e.patient_id for e in train} & {e.patient_id for e in test}
    assert sum(e.crop == e.mask for e in found) == 1593
    assert [(left.what, left.harmless, left.reason.split()[0]) for left in left_out] == [
        ("calc_case_description_test_set.csv", True, "326"),
        ("calc_case_description_train_set.csv", True, "1546"),
    ]
    assert all(each.facts["assessment"] in range(6) for each in found)
