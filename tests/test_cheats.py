"""Submissions that keep the letter of the contract and cheat: each is in doubt for the right reason, none gains a rank."""

from pathlib import Path

import numpy as np
import pytest
import torch
from models import APGD, BIM, FGSM, NOISE, Linear, make_split, oracle_split, small_protocol
from safetensors.torch import save

from benchmark import evaluate
from benchmark.data.split import LEVELS
from benchmark.isolation import sandbox
from benchmark.submission import load_submission

SOURCE = (Path(__file__).parent / "rogues" / "cheats.py").read_text("utf-8")
SMALL = small_protocol(
    NOISE, FGSM, BIM, APGD, block=20, images=20, ranked=True
)  # the cheap health checks alone

pytestmark = pytest.mark.skipif(bool(sandbox.complaint()), reason=f"no sandbox here: {sandbox.complaint()}")


@pytest.fixture
def judged(make_code):
    """judged(name of a class): its record."""

    def judge(cheat):
        folder = make_code(cheat.lower(), f"{SOURCE}\n\ndef build(modality):\n    return {cheat}()\n")
        return evaluate(load_submission(folder, "ct", "toy"), oracle_split(Linear()), SMALL, progress=False)

    return judge


def doubts(record):
    return {flag.id for flag in record.flags if flag.severity == "doubt"}


def test_an_honest_one_has_the_record_that_it_would_have_without_walls(judged):
    split, bare = oracle_split(Linear()), evaluate(Linear(), oracle_split(Linear()), SMALL, progress=False)

    record = judged("Honest")

    assert doubts(record) == set()
    assert record.provenance["isolation"].startswith("bubblewrap ")
    assert record.provenance["verified"]
    np.testing.assert_array_equal(record.clean_margins, bare.clean_margins)
    for name, result in record.attacks.items():
        np.testing.assert_array_equal(result.linf, bare.attacks[name].linf)
        assert (result.forward, result.backward) == (bare.attacks[name].forward, bare.attacks[name].backward)
        for epsilon, margins in result.margins.items():
            np.testing.assert_allclose(margins, bare.attacks[name].margins[epsilon], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(record.lowest_margins, bare.lowest_margins, rtol=1e-4, atol=1e-4) if (
        record.lowest_margins is not None
    ) else None
    assert (record.minimal_epsilon >= Linear().smallest_epsilon(split) * 0.999).all()


def test_a_model_that_writes_over_its_images_changes_no_number(judged):
    """They lie in memory that the harness shares, and never reads again."""
    honest, other = judged("Honest"), judged("Overwrites")

    assert doubts(other) == set()
    np.testing.assert_array_equal(honest.clean_margins, other.clean_margins)
    for name, result in honest.attacks.items():
        np.testing.assert_array_equal(result.linf, other.attacks[name].linf)
        for epsilon, margins in result.margins.items():
            np.testing.assert_array_equal(margins, other.attacks[name].margins[epsilon])


def unseen():
    """Images that are none of the test part, with the labels that the honest model gives them."""
    images = 0.5 + 0.02 * np.random.default_rng(9).standard_normal((40, 1, 16, 16))
    with torch.no_grad():
        logits = Linear()(torch.from_numpy(np.rint(images * LEVELS) / LEVELS).float())
    return make_split(images, (logits[:, 1] > logits[:, 0]).long().numpy(), part="validation")


@pytest.mark.parametrize(
    ("cheat", "reasons"), [("NearestImage", {"nearest-image"}), ("SureNearKnown", {"robust-on-known-images"})]
)
def test_who_has_the_test_part_by_heart_is_in_doubt(make_code, cheat, reasons):
    split, honest = oracle_split(Linear()), Linear()
    images, labels = split.batch()
    brought = {"weight": honest.weight.detach(), "bias": honest.bias.detach()}
    brought |= {"known": images, "truth": 2.0 * labels - 1}
    folder = make_code("cheat", f"{SOURCE}\n\ndef build(modality):\n    return {cheat}()\n", save(brought))
    model = load_submission(folder, "ct", "toy")

    record = evaluate(model, split, SMALL, progress=False, validation=unseen())

    assert record.robust_accuracy("0.004") == 1  # or there would be nothing to find out
    assert reasons <= doubts(record)
    assert not record.ranked


@pytest.mark.parametrize(
    ("cheat", "reasons"),
    [
        ("FromGradients", {"remembers"}),
        ("KnowsTheTestPart", {"discontinuous"}),
        ("RandomElsewhere", {"discontinuous", "random", "remembers"}),
        ("WrongGradient", {"wrong-gradient", "misleading-gradient"}),
        ("ScrambledGradient", {"wrong-gradient"}),
        ("ByBatch", {"batch-dependent"}),
        ("BySize", {"batch-dependent"}),
        ("ByOrder", {"remembers"}),
        ("OtherColumns", {"wrong-gradient"}),
        ("ByCalls", {"remembers"}),
        ("ByTime", {"remembers"}),
        ("WhenAsked", {"remembers", "attack-aware"}),
        ("Remembers", {"remembers"}),
    ],
)
def test_a_cheat_is_in_doubt_for_its_reason_and_takes_no_rank(judged, cheat, reasons):
    record = judged(cheat)

    assert reasons <= doubts(record)
    assert not record.ranked
