"""What the readers drew: the annotation files of LIDC-IDRI, XML with up to four readers' outlines and ratings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from benchmark.errors import DataError

_NAMESPACE = "{http://www.nih.gov}"


@dataclass(frozen=True)
class Marking:
    """What one reader says of one nodule.

    Args:
        reader: number of the reading session in its file.
        malignancy: 1 (highly unlikely) to 5 (highly suspicious).
        contours: outer outlines, (z in mm, (P, 2) float64 of row and column in pixels); holes are dropped.
    """

    reader: int
    malignancy: int
    contours: tuple[tuple[float, np.ndarray], ...]


def find_annotation_files(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """LIDC XML files below `folder` by the SeriesInstanceUID that they annotate, and a sentence on each bad file.

    XML files of other kinds are passed over. The same file twice is one; two different ones of one series are refused.
    """
    found: dict[str, tuple[str, Path]] = {}
    refused, doubtful = [], set()
    for path in sorted(
        path for path in folder.rglob("*") if path.suffix.lower() == ".xml" and path.is_file()
    ):
        try:
            read = read_annotations(path)
        except DataError as error:
            refused.append(str(error))
            continue
        if read is None:
            continue
        uid, digest = read[0], hashlib.sha256(path.read_bytes()).hexdigest()
        if uid in found and found[uid][0] != digest:
            refused.append(f"{path} and {found[uid][1]} both annotate series {uid} and differ; remove one")
            doubtful.add(uid)
        found.setdefault(uid, (digest, path))
    return {uid: path for uid, (_, path) in found.items() if uid not in doubtful}, refused


def read_annotations(path: Path) -> tuple[str, tuple[Marking, ...]] | None:
    """SeriesInstanceUID and markings of one LIDC XML file; None where the file is XML of another kind.

    Marks without a rating are lesions under 3 mm, and an outline of one point is a stray mark: both are dropped.

    Raises:
        DataError: the XML is malformed, declares a document type, or numbers in it are not numbers.
    """
    try:
        # A document type may define entities that grow without bound or name other files; LIDC has none.
        root = ElementTree.fromstring(path.read_bytes(), ElementTree.XMLParser(target=_NoDoctype()))
    except (ElementTree.ParseError, ValueError, LookupError, OSError) as error:
        raise DataError(f"{path} is not well-formed XML: {error}; download it again") from None
    if root.tag != f"{_NAMESPACE}LidcReadMessage":
        return None
    uid = (root.findtext(f"{_NAMESPACE}ResponseHeader/{_NAMESPACE}SeriesInstanceUid") or "").strip()
    if not uid:
        raise DataError(
            f"{path} names no series; expected SeriesInstanceUid in its ResponseHeader: download it again"
        )
    try:
        sessions = root.findall(f"{_NAMESPACE}readingSession")
        return uid, tuple(m for reader, session in enumerate(sessions) for m in _markings(reader, session))
    except (ValueError, OverflowError) as error:
        raise DataError(f"{path} holds a mark that cannot be read: {error}; download it again") from None


class _NoDoctype(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError(f"it declares a document type ({name}), LIDC files declare none")


def _markings(reader: int, session: ElementTree.Element) -> Iterator[Marking]:
    for nodule in session.findall(f"{_NAMESPACE}unblindedReadNodule"):
        rating = (nodule.findtext(f"{_NAMESPACE}characteristics/{_NAMESPACE}malignancy") or "").strip()
        malignancy = int(rating or 0)
        if not 0 <= malignancy <= 5:
            raise ValueError(f"malignancy {malignancy}, expected 1 to 5")
        contours = []
        for roi in nodule.findall(f"{_NAMESPACE}roi"):
            hole = (roi.findtext(f"{_NAMESPACE}inclusion") or "TRUE").strip().upper() == "FALSE"
            edges = roi.findall(f"{_NAMESPACE}edgeMap")
            if hole or len(edges) < 2:
                continue
            z = float(roi.findtext(f"{_NAMESPACE}imageZposition") or "nan")
            points = [
                [int(edge.findtext(_NAMESPACE + axis) or "?") for axis in ("yCoord", "xCoord")]
                for edge in edges
            ]
            if not abs(z) < 1e5:  # and not NaN
                raise ValueError(f"an outline at imageZposition {z}, expected mm")
            contours.append((z, np.array(points, dtype=np.float64)))
        if malignancy and contours:
            yield Marking(reader, malignancy, tuple(contours))
