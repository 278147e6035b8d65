"""Pretreat-MetsToBrain-Masks: the 200 cases by name, one for each patient; what a case shows only its masks tell."""

from __future__ import annotations

import re
from pathlib import Path

from benchmark.data.manifest import Item
from benchmark.data.manifests.parts import assign_parts
from benchmark.data.mets_to_brain import NAME
from benchmark.errors import DataError

SALT = "oncorobust mets-to-brain 1"
CASE = re.compile(r"(BraTS-MET-\d{5})-\d{3}")


def items(names: Path) -> list[Item]:
    """The items of the manifest, from a text file with one case on a line."""
    cases = names.read_text("utf-8").split()
    if odd := [case for case in cases if not CASE.fullmatch(case)]:
        raise DataError(f"{names} holds {odd[0]!r}, expected names such as BraTS-MET-00086-000")
    patients = {case: case.rpartition("-")[0] for case in cases}
    parts = assign_parts(dict.fromkeys(patients.values(), (0, 0)), SALT)
    return [Item(parts[patient], patient, case, case) for case, patient in patients.items()]


ABOUT = {
    "collection": NAME,
    "version": 1,
    "modality": "mri",
    "labels": "a slice with metastasis (necrosis or enhancement, not oedema alone) is 1, one far from any label is 0",
    "parts": "60 / 15 / 25 % of the patients",
}
