"""Fetch from the Imaging Data Commons the series that a manifest names, and no others.

The collections there are public: no account is needed. Files are fetched by `idc-index`, an extra.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmark.data.collection import get_collection
from benchmark.data.manifest import PARTS, Manifest
from benchmark.errors import DataError
from benchmark.files import require_writable


def needed_series(manifest: Manifest, parts: Sequence[str] = PARTS) -> list[str]:
    """SeriesInstanceUIDs that hold the images of some parts; empty where the collection is not in DICOM."""
    if "downloads" not in manifest.about:
        return []
    wanted = [item for item in manifest.items if item.part in parts]
    uids = {uid for item in wanted for key, uid in item.facts.items() if key.endswith("_series")}
    return sorted(uids | {item.unit for item in wanted})


def download(manifest: Manifest, folder: Path, parts: Sequence[str] = PARTS) -> int:
    """Fetch the series of some parts into `folder`; returns how many. Files that are there already stay.

    Raises:
        DataError: the collection is got by another way (the message tells it), `idc-index` is not installed,
            the disk is too small, or the network fails.
    """
    series = needed_series(manifest, parts)
    source = get_collection(manifest.collection).SOURCE
    if not series:
        raise DataError(f"{manifest.name} cannot be downloaded from here; get it so: {source['how_to_get']}")
    try:
        from idc_index import IDCClient
    except ImportError:
        raise DataError(
            "downloading needs the package idc-index: pip install 'oncorobust[download]'; or get the collection so: "
            f"{source['how_to_get']}"
        ) from None
    require_writable(folder, "--to")
    share = len(series) / manifest.about["downloads"]["series"]
    gigabytes, free = share * manifest.about["downloads"]["gigabytes"], shutil.disk_usage(folder).free / 1e9
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9
    if gigabytes > free + there:
        raise DataError(
            f"{manifest.name} {', '.join(parts)} takes about {gigabytes:.0f} GB and {folder} has {free:.0f} GB free; "
            "name a larger disk by --to, or only one part by --part"
        )
    try:
        IDCClient.client().download_from_selection(
            downloadDir=str(folder), seriesInstanceUID=series, use_s5cmd_sync=True
        )
    # the client raises whatever its downloader does: without a network, on a full disk, behind a proxy
    except Exception as error:
        raise DataError(
            f"the download stopped: {' '.join(str(error).split())[:300] or type(error).__name__}; the same command goes on"
        ) from None
    return len(series)
