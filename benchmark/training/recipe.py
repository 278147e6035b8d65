"""A recipe: one frozen TOML file with everything that shapes the weights, and where it comes from."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.errors import ProtocolError
from benchmark.modality import MODALITIES
from benchmark.protocol import PROTOCOLS

FOLDER = Path(__file__).parent / "recipes"
RECIPES = tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))
SMALLEST, LARGEST = (float(PROTOCOLS["standard"].epsilons[place]) for place in (0, -1))


def _on_the_grid(epsilon: float) -> float:
    if not SMALLEST <= epsilon <= LARGEST:
        raise ValueError(f"ε must lie in the range of the protocol's grid, {SMALLEST} to {LARGEST}")
    return epsilon


def _some(given: tuple[Any, ...]) -> tuple[Any, ...]:
    if not given:
        raise ValueError("give at least one")
    return given


Epsilon = Annotated[float, AfterValidator(_on_the_grid)]
Count = Annotated[int, Field(ge=1, le=10_000)]
Steps = Annotated[int, Field(ge=1, le=1000)]
StepSize = Annotated[float, Field(gt=0, le=4)]  # as a multiple of ε


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Stage(_Table):
    """`epochs` epochs at `epsilon`, the first `ramp_epochs` of them on the way there from the stage before."""

    epsilon: Epsilon
    epochs: Count
    ramp_epochs: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _arrives(self) -> Stage:
        if self.ramp_epochs >= self.epochs:
            raise ValueError(f"ramp_epochs {self.ramp_epochs} leaves none of the {self.epochs} epochs at ε")
        return self


class _Attack(_Table):
    stages: Annotated[tuple[Stage, ...], Field(strict=False), AfterValidator(_some)]
    step: StepSize


class Pgd(_Attack):
    """`steps` steps of `step` · ε on the logit gap inside the ball; the start is uniform in ± `start` · ε."""

    method: Literal["pgd"]
    steps: Steps
    start: float = Field(ge=0, le=1)


class NFgsm(_Attack):
    """One step of `step` · ε from a start uniform in ± `start` · ε, with no projection into the ball."""

    method: Literal["n-fgsm"]
    start: float = Field(ge=0, le=4)


class Trades(_Attack):
    """Cross-entropy on the clean image and `beta` times the divergence of the attacked one from it.

    The start is normal noise of standard deviation `start` · ε.
    """

    method: Literal["trades"]
    steps: Steps
    start: float = Field(gt=0, le=1)
    beta: float = Field(gt=0, le=100)


class Validation(_Table):
    """Every `every` epochs at the last ε, and after the last epoch; PGD made for these very weights.

    Naive recipes are validated on clean images alone: no epsilon, steps, step.
    """

    every: Count
    epsilon: Epsilon | None = None
    steps: Steps | None = None
    step: StepSize | None = None


class Averaging(_Table):
    """An exponential moving average of weights and statistics, one step a batch; it is what is validated and kept."""

    decay: float = Field(gt=0, lt=1)


class Awp(_Table):
    """Adversarial weight perturbation: each layer's weights moved by `gamma` of their norm to raise the loss."""

    gamma: float = Field(gt=0, le=0.1)
    warm_up_epochs: int = Field(ge=0)


class Guard(_Table):
    """Against catastrophic overfitting, after every attacked epoch.

    PGD of `steps` steps of `step` · ε at the last ε on `images` training images. When their accuracy lies more than
    `fall` under the best so far, training goes back to the last good epoch and on with `slow_down` times the learning
    rate; `times` times, then it stops.
    """

    images: int = Field(ge=8, le=4096)
    steps: Steps
    step: StepSize
    fall: float = Field(gt=0, lt=1)
    slow_down: float = Field(gt=0, lt=1)
    times: int = Field(ge=0, le=20)


