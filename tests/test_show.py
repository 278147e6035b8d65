"""A sheet of a split must show both classes of many patients on the modality's scale, and no private image unasked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from benchmark.data.audit.show import chosen, contact_sheet, show, show_track
from benchmark.data.phantom import draw_split
from benchmark.data.split import LEVELS, Split
from benchmark.errors import DataError


@pytest.fixture(scope="module")
def split():
    return draw_split("ct", "test", 5, 40)


def words(figure):
    own = [text.get_text() for text in figure.texts]
    return " ".join(own + [text.get_text() for axes in figure.axes for text in axes.texts])


def pictures(figure):
    return [axes.images[0].get_array() for axes in figure.axes if axes.images and not axes.get_ylabel()]


def test_each_class_has_its_row_and_the_scale_its_unit(split):
    figure = contact_sheet(split, each=5)
    shown = pictures(figure)[:10]
    known = {image.tobytes(): label for image, label in zip(split.images[:, 0], split.labels, strict=True)}
    labels = [known[np.rint(np.asarray(image) * LEVELS).astype(np.uint16).tobytes()] for image in shown]
    assert labels == [0] * 5 + [1] * 5
    scale = figure.axes[-1]
    assert (scale.get_ylabel(), scale.get_ylim()) == ("HU", (-1000, 400))
    assert "SYNTHETIC, not from patients" in words(figure)
    assert "10 mm" in words(figure)
    assert "ε = 0.004 is 5.6 HU" in words(figure)


def test_the_grey_of_a_pixel_is_the_windows_not_the_pictures(split):
    dark = replace(split, images=np.array(split.images) // 4)
    axes = contact_sheet(dark, each=2).axes[0]
    assert axes.images[0].get_clim() == (0, 1)


def test_a_split_of_ones_own_is_told_in_its_own_unit(split):
    own = replace(split, notes={"window": [0, 4095], "unit": "grey levels (12 bit)", "stored_bits": 12})
    figure = contact_sheet(own, each=2)
    assert figure.axes[-1].get_ylabel() == "grey levels (12 bit)"
    assert figure.axes[-1].get_ylim() == (0, 4095)
    assert "SYNTHETIC" not in words(figure)
    assert "stored at 12 bits" in words(figure)
    assert "16 px" in words(figure)  # nobody knows how large its pixels are


def test_many_patients_are_shown_before_one_is_shown_twice(split):
    patients = ["A"] * 30 + [f"P{number}" for number in range(10)]
    many = Split("ct", split.images, np.zeros(40, int), patients, split.image_ids, "many")
    assert [patients[i] for i in chosen(many, 0, 11)] == ["A", *patients[30:]]
    assert [patients[i] for i in chosen(many, 0, 13)].count("A") == 3
    spread = chosen(many, 0, 4)
    assert patients[spread[0]] == "A"
    assert patients[spread[-1]] == "P9"
    assert chosen(many, 1, 4) == []


def test_a_class_without_images_leaves_an_empty_row(split, tmp_path):
    one = replace(split, labels=np.zeros(40, int))
    figure = contact_sheet(one, each=3)
    assert "malignant (label 1): 0 of 0 images" in words(figure)


def test_the_file_is_a_png_of_a_size_that_can_be_looked_at(split, tmp_path):
    with Image.open(show(split, tmp_path / "sheet.png")) as image:
        assert image.format == "PNG"
        assert 1000 < image.width < 2000
        assert 300 < image.height < 1500
    before = (tmp_path / "sheet.png").read_bytes()
    assert show(split, tmp_path / "again.png").read_bytes() == before


def test_private_images_are_shown_only_when_asked_for_by_name(split, tmp_path, monkeypatch):
    folder = tmp_path / "own"
    replace(split, notes={"source": "private images"}).save(folder / "ct-test.safetensors")
    with pytest.raises(DataError, match="private and a sheet shows them"):
        show_track("ct", str(folder), "test", tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()
    assert show_track("ct", str(folder), "test", tmp_path / "sheet.png", private_thumbnails=True).exists()

    (tmp_path / ".git").mkdir()
    monkeypatch.setattr("benchmark.data.private.ids.ROOT", tmp_path)
    with pytest.raises(DataError, match="lies in the repository"):
        show_track("ct", str(folder), "test", tmp_path / "other.png", private_thumbnails=True)


def test_a_rehearsal_is_nobodys_images_and_is_shown(split, tmp_path):
    folder = tmp_path / "rehearsal"
    told = {"source": "synthetic: drawn by a generator; not from patients"}
    replace(split, notes=told).save(folder / "ct-test.safetensors")

    assert show_track("ct", str(folder), "test", tmp_path / "sheet.png").exists()
