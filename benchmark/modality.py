"""The three modalities: what the classes are, and what the numbers in an image mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

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

    def window(self, notes: Mapping[str, Any]) -> tuple[float, float]:
        """What 0 and 1 stand for in a split with these notes: the modality's window unless the split has its own."""
        low, high = notes.get("window") or (self.low, self.high)
        return float(low), float(high)

    def step(self, epsilon: Decimal | str | float, notes: Mapping[str, Any]) -> tuple[str, str]:
        """A step of `epsilon` in the unit of a split with these notes: how much, to three digits, and of what.

        >>> MODALITIES["ct"].step("0.02", {})
        ('28', 'HU')
        """
        low, high = self.window(notes)
        amount = float(f"{float(Decimal(str(epsilon))) * (high - low):.3g}")
        return f"{amount:g}", str(notes.get("unit") or self.unit)

    def told(self, epsilon: Decimal | str | float, notes: Mapping[str, Any]) -> str:
        """A step of `epsilon` in the unit of a split, in multiples of its noise, and whether it is below a stored level.

        Args:
            notes: of the split, also as a record carries them; whatever they do not say is left away.

        >>> MODALITIES["ct"].told("0.004", {})
        '5.6 HU'
        >>> MODALITIES["ct"].told("0.004", {"noise_sigma": 0.009})
        '5.6 HU = 0.44 σ'
        >>> MODALITIES["mammogram"].told("0.02", {})
        '1310 grey levels (16 bit)'
        >>> MODALITIES["mri"].told("0.002", {"noise_sigma": None, "level": 1 / 255})
        "0.2 % of the brain's range (below one stored grey level)"
        """
        exact = float(Decimal(str(epsilon)))
        told = " ".join(self.step(epsilon, notes))
        if notes.get("noise_sigma"):
            told += f" = {exact / notes['noise_sigma']:.2g} σ"
        if exact < (notes.get("level") or 0):
            told += " (below one stored grey level)"
        return told


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
