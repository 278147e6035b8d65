"""Does the gradient lead anywhere? What white-box attacks need, and what a masked model lacks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from benchmark.attacks.battery import propose
from benchmark.attacks.two_class import margins
from benchmark.evaluation.health.outcomes import COUNT, SHARE
from benchmark.evaluation.health.probes import Probes, spread
from benchmark.protocol import AttackSpec
from benchmark.record import Flag
from benchmark.threat_model import ThreatModel, parse_epsilon

# One step of these sizes (of the headline ε) along the gradient must lower the margin as the gradient promises,
# at one of them at least: the largest is where curvature shows, the smallest where float32 does.
STEPS = (1 / 4, 1 / 16, 1 / 64)
# Of what was promised. A true gradient gives 1 for small steps, a flat one 0, a reversed one −1.
KEPT = (0.5, 2.0)
# Of the probed images: a kink or a maximum near by may spoil single ones. Of the honest models tried none had any.
MISLED = 0.1

DIRECTIONS, STEADY = 100, 8  # random directions (as many as IoAF takes), images
# Mean relative change of the margin. An image that is unbroken at ε has a margin above ε‖∇‖₁ where the model is
# nearly linear, and uniform noise moves it by ε‖∇‖₂/√3: a tenth of it would need all of the gradient in 33 pixels.
# The honest models tried: up to 0.033.
UNSTEADY = 0.1

# ε where nothing recognisable need be left, in steps that do not grow with it. IoAF and Athalye et al. 2018 ask
# that unbounded attacks reach zero.
WALK = AttackSpec("walk", "", "BIM", "grid", {"steps": 50}, step=0.02)
HUNT = AttackSpec(
    "hunt",
    "",
    "APGD",
    "grid",
    {"norm": "Linf", "steps": 50, "n_restarts": 1, "loss": "ce", "eot_iter": 1, "rho": 0.75},
)
LARGE = (0.5, 1.0)


def vanishing(probes: Probes) -> Iterator[Flag]:
    """An exactly zero gradient of the margin, where an attack starts, where it may start, and where it ended."""
    if probes.constant:
        return
    places = {"clean": probes.images, "random start": probes.noisy, "last iterate": _ends(probes)}
    share = dict.fromkeys(places, 0.0)
    for place, images in places.items():
        if not probes.right.any():
            continue
        _, gradient = probes.slopes(images[probes.right], probes.labels[probes.right])
        if gradient is None:
            share[place] = 1.0
        else:
            steepest = gradient.flatten(1).abs().amax(1)
            share[place] = float((~torch.isfinite(steepest) | (steepest == 0)).float().mean())
    worst = max(share, key=lambda place: share[place])
    if share[worst] > SHARE:
        yield Flag(
            "zero-gradient",
            "doubt",
            share[worst],
            SHARE,
            f"the logit gap has no gradient at {share[worst]:.1%} of the images ({worst}): gradient attacks are blind here",
        )


def _ends(probes: Probes) -> Tensor:
    """The images of lowest margin that the evaluation found, or what a few steps find."""
    if probes.evidence.worst is not None:
        return torch.from_numpy(np.asarray(probes.evidence.worst)[probes.rows]).to(probes.device)
    images = probes.images
    for _ in range(3):
        _, gradient = probes.slopes(images, probes.labels)
        if gradient is None:
            break
        images = images - probes.epsilon / 3 * gradient.nan_to_num(0).sign()
    return images.clamp(0, 1)


def misleading(probes: Probes) -> Iterator[Flag]:
    """A small step along the gradient must do what the gradient says: seen on the judge, clean and at a random start."""
    if probes.constant or not probes.right.any():
        return
    labels = probes.labels[probes.right]
    misled = torch.zeros(0, device=probes.device)
    for images in (probes.images[probes.right], probes.noisy[probes.right]):
        margin, gradient = probes.slopes(images, labels)
        if gradient is None:
            return  # said by `vanishing`
        good = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        for step in STEPS:
            moved = (images - step * probes.epsilon * gradient.sign()).clamp(0, 1)
            promised = ((moved - images).double() * gradient).flatten(1).sum(1)
            found = margins(probes.gaps(probes.judge, moved), labels).double() - margin
            kept = found / promised
            good |= (kept > KEPT[0]) & (kept < KEPT[1])
        misled = torch.cat([misled, (~good).float()])
    share = float(misled.mean())
    if share > MISLED:
        yield Flag(
            "misleading-gradient",
            "doubt",
            share,
            MISLED,
            f"at {share:.1%} of the images a small step along the gradient does not do what the gradient says: it is "
            "wrong, or there is none",
        )


def unreachable(probes: Probes) -> Iterator[Flag]:
    """With ε so large that nothing binds, gradient attacks must break every image that was right."""
    if probes.constant:
        return
    images, labels = probes.images[probes.right], probes.labels[probes.right]
    count = len(images)
    left: dict[float, int] = {}
    for epsilon in LARGE:
        for spec in (WALK, HUNT):
            if not len(images):
                break
            standing = _standing(probes, spec, images, labels, epsilon)
            images, labels = images[standing], labels[standing]
        left[epsilon] = len(images)
    if left[LARGE[0]]:
        yield Flag(
            "large-epsilon",
            "doubt",
            left[LARGE[0]] / count,
            0.0,
            f"gradient attacks leave {left[LARGE[0]]} of {count} images right even at ε = {LARGE[0]:g}, and "
            f"{left[LARGE[1]]} at {LARGE[1]:g}: they do not find what must be there",
        )


def _standing(probes: Probes, spec: AttackSpec, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """Which images an attack leaves right at ε: (n,) bool. The walk's steps are 1 % of the range at either ε."""
    threat, found = ThreatModel(parse_epsilon(epsilon)), []
    size, seed = probes.micro_batch, probes.protocol.seed
    for chunk, truth in zip(images.split(size), labels.split(size), strict=True):
        proposed = propose(spec, probes.attacked, probes.scale, chunk, truth, epsilon, seed).images
        gaps = probes.gaps(probes.judge, threat.project(chunk, proposed))
        found.append(margins(gaps, truth) > 0)
    return torch.cat(found)


def unsteady(probes: Probes) -> Iterator[Flag]:
    """Random directions in the ball should barely move the margin of an image that no attack could turn."""
    rows = spread(np.flatnonzero(probes.unbroken), STEADY)
    if len(rows) < COUNT:
        return
    images, labels = probes.decoded(rows), probes.labels_of(rows)
    before = margins(probes.gaps(probes.judge, images), labels)
    changes = []
    for draw in range(DIRECTIONS):
        moved = (images + probes.epsilon * probes.noise(images, draw + 1)).clamp(0, 1)
        after = margins(probes.gaps(probes.judge, moved), labels)
        changes.append(((after - before).abs() / before.abs()).nan_to_num(1, 1).clamp(max=1))
    value = float(torch.stack(changes).mean())
    if value > UNSTEADY:
        yield Flag(
            "unsteady",
            "doubt",
            value,
            UNSTEADY,
            f"random directions inside the ball move the margin of unbroken images by {value:.0%} on average: the "
            "loss is too rough for its gradient to lead",
        )
