"""When not to believe a robust accuracy (Carlini et al. 2019; Athalye et al. 2018; Croce & Hein 2020).

A notice informs; a doubt takes the rank away. Tolerances on logits scale with T.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.attacks.two_class import gap
from benchmark.data.split import Split
from benchmark.evaluation.arena import Tally
from benchmark.evaluation.judge import clean_gaps
from benchmark.protocol import Protocol
from benchmark.record import Flag

SATURATED_GAP = 16.0  # float32 cross-entropy loses its true-logit half above this
LOGIT_TOLERANCE = 1e-3  # of T
SHARE, COUNT = 0.01, 3  # an attack is outdone by another on more than this share and at least so many images
PROBED = 32  # images looked at closely
FRESH = 1000  # images drawn anew to see whether the test part was learnt by heart
STANDARD_ERRORS = 3.0


def health_checks(
    judge: nn.Module,
    split: Split,
    protocol: Protocol,
    clean: np.ndarray,
    scale: float,
    tallies: Mapping[str, Tally],
    identity: str,
    device: torch.device,
) -> list[Flag]:
    """Every check that gives a flag, in a fixed order.

    Args:
        judge: the model that judged. split: what it was judged on.
        clean: (N,) clean margins. scale: T. tallies: what each attack achieved.
        identity: of the model; seeds the fresh images, so that nobody can know them beforehand.
    """
    images, _ = split.batch(0, PROBED)
    images = images.to(device)
    flags = [*_saturation(clean), *_logits(judge, images, scale), *_gradient(judge, images)]
    flags += _outdone(protocol, clean, tallies)
    if split.track == "phantom":
        flags += _memorised(judge, split, clean, identity, protocol, device)
    return flags


def _saturation(clean: np.ndarray) -> Iterator[Flag]:
    share = float((np.abs(clean) > SATURATED_GAP).mean())
    if share:
        yield Flag(
            "saturated-cross-entropy",
            "notice",
            share,
            0.0,
            f"plain cross-entropy would saturate on {share:.0%} of the images (logit gap above {SATURATED_GAP:g}); "
            "the attacks here run on a rescaled gap and are not fooled by it",
        )


def _logits(judge: nn.Module, images: Tensor, scale: float) -> Iterator[Flag]:
    with torch.no_grad():
        logits = judge(images)
        gaps, again = gap(logits), gap(judge(images))
        alone = torch.cat([gap(judge(image[None])) for image in images])
    for check, other, sentence in (
        (
            "random",
            again,
            "the same images get other logits when asked again: the model is random or keeps state",
        ),
        ("batch-dependent", alone, "an image's logits depend on the other images of its batch"),
    ):
        change = float((gaps - other).abs().max()) / scale
        if change > LOGIT_TOLERANCE:
            yield Flag(check, "doubt", change, LOGIT_TOLERANCE, sentence)
    if logits.shape[1] == 2:
        off = float(torch.maximum((logits.sum(1) - 1).abs(), torch.relu(-logits).amax(1)).max())
        if off < 1e-5:
            yield Flag(
                "probabilities",
                "doubt",
                off,
                1e-5,
                "the model returns probabilities, not logits: its gradient can vanish",
            )


def _gradient(judge: nn.Module, images: Tensor) -> Iterator[Flag]:
    with torch.enable_grad():
        asked = images.clone().requires_grad_(True)
        answer = gap(judge(asked)).sum()
        if not answer.requires_grad:
            share = 1.0
        else:
            (gradient,) = torch.autograd.grad(answer, asked, allow_unused=True)
            share = (
                1.0 if gradient is None else float((gradient.flatten(1).abs().amax(1) == 0).float().mean())
            )
    if share > SHARE:
        yield Flag(
            "zero-gradient",
            "doubt",
            share,
            SHARE,
            f"the logit gap has no gradient at {share:.0%} of the clean images: gradient attacks are blind here",
        )


def _outdone(protocol: Protocol, clean: np.ndarray, tallies: Mapping[str, Tally]) -> Iterator[Flag]:
    headline = float(protocol.headline)
    broke = {name: (clean > 0) & (tally.linf <= headline) for name, tally in tallies.items()}
    nothing = np.zeros(len(clean), bool)

    def union(names: list[str]) -> np.ndarray:
        return np.logical_or.reduce([broke[name] for name in names], initial=False) | nothing

    white = [spec.name for spec in protocol.attacks if spec.white_box]
    iterative = [name for name in white if name != "fgsm"]
    for check, strong, weak, sentence in (
        ("noise-beats-attack", ["noise"], white, "random noise breaks images that no white-box attack broke"),
        (
            "black-box-beats-white-box",
            ["square"],
            white,
            "a black-box attack breaks images that no white-box attack broke: gradients are masked",
        ),
        (
            "one-step-beats-iterative",
            ["fgsm"],
            iterative,
            "one step breaks images that iterative attacks did not break",
        ),
    ):
        present = [name for name in strong if name in broke]
        only = union(present) & ~union(weak)
        share = float(only.mean())
        if share > SHARE and only.sum() >= COUNT:
            yield Flag(
                check,
                "doubt",
                share,
                SHARE,
                f"{sentence} ({int(only.sum())} images at ε = {protocol.headline})",
            )


def _memorised(
    judge: nn.Module, split: Split, clean: np.ndarray, identity: str, protocol: Protocol, device: torch.device
) -> Iterator[Flag]:
    from benchmark.data.phantom import draw_split

    seed = int.from_bytes(hashlib.sha256(f"{identity}/{split.sha256}".encode()).digest()[:8], "little")
    fresh = draw_split(split.modality, "fresh", seed, FRESH)
    gaps = clean_gaps(judge, fresh, protocol.micro_batch(*split.image_size), device).numpy()
    known, new = float((clean > 0).mean()), float((np.where(fresh.labels == 1, gaps, -gaps) > 0).mean())
    pooled = (known * len(split) + new * FRESH) / (len(split) + FRESH)
    error = max((pooled * (1 - pooled) * (1 / len(split) + 1 / FRESH)) ** 0.5, 1e-9)
    if known - new > STANDARD_ERRORS * error:
        yield Flag(
            "memorised",
            "doubt",
            (known - new) / error,
            STANDARD_ERRORS,
            f"clean accuracy is {known:.3f} on the public test part and {new:.3f} on {FRESH} freshly drawn images: "
            "the test part seems to be known by heart",
        )
