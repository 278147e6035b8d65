"""A submission's folder as one file, the same bytes every time: what its weights of one modality need, and no more."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree

from benchmark.cluster.store import path_of, scratch, store_folder
from benchmark.errors import DataError, SubmissionError
from benchmark.submission import SubmittedModel

TOML = "submission.toml"


def seal(model: SubmittedModel) -> bytes:
    """submission.toml, the code if there is any, and the weights of this modality and training seed, as a tar file."""
    folder = model.submission.folder
    places = {name: folder / name for name in (TOML, *model.submission.code)}
    places |= {name: model.submission.path_of(model.weights, name) for name in model.weights.files}
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as file:
        for name, path in sorted(places.items()):
            body = path.read_bytes()
            entry = tarfile.TarInfo(f"{model.submission.name}/{name}")
            entry.size, entry.mode, entry.mtime = len(body), 0o644, 0
            file.addfile(entry, io.BytesIO(body))
    return content.getvalue()


def unseal(sha256: str, name: str) -> Path:
    """The folder of a submission that was sealed; unpacked once on each machine.

    Raises:
        SubmissionError: the file holds something else than plain files of that submission. DataError: no room.
    """
    folder = store_folder() / f"{sha256}-unpacked"
    if not folder.exists():
        beside = scratch()
        try:
            with tarfile.open(path_of(sha256)) as file:
                _require_plain(file.getmembers(), name)
                file.extractall(beside, filter="data")
            os.rename(beside, folder)  # noqa: PTH104 - fails where another worker was first
        except OSError as error:
            if not folder.exists():
                raise DataError(
                    f"cannot write {folder}: {error.strerror or error}; make room there"
                ) from None
        finally:
            rmtree(beside, ignore_errors=True)
    return folder / name


def _require_plain(members: Sequence[tarfile.TarInfo], name: str) -> None:
    for member in members:
        parts = Path(member.name).parts
        if not member.isreg() or len(parts) < 2 or parts[0] != name or ".." in parts:
            raise SubmissionError(
                f"the sealed submission {name!r} holds {member.name!r}, which is no file of it"
            )
