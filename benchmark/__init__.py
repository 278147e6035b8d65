"""OncoRobust: can a deep model of oncologic images be trusted when pixels move a little?

from benchmark import load_split, load_submission, evaluate
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Where each public name lives. They are fetched when first used, so that
# `import benchmark` does not wait for torch.
_HOME = {
    "BenchmarkError": "benchmark.errors",
    "DataError": "benchmark.errors",
    "SubmissionError": "benchmark.errors",
    "ProtocolError": "benchmark.errors",
    "IsolationError": "benchmark.errors",
    "Modality": "benchmark.modality",
    "MODALITIES": "benchmark.modality",
    "ThreatModel": "benchmark.threat_model",
    "PROTOCOLS": "benchmark.protocol",
    "Record": "benchmark.record",
    "Split": "benchmark.data.split",
    "load_split": "benchmark.data.tracks",
    "load_submission": "benchmark.isolation.entered",
    "evaluate": "benchmark.evaluation",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'benchmark' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
