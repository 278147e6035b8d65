"""The contract of a submission, tried out: what `oncorobust check` and an evaluation rely on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from benchmark.errors import SubmissionError
from benchmark.evaluation.judge import complain_of_logits
from benchmark.submission import SubmittedModel, load_submission, read_submission

SIZE = 64  # pixels of the phantom track
LARGEST_FILE = 4_000_000  # bytes of weights in the repository, each


def check_submission(folder: Path | str) -> Iterator[str]:
    """Try every modality a submission brings.

    Yields:
        One line for each modality that keeps the contract.

    Raises:
        SubmissionError: every complaint about every modality, at once.
    """
    submission = read_submission(folder)
    complaints, good = [], []
    for weights in submission.file.weights:
        try:
            model = load_submission(folder, weights.modality, weights.trained_on)
            _try(model)
        except SubmissionError as error:
            complaints.append(str(error))
            continue
        for file in weights.files:
            size = (submission.folder / file).stat().st_size
            if size > LARGEST_FILE:
                complaints.append(f"{file} has {size / 1e6:.1f} MB, allowed are {LARGEST_FILE / 1e6:.0f} MB")
        parameters = sum(parameter.numel() for parameter in model.parameters())
        good.append(
            f"{submission.name} · {weights.modality} ({weights.trained_on}): {parameters:,} parameters, contract kept"
        )
    if complaints:
        raise SubmissionError("\n".join(complaints))
    yield from good


def _try(model: SubmittedModel) -> None:
    images = torch.rand(5, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    try:
        logits = model(images)
        complain_of_logits(logits, 5)
        alone = torch.cat([model(image[None]) for image in images])
    except SubmissionError as error:
        raise SubmissionError(
            f"submission {model.submission.name!r}, {model.weights.modality}: {error}"
        ) from None
    except Exception as error:
        raise SubmissionError(
            f"submission {model.submission.name!r}, {model.weights.modality}: the model raised "
            f"{type(error).__name__} on images (5, 1, {SIZE}, {SIZE}): {error}"
        ) from None
    if not torch.allclose(logits, alone, rtol=1e-3, atol=1e-4):
        raise SubmissionError(
            f"submission {model.submission.name!r}, {model.weights.modality}: an image's logits depend on its batch; "
            "use no batch statistics (model.eval(), GroupNorm)"
        )
    if not logits.requires_grad:
        raise SubmissionError(
            f"submission {model.submission.name!r}, {model.weights.modality}: the logits have no gradient; "
            "remove no_grad, detach and rounding from the model"
        )
