"""Phantom mammograms written as CBIS-DDSM is delivered, with all that makes it hard to read.

Reading the tree gives each pixel of a phantom image back four times, to the bit. The quirks, each met in a tree of
48 images: three folder layouts; Secondary Capture in Implicit VR; PatientID as the name of an image, and a broken
one; crop and mask in one series, in either order, named and described as each other, or in two series; a mask drawn
on a smaller copy of the film; MONOCHROME1; a newline in the CSV's paths; two spellings of a column; calcifications.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.data.phantom import draw_split
from benchmark.data.phantom.films import TISSUE, Film, PlacedMass, cut_crop, draw_film, draw_mask, lay_out
from benchmark.data.split import Split
from benchmark.files import replace_file
from benchmark.progress import progress_bar

SEED = 31  # of a rehearsal; the track's own parts have others
IMAGES = 48
NOTICE = "PHANTOM: synthetic, not from a patient"
WHITE = 65535
SMALLER = 0.87  # of the film's size: the copy that some masks were drawn on
HEADER = (
    "patient_id,{},left or right breast,image view,abnormality id,abnormality type,{},"
    "assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path"
)
MASS_HEADER = HEADER.format("breast_density", "mass shape,mass margins").split(",")
CALC_HEADER = HEADER.format("breast density", "calc type,calc distribution").split(",")
DESCRIPTIONS = ("cropped images", "ROI mask images")


@dataclass(frozen=True)
class SeriesFolder:
    """A series to be written. name: what CBIS-DDSM calls its image. layout: 0 to 2, of three downloaders."""

    root: Path
    layout: int
    name: str
    study_uid: str
    series_uid: str
    description: str | None

    @property
    def listed(self) -> str:
        """Its path as the tables give it, whatever the downloader made of it."""
        return f"{self.name}/{self.study_uid}/{self.series_uid}"

    def file(self, number: int, patient_id: str, sop_uid: str) -> Path:
        """Where its image `number`, from 1, lies."""
        layouts = (
            f"CBIS-DDSM/{self.name}/07-20-2016-DDSM-NA-{self.study_uid[-5:]}/"
            f"1.000000-{self.description or 'NA'}-{self.series_uid[-5:]}/1-{number}.dcm",
            f"CBIS-DDSM/{self.listed}/{number - 1:06d}.dcm",
            f"cbis_ddsm/{patient_id}/{self.study_uid}/MG_{self.series_uid}/{sop_uid[-12:]}.dcm",
        )
        return self.root / layouts[self.layout]


def write_tree(folder: Path, images: int = IMAGES, seed: int = SEED, progress: bool = False) -> list[Film]:
    """Draw `images` phantom crops and write them below `folder` as a download of CBIS-DDSM; 5 MB an image.

    Returns:
        The films, from which follows what a reader must find: image `Film.name`_`PlacedMass.number` shows
        `pixels`, each as 2 x 2, and its label is `label`.

    Raises:
        DataError: nothing can be written there.
    """
    return _write_films(folder, lay_out(draw_split("mammogram", "train", seed, images, progress)), progress)


def write_split(folder: Path, split: Split, progress: bool = False) -> list[Film]:
    """As `write_tree`, of the images of a phantom split, whose test part is all of the collection's own test part.

    Read from the tree, every image is the split's with each pixel as 2 x 2, to the bit; its patients in order are the
    collection's P_90001, P_90002 and so on.
    """
    return _write_films(folder, lay_out(split, ("Test" if split.part == "test" else "Training",)), progress)


def _write_films(folder: Path, laid_out: Iterable[Film], progress: bool) -> list[Film]:
    films = list(laid_out)
    rows: dict[str, list[list[str]]] = {"Training": [], "Test": []}
    with progress_bar("writing films", len(films), progress) as advance:
        for film in films:
            rows[film.part] += write_film(folder, film)
            advance()
    write_table(folder / "mass_case_description_train_set.csv", MASS_HEADER, rows["Training"])
    write_table(folder / "mass_case_description_test_set.csv", MASS_HEADER, rows["Test"])
    calcification = write_calcification(folder)
    write_table(folder / "calc_case_description_test_set.csv", CALC_HEADER, [calcification])
    replace_file(folder / "README.txt", f"{NOTICE}. Written in the layout of CBIS-DDSM.\n".encode())
    return films


def write_film(folder: Path, film: Film) -> list[list[str]]:
    """Write a mammogram with its crops and masks; its rows of the case description."""
    pixels, layout = draw_film(film), film.ordinal % 3
    turned = film.ordinal % 5 == 2
    full = _series(folder, layout, film.name, "full", "full mammogram images")
    write_image(
        full, 1, WHITE - pixels if turned else pixels, photometric="MONOCHROME1" if turned else "MONOCHROME2"
    )
    rows = []
    for mass in film.masses:
        name = f"{film.name}_{mass.number}"
        apart = mass.ordinal % 8 == 3
        mask, crop = draw_mask(mass, film.shape, SMALLER if apart else 1.0), cut_crop(pixels, mass)
        if apart:
            own = [_series(folder, layout, name, description, description) for description in DESCRIPTIONS]
            write_image(own[0], 1, crop)
            write_image(own[1], 1, mask)
            paths = [f"{series.listed}/000000.dcm" for series in own]
        else:
            series = _series(folder, layout, name, "both", DESCRIPTIONS[mass.ordinal // 2 % 2])
            for number, image in enumerate((mask, crop) if mass.ordinal % 2 else (crop, mask), 1):
                write_image(series, number, image)
            # The tables count the two in an order of their own.
            crossed = mass.ordinal // 4 % 2
            paths = [f"{series.listed}/00000{crossed ^ place}.dcm" for place in (0, 1)]
        rows.append(_row(film, mass, f"{full.listed}/000000.dcm", *paths))
    return rows


def _row(film: Film, mass: PlacedMass, full: str, crop: str, mask: str) -> list[str]:
    benign = "BENIGN_WITHOUT_CALLBACK" if mass.ordinal % 3 == 0 else "BENIGN"
    seen = (
        ["IRREGULAR", "SPICULATED", "5", "MALIGNANT"]
        if mass.label
        else ["OVAL", "CIRCUMSCRIBED", "3", benign]
    )
    return [
        *(film.patient_id, "3", film.side, film.view, str(mass.number), "mass", *seen, "4"),
        *(full, crop, f"{mask}\n"),
    ]


def write_calcification(folder: Path) -> list[str]:
    """A calcification of the test part, whose images carry the broken PatientID of 396 series; its row."""
    film, mask = np.full((300, 200), TISSUE, np.uint16), np.zeros((300, 200), np.uint8)
    mask[100:140, 80:120] = 255
    name, broken = "Calc-Test_P_90000_LEFT_CC", "P_90000_LEFT_CC.dcm"
    full = _series(folder, 0, name, "full", None)
    both = _series(folder, 0, f"{name}_1", "both", DESCRIPTIONS[0])
    write_image(full, 1, film, patient_id=broken)
    write_image(both, 1, film[90:150, 70:130], patient_id=broken)
    write_image(both, 2, mask, patient_id=broken)
    given = ["P_90000", "2", "LEFT", "CC", "1", "calcification", "PUNCTATE", "CLUSTERED", "4", "BENIGN", "2"]
    return [*given, f"{full.listed}/000000.dcm", f"{both.listed}/000001.dcm\n", f"{both.listed}/000000.dcm"]


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A case description."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    replace_file(path, text.getvalue().encode())


def _series(folder: Path, layout: int, name: str, kind: str, description: str | None) -> SeriesFolder:
    from pydicom.uid import generate_uid

    study, series = (generate_uid(entropy_srcs=[NOTICE, name, kind, what]) for what in ("study", "series"))
    return SeriesFolder(folder, layout, name, study, series, description)


def write_image(
    series: SeriesFolder,
    number: int,
    pixels: np.ndarray,
    photometric: str = "MONOCHROME2",
    patient_id: str | None = None,
) -> Path:
    """Write one image, uint8 or uint16, as a DICOM file of modality MG; the path it has."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ImplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[series.series_uid, str(number)])
    meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    bits = pixels.itemsize * 8
    header = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": series.study_uid,
        "SeriesInstanceUID": series.series_uid,
        "PatientID": patient_id or series.name,
        "PatientName": patient_id or series.name,
        "Modality": "MG",
        "ImageComments": NOTICE,
        "InstanceNumber": number,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": photometric,
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
    }
    header |= {"SeriesDescription": series.description} if series.description else {}
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    stored = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = stored + b"\0" * (len(stored) % 2)
    dataset["PixelData"].VR = "OW"
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    path = series.file(number, str(dataset.PatientID), str(dataset.SOPInstanceUID))
    replace_file(path, content.getvalue())
    return path
