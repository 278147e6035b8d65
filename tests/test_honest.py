"""Models that hide nothing are never in doubt.

All seeds, and the committed table of what came of each (nineteen rows took 7 minutes beside other
work; rows that are there are not made again):

    ONCOROBUST_HONEST=tests/honest_models.csv pytest tests/test_honest.py
"""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from honest_models import HONEST, MODALITIES, SHORT, halved, judged_images, trained, training_images

from benchmark.attacks.two_class import gap, margins
from benchmark.data.phantom import draw_split
from benchmark.data.tracks import load_split
from benchmark.evaluation import evaluate
from benchmark.evaluation.health.fresh import FRESH, FreshMargins, memorised

SEEDS = 20
# All hidden units of this one are dead around 6 % of the images (it answers 53 % rightly): the gradient there is exactly
# 0, no gradient attack can start, and to say so is what the check is for.
DEAD = {("mlp-adversarial", "13", "zero-gradient")}
LOG = os.environ.get("ONCOROBUST_HONEST")


def modality_of(name, seed):
    """Each model meets each modality in turn."""
    return MODALITIES[(list(HONEST).index(name) + seed) % len(MODALITIES)]


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_model_is_not_in_doubt(name):
    modality = modality_of(name, 0)
    model = trained(name, modality, 0)
    images, labels = training_images(modality)
    with torch.no_grad():
        learnt = float((margins(gap(model(images)), labels) > 0).float().mean())

    record = evaluate(model, judged_images(modality), SHORT)

    assert [flag for flag in record.flags if flag.severity == "doubt"] == []
    assert learnt > 0.6  # no honest model answers at random,
    right = record.clean_correct
    assert (
        record.attacks["bim"].margins["0.008"][right] < record.clean_margins[right]
    ).all()  # none is spared


@pytest.mark.skipif(LOG is None, reason="takes minutes; set ONCOROBUST_HONEST to a file for its table")
def test_no_honest_model_is_in_doubt_over_twenty_seeds():
    assert LOG
    path, done = Path(LOG), set()
    if path.exists():  # goes on where it stopped
        with path.open() as file:
            done = {(row["model"], row["seed"]) for row in csv.DictReader(file)}
    for seed in range(SEEDS):
        for name in HONEST:
            if (name, str(seed)) in done:
                continue
            modality = modality_of(name, seed)
            model = trained(name, modality, seed)
            record = evaluate(model, judged_images(modality), SHORT)
            flags = [*record.flags, *known_by_heart(model, modality)]
            row = {
                "model": name,
                "seed": seed,
                "modality": modality,
                "clean": f"{record.clean_accuracy:.3f}",
                "robust": f"{record.robust_accuracy('0.004'):.3f}",
                "doubts": " ".join(f"{f.id}={f.value:.3g}" for f in flags if f.severity == "doubt"),
                "notices": " ".join(f"{f.id}={f.value:.3g}" for f in flags if f.severity == "notice"),
            }
            with path.open("a", newline="") as file:
                writer = csv.DictWriter(file, row, lineterminator="\n")
                if file.tell() == 0:
                    writer.writeheader()
                writer.writerow(row)
    with path.open() as file:
        rows = list(csv.DictReader(file))

    assert len(rows) == SEEDS * len(HONEST)
    doubts = [
        (row["model"], row["seed"], doubt.partition("=")[0])
        for row in rows
        for doubt in row["doubts"].split()
    ]
    assert set(doubts) == DEAD


DRAWN = {}


def known_by_heart(model, modality):
    """Rule 14 on the whole test part; one draw serves all models, which have seen none of it."""
    if modality not in DRAWN:
        DRAWN[modality] = (halved(load_split(modality)), halved(draw_split(modality, "fresh", 20, FRESH)))
    found = []
    for split in DRAWN[modality]:
        images, labels = split.batch()
        with torch.no_grad():
            found.append(margins(gap(model(images)), labels).numpy())
    _, patients = np.unique(DRAWN[modality][1].patient_ids, return_inverse=True)
    return list(memorised(found[0], [FreshMargins(found[1], patients)]))
