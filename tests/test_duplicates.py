"""A picture that occurs twice must be found however it was changed, and two pictures of two patients must not be one."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import shift

from benchmark.data.audit import audit, duplicates, overlay, shortcuts
from benchmark.data.audit.duplicates import SAME, Sketch, exact_copies, near_copies, sketch, turn
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


def test_blocks_give_the_same_pairs_as_all_at_once(drawn, monkeypatch):
    own, bright, mirrored = (
        sketch(s) for s in (drawn, copies(drawn, brightened), copies(drawn, CHANGES["mirrored"]))
    )
    both = Sketch(*(np.concatenate([getattr(s, name) for s in (own, bright)]) for name in vars(own)))
    whole = [near_copies(mirrored, own), near_copies(both)]
    monkeypatch.setattr(duplicates, "BLOCK", 7)
    monkeypatch.setattr(duplicates, "BATCH", 5)

    for before, now in zip(whole, (near_copies(mirrored, own), near_copies(both)), strict=True):
        pairs = {(pair.first, pair.second): pair.similarity for pair in before}
        assert len(pairs) >= COUNT
        assert {(pair.first, pair.second): pair.similarity for pair in now} == pytest.approx(pairs, abs=1e-4)


def test_the_bound_passes_over_nothing_that_the_whole_product_finds(drawn, monkeypatch):
    monkeypatch.setattr(overlay, "LIKELY", 0.45)
    monkeypatch.setattr(overlay, "DIMENSIONS", 12)
    own = sketch(drawn)
    target = overlay.Target.of(own.fine, own.coarse)
    found = {(i, j) for i, some in target.likely(own.coarse) for j in some.tolist()}

    units = [
        overlay._unit(overlay._points(own.coarse, *by)[:, 2:-2, 2:-2])
        for by in ((0, 0), (0, 2), (2, 0), (2, 2))
    ]
    products = np.max([unit @ window.T for unit in units for window in target.windows], axis=0)
    expected = {(int(i), int(j)) for i, j in np.argwhere(products >= 0.45)}

    assert len(expected) > COUNT  # more than each picture with itself
    assert found == expected


def test_an_audit_keeps_little_of_each_picture(tmp_path, monkeypatch):
    """A picture of 128 x 128 is 32 KB; its sketch is 16. All else is in blocks, here small ones."""
    for module, name in ((duplicates, "BLOCK"), (duplicates, "BATCH"), (shortcuts, "FITTED")):
        monkeypatch.setattr(module, name, 100)

    def peak(count):
        pixels = np.random.default_rng(count).integers(0, LEVELS, (count, 1, 128, 128)).astype(np.uint16)
        names = [f"{number}" for number in range(count)]
        split = Split("mri", pixels, np.arange(count) % 2, names, names, "many")
        split.save(tmp_path / f"{count}.safetensors")
        mapped = Split.load(tmp_path / f"{count}.safetensors")
        few = replace(mapped.part_of(0, 40), patient_ids=[f"other {number}" for number in range(40)])
        tracemalloc.start()
        try:
            audit({"train": mapped, "test": few})
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(40)  # libraries that are loaded the first time
    assert peak(800) - peak(400) < 400 * 20_000
