"""A picture that occurs twice must be found however it was changed, and two pictures of two patients must not be one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import shift

from benchmark.data.audit.duplicates import SAME, exact_copies, near_copies, sketch, turn
from benchmark.data.phantom import draw_split
from benchmark.data.split import LEVELS, Split
from benchmark.modality import MODALITIES

COUNT = 30


@pytest.fixture(scope="module", params=MODALITIES)
def drawn(request):
    return draw_split(request.param, "test", 7, COUNT)


def copies(split, change):
    """The same pictures, changed, under patients and ids of other names."""
    images = np.stack([change(image[0] / LEVELS) for image in split.images])
    names = [f"other-{number}" for number in range(len(images))]
    return Split(split.modality, np.clip(images, 0, 1)[:, None], split.labels, names, names, "copies")


def moved(image, by):
    return shift(image, by, order=1, mode="nearest")


def brightened(image):
    return image * 0.8 + 0.12


def noised(image, sigma=0.01):
    return image + np.random.default_rng(int(image.sum() * 1000)).normal(0, sigma, image.shape)


CHANGES = {
    "moved by a little": lambda image: moved(image, (0.5, -1)),
    "moved between the points compared": lambda image: moved(image, (1, 3)),
    "moved far": lambda image: moved(image, (-7, 6.5)),
    "brightened": brightened,
    "noised": noised,
    "all of it": lambda image: noised(brightened(moved(image, (3.4, -4.3)))),
    "mirrored": lambda image: image[:, ::-1],
    "turned": lambda image: moved(np.rot90(image), (2, 1)),
    "stored larger": lambda image: np.kron(image, np.ones((2, 2))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_and_nothing_else(drawn, change):
    found = near_copies(sketch(copies(drawn, CHANGES[change])), sketch(drawn))

    # Some images of one patient of the phantom show one lesion twice; they are no copies of each other.
    own = {pair.first for pair in found if pair.first == pair.second}
    assert own == set(range(COUNT))
    assert all(drawn.patient_ids[pair.first] == drawn.patient_ids[pair.second] for pair in found)
    assert all(SAME <= pair.similarity <= 1.001 for pair in found)


def test_different_pictures_are_not_taken_for_copies(drawn):
    other = draw_split(drawn.modality, "test", 8, 120)
    assert near_copies(sketch(drawn), sketch(other)) == []
    assert near_copies(sketch(other)) == []


def test_pictures_of_one_patient_may_be_alike(drawn):
    one = Split("ct", drawn.images, drawn.labels, ["P"] * COUNT, drawn.image_ids, "one")
    assert near_copies(sketch(one), sketch(one)) == []


def test_a_patient_under_two_names_is_found_within_a_part(drawn):
    images = np.concatenate([drawn.images, drawn.images[4:5]])
    labels, names = np.append(drawn.labels, 0), [*drawn.image_ids, "again"]
    twice = Split(drawn.modality, images, labels, [*drawn.patient_ids, "again"], names, "twice")
    assert [(pair.first, pair.second) for pair in near_copies(sketch(twice))] == [(4, COUNT)]


def test_exact_copies_have_the_same_pixels(drawn):
    other = copies(drawn, lambda image: image)
    assert exact_copies(drawn, other) == [(i, i) for i in range(COUNT)]
    assert (
        exact_copies(drawn, copies(drawn, lambda image: np.clip(image, 0, 1 - 1 / LEVELS) + 1 / LEVELS)) == []
    )


def test_a_constant_picture_is_no_copy_of_anything(drawn):
    flat = copies(drawn, lambda image: np.full_like(image, 0.4))
    assert near_copies(sketch(flat), sketch(drawn)) == []


def test_there_are_eight_ways_to_turn():
    image = np.arange(9.0).reshape(1, 3, 3)
    assert len({turn(image, number).tobytes() for number in range(8)}) == 8
    assert np.array_equal(turn(image, 0), image)
