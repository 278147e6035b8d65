"""Which image of a lesion is its mask, and where on the film the mask puts the mass.

Names, numbers and descriptions of CBIS-DDSM's files call masks crops and crops masks; content does not lie: a mask
has at most 8 bits, two values and the film's proportions. 78 of the 1,696 masks of masses were drawn on a copy of
the film of 0.870 of its size (43.5 of 50 um), which the byte counts of the IDC index show; they are scaled up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from benchmark.data.cbis_ddsm.film import read_scan, read_scan_headers, strips
from benchmark.errors import DataError

SCALES = (0.8, 1.25)  # film to mask, of lengths
DISTORTION = 0.02  # by which the scale may differ between rows and columns: film is cut a little differently
SPECK = 64  # pixels; less is not a mass


@dataclass(frozen=True)
class Mask:
    """Where a mass lies, in pixels of the film.

    centre: row and column of the middle of the bounding box of its largest piece, rounded down.
    sides: height and width of that box. area: of the piece. pieces: how many there are.
    resized: the mask is not of the film's size.
    """

    centre: tuple[int, int]
    sides: tuple[float, float]
    area: float
    pieces: int
    resized: bool


def read_mask(paths: Sequence[str], film: tuple[int, ...]) -> Mask:
    """Find the mask among the files of a lesion's series and measure it on a film of this shape.

    Raises:
        DataError: no image can be the mask, or two can, or it marks nothing; with what each image is.
    """
    scans, damaged = read_scan_headers(paths)
    fitting, others = [], list(damaged)
    for scan in scans:
        if scan.bits > 8:
            others.append(f"one of {scan.bits} bits")
        elif not _fits(scan.shape, film):
            others.append(f"one of {scan.shape[0]} x {scan.shape[1]} pixels")
        else:
            pixels = read_scan(scan)
            marked = _marked(pixels)
            if marked is None:
                others.append("one of more than two values")
            else:
                fitting.append(marked)
    if len(fitting) != 1:
        raise DataError(
            f"{len(fitting)} of the {len(paths)} files of its crop and mask can be the mask of a film of "
            f"{film[0]} x {film[1]} pixels ({', '.join(others) or 'there is no other'}); expected one image of 8 "
            "bits and two values, of the film's proportions: download crop and mask again"
        )
    return _measure(fitting[0], film)


def _fits(mask: tuple[int, int], film: tuple[int, ...]) -> bool:
    down, across = film[0] / mask[0], film[1] / mask[1]
    return (
        all(SCALES[0] <= scale <= SCALES[1] for scale in (down, across))
        and abs(down / across - 1) <= DISTORTION
    )


def _marked(pixels: np.ndarray) -> np.ndarray | None:
    """(H, W) bool, true at the higher of two values; all false where there is but one; None where there are more."""
    low, high = pixels.min(), pixels.max()
    if any(((strip != low) & (strip != high)).any() for strip in strips(pixels)):
        return None
    return pixels > low


def _measure(marked: np.ndarray, film: tuple[int, ...]) -> Mask:
    rows, columns = np.flatnonzero(marked.any(1)), np.flatnonzero(marked.any(0))
    if not len(rows):
        raise DataError("its mask marks nothing; download it again")
    top, left = int(rows[0]), int(columns[0])
    pieces, count = ndimage.label(marked[top : rows[-1] + 1, left : columns[-1] + 1], np.ones((3, 3)))
    areas = np.zeros(count + 1, np.int64)
    for strip in strips(pieces):
        areas += np.bincount(strip.ravel(), minlength=count + 1)
    areas[0] = 0  # what lies between them
    area = int(areas.max())
    if area < SPECK or area > marked.size / 2:
        raise DataError(f"its mask marks {area} of {marked.size} pixels; expected a mass: download it again")
    piece = pieces == areas.argmax()
    rows, columns = top + np.flatnonzero(piece.any(1)), left + np.flatnonzero(piece.any(0))
    ends = ((int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1))
    # In whole numbers: a product of rounded fractions would fall now on this side of a pixel, now on that.
    row, column = (
        sum(pair) * length // (2 * own) for pair, length, own in zip(ends, film, marked.shape, strict=True)
    )
    height, width = (
        (end - start) * length / own
        for (start, end), length, own in zip(ends, film, marked.shape, strict=True)
    )
    return Mask(
        centre=(row, column),
        sides=(height, width),
        area=area * film[0] * film[1] / marked.size,
        pieces=count,
        resized=marked.shape != tuple(film),
    )
