"""What an attack ended with, and what others sent, is judged by a new worker too: its verdicts stand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from models import BIM, FGSM, NOISE, PGD, Linear, oracle_split, small_protocol

from benchmark import evaluate
from benchmark.attacks.second_opinion import SECOND_OPINION
from benchmark.evaluation.anew import Pile, judged_anew
from benchmark.evaluation.external import judge_external, save_external
from benchmark.evaluation.paper_protocol import label_free
from benchmark.evaluation.second_opinion import second_opinion
from benchmark.evaluation.source import BareSource
from benchmark.evidence.best_known import best_known
from benchmark.evidence.files import add_external, save_second_opinion
from benchmark.protocol import PROTOCOLS
from benchmark.submission import load_submission
from leaderboard.paper import paper_text

SOURCE = (Path(__file__).parent / "rogues" / "cheats.py").read_text("utf-8")
LABELLED = small_protocol(FGSM, BIM, PGD, epsilons=("0.004", "0.008"), block=20)
SHORT = tuple(
    replace(
        spec, parameters=spec.parameters | ({"n_queries": 20} if spec.name == "square" else {"n_iter": 5})
    )
    for spec in SECOND_OPINION
)


@pytest.fixture
def entered(make_code, monkeypatch):
    """entered(name of a class): its model, without walls, since nothing here hangs on them; and the split."""
    monkeypatch.setitem(PROTOCOLS, "weak", small_protocol(NOISE, name="weak", block=20))
    monkeypatch.setenv("ONCOROBUST_ISOLATION", "none")

    def enter(cheat):
        folder = make_code("coder", f"{SOURCE}\n\ndef build(modality):\n    return {cheat}()\n")
        return load_submission(folder, "ct", "toy"), oracle_split(Linear())

    return enter


def sent(path, split):
    """Every image at its worst within ε of the linear model."""
    images, labels = split.batch()
    signs = (2 * labels - 1).view(-1, 1, 1, 1) * Linear().weight.detach().sign().view(1, 1, 16, 16)
    save_external(
        path, (images - signs * 0.004 * (1 - 1e-5)).numpy(), split.image_ids, "A", "https://example.org"
    )
    return path


def test_an_honest_model_is_judged_as_it_would_be_without_a_worker(entered, tmp_path):
    (model, split), reachable = entered("Honest"), Linear().smallest_epsilon(oracle_split(Linear()))
    record = evaluate(model, split, "weak", progress=False)
    bare = label_free(Linear(), split, LABELLED, progress=False)

    papers = label_free(model, split, LABELLED, progress=False)
    opinion = second_opinion(record, model, split, attacks=SHORT, progress=False)
    images = judge_external(sent(tmp_path / "sent.safetensors", split), record, model, split)

    assert (papers.provenance["apart"], opinion.apart, images.apart) == (0, 0, 0)
    assert papers.provenance["isolation"] == "none"
    assert papers.doubt is None
    for attack, by_epsilon in bare.gaps.items():
        for epsilon, gaps in by_epsilon.items():
            np.testing.assert_allclose(papers.gaps[attack][epsilon], gaps, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(papers.sensitivity, bare.sensitivity)
    broken = {split.image_ids[row] for row in np.flatnonzero((reachable > 0) & (reachable <= 0.004))}
    assert {one.image_id for one in opinion.broken} == {one.image_id for one in images.broken} == broken


@pytest.mark.parametrize("cheat", ["Remembers", "FromGradients", "ByOrder"])
def test_state_puts_the_papers_protocol_in_doubt(entered, cheat):
    model, split = entered(cheat)

    result = label_free(model, split, LABELLED, progress=False)

    assert result.doubt.severity == "doubt"
    assert result.doubt.value == result.provenance["apart"] > 1e-3
    record = evaluate(Linear(), split, LABELLED, progress=False)
    assert "In doubt: a new worker judged the images of the paper's protocol otherwise" in paper_text(
        result, record
    )


def test_state_puts_the_second_opinion_and_images_from_outside_in_doubt(entered, tmp_path):
    model, split = entered("ByOrder")
    record = evaluate(model, split, "weak", progress=False)

    opinion = second_opinion(record, model, split, attacks=SHORT, progress=False)
    images = judge_external(sent(tmp_path / "sent.safetensors", split), record, model, split)
    save_second_opinion(opinion, record, tmp_path)
    add_external(images, record, tmp_path)

    assert min(opinion.apart, images.apart) > 1e-3
    found = [flag.sentence for flag in best_known(record, tmp_path).flags if flag.id == "remembers"]
    assert len(found) == 2
    assert all("the new worker's verdicts stand" in told for told in found)


def test_an_architecture_by_name_has_no_second_trial():
    pile = Pile(False)
    pile.keep(torch.zeros(2, 1, 16, 16), torch.zeros(2))

    assert judged_anew(BareSource.of(Linear()), pile, (1, 16, 16), 8, 1.0, "it", "cpu") is None
