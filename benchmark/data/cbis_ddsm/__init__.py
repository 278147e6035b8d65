"""CBIS-DDSM: masses on scanned film mammograms, benign or malignant by pathology.

An image is one mass in one view: a field of 1024 x 1024 pixels of the scan around the middle of the mass's
mask, cut from the full mammogram and averaged down 8 x 8 to 128 x 128. The field is the same for all masses,
so that it does not give their size away, and holds nearly all: the crops that the collection brings of its
masses measure 342 pixels a side in the median, 785 at the 99th percentile and 1084 at most (square roots of
areas, from the byte counts of all series in the IDC index), so 2 of 1,696 are larger. Film is scanned at 42 to
50 um, so a field shows 43 to 51 mm; headers do not say which. Grey values are fractions of the scanner's 16 bits.
Where a field runs over the film's edge it is black there.

Lee et al. 2017, doi 10.1038/sdata.2017.177; data doi 10.7937/K9/TCIA.2016.7O02S9CY.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.data.cbis_ddsm.film import ScanFile, read_scan, read_scan_headers
from benchmark.data.cbis_ddsm.mask import Mask, read_mask
from benchmark.data.cbis_ddsm.tables import Row, find_rows
from benchmark.data.collection import Index, LeftOut, Reading, Sample, Unit
from benchmark.data.dicom.index import find_dicom
from benchmark.data.split import LEVELS
from benchmark.errors import DataError

NAME = "cbis-ddsm"
OFFICIAL_TEST = "Mass-Test_"  # what the items of the collection's own test part begin with
MODALITY = "mammogram"
SOURCE = {
    "title": "CBIS-DDSM, Curated Breast Imaging Subset of DDSM, The Cancer Imaging Archive",
    "doi": "10.7937/K9/TCIA.2016.7O02S9CY",
    "licence": "CC BY 3.0",
    "citation": (
        "Sawyer-Lee R, Gimenez F, Hoogi A, Rubin D. Curated Breast Imaging Subset of Digital Database for "
        "Screening Mammography (CBIS-DDSM). The Cancer Imaging Archive, 2016. doi 10.7937/K9/TCIA.2016.7O02S9CY"
    ),
    "labels": "pathology; BENIGN_WITHOUT_CALLBACK counts as benign",
    "how_to_get": (
        "oncorobust data download cbis-ddsm --to DIR (needs pip install 'oncorobust[download]') or the NBIA Data "
        "Retriever, and mass_case_description_train_set.csv and mass_case_description_test_set.csv of "
        "https://www.cancerimagingarchive.net/collection/cbis-ddsm/, all into one folder"
    ),
    "besides": (
        "mass_case_description_train_set.csv and mass_case_description_test_set.csv of "
        "https://www.cancerimagingarchive.net/collection/cbis-ddsm/"
    ),
}

FIELD = 1024  # pixels of the scan
SIZE = 128


@dataclass(frozen=True)
class Lesion:
    """A row of the tables with the files of its crop's and mask's series; which is which, only pixels tell."""

    row: Row
    files: tuple[str, ...]


@dataclass(frozen=True)
class Mammogram:
    """The files of a full mammogram's series, and its masses: the payload of a unit."""

    files: tuple[str, ...]
    lesions: tuple[Lesion, ...]


def index(source: Path) -> Index:
    """One unit for each full mammogram that the case descriptions name, in the order of their masses' names.

    Raises:
        DataError: the folder or the case descriptions are missing, or no mammogram is here; with all reasons.
    """
    files, damaged = find_dicom(Path(source))
    rows, unusable = find_rows(Path(source))
    left_out = [*unusable, *(LeftOut("a DICOM file", sentence) for sentence in damaged)]
    paths: dict[str, list[str]] = {}
    for file in files:
        paths.setdefault(file.series_uid, []).append(file.path)
    lesions: dict[str, list[Lesion]] = {}
    for row in rows:
        beside = [path for uid in dict.fromkeys((row.mask, row.crop)) for path in paths.get(uid, ())]
        lesions.setdefault(row.film, []).append(Lesion(row, tuple(beside)))
    units = []
    for uid, group in lesions.items():
        views = sorted({lesion.row.key.rpartition("_")[0] for lesion in group})
        if len(views) == 1:
            payload = Mammogram(tuple(paths.get(uid, ())), tuple(group))
            units.append(Unit(uid, group[0].row.patient_id, payload))
        else:
            reason = f"one full mammogram is named for {', '.join(views)}; download the CSV file again"
            left_out += [LeftOut(lesion.row.key, reason) for lesion in group]
    if not any(unit.payload.files for unit in units):
        reasons = [f"{each.what}: {each.reason}" for each in left_out if not each.harmless]
        what = f"{source} holds {len(files)} DICOM files, and no mammogram that a case description names a mass in"
        raise DataError("; ".join([what, *reasons]))
    return Index(tuple(units), tuple(left_out))


