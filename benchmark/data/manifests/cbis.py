"""CBIS-DDSM: every mass in every view, from the collection's own tables; its test part is the official one."""

from __future__ import annotations

from pathlib import Path

from benchmark.data.cbis_ddsm import NAME, OFFICIAL_TEST
from benchmark.data.cbis_ddsm.tables import find_rows
from benchmark.data.manifest import Item
from benchmark.data.manifests.parts import assign_rest, make_up
from benchmark.errors import DataError

SALT = "oncorobust cbis-ddsm 1"


def items(tables: Path) -> list[Item]:
    """The items of the manifest, from the folder with the case descriptions of the masses."""
    rows, left_out = find_rows(tables)
    if wrong := [item.reason for item in left_out if not item.harmless]:
        raise DataError(f"the tables in {tables} are not as published: {wrong[0]}")
    tested = {row.patient_id for row in rows if row.key.startswith(OFFICIAL_TEST)}
    parts = assign_rest(make_up((row.patient_id, row.label) for row in rows), tested, SALT)
    return [
        Item(
            part=parts[row.patient_id],
            patient_id=row.patient_id,
            unit=row.film,
            name=row.key,
            label=row.label,
            images=1,
            facts={"crop_series": row.crop, "mask_series": row.mask},
        )
        for row in rows
    ]


ABOUT = {
    "collection": NAME,
    "version": 1,
    "modality": "mammogram",
    "labels": "pathology; BENIGN_WITHOUT_CALLBACK counts as benign",
    "parts": "the official test part; validation is 20 % of the patients of the official train part, drawn among "
    "patients with as many benign and as many malignant masses",
}
