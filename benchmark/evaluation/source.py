"""Where a worker process gets its models from: a folder on disk, or copies of a module given in Python."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from benchmark.data.split import Split
from benchmark.isolation.entered import opened
from benchmark.submission import SubmittedModel, load_submission

AS_BUILT = "as built"
LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}


@dataclass(frozen=True)
class FolderSource:
    """A submission on disk: each process loads its own two instances.

    layout: how its weights lie in memory, a name of LAYOUTS, or AS_BUILT by its own code.
    training_seed: which of several trainings. isolation: how code is isolated, if it brings any.
    """

    folder: Path
    modality: str
    track: str
    layout: str = "channels last"
    training_seed: int = 0
    isolation: str = "auto"

    @classmethod
    def of(cls, model: SubmittedModel, split: Split, layout: str = "channels last") -> FolderSource:
        """Where the weights of this very model lie, its training seed included, and how its code is isolated."""
        seed = model.weights.training_seed
        return cls(model.submission.folder, split.modality, split.track, layout, seed, model.isolation)

    def models(self) -> tuple[SubmittedModel, SubmittedModel]:
        """The model to attack and the model that judges. Code is in two new workers each time."""
        attacked, judge = _load_twice(self)
        if attacked.submission.code:
            return opened(attacked), opened(judge, gradients=False)
        return attacked, judge


@lru_cache(maxsize=2)
def _load_twice(source: FolderSource) -> tuple[SubmittedModel, SubmittedModel]:
    def load() -> SubmittedModel:
        model = load_submission(source.folder, source.modality, source.track, source.training_seed)
        model.isolation = source.isolation
        return model.to(memory_format=LAYOUTS.get(source.layout, torch.contiguous_format))

    return load(), load()


@dataclass(frozen=True)
class BareSource:
    """A module given in Python: judged by a copy that was made before any attack."""

    attacked: nn.Module
    judge: nn.Module

    @classmethod
    def of(cls, model: nn.Module) -> BareSource:
        """Freeze two copies; the caller's own model is left alone."""
        return cls(*(copy.deepcopy(model).eval().requires_grad_(False) for _ in range(2)))

    def models(self) -> tuple[nn.Module, nn.Module]:
        """The model to attack and the model that judges."""
        return self.attacked, self.judge
