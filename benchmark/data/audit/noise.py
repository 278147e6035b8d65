"""How noisy the images of a split are, measured on the images themselves: what an ε is to be compared with.

Readers of raw collections measure noise where they see whole slices or films; this is for splits of which only the
crops are there. In each block of 6 x 6 pixels a plane is fitted and taken away. The calmest tenth of an image's blocks
hold next to no structure; their SD, over the 0.75 of white noise's SD that its own calmest tenth has, is the noise.

Structure adds to it, so it is an upper bound. On phantom images of known noise it is right within 12 % where noise is
stronger than the finest texture (CT from 14 HU on, mammograms from 2 % of the range on) and at most 12 % too low
elsewhere. Where the calm blocks differ as noise alone never makes them differ, there is structure everywhere, as in
brains at 3 mm a pixel, and the answer is that it cannot be measured.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmark.data.split import LEVELS, Split
from benchmark.modality import get_modality

BLOCK, STRIDE = 6, 2  # pixels
CALM = 10  # percent of blocks
WHITE = 0.75  # SD of the calmest tenth of the blocks of white noise, over its SD
UNEVEN = 1.45  # 20th over 5th percentile of the blocks' SD; noise alone has 1.1 to 1.2
FEWEST = 20  # blocks
IMAGES = 200  # that are looked at


def image_noise(image: np.ndarray) -> float | None:
    """The noise of one image in [0, 1]; None where it cannot be told from structure.

    Blocks with a pixel near 0 or 1 are passed over: clipping and the air around a body take noise away.
    """
    rows, columns = np.mgrid[:BLOCK, :BLOCK]
    plane, _ = np.linalg.qr(np.stack([np.ones(BLOCK**2), rows.ravel(), columns.ravel()], axis=1))
    windows = np.lib.stride_tricks.sliding_window_view(image, (BLOCK, BLOCK))[::STRIDE, ::STRIDE]
    blocks = windows.reshape(-1, BLOCK**2)
    blocks = blocks[((blocks > 0.02) & (blocks < 0.98)).all(1)]
    if len(blocks) < FEWEST:
        return None
    rest = blocks - (blocks @ plane) @ plane.T
    spread = np.sort(np.sqrt((rest**2).sum(1) / (BLOCK**2 - 3)))
    fifth, twentieth = np.percentile(spread, (5, 20))
    if fifth < 1e-6 or twentieth > UNEVEN * fifth:
        return None
    return float(spread[: max(5, len(spread) * CALM // 100)].mean() / WHITE)


def split_noise(split: Split) -> float | None:
    """The median noise of a split's images, in [0, 1]; None where it cannot be measured on half of them."""
    some = np.linspace(0, len(split) - 1, min(IMAGES, len(split))).astype(int)
    found = [image_noise(split.images[i, 0].astype(np.float64) / LEVELS) for i in some]
    measured = [sigma for sigma in found if sigma is not None]
    return float(np.median(measured)) if 2 * len(measured) >= len(found) else None


def noise_notes(split: Split) -> dict[str, Any]:
    """What a split's notes say of its noise; what a reader measured on the raw data comes first.

    Returns:
        noise_sigma in [0, 1] and noise_sigma_unit in the unit of the window, both None where it cannot be measured,
        and noise_measured: how.
    """
    if split.notes.get("noise_sigma") is not None:
        return {key: split.notes[key] for key in ("noise_sigma", "noise_sigma_unit") if key in split.notes}
    sigma = split_noise(split)
    low, high = get_modality(split.modality).window(split.notes)
    return {
        "noise_sigma": sigma,
        "noise_sigma_unit": sigma and sigma * (high - low),
        "noise_measured": "cannot be told from structure"
        if sigma is None
        else "on calm blocks; an upper bound",
    }
