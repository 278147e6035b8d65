"""timm, imported without what it says of torch: the version that RobustBench pins calls what torch has since deprecated."""

from __future__ import annotations

import warnings
from types import ModuleType


def import_timm() -> ModuleType:
    """The package timm."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch.jit: nobody who runs a command can mend it
        import timm
    return timm
