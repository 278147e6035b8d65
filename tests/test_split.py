"""A split refuses what it cannot mean, keeps its patients whole, and knows when its file was changed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import make_split, random_split

from benchmark.data.split import LEVELS, Split
from benchmark.errors import BenchmarkError, DataError

LABELS = np.array([0, 1, 0, 1])


def images(value=0.5):
    return np.full((4, 1, 8, 8), value)


# -- complaints ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"images": images(1.001)}, r"images lie in \[1.001, 1.001\], expected \[0, 1\]"),
        ({"images": images(-1e-3)}, r"images lie in \[-0.001, -0.001\], expected \[0, 1\]"),
        ({"images": images(-700.0)}, r"CT: \(HU \+ 1000\) / 1400"),
        (
            {"images": np.where(np.arange(4)[:, None, None, None] == 2, np.nan, images())},
            "1 images hold NaN or infinity",
        ),
        ({"images": images(np.inf)}, "4 images hold NaN or infinity"),
        ({"images": images().astype(np.uint8)}, r"images are uint8, expected floats in \[0, 1\] or uint16"),
        ({"images": images().astype(np.int64)}, "images are int64"),
        ({"images": images()[:, 0]}, r"images have shape \(4, 8, 8\), expected \(N, 1, H, W\)"),
        ({"images": np.full((4, 3, 8, 8), 0.5)}, r"images have shape \(4, 3, 8, 8\)"),
        ({"images": images()[:0]}, "with N ≥ 1"),
        ({"labels": LABELS[:3]}, r"labels have shape \(3,\), expected \(4,\)"),
        ({"labels": LABELS + 1}, r"labels hold \[2\], expected 0 \(no disease\) and 1 \(disease\)"),
        ({"labels": np.array([0, 1, 0.5, 1])}, r"labels hold \[0.5\]"),
        ({"labels": np.eye(4)}, r"labels have shape \(4, 4\)"),
        ({"patient_ids": ["a"]}, "1 patient ids and 4 image ids for 4 images"),
        ({"image_ids": ["a", "b", "a", "a"]}, "2 image ids are used twice"),
    ],
)
def test_each_complaint_is_a_sentence(change, sentence):
    with pytest.raises(DataError, match=sentence) as caught:
        make_split(**{"images": images(), "labels": LABELS, "name": "mine"} | change)

    assert "split 'mine'" in str(caught.value)


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(DataError) as caught:
        make_split(images(-700.0), LABELS + 1, image_ids=["a"] * 4)

    for part in ("images lie in", "labels hold", "image ids are used twice"):
        assert part in str(caught.value)


def test_an_unknown_modality_is_refused():
    with pytest.raises(BenchmarkError, match="unknown modality 'pet'; expected one of ct, mammogram, mri"):
        make_split(images(), LABELS, modality="pet")


# -- values ----------------------------------------------------------------------------------


def test_images_come_back_as_float32_on_the_16_bit_grid():
    drawn = np.random.default_rng(0).uniform(0, 1, (4, 1, 8, 8))
    drawn.flat[:2] = 0, 1

    decoded, labels = make_split(drawn, LABELS).batch(0, 3)

    assert (str(decoded.dtype), str(labels.dtype), tuple(decoded.shape)) == (
        "torch.float32",
        "torch.int64",
        (3, 1, 8, 8),
    )
    assert np.abs(decoded.numpy() - drawn[:3]).max() <= 0.5 / LEVELS + 1e-7
    assert decoded.flatten()[:2].tolist() == [0.0, 1.0]
    assert labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_checksum_is_of_the_values_whatever_their_type(dtype):
    stored = np.random.default_rng(0).integers(0, LEVELS + 1, (4, 1, 8, 8)).astype(np.uint16)

    given, decoded = (
        make_split(stored, LABELS),
        make_split((stored / LEVELS).astype(dtype), LABELS.astype(float)),
    )

    assert np.array_equal(given.images, decoded.images)
    assert given.sha256 == decoded.sha256


@pytest.mark.parametrize(
    "change",
    [
        {"images": images(0.5 + 2 / LEVELS)},
        {"labels": 1 - LABELS},
        {"patient_ids": list("abcd")},
        {"image_ids": list("abcd")},
        {"modality": "mri"},
        {"images": images().reshape(4, 1, 4, 16)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_checksum_covers_what_a_result_depends_on(change):
    given = {"images": images(), "labels": LABELS}

    assert make_split(**given).sha256 == make_split(**given).sha256
    assert make_split(**given | change).sha256 != make_split(**given).sha256


# -- patients --------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.integers(1, 25))
def test_the_first_patients_are_whole_and_as_many_as_fit(sizes, asked):
    patients = [f"p{number}" for number, size in enumerate(sizes) for _ in range(size)]
    n = len(patients)
    split = make_split(np.full((n, 1, 2, 2), 0.5), np.arange(n) % 2, patient_ids=patients, image_ids=range(n))

    first = split.first_patients(asked)

    taken = [patients.count(patient) for patient in dict.fromkeys(first.patient_ids)]
    assert first.patient_ids == tuple(patients[: len(first)])
    assert sum(taken) == len(first)
    assert len(first) <= asked or len(taken) == 1
    assert len(first) == n or len(first) + sizes[len(taken)] > asked


def test_a_part_keeps_everything_of_its_images():
    split = random_split(6, 8, facts={"diameter": range(6)})

    part = split.part_of(2, 5)

    assert np.array_equal(part.images, split.images[2:5])
    assert (part.labels.tolist(), part.patient_ids) == (split.labels[2:5].tolist(), ("p1", "p1", "p2"))
    assert (part.image_ids, part.facts) == (("i2", "i3", "i4"), {"diameter": [2, 3, 4]})
    assert (part.patients, len(part), part.track) == (2, 3, "toy")


# -- files -----------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    """A split's file and the split."""
    split = random_split(6, 8, facts={"diameter": [1.5] * 6}, notes={"source": "drawn"}, part="train")
    split.save(tmp_path / "split.safetensors")
    return tmp_path / "split.safetensors", split


