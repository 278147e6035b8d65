"""From a row of one's own CSV to a square image in [0, 1]: read, cut out, windowed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.data.collection import LeftOut
from benchmark.data.dicom import HU_FLOOR
from benchmark.data.folder.image import Picture, read_picture
from benchmark.data.folder.table import Row
from benchmark.data.resample import cut_out
from benchmark.data.split import LEVELS
from benchmark.errors import DataError, ProtocolError


@dataclass(frozen=True)
class Window:
    """What becomes 0 and what becomes 1: stored values (HU in CT from DICOM), or percentiles of each image."""

    low: float
    high: float
    percentiles: bool = False

    @classmethod
    def parse(cls, text: str) -> Window:
        """From "-1000,400" or "1%,99%".

        Raises:
            ProtocolError: neither of them.
        """
        percentiles = text.count("%") == 2
        try:
            low, high = (
                float(part.strip().removesuffix("%") if percentiles else part) for part in text.split(",")
            )
        except ValueError:
            low = high = 0.0
        if not (np.isfinite([low, high]).all() and low < high) or (
            percentiles and not 0 <= low < high <= 100
        ):
            raise ProtocolError(
                f"window {text!r}; expected what becomes 0 and what becomes 1, such as -1000,400 in stored values or "
                "HU, or 1%,99% of the values of each image"
            )
        return cls(low, high, percentiles)

    def limits(self, values: np.ndarray) -> tuple[float, float]:
        """The window of one image. Percentiles are of what lies above its lowest value: the background is not the body."""
        if not self.percentiles:
            return self.low, self.high
        low, high = np.percentile(values[values > values.min()], (self.low, self.high))
        return float(low), float(high)


@dataclass(frozen=True)
class Task:
    """What is to be done with one row."""

    row: Row
    modality: str
    window: Window
    size: int


@dataclass(frozen=True)
class Cut:
    """A square of one image, and what is known of it: `bits` stored, and `level`, one stored level in [0, 1]."""

    row: Row
    pixels: np.ndarray  # (size, size) uint16
    kind: str
    bits: int
    level: float  # one stored level in [0, 1]
    facts: dict[str, float]


def cut_square(task: Task) -> Cut | LeftOut:
    """Read the image of one row and cut out its square, or say why not."""
    row = task.row
    try:
        picture = read_picture(row.path, task.modality)
        return _cut(task, picture)
    except DataError as error:
        return LeftOut(f"line {row.line}", str(error))


def _cut(task: Task, picture: Picture) -> Cut:
    row, values = task.row, picture.values
    height, width = values.shape
    left, top, across, down = row.box or (0, 0, width, height)
    if left + across > width or top + down > height:
        raise DataError(f"has a box that leaves its image of {width} x {height} pixels (width x height)")
    if task.modality == "ct" and picture.kind == "dicom":
        values = np.maximum(values, HU_FLOOR)  # padding outside the scanner's round field is far below air
    low, high = task.window.limits(values)
    if not low < high:
        raise DataError("has too few different values for the window's percentiles")
    side = max(across, down * picture.aspect)
    step = side / task.size
    middle = (top + (down - 1) / 2, left + (across - 1) / 2)
    outside = high if picture.inverted else low
    field = cut_out(values, middle, (step / picture.aspect, step), (task.size, task.size), outside)
    shown = np.clip((field - low) / (high - low), 0, 1)
    if picture.inverted:
        shown = 1 - shown
    pixels = np.rint(shown * LEVELS).astype(np.uint16)
    if pixels.min() == pixels.max():
        raise DataError(f"is {shown.flat[0]:.3g} everywhere within the window; look at the window's limits")
    facts = {
        "width_px": float(across),
        "height_px": float(down),
        "row of the middle": middle[0] / height,
        "column of the middle": middle[1] / width,
        "stored pixels per pixel": step,
        "share outside the window": float(((shown == 0) | (shown == 1)).mean()),
    }
    return Cut(row, pixels, picture.kind, picture.bits, picture.step / (high - low), facts)
