"""`submission.toml`: what an entry says of itself. Unknown keys are refused, all complaints come at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from benchmark.submission_values import (
    Address,
    Epsilon,
    File,
    Line,
    Link,
    Number,
    Said,
    Sha256,
    Text,
    Whole,
    whole,
)
from benchmark.submission_words import sentences

MOST_FILES = 20  # of weights that are averaged
NAME = r"^[a-z0-9][a-z0-9-]{1,40}$"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Input(_Table):
    """What is done to an image before the model sees it; ε stays on the image itself."""

    channels: Annotated[Literal[1, 3], BeforeValidator(whole)] = Field(
        default=1, description="3: the one channel is repeated."
    )
    resize: Whole | None = Field(
        default=None, ge=8, le=1024, description="Side in pixels; without it the size stays."
    )
    centre_crop: Whole | None = Field(
        default=None, ge=8, le=1024, description="Side in pixels, after resizing."
    )
    mean: tuple[Number, ...] = Field(
        default=(0.0,), description="Taken away from [0, 1]; one, or one a channel."
    )
    deviation: tuple[Number, ...] = Field(
        default=(1.0,), description="Then divided by; one, or one a channel."
    )

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


class Output(_Table):
    """What the model gives for an image."""

    logits: Annotated[Literal[1, 2] | None, BeforeValidator(whole)] = Field(
        default=None,
        description="2: [no disease, disease]; 1: above 0 means disease. `oncorobust check` holds it to that.",
    )


class Training(_Table):
    """How the weights came about, in words and settings a reader can compare."""

    kind: Literal["naive", "adversarial", "none", "other"] = Field(
        description="What the weights were trained on."
    )
    recipe: Line = Field(default="", description="Of `oncorobust train`, if it was one.")
    attack: Line = Field(default="", description="What attacked while it trained, with steps and step size.")
    epsilon: Epsilon = Field(
        default="", description="The ε that it was trained against, on pixels in [0, 1]: 0.004 or 8/255."
    )
    initialisation: Line = Field(default="random", description="random, imagenet, medical, or in words.")
    external_data: tuple[Line, ...] = Field(default=(), description="Data beside the track's own train part.")
    seen_test_patients: Literal["no", "yes", "unknown"] = Field(
        default="no", description="Whether anything it learned from shows patients of a test part."
    )


class Claimed(_Table):
    """What the authors say of the test part. Kept apart from what is measured, and held against its interval."""

    clean_accuracy: Number | None = Field(default=None, ge=0, le=1)
    robust_accuracy: Number | None = Field(
        default=None, ge=0, le=1, description="Worst case at the headline ε of the protocol, over all images."
    )


class Weights(_Table):
    """The weights of one modality and one training: several files are averaged in their logits. Only code may
    bring none.

    training_seed: 0 is the entry; others are the same recipe from other seeds, which tell how much of its
        accuracy is the luck of a training.
    """

    modality: Literal["ct", "mammogram", "mri"]
    trained_on: Literal["phantom", "clinical"] = Field(default="phantom", description="The track.")
    training_seed: Whole = Field(default=0, ge=0, description="0 is the entry; others tell the spread.")
    files: tuple[File, ...] = Field(
        max_length=MOST_FILES, description="safetensors; several are averaged in their logits."
    )
    sha256: tuple[Sha256, ...] = Field(
        max_length=MOST_FILES, description="One for each file, as sha256sum prints it."
    )
    urls: tuple[Address, ...] = Field(
        default=(),
        max_length=MOST_FILES,
        description="Of files too large for the repository, one for each: Hugging Face at a commit, or Zenodo.",
    )
    command: Text = Field(default="", description="How the weights were made.")
    claimed_accuracy: Number | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Clean, on the validation part; `oncorobust check --track` holds it to that.",
    )
    claimed: Claimed = Claimed()

    @model_validator(mode="after")
    def _one_url_each(self) -> Weights:
        if self.urls and len(self.urls) != len(self.files):
            raise ValueError(
                f"{len(self.urls)} urls for {len(self.files)} files; give one for each, or none where all are in the folder"
            )
        return self


class SubmissionFile(_Table):
    """`submission.toml`. Unknown keys are refused. Without an architecture the folder brings `model.py`."""

    name: str = Field(pattern=NAME, description="The folder's name: lower case, digits, dashes.")
    title: Said = Field(description="As the page shall call it.")
    kind: Literal["entry", "reference", "baseline"] = Field(
        default="entry",
        description="A baseline is shown and never ranked; reference entries are the project's own.",
    )
    division: Literal["closed", "open"] = Field(
        default="closed",
        description="closed: deterministic, differentiable, nothing optimised when asked. open: all else; never ranked.",
    )
    authors: tuple[Said, ...] = Field(min_length=1, max_length=100)
    licence: Said = Field(description="Of the weights, an SPDX name such as Apache-2.0 or CC-BY-4.0.")
    description: Text = Field(default="", description="One or two sentences.")
    paper: Link = Field(default="", description="Where to read about it.")
    code: Link = Field(default="", description="Where the training code is.")
    supersedes: Line = Field(default="", description="The entry of the same authors that this one replaces.")
    naive_twin: Line = Field(default="", description="The entry that differs in nothing but its training.")
    architecture: Line = Field(default="", description="By name; without it the folder brings model.py.")
    architecture_options: dict[str, Any] = Field(default={}, description="Passed to the architecture.")
    packages: tuple[Literal["einops", "monai"], ...] = Field(
        default=(),
        description="What model.py imports beside torch, torchvision, timm, numpy and scipy; of the extra `entries`.",
    )
    input: Input = Input()
    output: Output = Output()
    training: Training
    weights: tuple[Weights, ...] = Field(min_length=1)

    @property
    def elsewhere(self) -> frozenset[str]:
        """The names of files of weights that have an address; here they may lie for trying out."""
        return frozenset(name for weights in self.weights if weights.urls for name in weights.files)

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


def complaints(error: ValidationError) -> str:
    """Every complaint of a validation, one indented line each, with what came."""
    models: dict[str, type[BaseModel]] = {"": SubmissionFile, "input": Input, "output": Output}
    models |= {"training": Training, "weights": Weights, "claimed": Claimed}
    return sentences(error.errors(), {name: tuple(model.model_fields) for name, model in models.items()})


def json_schema() -> dict[str, Any]:
    """The schema of `submission.toml` for editors and for programs that write one (JSON Schema 2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **SubmissionFile.model_json_schema(),
        "title": "submission.toml of OncoRobust",
    }
