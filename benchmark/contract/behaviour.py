"""Does a model behave as the contract says? Tried on noise: no data is needed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from benchmark.errors import SubmissionError
from benchmark.evaluation.judge import complain_of_logits
from benchmark.models.wrapper import Wrapped

SIZE = 64  # pixels of the phantom track
SAME = 1e-4  # of the logits' size: what rounding may do
OTHERS, SECONDS = 1000, 20.0  # images between two askings of the same ones, as far as time allows
SIDES = (32, 96, 128, 160, 224, 256, 299, 384)  # what networks are made for, where they do not take any size


def check_model(model: nn.Module, who: str, size: int | None = None, gradient: bool = True) -> None:
    """Try a model in eval mode on five images of noise.

    Args:
        model: (N, 1, H, W) float32 in [0, 1] → logits (N, 2) or (N, 1).
        who: begins the sentence, for instance "submission 'mine', ct".
        size: of the images, in pixels; the phantom track's unless given.
        gradient: whether it must have one, as all but baselines must.

    Raises:
        SubmissionError: it raises, returns something else, mixes images of a batch, or has no gradient.
    """
    size = size or SIZE
    images = _noise(5, size).requires_grad_(True)
    logits: object = None
    try:
        logits = model(images)
        complain_of_logits(logits, 5)
        assert isinstance(logits, Tensor)
        alone = torch.cat([model(image[None]) for image in images])
    except SubmissionError as error:
        rows = isinstance(logits, Tensor) and logits.ndim == 2 and logits.shape[0] != 5
        raise SubmissionError(f"{who}: {error}{_hint(model, size) if rows else ''}") from None
    except Exception as error:
        told = " ".join(str(error).split())[:300]
        raise SubmissionError(
            f"{who}: the model raised {type(error).__name__} on images (5, 1, {size}, {size}): {told}{_hint(model, size)}"
        ) from None
    complaints = []
    if not torch.allclose(logits, alone, rtol=1e-3, atol=1e-4):
        complaints.append(
            "an image's logits depend on its batch; use no batch statistics (model.eval(), GroupNorm)"
        )
    if gradient and not logits.requires_grad:
        complaints.append("the logits have no gradient; remove no_grad, detach and rounding from the model")
    if complaints:
        raise SubmissionError("\n".join(f"{who}: {told}" for told in complaints))


@contextmanager
def counted(model: nn.Module) -> Iterator[list[int]]:
    """[how many images went forward, how many passes that took]: of a model, from here on."""
    asked = [0, 0]

    def note(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        asked[0] += len(given[0])
        asked[1] += 1

    hook = model.register_forward_pre_hook(note)
    try:
        yield asked
    finally:
        hook.remove()


def odd_behaviour(model: nn.Module, who: str, size: int, own_code: bool) -> Iterator[str]:
    """What a model that `check_model` has nothing to say against may still do wrong; its own code is asked more.

    Args:
        model, who, size: as in `check_model`. own_code: it may keep state, which architectures by name cannot.
    """
    images = _noise(5, size)
    with torch.no_grad():
        first = model(images)
        again = model(images)
        scale = max(float(first.abs().median()), 1e-12)
        random = float((again - first).abs().max()) > SAME * scale
        if random:
            yield f"{who}: the same images get other logits when asked again; use no randomness and keep no state"
        if first.shape[1] == 2 and bool((first >= 0).all()) and bool(((first.sum(1) - 1).abs() < 1e-5).all()):
            yield f"{who}: it returns probabilities; return logits, the values before softmax"
        if random or not own_code:  # what is random differs after others too
            return
        asked, end = 0, time.monotonic() + SECONDS
        while asked < OTHERS and time.monotonic() < end:
            model(_noise(50, size, seed=asked + 1))
            asked += 50
        if float((model(images) - first).abs().max()) > SAME * scale:
            yield f"{who}: images get other logits after {asked} others were asked about; keep no state between questions"


def _hint(model: nn.Module, size: int) -> str:
    """What to write into `[input]`, found by trying: other sizes, and three channels."""
    inner: nn.Module = getattr(model, "inner", model)
    networks: list[nn.Module] = [inner]
    now: tuple[int, int | None] = (1, None)
    if isinstance(inner, Wrapped):
        networks, now = list(inner.models), (inner.channels, inner.resize)
    for channels in sorted((1, 3), key=lambda channels: channels != now[0]):
        for side in (None, *SIDES):
            if (channels, side) != now and answers(Wrapped(networks, side, channels=channels), size):
                keys = [f"channels = {channels}"] * (channels != now[0]) + [f"resize = {side}"] * bool(side)
                if now[1] and not side:
                    keys.append("no resize")
                own = (
                    " (or in_chans = 1 in 'architecture_options' if it is timm's)"
                    if channels > now[0]
                    else ""
                )
                return f"; it answers with {' and '.join(keys)} in [input]{own}"
    return ""


def answers(model: nn.Module, size: int) -> bool:
    """Whether a model takes images of this size, in pixels, and gives logits as the contract wants them."""
    try:
        with torch.no_grad():
            complain_of_logits(model(_noise(2, size)), 2)
    except Exception:
        return False
    return True


def _noise(count: int, size: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(seed))
