"""Small CBIS-DDSM trees: one case at a time, each as odd as a test wants it."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread

from benchmark.data import cbis_ddsm
from benchmark.data.collection import LeftOut, Sample
from benchmark.data.phantom.as_cbis_ddsm import MASS_HEADER, SeriesFolder, write_image, write_table

SHAPE = (300, 400)
BOX = (100, 160, 50, 120)  # of the mask: rows from and to, columns from and to
TRAIN, TEST = "mass_case_description_train_set.csv", "mass_case_description_test_set.csv"


def scan(shape: tuple[int, int] = SHAPE, seed: int = 1) -> np.ndarray:
    """A film that is different everywhere and nowhere black or white."""
    return np.random.default_rng(seed).integers(1000, 60000, shape).astype(np.uint16)


def marked(box: tuple[int, int, int, int] = BOX, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[box[0] : box[1], box[2] : box[3]] = 255
    return mask


def cut(film: np.ndarray, box: tuple[int, int, int, int] = BOX) -> np.ndarray:
    return film[box[0] : box[1], box[2] : box[3]]


def series(folder: Path, name: str, uid: str) -> SeriesFolder:
    return SeriesFolder(folder, 1, name, f"1.2.9.{uid}", f"1.2.8.{uid}", "cropped images")


def write_case(
    folder: Path,
    key: str = "Mass-Training_P_00001_LEFT_CC_1",
    film: np.ndarray | None = None,
    others: list[np.ndarray] | None = None,
    apart: bool = False,
    pathology: str = "MALIGNANT",
    photometric: str = "MONOCHROME2",
) -> list[str]:
    """A mammogram with one mass; its row. others: the images of crop and mask in the order in which they are numbered."""
    name, _, number = key.rpartition("_")
    uid = str(zlib.crc32(key.encode()))
    film = scan() if film is None else film
    others = [cut(film), marked()] if others is None else others
    full = series(folder, name, f"{uid}.1")
    write_image(full, 1, film, photometric)
    beside = [series(folder, key, f"{uid}.{2 + apart * place}") for place in range(2)]
    for place, image in enumerate(others):
        write_image(beside[place], 1 if apart else place + 1, image)
    part, patient, side, view = (
        name.replace("_P_", "/P_").replace("_LEFT_", "/LEFT/").replace("_RIGHT_", "/RIGHT/").split("/")
    )
    assert part in ("Mass-Training", "Mass-Test")
    return [
        *(patient, "3", side, view, number, "mass", "OVAL", "OBSCURED", "4", pathology, "5"),
        *(f"{full.listed}/000000.dcm", f"{beside[0].listed}/000000.dcm", f"{beside[1].listed}/000001.dcm\n"),
    ]


def write_rows(folder: Path, *rows: list[str], name: str = TRAIN, header: list[str] = MASS_HEADER) -> Path:
    write_table(folder / name, header, rows)
    return folder


def edit(path: Path, **tags: Any) -> None:
    """Change what a file's header says; None removes an element."""
    dataset = dcmread(path)
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path)


def files(folder: Path) -> list[Path]:
    """The DICOM files: the film first, then crop and mask in their order."""
    found = sorted(folder.rglob("*.dcm"))
    return sorted(found, key=lambda path: (dcmread(path).SeriesInstanceUID, path.name))


def read_all(folder: Path) -> tuple[dict[str, Sample], list[LeftOut], dict[str, float]]:
    """Every sample by its id, everything left out, and the notes summed."""
    found = cbis_ddsm.index(folder)
    left_out, samples, notes = list(found.left_out), {}, {}
    for unit in found.units:
        reading = cbis_ddsm.read(unit)
        left_out += reading.left_out
        for sample in reading.samples:
            assert sample.image_id not in samples
            samples[sample.image_id] = sample
        notes = {key: notes.get(key, 0) + value for key, value in reading.notes.items()} | {
            key: value for key, value in notes.items() if key not in reading.notes
        }
    return samples, left_out, notes


def expected_patch(film: np.ndarray, row: int, column: int) -> np.ndarray:
    """The definition, the slow way: 1024 pixels each way around (row, column), black outside, mean of 8 x 8."""
    around = np.pad(film.astype(np.int64), 1024)[row + 512 : row + 1536, column + 512 : column + 1536]
    patch = np.zeros((128, 128), np.uint16)
    for i in range(128):
        for j in range(128):
            patch[i, j] = round(int(around[8 * i : 8 * i + 8, 8 * j : 8 * j + 8].sum()) / 64)
    return patch
