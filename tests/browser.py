"""A real browser for tests: Debian's chromium through playwright, and a board large enough to be slow."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from test_leaderboard import make

from benchmark.record import Record

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def large_board(entries: int, modalities: tuple[str, ...] = ("ct", "mammogram", "mri")) -> list[Record]:
    """Records of many entries, of several kinds, on every modality."""
    draw, found = np.random.default_rng(7), []
    for modality in modalities:
        for number in range(entries):
            adversarial = number % 3 > 0
            found.append(
                make(
                    f"entry-{number:03d}",
                    modality,
                    strength=float(draw.uniform(0.001, 0.02)),
                    seed=number,
                    title=f"Entry {number}, {'adversarially' if adversarial else 'naively'} trained",
                    architecture=("vgg16-slim", "resnet8-gn", "timm:convnext_nano")[number % 3],
                    authors=[f"Author {number}"],
                    training={
                        "kind": "adversarial" if adversarial else "naive",
                        "attack": "PGD-10, step ε/4, random start" if adversarial else "",
                        "epsilon": "0.004" if adversarial else "",
                        "external_data": ["ImageNet"] if number % 3 == 2 else [],
                    },
                )
            )
    return found


# A shadow behind a table would keep axe from telling whether its text stands out.
NO_SHADOWS = "document.querySelectorAll('.scroll').forEach(each => { each.style.background = 'none' })"


def address(site: Path, page: str, view: str = "") -> str:
    """The file: address of a page, as one who opens it from disk sees it."""
    return (site / page).resolve().as_uri() + (f"#{view}" if view else "")