class Recipe(_Table):
    """How to train: AdamW with one cycle of the learning rate, `naive_epochs` on clean images, then the stages.

    Args:
        batch_norm: put batch normalisation behind the convolutions of networks that have none of their own, and fold
            it away afterwards.
        warm_up: share of the batches in which the learning rate rises.
        clip_gradient: largest Euclidean norm of a batch's gradient.
    """

    name: str
    title: str
    sources: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_some)]
    naive_epochs: int = Field(ge=0, le=10_000)
    batch: int = Field(ge=2, le=65_536)
    learning_rate: float = Field(gt=0, le=10)
    weight_decay: float = Field(ge=0, le=1)
    warm_up: float = Field(gt=0, lt=1)
    clip_gradient: float = Field(gt=0)
    batch_norm: bool
    attack: Annotated[Pgd | NFgsm | Trades, Field(discriminator="method")] | None = None
    validation: Validation
    averaging: Averaging | None = None
    awp: Awp | None = None
    guard: Guard | None = None

    @model_validator(mode="after")
    def _fits(self) -> Recipe:
        wrong = list(self._contradictions())
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _contradictions(self) -> Iterator[str]:
        fresh = (self.validation.epsilon, self.validation.steps, self.validation.step)
        if self.attack and None in fresh:
            yield "an adversarial recipe is chosen under attack: give [validation] epsilon, steps and step"
        if not self.attack:
            if any(each is not None for each in fresh):
                yield "[validation] has an attack and the recipe has none: leave out epsilon, steps and step"
            if not self.naive_epochs:
                yield "there are neither naive_epochs nor an [attack]: nothing to train"
            if self.guard:
                yield "[guard] guards an [attack], and there is none"
        if self.awp and self.awp.warm_up_epochs >= self.epochs:
            yield f"[awp] warm_up_epochs {self.awp.warm_up_epochs} leaves none of the {self.epochs} epochs"

    @property
    def epochs(self) -> int:
        """All of them."""
        return self.naive_epochs + sum(stage.epochs for stage in (self.attack.stages if self.attack else ()))

    @property
    def epsilon(self) -> float:
        """ε of the last stage; 0 of a naive recipe."""
        return self.attack.stages[-1].epsilon if self.attack else 0.0

    def epsilon_at(self, epoch: int) -> float:
        """ε of the attack in an epoch, counted from 1; 0 while the images stay clean."""
        place, before = epoch - self.naive_epochs, 0.0
        for stage in self.attack.stages if self.attack and place > 0 else ():
            if place <= stage.epochs:
                return before + (stage.epsilon - before) * min(1.0, place / (stage.ramp_epochs + 1))
            place, before = place - stage.epochs, stage.epsilon
        return before

    @property
    def digest(self) -> str:
        """sha256 of everything that shapes the weights: not of names, titles, sources and comments."""
        told = self.model_dump(mode="json", exclude={"name", "title", "sources"})
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def read_recipe(name: str, modality: str) -> Recipe:
    """A recipe for one modality: what its file says in general, and over it what it says in a table of that name.

    Args:
        name: one of `RECIPES`, or the path of a TOML file of one's own.

    Raises:
        ProtocolError: there is none of that name, or it is wrong; every complaint, for every modality.
    """
    path = FOLDER / f"{name}.toml" if name in RECIPES else Path(name).expanduser()
    if path.suffix != ".toml":
        raise ProtocolError(
            f"unknown recipe {name!r}; expected one of {', '.join(RECIPES)}, or the path of a .toml file"
        )
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ProtocolError(f"recipe {path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # no TOML, or no UTF-8
        raise ProtocolError(f"recipe {path} is no TOML file: {error}; correct it") from None
    own = {each: table.pop(each) for each in MODALITIES if each in table}
    found: dict[str, Recipe] = {}
    wrong: dict[str, None] = {}  # in order, each once
    for each in MODALITIES:
        try:
            found[each] = Recipe.model_validate(_merged({"name": path.stem, **table}, own.get(each, {})))
        except ValidationError as error:
            wrong |= dict.fromkeys(sentence + (f" [{each}]" if own else "") for sentence in _sentences(error))
    if wrong:
        raise ProtocolError(f"recipe {path.name} cannot be used:\n" + "\n".join(wrong))
    return found[modality]


def _merged(base: Mapping[str, Any], over: Any) -> dict[str, Any]:
    if not isinstance(over, Mapping):
        return {**base, "a modality's name": over}  # refused as an unknown key
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _sentences(error: ValidationError) -> Iterator[str]:
    methods = {"pgd", "n-fgsm", "trades"}
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"] if part not in methods)
        said = problem["msg"].removeprefix("Value error, ").replace("Input should", "it should")
        if problem["type"] == "extra_forbidden":
            said = "unknown key; correct or remove it"
        elif problem["type"] == "missing":
            said = "is missing; nothing is assumed"
        given = problem["type"] not in {"missing", "extra_forbidden"} and place
        yield f"  {place or 'recipe'}: {said}" + (f" (got {str(problem['input'])[:60]})" if given else "")
