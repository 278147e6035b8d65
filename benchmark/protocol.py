"""What is asked of every submission alike: the ε grid, the attacks with every parameter, the seeds, the blocks.

A protocol is a constant. A change that can move a verdict raises its version;
records of another version are not compared with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal

from benchmark.errors import ProtocolError

# Raised by hand when the engine changes so that verdicts can move.
# 2: broken images leave a batch at once, APGD goes on to its end at the headline ε, far images get fewer starts below.
# 3: questions about several ε, and several starts on few images, go through an attack together.
ENGINE = 3

# How an attack is spread over the grid:
#   grid       every image at every ε
#   bisection  each image's threshold, coarsely with one start, then all starts just below it (fewer where
#              `scouts` of them stay far from a success); at the headline ε every unbroken image gets all starts
#   minimum    one run that looks for the smallest perturbation, and so serves every ε
#   survivors  only at the named ε, only images that nothing before it broke there
Search = Literal["grid", "bisection", "minimum", "survivors"]


@dataclass(frozen=True)
class AttackSpec:
    """One attack, settled to the last parameter.

    `method` names the adapter in `benchmark.attacks`; `step` is the step size as a
    multiple of ε where the attack has one. `scouts` of the `starts` go first where a threshold is confirmed.
    """

    name: str
    title: str
    method: str
    search: Search
    parameters: Mapping[str, Any]
    step: float | None = None
    starts: int = 1
    scouts: int = 5
    epsilons: tuple[str, ...] = ()  # for "survivors": where it is run
    white_box: bool = True
    source: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))


@dataclass(frozen=True)
class Protocol:
    """A versioned set of ε, attacks, seeds and block size.

    `images` limits the split to its first images (whole patients); None takes all. `part` is the part of a
    track it asks for. Only a `ranked` protocol gives ranks. A `block` of images is the unit of work; it is part
    of the protocol because attacks share random draws inside it. `pursuit` names the attack that goes on to its
    last step at the headline ε, for figures that need how low a margin can go. Every `proof`-th image of a block
    is asked at every ε, to see whether the short way by bisection gives the same thresholds; None: no image is.
    """

    name: str
    version: int
    epsilons: tuple[str, ...]
    headline: str
    attacks: tuple[AttackSpec, ...]
    ranked: bool
    images: int | None = None
    block: int = 50
    seed: int = 20220310
    part: str = "test"
    pursuit: str | None = None
    proof: int | None = None

    def micro_batch(self, height: int, width: int) -> int:
        """How many images go through a model together: a block of 64×64, fewer of larger ones."""
        return max(1, self.block * 64 * 64 // (height * width))

    @property
    def grid(self) -> tuple[Decimal, ...]:
        """The ε grid as exact decimals, ascending."""
        return tuple(Decimal(epsilon) for epsilon in self.epsilons)

    def attack(self, name: str) -> AttackSpec:
        """The attack called `name`, or ProtocolError."""
        for spec in self.attacks:
            if spec.name == name:
                return spec
        raise ProtocolError(
            f"protocol {self.name!r} has no attack {name!r}; it has {', '.join(a.name for a in self.attacks)}"
        )

    def described(self) -> dict[str, Any]:
        """Everything, as plain data for a record."""
        described = asdict(_plain(self))
        described["attacks"] = [asdict(_plain(spec)) for spec in self.attacks]
        return json.loads(json.dumps(described))

    @property
    def sha256(self) -> str:
        """Of all of it, the engine number included: 64 hexadecimal digits."""
        text = json.dumps([ENGINE, self.described()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _plain(item: Any) -> Any:
    """A copy whose mappings are dicts, which `asdict` can copy."""
    from dataclasses import replace

    copy = replace(item)
    if isinstance(item, AttackSpec):
        object.__setattr__(copy, "parameters", dict(item.parameters))
    else:
        object.__setattr__(copy, "attacks", ())
    return copy


NOISE = AttackSpec(
    "noise",
    "Noise control",
    "sign_noise",
    "grid",
    {"draws": 5},
    white_box=False,
    source="random ±ε signs; Carlini et al. 2019, arXiv 1902.06705",
)
FGSM = AttackSpec("fgsm", "FGSM", "FGSM", "grid", {}, source="Goodfellow et al. 2015, arXiv 1412.6572")
BIM = AttackSpec(
    "bim",
    "BIM-10",
    "BIM",
    "grid",
    {"steps": 10},
    step=0.1,
    source="Kurakin et al. 2017, arXiv 1607.02533; step of Joel et al. 2022",
)
PGD = AttackSpec(
    "pgd",
    "PGD-10 × 20",
    "PGD",
    "bisection",
    {"steps": 10, "random_start": True},
    step=0.25,
    starts=20,
    source="Madry et al. 2018, arXiv 1706.06083; steps and starts of Joel et al. 2022",
)
APGD = AttackSpec(
    "apgd",
    "APGD-100",
    "APGD",
    "bisection",
    {"norm": "Linf", "steps": 100, "n_restarts": 1, "loss": "ce", "eot_iter": 1, "rho": 0.75},
    source="Croce & Hein 2020, arXiv 2003.01690",
)
FAB = AttackSpec(
    "fab",
    "FAB-T-100",
    "FAB",
    "minimum",
    {
        "norm": "Linf",
        "steps": 100,
        "n_restarts": 1,
        "alpha_max": 0.1,
        "eta": 1.05,
        "beta": 0.9,
        "multi_targeted": True,
        "n_classes": 2,
    },
    source="Croce & Hein 2020, arXiv 1907.02044",
)
SQUARE = AttackSpec(
    "square",
    "Square-1000",
    "Square",
    "survivors",
    {
        "norm": "Linf",
        "n_queries": 1000,
        "n_restarts": 1,
        "p_init": 0.8,
        "loss": "margin",
        "resc_schedule": True,
    },
    epsilons=("0.002", "0.004"),
    white_box=False,
    source="Andriushchenko et al. 2020, arXiv 1912.00049",
)


def _with(
    spec: AttackSpec,
    title: str,
    starts: int | None = None,
    epsilons: tuple[str, ...] | None = None,
    **parameters: Any,
) -> AttackSpec:
    from dataclasses import replace

    return replace(
        spec,
        title=title,
        starts=starts or spec.starts,
        epsilons=spec.epsilons if epsilons is None else epsilons,
        parameters={**spec.parameters, **parameters},
    )


GRID = ("0.0005", "0.001", "0.002", "0.003", "0.004", "0.006", "0.008", "0.012", "0.02")

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "standard",
            2,
            GRID,
            "0.004",
            (NOISE, FGSM, BIM, PGD, APGD, FAB, SQUARE),
            ranked=True,
            pursuit="apgd",
            proof=25,
        ),
        Protocol(
            "thorough",
            1,
            GRID,
            "0.004",
            (
                NOISE,
                FGSM,
                _with(BIM, "BIM-20", steps=20),
                _with(PGD, "PGD-20 × 20", steps=20),
                _with(APGD, "APGD-200 × 5", starts=5, steps=200),
                _with(FAB, "FAB-T-200", steps=200),
                _with(SQUARE, "Square-5000", n_queries=5000),
            ),
            ranked=False,
            part="large",
            pursuit="apgd",
            proof=25,
        ),
        Protocol(
            "quick",
            2,
            ("0.002", "0.004", "0.008"),
            "0.004",
            (
                NOISE,
                FGSM,
                BIM,
                _with(PGD, "PGD-10 × 3", starts=3),
                _with(APGD, "APGD-40", steps=40),
                _with(SQUARE, "Square-300", epsilons=("0.004",), n_queries=300),
            ),
            ranked=False,
            images=64,
            block=32,
        ),
    )
}

FULL_GRID = "-full-grid"


def full_grid(protocol: Protocol) -> Protocol:
    """The same protocol with every attack asked about every image at every ε: the reference, many times dearer."""
    from dataclasses import replace

    attacks = tuple(
        replace(spec, search="grid") if spec.search == "bisection" else spec for spec in protocol.attacks
    )
    return replace(
        protocol, name=protocol.name + FULL_GRID, attacks=attacks, ranked=False, pursuit=None, proof=None
    )


def get_protocol(name: str | Protocol) -> Protocol:
    """The protocol called `name`, "-full-grid" at its end asking every ε; a Protocol is returned as it is.

    Raises:
        ProtocolError: there is none of that name.
    """
    if isinstance(name, Protocol):
        return name
    if name.removesuffix(FULL_GRID) not in PROTOCOLS:
        raise ProtocolError(f"unknown protocol {name!r}; expected one of {', '.join(PROTOCOLS)}")
    found = PROTOCOLS[name.removesuffix(FULL_GRID)]
    return full_grid(found) if name.endswith(FULL_GRID) else found
