"""A committed record holds as far as rounding reaches, and no further: what `run_entry` asks of one that is current."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from models import BIM, FGSM, NOISE, Linear, oracle_split, small_protocol

from benchmark import evaluate, models
from benchmark.errors import DataError
from benchmark.evaluation.verify import verify
from benchmark.protocol import PROTOCOLS
from benchmark.submission import load_submission


@pytest.fixture
def recorded(make_submission, monkeypatch):
    """A linear submission, its images, their record, and the headline ε."""
    monkeypatch.setitem(models.ARCHITECTURES, "linear", Linear)
    monkeypatch.setitem(PROTOCOLS, "small", small_protocol(NOISE, FGSM, BIM, block=8))
    make_submission("oracle", architecture="linear", more="", weights=[Linear().state_dict()])
    split = oracle_split(Linear())
    model = load_submission("oracle", "ct", split.track)
    return model, split, evaluate(model, split, "small", progress=False)


def bim_moved(record, by):
    """The record with one BIM margin at the headline ε moved: of the image that it leaves farthest from 0."""
    bim, headline = record.attacks["bim"], record.headline
    margins = bim.margins[headline].copy()
    row = int(np.nanargmax(np.abs(margins)))
    margins[row] += np.sign(margins[row]) * by * record.provenance["temperature"]
    changed = replace(bim, margins={**bim.margins, headline: margins})
    return replace(record, attacks={**record.attacks, "bim": changed})


def clean_moved(record, by):
    """The record with one clean margin moved: of an image that is wrong already, so that no attack asks about it."""
    margins = record.clean_margins.copy()
    assert margins[-1] < 0
    margins[-1] += np.sign(margins[-1]) * by * record.provenance["temperature"]
    return replace(record, clean_margins=margins)


def test_an_untouched_record_holds_to_the_last_digits(recorded):
    model, split, record = recorded

    found = verify(model, split, record)

    assert found.changed_verdicts == 0
    assert found.clean_difference <= 1e-6
    assert found.bim_difference <= 1e-6
    assert found.forward >= 2 * len(split)


@pytest.mark.parametrize(
    ("moved", "tolerance", "told"),
    [(bim_moved, 5e-2, "BIM margins by"), (clean_moved, 1e-3, "clean margins differ by")],
)
def test_a_margin_may_move_as_far_as_rounding_and_no_further(recorded, moved, tolerance, told):
    model, split, record = recorded

    found = verify(model, split, moved(record, 0.9 * tolerance))

    assert max(found.clean_difference, found.bim_difference) == pytest.approx(0.9 * tolerance, rel=0.01)
    for by in (1.1 * tolerance, 1000.0, np.nan):
        with pytest.raises(DataError, match=f"the record of oracle on ct does not hold: .*{told}"):
            verify(model, split, moved(record, by))


def test_a_verdict_that_changed_is_refused_however_near_its_margin_is(recorded, monkeypatch):
    model, split, record = recorded
    bim, headline = record.attacks["bim"], record.headline
    turned = replace(bim, margins={**bim.margins, headline: -bim.margins[headline]})
    record = replace(record, attacks={**record.attacks, "bim": turned})
    verification = import_module("benchmark.evaluation.verify")  # its package calls the function so
    monkeypatch.setattr(verification, "BIM_TOLERANCE", 1e9)

    with pytest.raises(DataError, match=f"{int(record.clean_correct.sum())} verdicts changed"):
        verify(model, split, record)

    monkeypatch.setattr(verification, "UNDECIDED", 1e9)  # as if all of them lay as near to 0 as rounding
    assert verify(model, split, record).changed_verdicts == record.clean_correct.sum()


def test_margins_that_are_left_out_are_missed(recorded):
    model, split, record = recorded
    bim, headline = record.attacks["bim"], record.headline
    margins = bim.margins[headline].copy()
    margins[margins <= 0] = np.nan
    fewer = replace(bim, margins={**bim.margins, headline: margins})

    with pytest.raises(DataError, match=r", [1-9]\d* images have none; evaluate it again"):
        verify(model, split, replace(record, attacks={**record.attacks, "bim": fewer}))
