"""The contract of a submission, tried out: what `oncorobust check` and an evaluation rely on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.errors import SubmissionError
from benchmark.evaluation.judge import complain_of_logits
from benchmark.models.wrapper import Wrapped
from benchmark.submission import load_submission, read_submission

SIZE = 64  # pixels of the phantom track
LARGEST_FILE = 4_000_000  # bytes of weights in the repository, each
SIDES = (32, 96, 128, 160, 224, 256, 299, 384)  # what networks are made for, where they do not take any size


def check_submission(folder: Path | str) -> Iterator[str]:
    """Try every modality a submission brings, and every training of it.

    Yields:
        One line for each model that keeps the contract.

    Raises:
        SubmissionError: every complaint about every modality and training, at once.
    """
    submission = read_submission(folder)
    complaints, good = [], []
    for weights in submission.file.weights:
        try:
            model = load_submission(folder, weights.modality, weights.trained_on, weights.training_seed)
            check_model(model, f"submission {submission.name!r}, {weights.modality}")
        except SubmissionError as error:
            complaints.append(str(error))
            continue
        for file in weights.files:
            size = (submission.folder / file).stat().st_size
            if size > LARGEST_FILE:
                complaints.append(f"{file} has {size / 1e6:.1f} MB, allowed are {LARGEST_FILE / 1e6:.0f} MB")
        seed = f", training seed {weights.training_seed}" if weights.training_seed else ""
        parameters = sum(parameter.numel() for parameter in model.parameters())
        good.append(
            f"{submission.name} · {weights.modality} ({weights.trained_on}){seed}: {parameters:,} parameters, contract kept"
        )
    if complaints:
        raise SubmissionError("\n".join(complaints))
    yield from good


def check_model(model: nn.Module, who: str, size: int | None = None) -> None:
    """Try a model in eval mode on five images of noise.

    Args:
        model: (N, 1, H, W) float32 in [0, 1] → logits (N, 2) or (N, 1).
        who: begins the sentence, for instance "submission 'mine', ct".
        size: of the images, in pixels; the phantom track's unless given.

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
    if not torch.allclose(logits, alone, rtol=1e-3, atol=1e-4):
        raise SubmissionError(
            f"{who}: an image's logits depend on its batch; use no batch statistics (model.eval(), GroupNorm)"
        )
    if not logits.requires_grad:
        raise SubmissionError(
            f"{who}: the logits have no gradient; remove no_grad, detach and rounding from the model"
        )


def _hint(model: nn.Module, size: int) -> str:
    """What to write into `[input]`, found by trying: other sizes, and three channels."""
    inner: nn.Module = getattr(model, "inner", model)
    networks: list[nn.Module] = [inner]
    now: tuple[int, int | None] = (1, None)
    if isinstance(inner, Wrapped):
        networks, now = list(inner.models), (inner.channels, inner.resize)
    for channels in sorted((1, 3), key=lambda channels: channels != now[0]):
        for side in (None, *SIDES):
            if (channels, side) != now and _answers(Wrapped(networks, side, channels=channels), size):
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


def _answers(model: nn.Module, size: int) -> bool:
    try:
        with torch.no_grad():
            complain_of_logits(model(_noise(2, size)), 2)
    except Exception:
        return False
    return True


def _noise(count: int, size: int) -> Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(0))
