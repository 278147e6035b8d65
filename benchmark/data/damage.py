"""Damaged files, of whatever format, are told in one sentence."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmark.errors import DataError


@contextmanager
def damage_named(path: Path, what: str, whole: str = "DICOM file") -> Iterator[None]:
    """Turn whatever a library raises on damaged bytes into one sentence.

    It is silent besides: libraries warn before they fail, and a damaged header makes nonsense of numbers on the way
    to being refused.

    Args:
        what: that which the file should be, such as "a CT image". whole: what a file of its kind is called.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            yield
        except DataError:
            raise
        # Parsing is lazy: a flipped byte shows up as anything from struct.error to RecursionError.
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise DataError(
                f"{path} cannot be read as {what}: {reason}; expected a whole {whole}: download it again"
            ) from None
