"""RobustBench, importable. Its 1.1.1 imports `autoattack`, and depends on `pyautoattack`, the same code by another name."""

from __future__ import annotations

import sys
import warnings
from types import ModuleType

from benchmark.errors import BenchmarkError


def import_robustbench() -> ModuleType:
    """The package robustbench, with the alias that it needs in place.

    Raises:
        BenchmarkError: it does not import, or the stale copy that torchattacks ships is in its place.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pkg_resources and torch.jit: not ours to mend
            import pyautoattack
            import pyautoattack.state

            sys.modules.setdefault("autoattack", pyautoattack)
            sys.modules.setdefault("autoattack.state", pyautoattack.state)
            import robustbench
    except ImportError as error:
        raise BenchmarkError(
            f"robustbench does not import ({error}); install it with: pip install robustbench==1.1.1 'setuptools<81'"
        ) from None
    if not hasattr(robustbench, "benchmark"):
        raise BenchmarkError(
            f"the robustbench at {robustbench.__path__[0]} is the stale copy that torchattacks ships; mend it with: "
            "pip install --force-reinstall --no-deps robustbench==1.1.1"
        )
    return robustbench
