"""`submission.toml`: what an entry says of itself. Unknown keys are refused, all complaints come at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Input(_Table):
    """What is done to an image before the model sees it; ε stays on the image itself."""

    channels: Literal[1, 3] = 1
    resize: int | None = Field(default=None, ge=8, le=1024)
    centre_crop: int | None = Field(default=None, ge=8, le=1024)
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)

    @model_validator(mode="after")
    def _fits(self) -> Input:
        for name, numbers in (("mean", self.mean), ("deviation", self.deviation)):
            if len(numbers) not in {1, self.channels}:
                raise ValueError(
                    f"{name} has {len(numbers)} numbers for {self.channels} channels; give one for each"
                )
        if min(self.deviation) <= 0:
            raise ValueError(f"deviation must be above 0, got {self.deviation}")
        if self.resize and self.centre_crop and self.centre_crop > self.resize:
            raise ValueError(f"centre_crop {self.centre_crop} is larger than resize {self.resize}")
        return self


class Training(_Table):
    """How the weights came about, in words and settings a reader can compare."""

    kind: Literal["naive", "adversarial", "none", "other"]
    recipe: str = ""
    attack: str = ""
    epsilon: str = ""
    initialisation: str = "random"
    external_data: tuple[str, ...] = ()
    seen_test_patients: Literal["no", "yes", "unknown"] = "no"


class Weights(_Table):
    """The weights of one modality: several files are averaged in their logits. Only code may bring none."""

    modality: Literal["ct", "mammogram", "mri"]
    trained_on: str = "phantom"
    files: tuple[str, ...]
    sha256: tuple[str, ...]
    command: str = ""
    claimed_accuracy: float | None = Field(default=None, ge=0, le=1)  # clean, on the validation part


class SubmissionFile(_Table):
    """`submission.toml`. Unknown keys are refused. Without an architecture the folder brings `model.py`."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{1,40}$")
    title: str
    kind: Literal["entry", "reference", "baseline"] = "entry"
    authors: tuple[str, ...] = Field(min_length=1)
    licence: str
    description: str = ""
    paper: str = ""
    naive_twin: str = ""
    architecture: str = ""
    architecture_options: dict[str, Any] = {}
    input: Input = Input()
    training: Training
    weights: tuple[Weights, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_for_each_place(self) -> SubmissionFile:
        places = [(weights.modality, weights.trained_on) for weights in self.weights]
        twice = sorted({place for place in places if places.count(place) > 1})
        if twice:
            raise ValueError(f"two [[weights]] for {twice}; give one for each modality and track")
        return self


def sentences(error: ValidationError) -> str:
    """Every complaint of a validation, one indented line each, with what came."""

    def sentence(problem: Any) -> str:
        place: Sequence[Any] = problem["loc"]
        got = "" if problem["type"] == "missing" else f" (got {str(problem['input'])[:60]!r})"
        return f"  {'.'.join(map(str, place))}: {problem['msg']}{got}"

    return "\n".join(sentence(problem) for problem in error.errors())
