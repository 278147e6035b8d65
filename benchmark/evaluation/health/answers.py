"""Is it a function? One image, one answer: whoever asks, whenever, in whatever company, with or without a gradient.

And an answer of the right kind: logits, that lie close together for images that do.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.attacks.two_class import margins
from benchmark.evaluation.health.probes import LOGIT_TOLERANCE, Probes
from benchmark.record import Flag

SATURATED_GAP = 16.0  # float32 cross-entropy loses its true-logit half above this (23 bits: ln 2^23 = 15.9)
PROBABILITY = 1e-5  # rows that sum to 1 within this are probabilities (check_range_output of AutoAttack)
LATER = 200  # further questions, after which the answers must still be the first ones
# Of T, by a change below half a 16-bit grey level. Along the gradient itself such a change moves the steepest
# reference entry by 0.04 T; at random, as here, the steepest of the honest models tried moved by 0.0005 T.
JUMP = 0.1


def saturation(probes: Probes) -> Iterator[Flag]:
    """Would plain cross-entropy have been fooled?"""
    saturated = int((np.abs(probes.clean) > SATURATED_GAP).sum())
    if saturated:
        yield Flag(
            "saturated-cross-entropy",
            "notice",
            saturated / len(probes.clean),
            0.0,
            f"plain cross-entropy would saturate on {saturated} of {len(probes.clean)} images "
            f"(logit gap above {SATURATED_GAP:g}); "
            "the attacks here run on a rescaled gap and are not fooled by it",
        )


def constancy(probes: Probes) -> Iterator[Flag]:
    """Is there anything to attack?"""
    if probes.constant:
        yield Flag(
            "constant",
            "notice",
            0.0,
            1e-6,
            "every image gets the same answer: nothing can change it, so robust accuracy is clean accuracy, and the "
            "checks of gradients do not apply",
        )


def repeated(probes: Probes) -> Iterator[Flag]:
    """The same question again, alone, and with a gradient: on the images themselves and beside them."""
    change = {"random": 0.0, "batch-dependent": 0.0, "attack-aware": 0.0}
    for images in (probes.images, probes.noisy):
        first = probes.gaps(probes.judge, images)
        for check, again in (
            ("random", probes.gaps(probes.judge, images)),
            ("batch-dependent", torch.cat([probes.gaps(probes.judge, image[None]) for image in images])),
            ("attack-aware", _with_gradient(probes, images)),
        ):
            change[check] = max(change[check], float((first - again).abs().max()) / probes.scale)
    sentences = {
        "random": "the same images get other logits when asked again: the model is random or keeps state",
        "batch-dependent": "an image's logits depend on the other images of its batch",
        "attack-aware": "the model answers otherwise when its gradient is asked for",
    }
    for check, value in change.items():
        if value > LOGIT_TOLERANCE:
            yield Flag(check, "doubt", value, LOGIT_TOLERANCE, sentences[check])
            if check == "random":  # explains the other two
                return


def _with_gradient(probes: Probes, images: Tensor) -> Tensor:
    margin, _ = probes.slopes(images, probes.labels)
    return margins(margin, probes.labels)  # a margin's margin is the gap


def lasting(probes: Probes) -> Iterator[Flag]:
    """Comes last: after all these questions the first images get the answers that the record holds.

    What the checks have asked by then is a few hundred calls; `LATER` more see to it that state which is counted in
    calls shows.
    """
    buffers = [buffer.clone() for buffer in probes.judge.buffers()]
    one = probes.images[:1]
    for _ in range(LATER):
        probes.gaps(probes.judge, one)
    change = 0.0
    recorded = torch.from_numpy(probes.clean[probes.rows]).to(probes.device)
    for model in (probes.judge, probes.attacked):
        margin = margins(probes.gaps(model, probes.images), probes.labels)
        change = max(change, float((margin - recorded).abs().max()) / probes.scale)
    if change > LOGIT_TOLERANCE:
        yield Flag(
            "stateful",
            "doubt",
            change,
            LOGIT_TOLERANCE,
            "after the attacks the clean images get other logits than before: the model keeps state",
        )
    changed = sum(not torch.equal(old, new) for old, new in zip(buffers, probes.judge.buffers(), strict=True))
    if changed:
        yield Flag(
            "changing-buffers",
            "doubt",
            float(changed),
            0.0,
            f"answering changes {changed} of the model's buffers, as batch normalisation does in training",
        )


def modes(probes: Probes) -> Iterator[Flag]:
    """Dropout and batch normalisation answer otherwise in training, and must not be left in it."""
    kinds = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    training = sum(isinstance(layer, kinds) and layer.training for layer in probes.judge.modules())
    if training:
        yield Flag(
            "training-mode",
            "doubt",
            float(training),
            0.0,
            f"{training} layers of dropout or batch normalisation stay in training mode after eval()",
        )


def kind(probes: Probes) -> Iterator[Flag]:
    """Logits, or what has been made of them?"""
    with torch.no_grad():
        logits = torch.cat([probes.judge(images) for images in probes.images.split(probes.micro_batch)])
    if logits.shape[1] == 1:
        if not probes.constant and bool(((logits > 0) & (logits < 1)).all()):
            yield Flag(
                "probabilities",
                "notice",
                1.0,
                0.0,
                "every answer lies between 0 and 1: if these are probabilities, all of them mean disease; return "
                "logits, where z > 0 means disease",
            )
        return
    off = float(torch.maximum((logits.sum(1) - 1).abs(), torch.relu(-logits).amax(1)).max())
    if off < PROBABILITY:
        yield Flag(
            "probabilities",
            "doubt",
            off,
            PROBABILITY,
            "the model returns probabilities, not logits: its gradient can vanish",
        )


def continuity(probes: Probes) -> Iterator[Flag]:
    """Images that no 16-bit file can tell apart get the same answer, if images and not names decide."""
    change = (
        probes.gaps(probes.judge, probes.next_door) - probes.gaps(probes.judge, probes.images)
    ).abs() / probes.scale
    value = float(change.max())
    if value > JUMP:
        yield Flag(
            "discontinuous",
            "doubt",
            value,
            JUMP,
            "a change below half a 16-bit grey level moves the logits by "
            f"{value:.2g} of their typical size: the images of the test part get answers of their own",
        )
