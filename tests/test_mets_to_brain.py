"""NIfTI volumes must become axial slices as radiologists see them, of both classes at one height, or a sentence why not."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from benchmark.data import mets_to_brain
from benchmark.data.audit.shortcuts import auc
from benchmark.data.collection import Unit
from benchmark.data.mets_to_brain import Case, noise_percent
from benchmark.data.mets_to_brain.nifti import read_nifti
from benchmark.data.mets_to_brain.slices import MOST, Slices, choose_slices
from benchmark.data.phantom import as_mets_to_brain
from benchmark.data.prepared.prepare import prepare
from benchmark.data.prepared.rehearsal import rehearsal_manifest
from benchmark.data.resample import cut_out
from benchmark.data.split import LEVELS, Split
from benchmark.errors import DataError

SHAPE = (44, 52, 26)
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
NAME = "BraTS-MET-00001-000"


def brain_volume() -> np.ndarray:
    """An ellipsoid of texture, brighter to the front and the right, 0 around it: (X, Y, Z) right, front, head."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    texture = gaussian_filter(np.random.default_rng(3).normal(0, 60, SHAPE), 1)
    inside = x**2 + y**2 + 0.8 * z**2 < 0.7
    return np.where(inside, np.rint(700 + 200 * y + 100 * x + texture), 0).astype(np.int16)


