"""One grey image of one's own: DICOM, PNG, TIFF or NumPy, in the units in which it is stored (CT in DICOM: HU)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from benchmark.data.damage import damage_named
from benchmark.data.dicom.file import header_if_dicom, require_decoder
from benchmark.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.TiffImagePlugin import TiffImageFile

DICOM_MODALITIES = {  # Modality (PS3.3 C.7.3.1.1.1) of DICOM files that may be what they are said to be
    "ct": ("CT",),
    "mammogram": ("MG", "CR", "DX", "OT"),  # digitised film comes as any of them
    "mri": ("MR",),
}
PNG = b"\x89PNG\r\n\x1a\n"
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
GREY = {"L": 8, "I;16": 16, "I;16B": 16, "I;16L": 16, "I;16N": 16, "I": 32, "F": 0}  # pillow's modes: bits
PHOTOMETRIC, BITS_PER_SAMPLE = 262, 258  # TIFF 6.0 tags


@dataclass(frozen=True)
class Picture:
    """An image as it is stored.

    Args:
        values: (H, W) float64 or an integer type; HU where it is CT from DICOM, else stored values.
        kind: "dicom", "png", "tiff" or "numpy".
        bits: stored bits of a pixel; 0 where it is stored as floats.
        step: what one stored level is in `values`: the rescale slope in DICOM, else 1; 0 for floats.
        inverted: the lowest value is white (MONOCHROME1, WhiteIsZero).
        aspect: height of a pixel over its width.
    """

    values: np.ndarray
    kind: str
    bits: int
    step: float
    inverted: bool = False
    aspect: float = 1.0


def read_picture(path: Path, modality: str) -> Picture:
    """Read one file; what it is is told by its content.

    Raises:
        DataError: not an image of these kinds, damaged, of colour, of several frames, of another modality, or with
            NaN. The sentence names no file.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(132)
        if start[128:] == b"DICM" or path.suffix.lower() in (".dcm", ".dicom"):
            picture = _dicom(path, modality)
        elif start.startswith(PNG) or start[:4] in TIFF:
            picture = _pillow(path, "png" if start.startswith(PNG) else "tiff")
        elif start.startswith(b"\x93NUMPY"):
            picture = _numpy(path)
        else:
            raise DataError("is none of DICOM, PNG, TIFF and NumPy (.npy); convert it to one of them")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}; copy it again") from None
    if picture.values.dtype.kind == "f" and not np.isfinite(picture.values).all():
        raise DataError("holds NaN or infinity; write it again with numbers only")
    if min(picture.values.shape) < 8:
        height, width = picture.values.shape
        raise DataError(f"has {height} x {width} pixels; expected at least 8 x 8")
    if picture.values.min() == picture.values.max():
        raise DataError(f"is {picture.values.flat[0]} everywhere; expected an image")
    return picture


def _require_one_grey(shape: tuple[int, ...]) -> None:
    if len(shape) == 3 and shape[-1] in (3, 4):
        raise DataError("is in colour; convert it to grey")
    if len(shape) != 2:
        raise DataError(
            f"has shape {shape}; expected one grey image, (height, width): write one file for each frame"
        )


def _dicom(path: Path, modality: str) -> Picture:
    from pydicom import dcmread
    from pydicom.pixels import apply_rescale

    with _without(path), damage_named(path, "an image"):
        header_if_dicom(path, [])  # says in a sentence that it is not DICOM
        dataset = dcmread(path)
        expected = DICOM_MODALITIES[modality]
        if dataset.get("Modality") not in expected:
            raise DataError(
                f"is DICOM of modality {dataset.get('Modality') or 'unknown'}; expected {' or '.join(expected)}"
            )
        if int(dataset.get("SamplesPerPixel") or 1) != 1 or "PALETTE" in dataset.PhotometricInterpretation:
            raise DataError("is in colour; convert it to grey")
        if int(dataset.get("NumberOfFrames") or 1) != 1:
            raise DataError(f"has {dataset.NumberOfFrames} frames; write one file for each")
        require_decoder(path, dataset)
        slope = float(dataset.get("RescaleSlope") or 1)
        values = apply_rescale(dataset.pixel_array, dataset)
        down, across = (
            float(step) for step in dataset.get("PixelSpacing") or dataset.get("PixelAspectRatio") or (1, 1)
        )
        bits, inverted = int(dataset.BitsStored), dataset.PhotometricInterpretation == "MONOCHROME1"
    if modality == "ct" and "RescaleIntercept" not in dataset:
        raise DataError("is CT without RescaleIntercept, so its values are not HU; export it again")
    _require_one_grey(values.shape)
    if not (down > 0 and across > 0 and 0.1 < down / across < 10 and slope > 0):
        raise DataError(
            f"has pixels of {down} x {across} mm and rescale slope {slope}; expected positive numbers"
        )
    return Picture(values, "dicom", bits, slope, inverted, down / across)


@contextmanager
def _without(path: Path) -> Iterator[None]:
    """Takes the path out of a sentence: whoever prints it says which line it is of."""
    try:
        yield
    except DataError as error:
        raise DataError(str(error).replace(str(path), "").strip()) from None


def _pillow(path: Path, kind: str) -> Picture:
    import PIL.Image

    try:
        with warnings.catch_warnings(action="ignore"), PIL.Image.open(path) as image:
            frames = getattr(image, "n_frames", 1)
            if frames != 1:
                raise DataError(f"has {frames} frames; write one file for each")
            if image.mode not in GREY:
                raise DataError(
                    "has 1 bit a pixel; expected a grey image"
                    if image.mode == "1"
                    else "is in colour; convert it to grey"
                )
            bits = _bits(path, kind, image)
            white_is_zero = kind == "tiff" and _tag(image, PHOTOMETRIC) == 0
            values = np.array(image)
    # Damage shows as almost anything; a picture of a billion pixels as DecompressionBombError.
    except DataError:
        raise
    except Exception as error:
        reason = str(error).replace(str(path), "it") or type(error).__name__
        raise DataError(f"cannot be read as {kind.upper()}: {reason}; write it again") from None
    _require_one_grey(values.shape)
    # pillow turns 8-bit pictures of this kind itself, deeper ones not.
    return Picture(values, kind, bits, float(bits > 0), white_is_zero and bits > 8)


def _bits(path: Path, kind: str, image: Image) -> int:
    """Stored bits; pillow spreads pictures of fewer than 8 over 8, which would make other levels of them."""
    if kind == "png":
        with open(path, "rb") as file:
            bits = file.read(25)[24]  # IHDR: width, height, bit depth (PNG 11.2.1)
    else:
        told = _tag(image, BITS_PER_SAMPLE, 1)
        bits = int(told[0] if isinstance(told, tuple) else told)
    if bits < 8:
        raise DataError(f"has {bits} bit(s) a pixel; expected 8 or more")
    return 0 if image.mode == "F" else bits


def _tag(image: Image, number: int, default: int | None = None) -> Any:
    """A tag of a TIFF file; pillow's types of an opened image know none, for only TIFF has them."""
    return cast("TiffImageFile", image).tag_v2.get(number, default)


def _numpy(path: Path) -> Picture:
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, SyntaxError, TokenError) as error:  # its head is a line of Python
        raise DataError(f"cannot be read as NumPy: {error}; write it again with numpy.save") from None
    if values.dtype.kind not in "iuf":
        raise DataError(f"holds {values.dtype}; expected numbers")
    _require_one_grey(values.shape)
    whole = values.dtype.kind in "iu"
    return Picture(values, "numpy", 8 * values.dtype.itemsize if whole else 0, float(whole))
