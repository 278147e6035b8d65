"""Does a submission's own code know the images of the test part, instead of what they show?

Architectures by name cannot look an image up; code can. On the phantom freshly drawn images say it too (`fresh`).

    shifted     whoever finds an image by its name loses it when it moves by a pixel
    elsewhere   whoever is sure near the images that he knows, and honest far from them, is robust there alone
    nearest     whoever answers by the nearest image that he knows has his border half-way between two of them
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from benchmark.attacks.two_class import margins
from benchmark.evaluation.arena import Arena
from benchmark.evaluation.health.fresh import FreshMargins, compared
from benchmark.evaluation.health.probes import PROBED, Probes, spread
from benchmark.protocol import AttackSpec
from benchmark.record import Flag

SHIFTED = 200  # images, at most
SMALLEST = 32  # pixels: of a smaller image one pixel is no small part
ATTACKED = 100  # images moved and attacked, at most
FEW = 20  # images of which a share says something
HALF_WAY, JUMPED = 0.05, 0.8  # of the way between two images; of the change along it
LOST = 0.1  # of the accuracy; the reference entries lose up to 0.025
STANDARD_ERRORS = 3.0


def shifted(probes: Probes) -> Iterator[Flag]:
    """Images moved by one pixel show the same; who finds them by name, or by what lies nearest, does not find them."""
    height, width = probes.split.image_size
    if not probes.evidence.own_code or probes.constant or min(height, width) < SMALLEST:
        return
    rows = spread(torch.arange(len(probes.split)).numpy(), SHIFTED)
    images, labels = probes.decoded(rows), probes.labels_of(rows)
    before = float((probes.clean[rows] > 0).mean())
    right = []
    for down, across in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        wide = torch.nn.functional.pad(images, (1, 1, 1, 1), mode="replicate")
        moved = wide[:, :, 1 + down : 1 + down + height, 1 + across : 1 + across + width].contiguous()
        right.append((margins(probes.gaps(probes.judge, moved), labels) > 0).float().mean())
    after = float(torch.stack(right).mean())
    error = max((before * (1 - before) / len(rows)) ** 0.5, 1 / len(rows))
    if before - after > max(LOST, STANDARD_ERRORS * error):
        yield Flag(
            "known-images",
            "doubt",
            before - after,
            max(LOST, STANDARD_ERRORS * error),
            f"clean accuracy is {before:.3f} on the test part and {after:.3f} when its images are moved by one pixel: "
            "they are known, rather than what they show",
        )


def elsewhere(probes: Probes) -> Iterator[Flag]:
    """The robustness of the test part is found on the same images moved by a pixel, and on images that nobody has seen."""
    spec = next((spec for spec in probes.protocol.attacks if spec.name == "bim"), None)
    if not probes.evidence.own_code or probes.constant or spec is None:
        return
    reached = probes.tallies["bim"].linf
    robust = (probes.clean > 0) & (reached > probes.epsilon)
    rows = spread(np.arange(len(probes.split)), ATTACKED)
    others = []
    if min(probes.split.image_size) >= SMALLEST and len(rows) >= FEW:
        moved = torch.roll(probes.decoded(rows), 1, 3)  # what leaves on one side comes in on the other
        names = [probes.split.patient_ids[row] for row in rows]
        told = "when its images are moved by one pixel"
        others.append((moved, probes.labels_of(rows), names, robust[rows], told))
    other = probes.evidence.other
    if other is not None:
        taken = spread(np.arange(len(other)), ATTACKED)
        images, labels = (tensor.to(probes.device) for tensor in other.chosen(taken).batch())
        names = [other.patient_ids[row] for row in taken]
        others.append((images, labels, names, robust, f"on {len(taken)} images of {other.name}"))
    for images, labels, names, known, told in others:
        margins_there = attacked(probes, spec, images, labels)
        _, patients = np.unique(names, return_inverse=True)
        share, new, error = compared(known, [FreshMargins(margins_there, patients)])
        if share - new > max(LOST, STANDARD_ERRORS * error):
            yield Flag(
                "robust-on-known-images",
                "doubt",
                share - new,
                max(LOST, STANDARD_ERRORS * error),
                f"against BIM at the headline ε accuracy is {share:.3f} on the test part and {new:.3f} {told}: "
                "its robustness is that of images which are known by heart",
            )
            return


def attacked(probes: Probes, spec: AttackSpec, images: Tensor, labels: Tensor) -> np.ndarray:
    """Margins (n,) of other images, (n, 1, H, W), after one attack at the headline ε; of a wrong answer the clean one."""
    clean = margins(probes.gaps(probes.judge, images), labels).cpu().numpy()
    arena = Arena(probes.attacked, probes.judge, images, labels, clean, probes.scale, probes.protocol, 0)
    found = clean.copy()
    right = np.flatnonzero(clean > 0)
    found[right] = arena.attempt(spec, right, arena.headline)
    return found


def nearest(probes: Probes) -> Iterator[Flag]:
    """From an image to the nearest of another answer: a model that knows only them changes its mind half-way, at once."""
    if not probes.evidence.own_code or probes.constant:
        return
    rows = spread(np.arange(len(probes.split)), SHIFTED)
    gaps = torch.from_numpy(np.where(probes.split.labels == 1, probes.clean, -probes.clean)[rows])
    images = probes.decoded(rows)
    apart = torch.cdist(images.flatten(1), images.flatten(1)).cpu()
    apart[(gaps > 0)[:, None] == (gaps > 0)[None]] = torch.inf
    first = torch.from_numpy(spread(np.flatnonzero(torch.isfinite(apart.amin(1)).numpy()), PROBED))
    if len(first) < FEW // 2:
        return
    second = apart[first].argmin(1)
    way = (images[second] - images[first]) / 2
    middle = images[first] + way
    before, after = (
        probes.gaps(probes.judge, middle + 2 * step * way).cpu() for step in (-HALF_WAY, HALF_WAY)
    )
    whole = (gaps[second] - gaps[first]).abs().clamp_min(1e-12)
    jumped = float(((after - before).abs() / whole).median())
    if jumped > JUMPED:
        yield Flag(
            "nearest-image",
            "doubt",
            jumped,
            JUMPED,
            f"{jumped:.0%} of the way between the answers to two images of the test part is gone in the tenth of their "
            "distance that lies half-way: the nearest known image answers, rather than what is seen",
        )
