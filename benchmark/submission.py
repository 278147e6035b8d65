"""A folder with a model: `submission.toml` and its weights, checked, all errors at once.

The weights are safetensors: reading them runs no code. A folder without an architecture's name brings a `model.py`
of its own, of which nothing is read here but its checksum: `benchmark.isolation` runs it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor, nn

from benchmark.errors import IsolationError, SubmissionError
from benchmark.modality import MODALITIES, get_modality
from benchmark.models import build
from benchmark.models.weights import load_weights
from benchmark.models.wrapper import Wrapped
from benchmark.remote import fetched
from benchmark.submission_file import Input, SubmissionFile, Weights, complaints
from benchmark.submission_folder import code_files, folder_complaints, folder_of
from benchmark.submission_folder import names as names


@dataclass(frozen=True)
class Submission:
    """A folder whose `submission.toml` keeps the schema."""

    folder: Path
    file: SubmissionFile
    code: tuple[str, ...] = ()  # names of the files of code that it brings, in order

    @property
    def name(self) -> str:
        """The folder's name, which is the entry's everywhere."""
        return self.file.name

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities it brings weights for, in the benchmark's order."""
        brought = {weights.modality for weights in self.file.weights}
        return tuple(name for name in MODALITIES if name in brought)

    def modalities_of(self, track: str) -> tuple[str, ...]:
        """Those of them whose weights were trained on this track."""
        own = {weights.modality for weights in self.file.weights if weights.trained_on == track}
        return tuple(name for name in self.modalities if name in own)

    def weights_for(self, modality: str, track: str, training_seed: int = 0) -> Weights:
        """The weights to use: those trained on the track; on one's own images clinical ones, else the phantom's.

        Raises:
            SubmissionError: there are none.
        """
        offered = self._offered(modality, track)
        if training_seed in offered:
            return offered[training_seed]
        raise SubmissionError(
            f"submission {self.name!r} has no {modality} weights of training_seed {training_seed}; it has "
            + ", ".join(map(str, sorted(offered)))
        )

    def further_seeds(self, modality: str, track: str) -> tuple[int, ...]:
        """The training seeds beside 0 that it brings weights of, ascending.

        Raises:
            SubmissionError: there are no weights to use at all.
        """
        return tuple(sorted(self._offered(modality, track).keys() - {0}))

    def _offered(self, modality: str, track: str) -> dict[int, Weights]:
        """The weights of each training seed, all trained on the same track."""
        get_modality(modality)
        brought = [weights for weights in self.file.weights if weights.modality == modality]
        own = track not in ("phantom", "clinical")
        for trained_on in ("clinical", "phantom") if own else (track,):
            if offered := {w.training_seed: w for w in brought if w.trained_on == trained_on}:
                return offered
        raise SubmissionError(
            f"submission {self.name!r} has no {modality} weights for track {track!r}; it has "
            + ", ".join(f"{w.modality} ({w.trained_on})" for w in self.file.weights if w.training_seed == 0)
        )

    def path_of(self, weights: Weights, name: str) -> Path:
        """Where a file of weights lies: in the folder, or, if it is not there and has an address, in the cache.

        Raises:
            SubmissionError: it cannot be fetched.
        """
        path = self.folder / name
        if weights.urls and not path.exists():
            number = weights.files.index(name)
            return fetched(weights.urls[number], weights.sha256[number])
        return path.resolve()

    def described(self) -> dict[str, Any]:
        """What a record and a page say of it, as plain data."""
        file = self.file
        own = {"paper", "code", "supersedes", "architecture_options", "packages"}
        given = file.model_dump(mode="json", include=own)
        given["input"] = file.input.model_dump(mode="json", exclude_defaults=True)
        if file.division != "closed":
            given["division"] = file.division
        return {name: value for name, value in given.items() if value} | {
            "title": file.title,
            "kind": file.kind,
            "authors": list(file.authors),
            "licence": file.licence,
            "description": file.description,
            "architecture": file.architecture or "own code",
            "training": file.training.model_dump(mode="json"),
            "naive_twin": file.naive_twin,
        }


class SubmittedModel(nn.Module):
    """A submission's model for one modality: (N, 1, H, W) float32 in [0, 1] → logits (N, 2) or (N, 1).

    In eval mode, float32, parameters frozen. Carries where it came from, so that the harness
    can load a second one to judge.
    """

    def __init__(self, inner: nn.Module, submission: Submission, weights: Weights, track: str) -> None:
        super().__init__()
        self.inner = inner
        self.submission, self.weights, self.track = submission, weights, track
        self.isolation = "auto"  # how its code is to be isolated, if it brings any

    def forward(self, images: Tensor) -> Tensor:
        """The logits."""
        return self.inner(images)

    @cached_property
    def identity(self) -> str:
        """sha256 over the weights, the code, and everything in `submission.toml` that changes a logit."""
        file = self.submission.file
        parts: list[Any] = [
            file.architecture,
            sorted(file.architecture_options.items()),
            file.input.model_dump_json(),
        ]
        if self.submission.code:
            parts.append([(name, _sha256(self.submission.folder / name)) for name in self.submission.code])
        text = repr([*parts, self.weights.modality, self.weights.sha256])
        return hashlib.sha256(text.encode()).hexdigest()


