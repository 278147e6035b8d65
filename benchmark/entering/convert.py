"""Checkpoints of `torch.save` become safetensors. torch's reader of plain tensors reads them, and runs no code."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.errors import SubmissionError
from benchmark.files import replace_file
from benchmark.training.half import halved

# Before it, that reader could be made to run code or to write where it must not (CVE-2025-32434, CVE-2026-24747).
SAFE_SINCE = (2, 10)
# Where people keep the weights among other things, the likeliest first.
PLACES = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "ema_state_dict")
# What wrappers put before every name.
PREFIXES = ("_orig_mod.", "module.", "model.", "net.", "network.")


@dataclass(frozen=True)
class Converted:
    """Weights as they were written. taken_from: the key of the checkpoint, if it had several. stripped: prefixes."""

    path: Path
    sha256: str
    tensors: int
    parameters: int
    taken_from: str
    stripped: tuple[str, ...]


def convert(source: Path, out: Path, key: str = "", half: bool = False) -> Converted:
    """Write the weights of a checkpoint as safetensors.

    Args:
        source: what torch.save wrote: a state_dict, or a dict that holds one. key: where it lies in there.
        half: write fractions in float16, half the bytes; else in float32 what was wider.

    Raises:
        SubmissionError: the file holds more than plain tensors (which only running its code would give), or none; or it is
            the one that would be written.
    """
    from safetensors.torch import save

    if out.resolve() == source.resolve():
        raise SubmissionError(
            f"{out} would be written over itself; name another file: oncorobust convert {source} --out other.safetensors"
        )
    state, place = _state(_read(source), key, source)
    state, stripped = _bare(state)
    ready = {name: _ready(tensor) for name, tensor in state.items()}
    ready = halved(ready) if half else ready
    content = save(ready)
    replace_file(out, content)
    total = sum(tensor.numel() for tensor in ready.values())
    return Converted(out, hashlib.sha256(content).hexdigest(), len(ready), total, place, stripped)


def _read(source: Path) -> Any:
    have = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if have < SAFE_SINCE:
        raise SubmissionError(
            f"torch {torch.__version__} reads checkpoints unsafely; pip install 'torch>={SAFE_SINCE[0]}.{SAFE_SINCE[1]}' "
            "first. Everything else works with the older one"
        )
    try:
        with warnings.catch_warnings():  # of what it is about to refuse
            warnings.simplefilter("ignore")
            return torch.load(source, map_location="cpu", weights_only=True)
    except OSError as error:
        raise SubmissionError(f"checkpoint {source} cannot be read: {error.strerror or error}") from None
    except Exception as error:
        told = " ".join(str(error).split())
        if "Unsupported" in told or "WeightsUnpickler" in told or "GLOBAL" in told:
            raise SubmissionError(
                f"checkpoint {source} holds more than tensors ({_what(told)}), and reading it would run its code; where you "
                "trained, save the weights alone: torch.save(model.state_dict(), 'weights.pt')"
            ) from None
        raise SubmissionError(
            f"checkpoint {source} is not what torch.save writes ({told[:200]}); save one with "
            "torch.save(model.state_dict(), 'weights.pt')"
        ) from None


def _what(told: str) -> str:
    """The name of what torch would not make, out of its long message."""
    import re

    found = re.search(r"GLOBAL ([\w.]+)|Unsupported (?:class|operand)\s*([\w.]+)", told)
    return next((name for name in found.groups() if name), told[:120]) if found else told[:120]


def _state(loaded: Any, key: str, source: Path) -> tuple[dict[str, Tensor], str]:
    """The state_dict in what was read, and the key that it lay under."""
    if not isinstance(loaded, Mapping):
        raise SubmissionError(
            f"checkpoint {source} holds {type(loaded).__name__}, expected a state_dict: torch.save(model.state_dict(), ...)"
        )
    if key:
        if not _is_state(loaded.get(key)):
            raise SubmissionError(f"checkpoint {source} has no weights under {key!r}; it has {_keys(loaded)}")
        return dict(loaded[key]), key
    if _is_state(loaded):
        return dict(loaded), ""
    for name in PLACES:
        if _is_state(loaded.get(name)):
            return dict(loaded[name]), name
    raise SubmissionError(
        f"checkpoint {source} has no state_dict where one is looked for; it has {_keys(loaded)}; name the one with --key"
    )


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())
    )


def _keys(loaded: Mapping[Any, Any]) -> str:
    return ", ".join(
        f"{str(name)[:40]!r} ({type(value).__name__})" for name, value in list(loaded.items())[:8]
    )


def _bare(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The names without what wrappers put before all of them."""
    stripped: list[str] = []
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in state)), ""):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
        stripped.append(prefix)
    return state, tuple(stripped)


def _ready(tensor: Tensor) -> Tensor:
    """A copy of its own memory, fractions in float32."""
    plain = tensor.detach().contiguous().clone()
    return plain.float() if plain.is_floating_point() else plain
