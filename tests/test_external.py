"""Adversarial images from outside: refused where they cheat, judged where they do not, credited where they succeed."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from models import NOISE, Linear, oracle_split, small_protocol
from safetensors.torch import save

from benchmark import models
from benchmark.errors import DataError
from benchmark.evaluation import evaluate
from benchmark.evaluation.external import judge_external, save_external
from benchmark.evidence.best_known import best_known
from benchmark.evidence.files import add_external, beside, read_external
from benchmark.protocol import PROTOCOLS
from benchmark.submission import load_submission

EPSILON = 0.004
NAME, LINK = "A. Breaker", "https://example.org/attack"
RECORDS = {}


@pytest.fixture
def weak(make_submission, monkeypatch):
    """A linear submission, its split, and a record of noise alone."""
    monkeypatch.setitem(models.ARCHITECTURES, "linear", Linear)
    monkeypatch.setitem(PROTOCOLS, "weak", small_protocol(NOISE, name="weak"))
    make_submission("oracle", architecture="linear", more="", weights=[Linear().state_dict()])
    model, split = load_submission("oracle", "ct", "toy"), oracle_split(Linear())
    if "weak" not in RECORDS:
        RECORDS["weak"] = evaluate(model, split, "weak")
    return model, split, RECORDS["weak"]


def moved(split, epsilon=EPSILON):
    """Every image at its worst within ε of a linear model: (N, 1, H, W) float32, exactly inside."""
    images, labels = split.batch()
    signs = (2 * labels - 1).view(-1, 1, 1, 1) * Linear().weight.detach().sign().view(1, 1, 16, 16)
    return (images - signs * epsilon * (1 - 1e-5)).numpy()


def send(path, split, rows=None, images=None, **changes):
    """Write a file of the images `rows`, all unless told, with something changed."""
    rows = np.arange(len(split)) if rows is None else np.asarray(rows)
    images = moved(split)[rows] if images is None else images
    given = {"image_ids": [split.image_ids[row] for row in rows], "name": NAME, "link": LINK} | changes
    save_external(path, images, **given)
    return path


def test_a_success_lowers_best_known_with_credit(weak, tmp_path):
    model, split, record = weak
    truth = Linear().smallest_epsilon(split)

    sent = judge_external(send(tmp_path / "sent.safetensors", split), record, model, split)
    add_external(sent, record, tmp_path)
    best = best_known(record, tmp_path)

    assert best.robust.tolist() == (truth > EPSILON).tolist()
    (credit,) = best.credits
    reached = ((truth > 0) & (truth <= EPSILON)).sum()
    assert (credit.name, credit.link, credit.images) == (NAME, LINK, reached)
    assert sent.images == len(split)
    assert all(0 < one.linf <= EPSILON and one.margin <= 0 for one in sent.broken)


def test_an_image_wrong_when_clean_is_nobodys_success(weak, tmp_path):
    model, split, record = weak
    wrong = np.flatnonzero(~record.clean_correct)

    sent = judge_external(send(tmp_path / "sent.safetensors", split, wrong), record, model, split)

    assert len(wrong)
    assert sent.broken == ()


def test_files_accumulate_and_only_the_first_to_break_an_image_is_credited(weak, tmp_path):
    model, split, record = weak
    truth = Linear().smallest_epsilon(split)
    reached = np.flatnonzero((truth > 0) & (truth <= EPSILON))

    for number, rows in enumerate((reached[:4], reached[2:])):
        path = send(tmp_path / f"{number}.safetensors", split, rows, name=f"sender {number}")
        add_external(judge_external(path, record, model, split), record, tmp_path)

    credited = {credit.name: credit.images for credit in best_known(record, tmp_path).credits}
    assert credited == {"sender 0": 4, "sender 1": len(reached) - 4}


def test_the_same_file_given_twice_is_counted_once(weak, tmp_path):
    model, split, record = weak
    path = send(tmp_path / "sent.safetensors", split)

    for _ in "ab":
        add_external(judge_external(path, record, model, split), record, tmp_path)

    assert len(read_external(record, tmp_path)) == 1


def test_a_slip_of_float32_rounding_is_projected_away_and_not_refused(weak, tmp_path):
    model, split, record = weak
    images = moved(split, EPSILON / (1 - 1e-5))  # x ± ε, as float32 has it
    original, _ = split.batch()
    assert np.abs(images.astype(float) - original.numpy()).max() > EPSILON

    sent = judge_external(send(tmp_path / "sent.safetensors", split, images=images), record, model, split)

    assert sent.broken
    assert max(one.linf for one in sent.broken) <= EPSILON


# -- cheating, and carelessness ----------------------------------------------------------------


def bad(split, **changes):
    images = moved(split)
    for place, value in changes.items():
        images[int(place[1:]), 0, 3, 3] = value
    return images


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (
            lambda s: {"images": moved(s, 1.01 * EPSILON)},
            "20 images lie further than ε = 0.004 from their originals",
        ),
        (lambda s: {"images": bad(s, i5=0.9)}, "1 images lie further than ε = 0.004 .* up to 0.3"),
        (lambda s: {"images": bad(s, i2=np.nan, i7=np.inf)}, "2 images hold NaN or infinity"),
        (
            lambda s: {"images": bad(s, i2=1.5, i7=-0.1)},
            r"2 images leave \[0, 1\]: they lie in \[-0.1, 1.5\]",
        ),
        (lambda s: {"images": moved(s)[:, :, :8]}, "images have 8 × 16 pixels, those of toy 16 × 16"),
        (lambda s: {"images": moved(s)[:, [0, 0]]}, r"images have shape \(20, 2, 16, 16\)"),
        (lambda s: {"images": moved(s)[:0], "image_ids": []}, r"shape \(0, 1, 16, 16\), expected .* n ≥ 1"),
        (lambda s: {"image_ids": ["i0"] * 20}, "19 image ids are used twice"),
        (
            lambda s: {"image_ids": [f"x{i}" for i in range(20)]},
            r"20 image ids are none of toy \(x0, x1, x2…\)",
        ),
        (lambda s: {"image_ids": list(s.image_ids)[::-1]}, "lie further than ε = 0.004"),
        (lambda s: {"image_ids": ["i0"]}, "1 image ids for 20 images"),
        (lambda s: {"name": ""}, "its metadata has no name"),
        (lambda s: {"link": "javascript:alert(1)"}, "link must begin with https:// or http://"),
        (lambda s: {"name": "a\nb"}, "name must be one line"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_sentence(weak, tmp_path, sent, sentence):
    model, split, record = weak
    path = send(tmp_path / "sent.safetensors", split, **sent(split))

    with pytest.raises(DataError, match=sentence):
        judge_external(path, record, model, split)


def test_all_complaints_come_at_once(weak, tmp_path):
    model, split, record = weak
    images = bad(split, i1=np.nan, i2=7.0)
    path = send(
        tmp_path / "sent.safetensors", split, images=images, image_ids=["i0", "nobody", *split.image_ids[2:]]
    )

    with pytest.raises(DataError) as raised:
        judge_external(path, record, model, split)

    for part in (
        "1 image ids are none",
        "1 images hold NaN",
        r"1 images leave [0, 1]",
        "1 images lie further",
    ):
        assert part in str(raised.value)


def test_complaints_about_the_layout_come_at_once(weak, tmp_path):
    model, split, record = weak
    path = tmp_path / "sent.safetensors"
    path.write_bytes(
        save({"images": torch.zeros(2, 3, 4, dtype=torch.float64), "x": torch.zeros(1)}, {"image_ids": "{"})
    )

    with pytest.raises(DataError) as raised:
        judge_external(path, record, model, split)

    for part in (
        "holds the tensors images, x",
        "shape (2, 3, 4)",
        "float64",
        "no name, link",
        "not a JSON list",
    ):
        assert part in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\xff" * 64])
def test_what_is_no_safetensors_file_is_refused(weak, tmp_path, content):
    model, split, record = weak
    path = tmp_path / "sent.safetensors"
    path.write_bytes(content)

    with pytest.raises(DataError, match="is not a safetensors file"):
        judge_external(path, record, model, split)


def test_a_file_that_is_not_there_is_named(weak, tmp_path):
    model, split, record = weak

    with pytest.raises(DataError, match=r"nothing.safetensors cannot be read: No such file"):
        judge_external(tmp_path / "nothing.safetensors", record, model, split)


def test_no_images_at_all_is_a_sentence(weak, tmp_path):
    model, split, record = weak
    path = tmp_path / "sent.safetensors"
    path.write_bytes(save({}, {"image_ids": "[]", "name": NAME, "link": LINK}))

    with pytest.raises(DataError, match="it holds the tensors none, expected one, called images"):
        judge_external(path, record, model, split)


# -- whose record --------------------------------------------------------------------------------


def test_a_record_that_is_not_current_is_refused(weak, tmp_path):
    model, split, record = weak
    stale = replace(record, provenance={**record.provenance, "identity": "another"})

    with pytest.raises(DataError, match="is not of this model, these images"):
        judge_external(send(tmp_path / "sent.safetensors", split), stale, model, split)


def test_verdicts_of_an_earlier_record_stay_and_are_passed_over_with_a_sentence(weak, tmp_path):
    model, split, record = weak
    path = send(tmp_path / "sent.safetensors", split)
    old = replace(judge_external(path, record, model, split), record_sha256="0" * 64, sha256="old")
    add_external(old, record, tmp_path)

    before = best_known(record, tmp_path)
    add_external(judge_external(path, record, model, split), record, tmp_path)
    after = best_known(record, tmp_path)

    assert before.robust.all() == record.robust("0.004").all()
    assert not before.evidence
    assert f"what {NAME} broke was judged for another record" in before.sentences[0]
    assert after.evidence
    assert len(after.sentences) == 1
    assert len(read_external(record, tmp_path)) == 2


def test_verdicts_on_images_that_the_record_does_not_have_are_refused(weak, tmp_path):
    model, split, record = weak
    add_external(
        judge_external(send(tmp_path / "a.safetensors", split), record, model, split), record, tmp_path
    )
    path = beside(record, tmp_path, "external")
    body = json.loads(path.read_text())
    body["files"][0]["broken"][0]["image_id"] = "nobody"
    path.write_text(json.dumps(body))

    with pytest.raises(DataError, match=r"names images that the record does not have \(nobody\)"):
        best_known(record, tmp_path)
