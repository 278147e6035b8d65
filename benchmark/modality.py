"""The three modalities: what the classes are, and what the numbers in an image mean."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from benchmark.errors import ProtocolError


@dataclass(frozen=True)
class Modality:
    """One kind of image and its two-class task.

    An image in [0, 1] is the linear window `low`..`high` in `unit`. Label 1, and the
    second logit, is always disease.
    """

    name: str
    title: str
    negative: str
    positive: str
    low: float
    high: float
    unit: str

    def in_units(self, epsilon: Decimal | str | float) -> str:
        """A step of `epsilon` on [0, 1] as a reader of the modality knows it.

        >>> MODALITIES["ct"].in_units("0.004")
        '5.6 HU'
        """
        step = float(Decimal(str(epsilon))) * (self.high - self.low)
        return f"{step:.3g} {self.unit}"


MODALITIES: dict[str, Modality] = {
    modality.name: modality
    for modality in (
        Modality("ct", "CT: malignant lung nodules", "benign", "malignant", -1000.0, 400.0, "HU"),
        # A scanned film has no physical unit; ε is told in grey levels of its 16-bit storage.
        Modality(
            "mammogram",
            "Mammogram: malignant lesions",
            "benign",
            "malignant",
            0.0,
            65535.0,
            "grey levels (16 bit)",
        ),
        # T1 has no unit either: each volume is normalised to the 1st..99th percentile of its own brain.
        Modality(
            "mri",
            "MRI: brain metastases",
            "no metastasis",
            "metastasis",
            0.0,
            100.0,
            "% of the brain's range",
        ),
    )
}


def get_modality(name: str) -> Modality:
    """The modality called `name`.

    Raises:
        ProtocolError: there is none of that name.
    """
    if name not in MODALITIES:
        raise ProtocolError(f"unknown modality {name!r}; expected one of {', '.join(MODALITIES)}")
    return MODALITIES[name]
