"""The contract of a submission, tried out: what `oncorobust check` and an evaluation rely on.

files      what may lie in the folder
said       packages and logits, as submission.toml says them
behaviour  shapes, batches, gradients, determinism, state: on noise, without data
clean      accuracy on the validation part of a track, where one is named
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmark.contract.behaviour import SIZE, check_model, counted, odd_behaviour
from benchmark.contract.clean import check_clean
from benchmark.contract.files import LARGEST_FILE, file_complaints
from benchmark.contract.said import output_complaint, package_complaints, syntax_complaints
from benchmark.data.tracks import load_split
from benchmark.errors import BenchmarkError, SubmissionError
from benchmark.isolation.bridge import Bridge
from benchmark.isolation.entered import opened
from benchmark.submission import Submission, load_submission, read_submission
from benchmark.submission_file import Weights
from benchmark.submission_folder import folder_of

__all__ = ["LARGEST_FILE", "SIZE", "check_model", "check_submission"]


def check_submission(folder: Path | str, track: str | None = None, isolation: str = "auto") -> Iterator[str]:
    """Look at the folder and try every modality that a submission brings. Seconds, and no data unless a track is named.

    Args:
        track: also try the validation part of this track. isolation: of its own code, as in `evaluate`.

    Yields:
        One line for each modality that keeps the contract.

    Raises:
        SubmissionError: every complaint about every file and modality, at once.
    """
    place = folder_of(folder)
    who = f"submission {place.name!r}"
    good: list[str] = []
    try:
        submission = read_submission(folder)
    except SubmissionError as error:
        complaints = [f"{who}: {told}" for told in file_complaints(place, LARGEST_FILE)]
        raise SubmissionError("\n".join([*complaints, str(error)])) from None
    complaints = [
        f"{who}: {told}" for told in file_complaints(place, LARGEST_FILE, submission.file.elsewhere)
    ]
    complaints += [f"{who}: {told}" for told in package_complaints(submission)]
    broken = [f"{who}: {told}" for told in syntax_complaints(submission)]
    complaints += broken
    for weights in () if broken else submission.file.weights:
        try:
            good.append(_tried(submission, weights, track, isolation))
        except BenchmarkError as error:
            complaints.append(str(error))
    if complaints:
        raise SubmissionError("\n".join(complaints))
    yield from good


def _tried(submission: Submission, weights: Weights, track: str | None, isolation: str) -> str:
    """The line of one modality."""
    who = f"submission {submission.name!r}, {weights.modality}"
    model = load_submission(submission.folder, weights.modality, weights.trained_on, weights.training_seed)
    model.isolation = isolation
    if submission.code:
        model = opened(model)
    complaints: list[str] = []
    said = ""
    with counted(model) as asked:
        try:
            check_model(model, who, SIZE, submission.file.kind != "baseline")
            if told := output_complaint(model, submission, SIZE):
                raise SubmissionError(told)
            complaints += odd_behaviour(model, who, SIZE, bool(submission.code))
        except SubmissionError as error:
            complaints += _naming(error, who)
        try:
            if track and weights.trained_on in (track, "phantom"):
                part = load_split(weights.modality, track, "validation")
                said = ", " + check_clean(model, part, who, weights.claimed_accuracy)
        except SubmissionError as error:
            complaints += _naming(error, who)
    if complaints:
        raise SubmissionError("\n".join(dict.fromkeys(complaints)))
    inner = model.inner
    parameters = (
        inner.parameter_count
        if isinstance(inner, Bridge)
        else sum(parameter.numel() for parameter in model.parameters())
    )
    networks = max(len(weights.files), 1)
    each = "1 network" if networks == 1 else f"the mean of {networks} networks"
    seed = f", training seed {weights.training_seed}" if weights.training_seed else ""
    told = f"{submission.name} · {weights.modality} ({weights.trained_on}){seed}"
    return (
        f"{told}: {each} of {parameters:,} parameters{said}, contract kept in {asked[1]:,} forward passes "
        f"of {asked[0]:,} images"
    )


def _naming(error: SubmissionError, who: str) -> list[str]:
    """A complaint, with whose it is."""
    return [str(error) if str(error).startswith(who) else f"{who}: {error}"]
