"""Architectures of other people's libraries, by prefix: made with fresh weights, never with downloaded ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from benchmark.models import robustbench_zoo
from benchmark.models.timm_import import import_timm


@dataclass(frozen=True)
class Library:
    """What stands before the colon of an architecture's name.

    names: all that the library is known to have, for near misses.
    knows: whether it has this one.
    make: the model, given its name and options.
    """

    names: Callable[[], list[str]]
    knows: Callable[[str], bool]
    make: Callable[[str, Mapping[str, Any]], nn.Module]


def _timm_names() -> list[str]:
    return list(import_timm().list_models())


def _timm_knows(name: str) -> bool:
    # Not `hf-hub:` and `local-dir:`, which timm would fetch.
    return ":" not in name and "/" not in name and bool(import_timm().is_model(name))


def _timm_make(name: str, options: Mapping[str, Any]) -> nn.Module:
    made: nn.Module = import_timm().create_model(name, pretrained=False, **{"num_classes": 2, **options})
    return made


def _torchvision_names() -> list[str]:
    from torchvision import models

    return models.list_models(module=models)  # classifiers; those of other tasks fetch a backbone


def _torchvision_make(name: str, options: Mapping[str, Any]) -> nn.Module:
    from torchvision import models

    return models.get_model(name, weights=None, **{"num_classes": 2, **options})


LIBRARIES: dict[str, Library] = {
    "timm": Library(_timm_names, _timm_knows, _timm_make),
    "torchvision": Library(_torchvision_names, lambda name: name in _torchvision_names(), _torchvision_make),
    "robustbench": Library(robustbench_zoo.names, robustbench_zoo.knows, robustbench_zoo.make),
}
