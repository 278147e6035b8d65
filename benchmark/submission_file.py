"""`submission.toml`: what an entry says of itself. Unknown keys are refused, all complaints come at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

LONGEST = 2000  # characters of a text


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*")
    @classmethod
    def _shows_as_it_is(cls, value: Any, info: ValidationInfo) -> Any:
        """A terminal, a page and a build log show every text in the order in which it stands, and obey none of it."""
        for text in (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ():
            if not isinstance(text, str):
                continue
            lines = text.replace("\n", " ") if info.field_name == "description" else text
            if not lines.isprintable():
                raise ValueError(
                    "holds characters that do not show, such as control or direction marks; remove them"
                )
            if len(text) > LONGEST:
                raise ValueError(f"has {len(text)} characters, at most {LONGEST} are shown; shorten it")
        return value


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
    """The weights of one modality and one training: several files are averaged in their logits. Only code may
    bring none.

    training_seed: 0 is the entry; others are the same recipe from other seeds, which tell how much of its
        accuracy is the luck of a training.
    """

    modality: Literal["ct", "mammogram", "mri"]
    trained_on: str = "phantom"
    training_seed: int = Field(default=0, ge=0)
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
    def _one_for_each_training(self) -> SubmissionFile:
        trainings: dict[tuple[str, str], list[Weights]] = {}
        for weights in self.weights:
            trainings.setdefault((weights.modality, weights.trained_on), []).append(weights)
        complaints = [told for place, own in sorted(trainings.items()) for told in _unlike(place, own)]
        if complaints:
            raise ValueError("; ".join(complaints))
        return self


def _unlike(place: tuple[str, str], trainings: Sequence[Weights]) -> Iterator[str]:
    """What is wrong with the trainings of one modality and track, taken together."""
    where = f"{place[0]} ({place[1]})"
    seeds = [weights.training_seed for weights in trainings]
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        told = ", ".join(map(str, twice))
        yield (
            f"two [[weights]] for {where} of training_seed {told}; give one for each modality, track and training_seed"
        )
    if 0 not in seeds:
        yield (
            f"no [[weights]] for {where} of training_seed 0, which is the entry; the others tell its spread"
        )
    for number, weights in enumerate(trainings):
        same = [e.training_seed for e in trainings[:number] if e.sha256 == weights.sha256]
        if same and weights.training_seed not in same:
            yield (
                f"{where}: training_seed {weights.training_seed} has the checksums of training_seed {same[0]}; "
                "two trainings give two files"
            )


def sentences(error: ValidationError) -> str:
    """Every complaint of a validation, one indented line each, with what came."""

    def sentence(problem: Any) -> str:
        place: Sequence[Any] = problem["loc"]
        got = "" if problem["type"] == "missing" else f" (got {str(problem['input'])[:60]!r})"
        return f"  {'.'.join(map(str, place))}: {problem['msg']}{got}"

    return "\n".join(sentence(problem) for problem in error.errors())
