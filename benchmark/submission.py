"""A folder with a model: `submission.toml` and its weights, checked, all errors at once.

The weights are safetensors: reading them runs no code. A folder that brings a `model.py` of
its own is refused until there is a sandbox to run it in.
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
from benchmark.folders import submissions_folder
from benchmark.modality import MODALITIES, get_modality
from benchmark.models import build
from benchmark.models.weights import load_weights
from benchmark.models.wrapper import Wrapped
from benchmark.submission_file import Input, SubmissionFile, Weights, sentences


@dataclass(frozen=True)
class Submission:
    """A folder whose `submission.toml` keeps the schema."""

    folder: Path
    file: SubmissionFile

    @property
    def name(self) -> str:
        """The folder's name, which is the entry's everywhere."""
        return self.file.name

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities it brings weights for, in the benchmark's order."""
        brought = {weights.modality for weights in self.file.weights}
        return tuple(name for name in MODALITIES if name in brought)

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

    def described(self) -> dict[str, Any]:
        """What a record and a page say of it, as plain data."""
        file = self.file
        return {
            "title": file.title,
            "kind": file.kind,
            "authors": list(file.authors),
            "licence": file.licence,
            "description": file.description,
            "architecture": file.architecture,
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

    def forward(self, images: Tensor) -> Tensor:
        """The logits."""
        return self.inner(images)

    @cached_property
    def identity(self) -> str:
        """sha256 over the weights and everything in `submission.toml` that changes a logit."""
        file = self.submission.file
        parts = [
            file.architecture,
            sorted(file.architecture_options.items()),
            file.input.model_dump_json(),
        ]
        text = repr([*parts, self.weights.modality, self.weights.sha256])
        return hashlib.sha256(text.encode()).hexdigest()


def read_submission(folder: Path | str) -> Submission:
    """Read and check `submission.toml`.

    Args:
        folder: the folder, or its name in the submissions folder.

    Raises:
        SubmissionError: with every complaint about the file at once.
        IsolationError: the folder brings code.
    """
    import tomllib

    path = Path(folder)
    if not path.is_dir() and path.name == str(folder):
        path = submissions_folder() / path
    path = path.resolve()
    if not path.is_dir():
        raise SubmissionError(f"no submission {str(folder)!r}; there are {', '.join(names()) or 'none'}")
    if (path / "model.py").exists():
        raise IsolationError(
            f"submission {path.name!r} brings code (model.py), and this version has no sandbox to run it in; "
            "enter it by architecture name and safetensors weights"
        )
    try:
        file = SubmissionFile.model_validate(tomllib.loads((path / "submission.toml").read_text("utf-8")))
    except FileNotFoundError:
        raise SubmissionError(
            f"submission {path.name!r} has no submission.toml; copy the one of submissions/template"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SubmissionError(
            f"submission {path.name!r}: submission.toml is not valid TOML: {error}"
        ) from None
    except ValidationError as error:
        raise SubmissionError(f"submission {path.name!r}: submission.toml\n" + sentences(error)) from None
    if file.name != path.name:
        raise SubmissionError(
            f"submission {path.name!r}: submission.toml says name = {file.name!r}; make them the same"
        )
    return Submission(path, file)


def names() -> list[str]:
    """The entries in the submissions folder, the template left out."""
    return sorted(
        p.parent.name for p in submissions_folder().glob("*/submission.toml") if p.parent.name != "template"
    )


def load_submission(
    folder: Path | str, modality: str, track: str = "phantom", training_seed: int = 0
) -> SubmittedModel:
    """The model of a submission, ready to be evaluated.

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
    if len(weights.files) != len(weights.sha256):
        raise SubmissionError(
            f"submission {submission.name!r}, {modality}: {len(weights.files)} weight files and "
            f"{len(weights.sha256)} checksums; give one sha256 for each file"
        )
    complaints: list[str] = []
    models = [
        _load_file(submission, name, sha, complaints)
        for name, sha in zip(weights.files, weights.sha256, strict=True)
    ]
    if complaints:
        raise SubmissionError(f"submission {submission.name!r}, {modality}: " + "; ".join(complaints))
    wrapper = submission.file.input
    inner: nn.Module = models[0]
    if len(models) > 1 or wrapper != Input():
        inner = Wrapped(models, **wrapper.model_dump())
    return SubmittedModel(inner.eval().requires_grad_(False), submission, weights, track).eval()


def _load_file(submission: Submission, name: str, expected: str, complaints: list[str]) -> nn.Module:
    try:
        model = build(submission.file.architecture, submission.file.architecture_options)
    except SubmissionError as error:
        complaints.append(str(error))
        return nn.Identity()
    path = (submission.folder / name).resolve()
    if not path.is_relative_to(submission.folder.resolve()):
        complaints.append(f"weights file {name!r} lies outside the submission's folder")
        return model
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        complaints.append(
            f"weights file {name!r} cannot be read ({error.strerror}); commit it, or correct 'files'"
        )
        return model
    if found != expected:
        complaints.append(
            f"weights file {name!r} has sha256 {found}, submission.toml says {expected or 'nothing'}; "
            "restore the file, or state the new checksum if you meant to change it"
        )
        return model
    try:
        load_weights(model, path, submission.file.architecture)
    except SubmissionError as error:
        complaints.append(f"weights file {name!r} {error}")
    return model
