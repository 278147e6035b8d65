"""What the public index of the Imaging Data Commons (PyPI: idc-index-data) says of the series of a manifest."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from benchmark.errors import DataError

COLUMNS = ("collection_id", "SeriesInstanceUID", "Modality", "instanceCount", "series_size_MB")


def downloads(index: Path, collection: str, modality: str, series: Collection[str]) -> Mapping[str, Any]:
    """How many series, files and gigabytes a manifest needs.

    Args:
        index: idc_index.parquet. collection, modality: which all of `series` must be of.

    Raises:
        DataError: a series is not in the index, or is of another collection or modality.
    """
    import pandas as pd

    table = pd.read_parquet(index, columns=list(COLUMNS), filters=[("collection_id", "==", collection)])
    found = table[table["SeriesInstanceUID"].isin(set(series)) & (table["Modality"] == modality)]
    absent = sorted(set(series) - set(found["SeriesInstanceUID"]))
    if absent:
        raise DataError(
            f"{len(absent)} series are not in {index} as {collection} {modality}, such as {absent[0]}"
        )
    return {
        "series": len(found),
        "files": int(found["instanceCount"].sum()),
        "gigabytes": round(float(found["series_size_MB"].sum()) / 1000, 1),
    }