def test_what_is_saved_reads_back_equal(saved):
    path, split = saved

    again = Split.load(path)

    assert np.array_equal(again.images, split.images)
    assert np.array_equal(again.labels, split.labels)
    for field in (
        "modality",
        "name",
        "track",
        "part",
        "patient_ids",
        "image_ids",
        "facts",
        "notes",
        "sha256",
    ):
        assert getattr(again, field) == getattr(split, field)


def test_images_stay_on_disk(saved):
    assert isinstance(Split.load(saved[0]).images, np.memmap)


@pytest.mark.parametrize("place", [-1, -100, -6 * 8, -6 * 8 - 2 * 6 * 64])
def test_a_flipped_bit_of_the_data_is_caught(saved, place):
    path, _ = saved
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"is damaged: sha256|labels hold"):
        Split.load(path)


def test_a_flipped_bit_anywhere_is_caught_or_changes_no_result(saved):
    path, split = saved
    content = path.read_bytes()
    random = np.random.default_rng(0)
    other = []
    for place in random.choice(len(content) - 6 * 8 - 2 * 6 * 64, 250, replace=False):
        hurt = bytearray(content)
        hurt[place] ^= 1 << int(random.integers(7))
        path.write_bytes(hurt)
        try:
            if Split.load(path).sha256 != split.sha256:
                other.append((int(place), "another split"))
        except DataError:
            pass
        except Exception as error:
            other.append((int(place), f"{type(error).__name__}: {error}"))

    assert other == []


@pytest.mark.parametrize(
    ("hurt", "sentence"),
    [
        (lambda path: path.unlink(), "is missing; prepare the split again"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "cannot be read"),
        (
            lambda path: path.write_bytes(path.read_bytes().replace(b'format\\": 1', b'format\\": 9')),
            "format 9, this version reads 1",
        ),
        (
            lambda path: path.write_bytes(
                path.read_bytes().replace(b'modality\\": \\"ct', b'modality\\": \\"cq')
            ),
            "cq",
        ),
    ],
)
def test_a_file_that_is_not_whole_is_refused_in_a_sentence(saved, hurt, sentence):
    hurt(saved[0])

    with pytest.raises(DataError, match=sentence):
        Split.load(saved[0])
