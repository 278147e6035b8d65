"""A second trial outside of the battery: what was judged is judged once more, by a worker that has seen nothing.

A worker lives as long as a block. One that keeps state could answer its later questions by its earlier ones, so the
verdicts on images that an attack ended with, or that were sent, are asked again of a new one, in another order and company.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.evaluation.judge import judged_gaps
from benchmark.evaluation.source import BareSource, FolderSource
from benchmark.evaluation.testimony import Testimony
from benchmark.isolation.bridge import Bridge

ROUNDING = 1e-3  # of T: what two instances of a model may differ by


class Pile:
    """Images that were judged, (k, 1, h, w) float32 in a file that vanishes with it, and the g that each was given.

    Args:
        again: whether there will be a second trial; without one only the g are kept.
    """

    def __init__(self, again: bool = True) -> None:
        self.again = again
        self.file = tempfile.TemporaryFile(prefix="oncorobust-")  # noqa: SIM115 - as long as the block
        self.told: list[np.ndarray] = []

    def keep(self, images: Tensor, gaps: Tensor) -> slice:
        """Put some on it; returns where they lie."""
        if self.again:
            self.file.write(np.ascontiguousarray(images.cpu().numpy(), dtype="<f4").data)
        first = len(self)
        self.told.append(gaps.cpu().numpy())
        return slice(first, first + len(gaps))

    def __len__(self) -> int:
        return sum(map(len, self.told))

    @property
    def gaps(self) -> np.ndarray:
        """(k,) float32, as they were first given."""
        return np.concatenate([np.empty(0, np.float32), *self.told])

    def images(self, shape: tuple[int, ...]) -> np.ndarray:
        """All of them, mapped: (k, 1, h, w) float32."""
        if not len(self):  # an empty file cannot be mapped
            return np.empty((0, *shape), np.float32)
        self.file.flush()
        return np.memmap(self.file, "<f4", "r").reshape(-1, *shape)


@dataclass(frozen=True)
class Anew:
    """What a new worker said of k images.

    gaps: (k,) float32, the verdicts that stand. apart: how far the furthest lies from what was said before, of T; 0 where
    rounding explains it.
    """

    gaps: np.ndarray
    apart: float


def new_judge(source: FolderSource | BareSource, device: str | torch.device) -> nn.Module | None:
    """A new worker of forward passes alone. None where the model brings no code: an architecture by name keeps nothing."""
    _, judge = source.models()
    return judge.to(device) if isinstance(getattr(judge, "inner", None), Bridge) else None


def let_go(model: nn.Module) -> None:
    """End a model's worker, if it has one."""
    inner = getattr(model, "inner", None)
    if isinstance(inner, Bridge):
        inner.close()


def in_another_order(
    judge: nn.Module, images: np.ndarray, micro_batch: int, seed: int, device: str | torch.device
) -> np.ndarray:
    """g of images (k, 1, h, w) that are asked about in an order drawn from `seed`: (k,) float32, in their own."""
    order = np.random.default_rng(seed).permutation(len(images))
    found = np.empty(len(images), np.float32)
    for start in range(0, len(order), micro_batch):
        at = order[start : start + micro_batch]
        asked = torch.from_numpy(np.array(images[at])).to(device)
        found[at] = judged_gaps(judge, asked, micro_batch).cpu().numpy()
    return found


def judged_anew(
    source: FolderSource | BareSource,
    pile: Pile,
    shape: tuple[int, ...],
    micro_batch: int,
    temperature: float,
    what: str,
    device: str | torch.device,
    testimony: Testimony | None = None,
    before: Sequence[nn.Module] = (),
) -> Anew | None:
    """Judge a pile again in a new worker, which ends with it. None: there is no code, or nothing on the pile.

    Args:
        before: models whose workers end first, so that nothing of them could still speak to the new one.
        testimony: what the attacked model was heard to say; held against the new worker too.
        shape: (1, h, w) of an image. what: names the question; seeds the order.
    """
    for model in before:
        let_go(model)
    fresh = new_judge(source, device) if len(pile) and pile.again else None
    if fresh is None:
        return None
    seed = int.from_bytes(hashlib.sha256(f"anew/{what}".encode()).digest()[:4], "little")
    found = in_another_order(fresh, pile.images(shape), micro_batch, seed, device)
    apart = float(np.abs(found - pile.gaps).max())
    if testimony:
        apart = max(apart, testimony.apart(fresh, micro_batch, device))
    let_go(fresh)
    return Anew(found, apart / temperature if apart > ROUNDING * temperature else 0.0)