class Sealed(nn.Module):
    """Stands where the model of a submission with code would stand; it answers nothing."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, images: Tensor) -> Tensor:
        """Refuse.

        Raises:
            IsolationError: always.
        """
        raise IsolationError(
            f"submission {self.name!r} brings code (model.py), which runs in a sandbox only; let evaluate or "
            "benchmark.isolation.entered.opened start one"
        )


def read_submission(folder: Path | str) -> Submission:
    """Read and check `submission.toml`.

    Args:
        folder: the folder, or its name in the submissions folder.

    Raises:
        SubmissionError: with every complaint about the file at once.
    """
    import tomllib

    path = folder_of(folder)
    if (path / "submission.toml").exists() and not (path / "submission.toml").is_file():
        raise SubmissionError(f"submission {path.name!r}: submission.toml is no ordinary file; put one there")
    try:
        text = (path / "submission.toml").read_text("utf-8-sig")  # some editors begin with a mark
    except FileNotFoundError:
        raise SubmissionError(
            f"submission {path.name!r} has no submission.toml; write one: oncorobust new-submission {path.name}"
        ) from None
    except UnicodeDecodeError as error:
        raise SubmissionError(f"submission {path.name!r}: submission.toml is no text: {error}") from None
    try:
        told = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of numbers too long and tables too deep for Python
        raise SubmissionError(
            f"submission {path.name!r}: submission.toml is not valid TOML: {error}"
        ) from None
    try:
        file = SubmissionFile.model_validate(told)
    except ValidationError as error:
        raise SubmissionError(f"submission {path.name!r}: submission.toml\n" + complaints(error)) from None
    if file.name != path.name:
        raise SubmissionError(
            f"submission {path.name!r}: submission.toml says name = {file.name!r}; make them the same"
        )
    amiss = list(folder_complaints(path, file))
    if amiss:
        raise SubmissionError(f"submission {path.name!r}: " + "; ".join(amiss))
    return Submission(path, file, () if file.architecture else code_files(path))


def load_submission(
    folder: Path | str, modality: str, track: str = "phantom", training_seed: int = 0
) -> SubmittedModel:
    """The model of a submission, ready to be evaluated.

    One that brings code is checked and not run: its model raises IsolationError until `benchmark.isolation.entered`
    opens it, as `evaluate` does.

    Args:
        folder: the folder, or its name in the submissions folder.
        modality: "ct", "mammogram" or "mri".
        track: decides which weights, see `Submission.weights_for`.
        training_seed: which of several trainings; 0 is the entry.

    Raises:
        SubmissionError: the file, the weights or the architecture do not fit; every complaint at once.
    """
    submission = read_submission(folder)
    weights = submission.weights_for(modality, track, training_seed)
    complaints: list[str] = []
    paths = [
        _verified(submission, weights, name, sha, complaints)
        for name, sha in zip(weights.files, weights.sha256, strict=True)
    ]
    models = [
        _load_file(submission, name, path, complaints)
        for name, path in zip(weights.files, paths, strict=True)
        if not submission.code
    ]
    if complaints:
        raise SubmissionError(f"submission {submission.name!r}, {modality}: " + "; ".join(complaints))
    if submission.code:
        return SubmittedModel(Sealed(submission.name), submission, weights, track).eval()
    wrapper = submission.file.input
    inner: nn.Module = models[0]
    if len(models) > 1 or wrapper != Input():
        inner = Wrapped(models, **wrapper.model_dump())
    return SubmittedModel(inner.eval().requires_grad_(False), submission, weights, track).eval()


def _verified(
    submission: Submission, weights: Weights, name: str, expected: str, complaints: list[str]
) -> Path | None:
    """The file of weights, if it is the one that `submission.toml` means."""
    if not (submission.folder / name).resolve().is_relative_to(submission.folder.resolve()):
        complaints.append(f"weights file {name!r} lies outside the submission's folder")
        return None
    try:
        path = submission.path_of(weights, name)
        if path.exists() and not path.is_file():  # a pipe would be waited for
            complaints.append(f"weights file {name!r} is no ordinary file; put one there")
            return None
        found = _sha256(path)
    except OSError as error:
        complaints.append(
            f"weights file {name!r} cannot be read ({error.strerror}); commit it, or correct 'files'"
        )
        return None
    except SubmissionError as error:
        complaints.append(f"weights file {name!r}: {error}")
        return None
    if found != expected:
        complaints.append(
            f"weights file {name!r} has sha256 {found}, submission.toml says {expected or 'nothing'}; "
            "restore the file, or state the new checksum if you meant to change it"
        )
        return None
    return path


def _load_file(submission: Submission, name: str, path: Path | None, complaints: list[str]) -> nn.Module:
    try:
        model = build(submission.file.architecture, submission.file.architecture_options)
        if path is None:
            return model
    except SubmissionError as error:
        complaints.append(str(error))
        return nn.Identity()
    try:
        load_weights(model, path, submission.file.architecture)
    except SubmissionError as error:
        complaints.append(f"weights file {name!r} {error}")
    return model


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
