"""Which DICOM files a folder holds, by what their headers say: never by names or folders, which each downloader chooses."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.data.damage import damage_named
from benchmark.data.dicom.file import header_if_dicom
from benchmark.errors import DataError
from benchmark.processes import in_parallel, worker_count
from benchmark.progress import progress_bar

CHUNK = 2000  # files a worker is given at once; fewer are not worth a process


@dataclass(frozen=True, slots=True)
class DicomFile:
    """A DICOM file and what it is of."""

    path: str
    modality: str
    series_uid: str
    patient_id: str


def find_dicom(folder: Path, progress: bool = True) -> tuple[list[DicomFile], list[str]]:
    """All DICOM files below a folder, in the order of their paths, and a sentence on each that is damaged.

    Raises:
        DataError: the folder is missing.
    """
    paths = list(walk(folder))
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    found: dict[str, list[DicomFile]] = {}
    damaged: list[str] = []
    with progress_bar("looking through files", len(paths), progress) as advance:
        for files, wrong in in_parallel(_read_headers, chunks, worker_count(len(chunks))):
            if files:  # one string for all files of a series: what a worker sends is a copy each
                found[files[0].path] = [_shared(file) for file in files]
            damaged += wrong
            advance(min(CHUNK, len(paths)))
    return [file for first in sorted(found) for file in found[first]], sorted(damaged)


def walk(folder: Path) -> Iterator[str]:
    """The paths of all files below a folder, in an order of their own that does not depend on the disk.

    Raises:
        DataError: the folder is missing.
    """
    if not Path(folder).is_dir():
        raise DataError(
            f"folder {folder} is missing; expected the downloaded files: name the folder they are in"
        )
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (os.path.join(parent, name) for name in sorted(names))  # noqa: PTH118 (a quarter of a million)


def _read_headers(paths: list[str]) -> tuple[list[DicomFile], list[str]]:
    found, damaged = [], []
    for path in paths:
        try:
            with damage_named(Path(path), "a DICOM file"):
                header = header_if_dicom(Path(path), ["Modality", "PatientID", "SeriesInstanceUID"])
                if header is not None:
                    values = (
                        header.get("Modality"),
                        header.get("SeriesInstanceUID"),
                        header.get("PatientID"),
                    )
                    found.append(DicomFile(path, *(str(value or "") for value in values)))
        except DataError as error:
            damaged.append(str(error))
    return found, damaged


def _shared(file: DicomFile) -> DicomFile:
    return DicomFile(file.path, *map(sys.intern, (file.modality, file.series_uid, file.patient_id)))
