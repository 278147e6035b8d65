"""Does a submission's own code know the images of the test part, instead of what they show?

Architectures by name cannot look an image up; code can. On the phantom freshly drawn images say it too (`fresh`).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmark.attacks.two_class import margins
from benchmark.evaluation.health.probes import Probes, spread
from benchmark.record import Flag

SHIFTED = 200  # images, at most
SMALLEST = 32  # pixels: of a smaller image one pixel is no small part
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
