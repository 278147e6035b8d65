"""RobustBench's architectures: by what its table calls them, or by the id of an entry of its zoo; no weights.

`WideResNet-28-10` is the bare network. `Carmon2019Unlabeled` is an entry's network, with the normalisation
that it has inside; its last layer is made anew for two classes. Both take three channels, and those made
for CIFAR answer at 32 pixels only: `[input] channels = 3, resize = 32`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from torch import nn

from benchmark.robustbench_import import import_robustbench

ARCHITECTURES = "robustbench.model_zoo.architectures"
DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
FORMS = re.compile(r"(DM)?WideResNet-(\d+)-(\d+)|(PreAct)?ResNet-(18|34|50|101|152)")
USUAL = (
    "WideResNet-28-10",
    "WideResNet-34-10",
    "WideResNet-70-16",
    "DMWideResNet-28-10",
    *(f"{kind}ResNet-{depth}" for kind in ("", "PreAct") for depth in DEPTHS),
)


def names() -> list[str]:
    """The usual forms, and every entry of the zoo as `dataset/threat model/id`, and as `id` where that says it all."""
    entries = _entries()
    ids = [path.rpartition("/")[2] for path in entries]
    return [*USUAL, *entries, *sorted(name for name in set(ids) if ids.count(name) == 1)]


def knows(name: str) -> bool:
    """Whether it is a form, or the id of one entry or of several."""
    return FORMS.fullmatch(name) is not None or bool(_entries_called(name))


def make(name: str, options: Mapping[str, Any]) -> nn.Module:
    """The network with fresh weights and `num_classes` = 2 unless the options say otherwise.

    Args:
        options: of a form, passed to RobustBench's class; an entry takes `num_classes` alone.

    Raises:
        ValueError: several entries have this id, one that has no single last layer, or options it does not take.
        Exception: whatever RobustBench's own code raises.
    """
    import_robustbench()
    form = FORMS.fullmatch(name)
    if form:
        return _form(form, {"num_classes": 2, **options})
    found = _entries_called(name)
    if len(found) > 1:
        raise ValueError(f"several entries have this id; say which of {', '.join(found)}")
    unknown = set(options) - {"num_classes"}
    if unknown:
        raise ValueError(f"an entry of the zoo takes num_classes alone, not {', '.join(sorted(unknown))}")
    (recipe,) = found.values()
    with _no_download():
        return _with_head(recipe(), int(options.get("num_classes", 2)))


def _form(form: re.Match[str], options: dict[str, Any]) -> nn.Module:
    own, depth, width, before, layers = form.groups()
    if depth and own:
        module = import_module(f"{ARCHITECTURES}.dm_wide_resnet")
        return module.DMWideResNet(depth=int(depth), width=int(width), **options)
    if depth:
        module = import_module(f"{ARCHITECTURES}.wide_resnet")
        return module.WideResNet(depth=int(depth), widen_factor=int(width), **options)
    module = import_module(f"{ARCHITECTURES}.resnet")
    blocks = ("PreActBlock", "PreActBottleneck") if before else ("BasicBlock", "Bottleneck")
    block = getattr(module, blocks[int(layers) >= 50])
    network = module.PreActResNet if before else module.ResNet
    return network(block, DEPTHS[int(layers)], **options)


def _entries() -> dict[str, Callable[[], nn.Module]]:
    import_robustbench()
    zoo = import_module("robustbench.model_zoo").model_dicts
    return {
        f"{dataset.value}/{threat.value}/{name}": entry["model"]
        for dataset, threats in zoo.items()
        for threat, entries in threats.items()
        for name, entry in entries.items()
    }


def _entries_called(name: str) -> dict[str, Callable[[], nn.Module]]:
    return {path: make for path, make in _entries().items() if name in (path, path.rpartition("/")[2])}


@contextmanager
def _no_download() -> Iterator[None]:
    """Some entries fetch their weights while they are built; theirs would be thrown away here."""

    from unittest import mock

    def refuse(url: str, *_: object, **__: object) -> None:
        raise ValueError(f"it downloads {url}; weights come from the submission's own files alone")

    with mock.patch("torch.hub.download_url_to_file", refuse):
        yield


def _with_head(model: nn.Module, classes: int) -> nn.Module:
    """The last layer made anew: the one linear layer with as many outputs as the zoo's data sets have classes."""
    heads = [
        (name, layer)
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and layer.out_features in (10, 100, 1000)
    ]
    if len(heads) != 1:
        raise ValueError(f"it has {len(heads)} last layers, one can be made anew; choose a single network")
    ((name, head),) = heads
    model.set_submodule(name, nn.Linear(head.in_features, classes, bias=head.bias is not None))
    return model