def read(unit: Unit) -> Reading:
    """The patches of one mammogram's masses, and the noise in each in grey levels of 16 bits.

    In memory are one film and one mask: about twice the size of the film, 150 MB for the largest.
    """
    mammogram: Mammogram = unit.payload
    samples: list[Sample] = []
    left_out: list[LeftOut] = []
    noise: list[float] = []
    notes = Counter[str]()
    try:
        header = _film(unit.key, mammogram.files)
        film = read_scan(header)
    except DataError as error:
        return Reading((), [LeftOut(lesion.row.key, str(error)) for lesion in mammogram.lesions])
    notes["monochrome1_films"] = int(header.inverted)
    for lesion in mammogram.lesions:
        try:
            mask = read_mask(lesion.files, film.shape)
            pixels = patch(film, mask.centre, 2**header.bits - 1)
            if pixels.min() == pixels.max():
                raise DataError("the film is blank around its mask; download both again")
        except DataError as error:
            left_out.append(LeftOut(lesion.row.key, str(error)))
            continue
        facts = {**lesion.row.facts, **_facts(mask, film.shape)}
        samples.append(Sample(pixels, lesion.row.label, unit.patient_id, lesion.row.key, facts))
        sigma = noise_sigma(pixels)
        noise += [] if sigma is None else [sigma]
        notes["masks_resized"] += mask.resized
        notes["masks_in_pieces"] += mask.pieces > 1
        notes["masses_beyond_field"] += max(mask.sides) > FIELD
    return Reading(samples, left_out, noise, dict(notes))


def _film(uid: str, files: tuple[str, ...]) -> ScanFile:
    if not files:
        raise DataError(f"its full mammogram, series {uid}, is not in the folder: download it")
    scans, wrong = read_scan_headers(files)
    films = [scan for scan in scans if scan.bits > 8]
    if len(films) != 1:
        what = f"its full mammogram, series {uid}, has {len(films)} images of more than 8 bits, expected one"
        raise DataError("; ".join([what, *wrong, "keep one" if films else "download it again"]))
    return films[0]


def patch(film: np.ndarray, centre: tuple[int, int], highest: int) -> np.ndarray:
    """A field of 1024 x 1024 pixels, `centre` its pixel (512, 512), as means of 8 x 8; black outside the film.

    Args:
        film: (H, W) unsigned, of which `highest` stands for 1.

    Returns:
        (128, 128) uint16, of which 65535 stands for 1.
    """
    (top, left), (height, width) = (place - FIELD // 2 for place in centre), film.shape
    field = np.zeros((FIELD, FIELD), film.dtype)
    rows, columns = (
        slice(max(top, 0), min(top + FIELD, height)),
        slice(max(left, 0), min(left + FIELD, width)),
    )
    field[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = film[
        rows, columns
    ]
    means = field.reshape(SIZE, FIELD // SIZE, SIZE, FIELD // SIZE).mean((1, 3), dtype=np.float64)
    return np.rint(means * (LEVELS / highest)).astype(np.uint16)


def noise_sigma(pixels: np.ndarray) -> float | None:
    """Noise of a patch in its own levels: median |d| / 0.6745, d the finest diagonal Haar details (Donoho 1994).

    White noise of SD s gives s. Tissue adds to it, so this is an upper bound: power-law texture of exponent 3.1 and
    of SD 5 % of the range gives 0.4 % where there is no noise at all. Black and saturated pixels are passed over.
    None where fewer than a quarter of the details are left, or an enlarged image has none.
    """
    a, b, c, d = (pixels[i::2, j::2].astype(np.float64) for i in (0, 1) for j in (0, 1))
    exposed = (np.minimum.reduce([a, b, c, d]) > 0) & (np.maximum.reduce([a, b, c, d]) < LEVELS)
    if exposed.mean() < 0.25:
        return None
    return float(np.median(np.abs((a - b - c + d)[exposed]) / 2) / 0.6745) or None


def _facts(mask: Mask, shape: tuple[int, ...]) -> Mapping[str, float]:
    """Lengths in pixels of the scan; places as fractions of the film."""
    return {
        "mask_area_px": mask.area,
        "mask_height_px": mask.sides[0],
        "mask_width_px": mask.sides[1],
        "centre_row": mask.centre[0] / shape[0],
        "centre_column": mask.centre[1] / shape[1],
        "film_rows": float(shape[0]),
        "film_columns": float(shape[1]),
    }
