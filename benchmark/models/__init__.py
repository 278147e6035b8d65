"""Architectures by name, so that an entry can be a name and a weights file, with no code of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from benchmark.errors import SubmissionError
from benchmark.models.constant import Constant
from benchmark.models.vgg import vgg16, vgg16_slim

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "vgg16": vgg16,
    "vgg16-slim": vgg16_slim,
    "constant": Constant,
}


def build(architecture: str, options: Mapping[str, Any] | None = None) -> nn.Module:
    """A model of the named architecture, with fresh weights.

    Args:
        architecture: a name of `ARCHITECTURES`, or `timm:NAME` / `torchvision:NAME`.
        options: passed to the architecture's function.

    Raises:
        SubmissionError: no such architecture, or it refuses the options.
    """
    options = dict(options or {})
    prefix, _, rest = architecture.partition(":")
    try:
        if prefix == "timm" and rest:
            import timm

            return timm.create_model(rest, pretrained=False, **{"num_classes": 2, **options})
        if prefix == "torchvision" and rest:
            import torchvision

            return torchvision.models.get_model(rest, weights=None, **{"num_classes": 2, **options})
        if architecture in ARCHITECTURES:
            return ARCHITECTURES[architecture](**options)
    except Exception as error:
        raise SubmissionError(
            f"architecture {architecture!r} refuses options {options}: {error}; correct 'architecture_options'"
        ) from None
    raise SubmissionError(
        f"unknown architecture {architecture!r}; expected {', '.join(ARCHITECTURES)}, timm:NAME or torchvision:NAME"
    )
