"""Architectures by name, so that an entry can be a name and a weights file, with no code of its own.

`python -m benchmark.models` prints what there is, how large and how fast.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from torch import nn

from benchmark.errors import SubmissionError
from benchmark.models.constant import Constant
from benchmark.models.convnext import convnext_slim
from benchmark.models.libraries import LIBRARIES
from benchmark.models.logistic import logistic_regression
from benchmark.models.resnet import resnet8_gn, resnet20_gn
from benchmark.models.rounded import vgg16_slim_rounded
from benchmark.models.vgg import vgg16, vgg16_slim

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "vgg16": vgg16,
    "vgg16-slim": vgg16_slim,
    "resnet8-gn": resnet8_gn,
    "resnet20-gn": resnet20_gn,
    "convnext-slim": convnext_slim,
    "logistic-regression": logistic_regression,
    "constant": Constant,
    "vgg16-slim-rounded": vgg16_slim_rounded,
}
# With these a library would read weights from the network or from any file, some of them by running what is in it.
FETCHING = {
    "cache_dir",
    "checkpoint_path",
    "pretrained",
    "pretrained_backbone",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "weights",
    "weights_backbone",
}


def build(architecture: str, options: Mapping[str, Any] | None = None) -> nn.Module:
    """A model of the named architecture, with fresh weights.

    Args:
        architecture: a name of `ARCHITECTURES`, or a prefix of `LIBRARIES`, a colon and that library's name.
        options: passed to the architecture's function. Two logits unless they say otherwise.

    Raises:
        SubmissionError: no such architecture, or it refuses the options.
    """
    options = dict(options or {})
    prefix, colon, rest = architecture.partition(":")
    library = LIBRARIES.get(prefix) if colon else None
    if not (library.knows(rest) if library else architecture in ARCHITECTURES):
        raise SubmissionError(_unknown(architecture))
    fetching = FETCHING & set(options)
    if fetching:
        raise SubmissionError(
            f"architecture {architecture!r} is built with fresh weights, and option {', '.join(sorted(fetching))} would "
            "fetch others; remove it from 'architecture_options' and name the weights file in [[weights]]"
        )
    try:
        return library.make(rest, options) if library else ARCHITECTURES[architecture](**options)
    except Exception as error:
        told = " ".join(str(error).split())[:300] or type(error).__name__
        if options:
            told = f"refuses options {options}: {told}; correct 'architecture_options'{_taken(architecture)}"
        else:
            told = f"cannot be built: {told}; choose another, or give it 'architecture_options'"
        raise SubmissionError(f"architecture {architecture!r} {told}") from None


def _unknown(architecture: str) -> str:
    prefix, colon, rest = architecture.partition(":")
    known = _in_a_library(architecture)
    near = known or _near(architecture, ARCHITECTURES)
    if colon and not known and prefix in LIBRARIES:
        near = [f"{prefix}:{name}" for name in _near(rest, LIBRARIES[prefix].names())]
    elif colon and not known:
        near = [f"{library}:{rest}" for library in _near(prefix, LIBRARIES)]
    expected = ", ".join([*ARCHITECTURES, *(f"{library}:NAME" for library in LIBRARIES)])
    meant = f"did you mean {' or '.join(near)}? It must be" if near else "expected"
    return f"unknown architecture {architecture!r}; {meant} one of {expected}"


def _in_a_library(architecture: str) -> list[str]:
    """A library's own name without its prefix, or with the owner that Hugging Face puts before it."""
    prefix, _, rest = architecture.partition(":")
    own = (rest if prefix in LIBRARIES else architecture).rpartition("/")[2]
    asked = [prefix] if prefix in LIBRARIES else ("timm", "torchvision")
    return [f"{name}:{own}" for name in asked if LIBRARIES[name].knows(own)]


def _near(name: str, known: Iterable[str]) -> list[str]:
    by_small = {each.lower(): each for each in known}
    return [by_small[match] for match in get_close_matches(name.lower(), by_small, 3, 0.7)]


def _taken(architecture: str) -> str:
    """The options that one of our own architectures takes."""
    if architecture not in ARCHITECTURES:
        return ""
    parameters = inspect.signature(ARCHITECTURES[architecture]).parameters.values()
    taken = ", ".join(f"{p.name} = {p.default}" for p in parameters)
    return f"; it takes {taken}" if taken else "; it takes none"
