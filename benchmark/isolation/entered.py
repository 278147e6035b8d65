"""A submission with code as a model: opened in a worker, and never in the harness."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.errors import SubmissionError
from benchmark.files import replace_file
from benchmark.folders import cache_folder
from benchmark.isolation import sandbox
from benchmark.isolation.bridge import Bridge
from benchmark.isolation.link import Limits, Worker
from benchmark.isolation.zygote import Place, zygote_for
from benchmark.submission import Submission, SubmittedModel
from benchmark.submission import load_submission as load_sealed
from benchmark.submission_file import Input, Weights


def load_submission(
    folder: Path | str,
    modality: str,
    track: str = "phantom",
    training_seed: int = 0,
    isolation: str = "auto",
) -> SubmittedModel:
    """The model of a submission, ready to be asked; one that brings code answers from a worker.

    Args:
        folder, modality, track, training_seed: as in `benchmark.submission.load_submission`.
        isolation: "auto", "bubblewrap", or "none" for one's own code.

    Raises:
        SubmissionError: as there. IsolationError: it brings code and no sandbox works here.
    """
    model = load_sealed(folder, modality, track, training_seed)
    model.isolation = isolation
    return opened(model) if model.submission.code else model


def opened(model: SubmittedModel, gradients: bool = True) -> SubmittedModel:
    """A model of one's own worker for a submission with code, on the device that it is moved to.

    Args:
        model: from `load_submission`; its `isolation` decides behind what walls.
        gradients: without them it is the one that judges: forward passes in exact float32 alone.

    Raises:
        IsolationError: no sandbox works here.
    """
    how = sandbox.chosen(model.isolation)
    submission, weights = model.submission, model.weights

    def start(device: str) -> Worker:
        place = place_of(submission, weights, how, device)
        order = {
            "modality": weights.modality,
            "files": list(weights.files),
            "input": _input(submission.file.input),
            "device": device,
            "gradients": gradients,
            "exact": not gradients,
        }
        return zygote_for(place).worker(order, place.limits)

    answering = SubmittedModel(Bridge(start), submission, weights, model.track)
    answering.isolation = model.isolation
    return answering.eval()


def place_of(submission: Submission, weights: Weights, how: str, device: str = "cpu") -> Place:
    """What a zygote is started for: the code, and the weights of one modality."""
    files = (*submission.code, *weights.files)
    return Place(_together(submission, weights), files, how, device.startswith("cuda"), Limits())


def _together(submission: Submission, weights: Weights) -> Path:
    """A folder with the code and the weights; one in the cache where weights lie at an address."""
    places = {name: submission.path_of(weights, name) for name in weights.files}
    if all(path.is_relative_to(submission.folder.resolve()) for path in places.values()):
        return submission.folder
    places |= {name: submission.folder / name for name in submission.code}
    sums = dict(
        zip(weights.files, weights.sha256, strict=True)
    )  # held against the files when the model was loaded
    sums |= {name: hashlib.sha256(places[name].read_bytes()).hexdigest() for name in submission.code}
    contents = repr(sorted(sums.items()))
    folder = cache_folder() / "weights" / f"with-code-{hashlib.sha256(contents.encode()).hexdigest()}"
    for name, path in places.items():
        if not (folder / name).exists():
            replace_file(folder / name, path.read_bytes())
    return folder


def bridge_of(model: SubmittedModel) -> Bridge:
    """Of a model from `opened`.

    Raises:
        SubmissionError: it has none, since it brings no code.
    """
    if not isinstance(model.inner, Bridge):
        raise SubmissionError(f"submission {model.submission.name!r} brings no code and has no worker")
    return model.inner


def _input(asked: Input) -> Mapping[str, Any] | None:
    return None if asked == Input() else asked.model_dump(mode="json")