def label_volume(at: int = 6) -> np.ndarray:
    """A metastasis on slices `at` to `at` + 2 with oedema around it."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[14:24, 14:24, at : at + 3] = 2
    labels[17:21, 17:21, at : at + 3] = 3
    labels[18:20, 18:20, at : at + 3] = 1
    return labels


def save(
    folder: Path,
    kind: str,
    values: np.ndarray,
    affine: np.ndarray = AFFINE,
    codes: str = "RAS",
    name: str = NAME,
) -> Path:
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    image = nibabel.Nifti1Image(values, affine)
    turned = image.as_reoriented(ornt_transform(io_orientation(affine), axcodes2ornt(codes)))
    path = folder / f"{name}-{kind}.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(turned.to_bytes(), 1))
    return path


def write_case(folder: Path, codes: str = "RAS", name: str = NAME) -> Path:
    save(folder, "t1c", brain_volume(), codes=codes, name=name)
    save(folder, "seg", label_volume(), codes=codes, name=name)
    return folder


def read_case(folder: Path):
    (unit,) = mets_to_brain.index(folder).units
    return mets_to_brain.read(unit)


# --- the phantom tree --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mets")
    return folder, as_mets_to_brain.write_tree(folder, images=26)


@pytest.fixture(scope="module")
def readings(tree):
    folder, cases = tree
    units = {unit.key: unit for unit in mets_to_brain.index(folder).units}
    return {case.name: mets_to_brain.read(units[case.name]) for case in cases}


def test_the_tree_holds_every_quirk(tree):
    folder, cases = tree
    assert len(cases) >= 6
    assert any(case.repeated for case in cases)
    stored = {
        kind: [nibabel.load(path) for path in sorted(folder.rglob(f"*-{kind}.nii.gz"))]
        for kind in ("t1c", "seg")
    }
    assert {nibabel.aff2axcodes(image.affine) for image in stored["t1c"]} == {
        tuple(codes) for codes in as_mets_to_brain.ORIENTATIONS
    }
    assert {image.get_data_dtype() for image in stored["seg"]} == {np.dtype(d) for d in ("u1", "f4", "f8")}
    labels = {tuple(np.unique(np.asarray(image.dataobj)).astype(int).tolist()) for image in stored["seg"]}
    assert labels == {(0, 1, 2, 3), (0, 2, 3), (0, 3), (0, 1, 2)}
    assert all(b"PHANTOM" in image.header["descrip"].item() for image in stored["t1c"])


def test_a_reader_finds_what_the_phantom_placed_and_no_more(tree, readings):
    for case in tree[1]:
        placed = {f"{case.name}/{each.z:03d}": each for each in case.slices}
        samples = readings[case.name].samples
        assert {sample.image_id for sample in samples} <= set(placed), "oedema alone, too near, or repeated"
        assert all(placed[sample.image_id].label == sample.label for sample in samples)
        positives = sum(each.label for each in case.slices)
        expected = min(positives, len(case.slices) - positives, MOST)
        assert [sum(s.label == label for s in samples) for label in (0, 1)] == [expected] * 2
        assert {sample.patient_id for sample in samples} == {case.patient_id}
        assert readings[case.name].notes["repeated slices"] == case.repeated


def test_the_pixels_are_the_phantom_s_at_half_the_step(tree, readings):
    rounding = max(0.5 / (high - low) for low, high in as_mets_to_brain.SIGNAL) + 0.5 / LEVELS
    for case in tree[1]:
        placed = {f"{case.name}/{each.z:03d}": each.pixels / LEVELS for each in case.slices}
        for sample in readings[case.name].samples:
            drawn = cut_out(placed[sample.image_id], (31.5, 31.5), (0.5, 0.5), (128, 128), 0.0)
            assert np.abs(drawn - sample.pixels / LEVELS).max() <= rounding


def test_facts_tell_height_and_areas(tree, readings):
    for sample in (s for reading in readings.values() for s in reading.samples):
        assert sample.facts["z_mm"] == pytest.approx(-72 + 3 * int(sample.image_id[-3:]))
        assert (sample.facts["metastasis_mm2"] >= 20) == bool(sample.label)
        assert 10_000 < sample.facts["brain_mm2"] < 25_000
    assert all(0 < sigma < 10 for reading in readings.values() for sigma in reading.noise)


def test_height_says_little_on_the_phantom_tree(readings):
    samples = [s for reading in readings.values() for s in reading.samples]
    heights, labels = (np.array(v) for v in zip(*((s.facts["z_mm"], s.label) for s in samples), strict=True))
    assert abs(auc(heights, labels) - 0.5) < 0.2
    assert labels.mean() == 0.5


def test_a_case_of_another_release_is_refused_by_name(tree):
    folder, cases = tree
    (unit,) = (u for u in mets_to_brain.index(folder).units if u.key not in {case.name for case in cases})
    with pytest.raises(DataError, match=r"-seg\.nii\.gz has no voxel of label 3 \(enhancing"):
        mets_to_brain.read(unit)


def test_the_tree_is_prepared_like_the_collection(tree, tmp_path, monkeypatch):
    monkeypatch.setenv("ONCOROBUST_CACHE", str(tmp_path / "cache"))
    folder = shutil.copytree(tree[0], tmp_path / "tree")
    manifest = rehearsal_manifest(mets_to_brain, folder, "drawn for a test")
    done = prepare(mets_to_brain, folder, manifest, progress=False)
    splits = [Split.load(path) for path in sorted(done.folder.glob("mri-*.safetensors"))]
    assert done.exit_code == 0
    assert sum(map(len, splits)) == sum(len(mets_to_brain.read(u).samples) for u in _good(folder))
    assert {split.image_size for split in splits} == {(128, 128)}
    assert all(split.notes["unit"] == "% of the brain's range" for split in splits)
    assert all(0 < split.notes["noise_sigma_unit"] < 10 for split in splits)


def _good(folder: Path) -> list[Unit]:
    units = mets_to_brain.index(folder).units
    return [unit for unit in units if unit is not units[-1]]  # the last numbers its labels otherwise


# --- which slices ------------------------------------------------------------------------------------------


def measured(
    metastasis: dict[int, float], labelled: dict[int, float] | None = None, depth: int = 40
) -> Slices:
    areas = np.zeros((2, depth))
    for row, given_areas in enumerate((metastasis, (labelled or {}) | metastasis)):
        for k, area in given_areas.items():
            areas[row, k] = area
    return Slices(np.full(depth, 15_000.0), *areas, np.zeros(depth, bool))


def test_a_negative_is_more_than_five_slices_from_any_label():
    slices = measured({20: 50.0}, {12: 3.0})
    free = np.flatnonzero(slices.negative)
    assert free.tolist() == [*range(7), *range(26, 40)]
    assert np.flatnonzero(slices.positive).tolist() == [20]


def test_a_positive_has_20_mm2_of_metastasis():
    assert np.flatnonzero(measured({10: 19.9, 20: 20.0}).positive).tolist() == [20]


def test_either_class_needs_brain_on_40_percent_of_the_largest_slice():
    slices = measured({10: 50.0, 12: 50.0})
    slices.brain[[12, 30]] = 0.39 * 15_000
    slices.brain[31] = 0.40 * 15_000
    assert np.flatnonzero(slices.positive).tolist() == [10]
    assert not slices.negative[30]
    assert slices.negative[31]


def test_as_many_of_either_class_three_at_most_and_no_neighbours():
    slices = measured(dict.fromkeys(range(15, 26), 100.0), depth=60)
    positives, negatives = choose_slices(slices, "case")
    assert len(positives) == len(negatives) == 3
    for chosen in (positives, negatives):
        assert min(np.diff(chosen)) >= 3
    assert choose_slices(slices, "case") == (positives, negatives)
    assert choose_slices(slices, "another case") != (positives, negatives)
    assert choose_slices(measured({}), "case") == ([], [])
    assert choose_slices(measured({20: 50.0}, dict.fromkeys(range(40), 1.0)), "case") == ([], [])


def test_a_repeated_slice_is_taken_once():
    slices = measured({5: 50.0, 30: 50.0})
    slices.repeated[[17, 18]] = True
    assert not slices.positive[17]
    assert not slices.negative[[17, 18]].any()


def drawn_case(rng: np.random.Generator) -> Slices:
    """A brain of 120 slices whose metastases lie in its upper part, so that height would tell."""
    z = np.arange(155)
    brain = 16_000 * np.clip(1 - ((z - 75) / 62.0) ** 2, 0, None)
    metastasis, labelled = np.zeros((2, 155))
    for _ in range(rng.integers(1, 4)):
        middle, radius = rng.normal(92, 5), rng.uniform(3, 8)
        metastasis += np.pi * np.clip(radius**2 - (z - middle) ** 2, 0, None)
        labelled += np.pi * np.clip((1.5 * radius) ** 2 - (z - middle) ** 2, 0, None)
    return Slices(brain, metastasis, labelled + metastasis, np.zeros(155, bool))


def test_height_tells_nothing_by_construction():
    rng = np.random.default_rng(1)
    matched, unmatched = [], []
    for case in range(150):
        slices = drawn_case(rng)
        positives, negatives = choose_slices(slices, str(case))
        free = rng.choice(np.flatnonzero(slices.negative), len(positives)).tolist()
        matched += [(k, 1) for k in positives] + [(k, 0) for k in negatives]
        unmatched += [(k, 1) for k in positives] + [(k, 0) for k in free]
    by_height = [auc(*map(np.array, zip(*pairs, strict=True))) for pairs in (matched, unmatched)]
    assert abs(by_height[0] - 0.5) < 0.06
    assert by_height[1] > 0.65, "without matching it would"


# --- geometry ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codes", ["LPS", "PSR", "ASL", "LAI"])
def test_the_way_a_volume_is_stored_does_not_matter(tmp_path, codes):
    one, other = read_case(write_case(tmp_path / "a")), read_case(write_case(tmp_path / "b", codes))
    assert len(one.samples) == len(other.samples) == 2
    for a, b in zip(one.samples, other.samples, strict=True):
        assert (a.image_id, a.label) == (b.image_id, b.label)
        assert np.array_equal(a.pixels, b.pixels)


def test_slices_are_seen_from_the_feet_the_front_on_top(tmp_path):
    for sample in read_case(write_case(tmp_path)).samples:
        image = sample.pixels.astype(float)
        assert image[30:60].sum() > 1.1 * image[68:98].sum(), "brighter to the front"
        assert image[:, 30:60].sum() > 1.02 * image[:, 68:98].sum(), "the patient's right is on the left"


def test_a_volume_is_normalised_by_its_own_brain(tmp_path):
    write_case(tmp_path / "a")
    save(tmp_path / "b", "t1c", np.where(brain_volume() > 0, 7 * brain_volume() + 900, 0).astype(np.int32))
    save(tmp_path / "b", "seg", label_volume())
    one, other = read_case(tmp_path / "a"), read_case(tmp_path / "b")
    for a, b in zip(one.samples, other.samples, strict=True):
        assert np.abs(a.pixels.astype(int) - b.pixels).max() <= 1
        assert (a.pixels[0] == 0).all()
        assert a.pixels.max() > 60_000


def test_other_voxels_give_the_same_scale(tmp_path):
    """Voxels of half the size in one direction: the brain stays as large in the image."""
    fine = np.diag([1.5, 3.0, 3.0, 1.0])
    write_case(tmp_path / "a")
    save(tmp_path / "b", "t1c", np.repeat(brain_volume(), 2, axis=0), fine)
    save(tmp_path / "b", "seg", np.repeat(label_volume(), 2, axis=0), fine)
    one, other = read_case(tmp_path / "a"), read_case(tmp_path / "b")
    for a, b in zip(one.samples, other.samples, strict=True):
        assert a.facts == pytest.approx(b.facts)
        assert np.abs(a.pixels / LEVELS - b.pixels / LEVELS).mean() < 0.02


def test_noise_is_told_in_percent_of_the_range():
    image = 0.5 + np.random.default_rng(2).normal(0, 0.03, (128, 128))
    assert noise_percent(image, np.ones((128, 128), bool)) == pytest.approx(2.55, abs=0.25)
    assert noise_percent(image, np.zeros((128, 128), bool)) is None


# --- what is there -----------------------------------------------------------------------------------------


def test_files_are_found_at_any_depth_and_copies_are_one(tmp_path):
    write_case(tmp_path / "download" / "deep" / NAME)
    shutil.copytree(tmp_path / "download", tmp_path / "again")
    save(tmp_path, "t2w", brain_volume())
    (tmp_path / "notes.txt").write_text("not an image")
    index = mets_to_brain.index(tmp_path)
    assert [(unit.key, unit.patient_id) for unit in index.units] == [(NAME, "BraTS-MET-00001")]
    assert index.left_out == []


def test_incomplete_and_contradicting_cases_are_named(tmp_path):
    write_case(tmp_path / "a", name="BraTS-MET-00001-000")
    save(tmp_path, "seg", label_volume(), name="BraTS-MET-00002-000")
    save(tmp_path, "t1c", brain_volume(), name="BraTS-MET-00003-000")
    write_case(tmp_path / "b", name="BraTS-MET-00004-000")
    save(tmp_path / "c", "t1c", brain_volume() // 2, name="BraTS-MET-00004-000")
    save(tmp_path / "a", "t1c", brain_volume() // 3, name="BraTS-MET-00001-000")
    for number in (5, 6):
        write_case(tmp_path / "same", name=f"BraTS-MET-0000{number}-000")
    index = mets_to_brain.index(tmp_path)
    reasons = {item.what[:-4]: item.reason for item in index.left_out}
    assert [unit.patient_id for unit in index.units] == ["BraTS-MET-00001"]
    assert "has no BraTS-MET-00002-000-t1c.nii.gz" in reasons["BraTS-MET-00002"]
    assert "has no BraTS-MET-00003-000-seg.nii.gz" in reasons["BraTS-MET-00003"]
    assert "files t1c that differ" in reasons["BraTS-MET-00004"]
    assert "hold the same image under several names" in reasons["BraTS-MET-00005"]
    assert reasons["BraTS-MET-00006"] == reasons["BraTS-MET-00005"]
    assert not any(item.harmless for item in index.left_out)


def test_a_folder_without_cases_says_what_was_expected(tmp_path):
    with pytest.raises(DataError, match="is missing"):
        mets_to_brain.index(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no case .* BraTS-MET-00086-000-t1c\.nii\.gz"):
        mets_to_brain.index(tmp_path)


def test_a_patient_of_one_class_is_counted_and_harmless(tmp_path):
    write_case(tmp_path)
    everywhere = label_volume()
    everywhere[20, 20, 3:23:4] = 2
    save(tmp_path, "seg", everywhere)
    reading = read_case(tmp_path)
    assert reading.samples == ()
    assert [(item.what, item.harmless) for item in reading.left_out] == [(NAME, True)]
    assert reading.notes["cases of one class"] == 1


# --- what is wrong -----------------------------------------------------------------------------------------


def changed(volume: np.ndarray, where: object, value: float, dtype: type | None = None) -> np.ndarray:
    volume = volume.astype(dtype or volume.dtype)
    volume[where] = value
    return volume


LABELLED = {
    "no voxel of label 3": changed(label_volume(), label_volume() == 3, 2),
    r"labels \[4\.0\]": changed(label_volume(), (20, 20, 7), 4),
    r"labels \[-1\.0\]": changed(label_volume(), (20, 20, 7), -1, np.int16),
    "numbers between labels": changed(label_volume(), (20, 20, 7), 1.5, np.float32),
    "between labels": changed(label_volume(), (20, 20, 7), np.nan, np.float32),
    r"\(44, 52, 25\) voxels and .*\(44, 52, 26\)": label_volume()[:, :, 1:],
    "100% of its metastases outside": np.roll(label_volume(), 26, axis=0),
}


@pytest.mark.parametrize("message", LABELLED)
def test_a_segmentation_that_cannot_be_used_is_explained(tmp_path, message):
    write_case(tmp_path)
    save(tmp_path, "seg", LABELLED[message])
    with pytest.raises(DataError, match=message):
        read_case(tmp_path)


IMAGES = {
    "NaN": changed(brain_volume(), (20, 20, 9), np.nan, np.float32),
    "one value all over": np.where(brain_volume() > 0, 5, 0).astype(np.int16),
    "not 0 on 0%": np.zeros(SHAPE, np.int16),
    "not 0 on 100%": brain_volume() + np.int16(1),
    "dimensions": np.stack([brain_volume()] * 2, -1),
    "stores complex64": brain_volume().astype(np.complex64),
}


@pytest.mark.parametrize("message", IMAGES)
def test_an_image_that_cannot_be_used_is_explained(tmp_path, message):
    write_case(tmp_path)
    image = nibabel.Nifti1Image(IMAGES[message], AFFINE)
    (tmp_path / f"{NAME}-t1c.nii.gz").write_bytes(gzip.compress(image.to_bytes(), 1))
    with pytest.raises(DataError, match=rf"t1c\.nii\.gz.*{message}"):
        read_case(tmp_path)


def test_image_and_segmentation_lie_in_one_place(tmp_path):
    write_case(tmp_path)
    moved = AFFINE.copy()
    moved[1, 3] = 3.0
    save(tmp_path, "seg", label_volume(), moved)
    with pytest.raises(DataError, match="affines differ by 3 mm"):
        read_case(tmp_path)


def header_of(image: nibabel.Nifti1Image, **fields: object) -> bytes:
    content = bytearray(image.to_bytes())
    header = nibabel.Nifti1Header(bytes(content[:348]), check=False)
    for field, value in fields.items():
        header[field] = value
    content[:348] = header.binaryblock
    return bytes(content)


OBLIQUE = nibabel.affines.from_matvec(
    3 * np.array([[1, 0, 0], [0, np.cos(0.3), -np.sin(0.3)], [0, np.sin(0.3), np.cos(0.3)]])
)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"pixdim": [1, 3, 3, 5, 1, 1, 1, 1]},
            r"voxels of 3 x 3 x 5 mm by pixdim and of 3 x 3 x 3 mm by its affine",
        ),
        ({"pixdim": [1, 0, 3, 3, 1, 1, 1, 1]}, "pixdim"),
        ({"sform_code": 0, "qform_code": 0}, "nothing of its orientation"),
        ({"srow_x": [30, 0, 0, 0]}, "expected 0.2 to 10.0 mm"),
        ({"srow_x": [np.nan, 0, 0, 0]}, "header is damaged|cannot be read"),
        ({"dim": [3, 5000, 5000, 5000, 1, 1, 1, 1]}, "expected at most"),
        ({"dim": [3, 44, 52, 27, 1, 1, 1, 1]}, "holds less than"),
        ({"dim": [3, 44, 52, 25, 1, 1, 1, 1]}, "holds more than"),
        ({"dim": [2, 44, 52, 1, 1, 1, 1, 1]}, "expected one volume of three axes"),
        ({"vox_offset": 1e9}, "voxels at byte"),
        ({"magic": b"ni1"}, "not a NIfTI-1 file"),
        ({"datatype": 77}, "cannot be read"),
    ],
)
def test_a_header_that_cannot_be_used_is_explained(tmp_path, fields, message):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(header_of(nibabel.Nifti1Image(brain_volume(), AFFINE), **fields), 1))
    with pytest.raises(DataError, match=rf"a\.nii\.gz.*({message})"):
        read_nifti(path)


def test_an_oblique_volume_is_refused(tmp_path):
    path = tmp_path / "a.nii"
    path.write_bytes(nibabel.Nifti1Image(brain_volume(), OBLIQUE).to_bytes())
    with pytest.raises(DataError, match=r"turned by 17° .* expected axial"):
        read_nifti(path)


@pytest.mark.parametrize("cut", [0, 100, 5000, -4, -1])
def test_a_truncated_file_is_named(tmp_path, cut):
    path = write_case(tmp_path) / f"{NAME}-t1c.nii.gz"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"t1c\.nii\.gz .*download it again"):
        read_case(tmp_path)


def test_bytes_that_gzip_alone_would_notice_are_noticed(tmp_path):
    image = bytearray(nibabel.Nifti1Image(brain_volume(), AFFINE).to_bytes())
    packed = bytearray(gzip.compress(bytes(image), 0))  # stored: a flipped bit of a voxel stays readable
    packed[len(packed) // 2] ^= 1
    (tmp_path / "a.nii.gz").write_bytes(bytes(packed))
    with pytest.raises(DataError, match="CRC"):
        read_nifti(tmp_path / "a.nii.gz")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    paths = {
        kind: folder / f"{NAME}-{kind}.nii" for kind in ("t1c", "seg")
    }  # unpacked: damage reaches header and voxels
    for kind, values in (("t1c", brain_volume()[8:36, 8:44]), ("seg", label_volume()[8:36, 8:44])):
        paths[kind].write_bytes(nibabel.Nifti1Image(values, AFFINE).to_bytes())
    return {kind: path.read_bytes() for kind, path in paths.items()}


@settings(
    max_examples=120,
    database=None,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damaged_bytes_end_in_a_sentence_or_in_images(whole, tmp_path, data):
    kind = data.draw(st.sampled_from(["t1c", "seg"]))
    damaged = bytearray(whole[kind])
    header, anywhere = st.integers(0, 351), st.integers(0, len(damaged) - 1)
    for where, byte in data.draw(
        st.lists(st.tuples(st.one_of(header, header, anywhere), st.integers(0, 255)), min_size=1, max_size=5)
    ):
        damaged[where] = byte
    end = data.draw(st.one_of(st.just(len(damaged)), anywhere))
    for name, content in (whole | {kind: bytes(damaged[:end])}).items():
        (tmp_path / f"{NAME}-{name}.nii").write_bytes(content)
    case = Case(tmp_path / f"{NAME}-t1c.nii", tmp_path / f"{NAME}-seg.nii")
    try:
        reading = mets_to_brain.read(Unit(NAME, "BraTS-MET-00001", case))
    except DataError as error:
        sentence = str(error)
    else:
        sentence = NAME
    assert NAME in sentence
    if sentence != NAME:
        return
    assert bool(reading.samples) != bool(reading.left_out)
    assert all(s.pixels.dtype == np.uint16 and s.pixels.shape == (128, 128) for s in reading.samples)
    assert sorted(s.label for s in reading.samples) == [0] * (n := len(reading.samples) // 2) + [1] * n


@settings(max_examples=40, database=None, deadline=None, derandomize=True)
@given(data=st.data())
def test_damaged_gzip_ends_in_a_sentence_or_in_the_same_volume(whole, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzz.nii.gz"
    packed = bytearray(gzip.compress(whole["t1c"], 1, mtime=0))
    for where, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(packed) - 1), st.integers(0, 255)), min_size=1, max_size=3)
    ):
        packed[where] = byte
    path.write_bytes(bytes(packed))
    try:
        values = read_nifti(path).values
    except DataError as error:
        sentence = str(error)
    else:
        sentence = "fuzz.nii.gz"
        assert np.array_equal(values, brain_volume()[8:36, 8:44])
    assert "fuzz.nii.gz" in sentence
