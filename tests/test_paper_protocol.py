"""The published attacks without labels: what they can reach, which restart counts, what is judged, what is kept."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from models import BIM, FGSM, PGD, SIDE, Linear, Wobbly, make_split, oracle_split, small_protocol, tiny_split
from safetensors.numpy import save

from benchmark.cli_paper import paper
from benchmark.data.split import Split
from benchmark.errors import DataError, SubmissionError
from benchmark.evaluation import evaluate, paper_blocks, paper_protocol
from benchmark.evaluation.entry import records_folder
from benchmark.evaluation.paper_entry import run_paper_entry
from benchmark.evaluation.paper_protocol import CURVE_STARTS, SENSITIVITY_GRIDS, label_free
from benchmark.paper_result import PaperResult
from benchmark.submission import load_submission

LABELLED = small_protocol(FGSM, BIM, PGD, epsilons=("0.004", "0.06"), block=20)
SCALES = {"plain": {}, "times 1e4": {"scale": 1e4}, "cubed": {"cube": True}, "one logit": {"columns": 1}}


@pytest.mark.parametrize(
    ("model", "split"), [(Linear(), oracle_split(Linear(), 6)), (Wobbly(), tiny_split(Wobbly()))]
)
def test_a_perfect_attack_leaves_the_clean_error_without_labels_and_nothing_with_them(model, split):
    wrong = 6 if isinstance(model, Linear) else 2

    without = label_free(model, split, LABELLED)
    record = evaluate(model, split, LABELLED)

    assert [without.accuracy(a, "0.06").value for a in ("fgsm", "bim", "pgd")] == [wrong / 20] * 3
    assert [record.robust_accuracy("0.06", a) for a in ("fgsm", "bim", "pgd")] == [0, 0, 0]


@pytest.fixture(scope="module")
def linear():
    """Split, smallest ε that flips each image's answer (right or wrong), and results of one model written four ways."""
    split = oracle_split(Linear(), 4)
    smallest = np.abs(Linear().exact_gaps(split)) / np.abs(Linear().weight.detach().double().numpy()).sum()
    return (
        split,
        smallest,
        {how: label_free(Linear(**given), split, small_protocol(block=20)) for how, given in SCALES.items()},
    )


@pytest.mark.parametrize("attack", ["fgsm", "bim", "pgd"])
@pytest.mark.parametrize("how", SCALES)
def test_a_linear_model_flips_where_the_closed_form_says(linear, how, attack):
    _, smallest, results = linear
    result = results[how]

    for epsilon in ("0.001", "0.002", "0.004", "0.008"):
        flips = smallest < float(epsilon)
        assert result.flipped(attack, epsilon).tolist() == flips.tolist()
        expected = (result.right & ~flips).mean() + (~result.right & flips).mean()
        assert result.accuracy(attack, epsilon).value == pytest.approx(expected)


@pytest.mark.parametrize("how", SCALES)
def test_sensitivity_is_the_first_epsilon_of_the_published_grid_beyond_the_closed_form(linear, how):
    _, smallest, results = linear
    grid = np.array([*map(float, SENSITIVITY_GRIDS["ct"].split()), np.inf])

    assert results[how].sensitivity.tolist() == grid[np.searchsorted(grid, smallest)].tolist()


def test_an_image_beyond_the_grid_has_no_sensitivity(linear):
    split = oracle_split(Linear(), 0)
    far = split.images.copy()
    far[0] = np.where(Linear().weight.detach().numpy().reshape(1, SIDE, SIDE) > 0, 40000, 25535)

    found = label_free(Linear(), dataclasses.replace(split, images=far), LABELLED).sensitivity

    assert found[0] == np.inf
    assert np.isfinite(found[1:]).all()


class Overshot(Linear):
    """Flips only in a thin shell around the clean image; its gradient leads on through the shell and out of it."""

    def forward(self, images):
        flat = (images - 0.5).flatten(1)
        along = flat.mean(1) / 0.001
        value = (along + 2).abs() - 1  # negative between −3 and −1
        g = along + (value - along).detach()
        return torch.stack((-g / 2, g / 2), 1)


def test_what_the_attack_ends_with_is_judged():
    split = make_split(np.full((4, 1, SIDE, SIDE), 0.5), [1, 1, 1, 1])
    protocol = small_protocol(BIM, epsilons=("0.002", "0.004", "0.008"))

    result, record = label_free(Overshot(), split, protocol), evaluate(Overshot(), split, protocol)

    assert result.flipped("bim", "0.002").all()  # the walk ends inside the shell
    assert not result.flipped("bim", "0.008").any()  # it has left it again
    assert record.robust_accuracy("0.008", "bim") == 0  # but it has been there


def answers(monkeypatch, flips):
    """Let the attacks flip what `flips(ask)` says, and note what was asked."""
    asked = []

    def run(job):
        asked.extend(str(ask) for ask in job.asks if job.block == 0)
        found = {}
        for ask in job.asks:
            turned = np.isin([int(name[1:]) for name in job.split.image_ids], flips(ask))
            found[str(ask)] = np.where((job.split.labels == 1) ^ turned, 1, -1).astype(np.float32)
        found["passes"], found["apart"] = np.array([1, 1]), np.zeros(1)
        if job.grid:
            found["sensitivity"] = np.full(len(job.split), np.inf)
        job.path.parent.mkdir(exist_ok=True)
        job.path.write_bytes(save(found))

    monkeypatch.setattr(paper_protocol, "run_paper_job", run)
    return asked


def test_the_best_restart_of_the_whole_set_counts_and_the_first_of_equals(monkeypatch):
    # Block 0 holds images 0 to 7: by itself it would choose start 0, the whole set chooses start 1.
    turned = {0: [0, 1, 2], 1: [3, 8, 9, 10], 2: [0, 11, 12, 13]}
    answers(monkeypatch, lambda ask: turned.get(ask.start, []) if ask.attack == "pgd" else [])
    split = oracle_split(Linear(), 0)

    result = label_free(Linear(), split, small_protocol())

    assert np.flatnonzero(result.flipped("pgd", "0.002")).tolist() == turned[1]
    assert np.flatnonzero(result.flips["0.002"]).tolist() == [0, 1, 2, 3, 8, 9, 10, 11, 12, 13]
    assert result.flips["0.002"][0] == 2
    assert result.starts == {"0.001": CURVE_STARTS, "0.002": CURVE_STARTS, "0.004": 20, "0.008": CURVE_STARTS}
    assert result.accuracy("pgd", "0.002").value == 16 / 20
    record = evaluate(Linear(), split, small_protocol(FGSM))
    result = dataclasses.replace(result, identity=record.provenance["identity"])
    side = result.summary(record)["attacks"]["pgd"]["0.002"]
    assert side["any_start_per_image"] == 10 / 20
    assert side["papers_protocol"]["value"] == 16 / 20


def test_no_restart_is_asked_after_one_that_flips_all(monkeypatch):
    asked = answers(monkeypatch, lambda ask: range(20) if (ask.epsilon, ask.start) >= ("0.004", 1) else [0])

    result = label_free(Linear(), oracle_split(Linear(), 0), small_protocol())

    assert result.starts == {"0.001": CURVE_STARTS, "0.002": CURVE_STARTS, "0.004": 2, "0.008": 1}
    assert len(asked) == len(set(asked)) == 2 * 4 + sum(result.starts.values())
    assert result.accuracy("pgd", "0.004").value == 0


@pytest.fixture
def own_entry(make_submission, tmp_path):
    """A submission, a track of twelve images of its own, and how to name both."""
    make_submission()
    random = np.random.default_rng(7)
    images = random.uniform(0.3, 0.7, (12, 1, 32, 32))
    track = tmp_path / "ward"
    track.mkdir()
    make_split(images, np.arange(12) % 2, track="ward").save(track / "ct-test.safetensors")
    return "tiny", "ct", str(track)


QUICK = dataclasses.replace(
    small_protocol(FGSM, BIM, PGD, epsilons=("0.004", "0.02")), name="quick", ranked=False, block=4
)


@pytest.fixture
def quick(monkeypatch):
    """A quick protocol of two ε, so that a run takes a second."""
    monkeypatch.setattr("benchmark.protocol.PROTOCOLS", {"quick": QUICK})
    monkeypatch.setattr(paper_protocol, "CURVE_STARTS", 2)
    monkeypatch.setattr(paper_protocol, "PGD", dataclasses.replace(paper_protocol.PGD, starts=3))


@pytest.mark.usefixtures("quick")
def test_an_interrupted_run_goes_on_where_it_stopped(own_entry, monkeypatch):
    name, modality, track = own_entry
    split = Split.load(f"{track}/ct-test.safetensors")
    whole = label_free(load_submission(name, modality, track), split, QUICK)
    paths, ran = [], []
    honest = paper_blocks.run_paper_job

    def counted(job):
        paths.append(job.path)
        if len(paths) == 3:
            raise KeyboardInterrupt
        ran.append((job.path, job.path.exists()))
        honest(job)

    monkeypatch.setattr(paper_protocol, "run_paper_job", counted)
    for path in (paper_protocol.cache_folder() / "paper").rglob("*.safetensors"):
        path.unlink()
    with pytest.raises(KeyboardInterrupt):
        label_free(load_submission(name, modality, track), split, QUICK)
    again = label_free(load_submission(name, modality, track), split, QUICK)

    assert not any(there for _, there in ran)  # nothing was computed twice
    assert len({path for path, _ in ran}) == len(ran)
    assert again._table() == whole._table()
    assert again.provenance == whole.provenance


@pytest.mark.usefixtures("quick")
def test_a_damaged_block_is_computed_again(own_entry):
    name, modality, track = own_entry
    split = Split.load(f"{track}/ct-test.safetensors")
    whole = label_free(load_submission(name, modality, track), split, QUICK)
    blocks = sorted((paper_protocol.cache_folder() / "paper").rglob("*.safetensors"))
    blocks[0].write_bytes(blocks[0].read_bytes()[:100])
    blocks[1].write_bytes(b"")

    assert label_free(load_submission(name, modality, track), split, QUICK)._table() == whole._table()


@pytest.mark.usefixtures("quick")
def test_the_command_sets_both_numbers_side_by_side(own_entry):
    name, modality, track = own_entry
    asked = [name, "--modality", modality, "--track", track, "--protocol", "quick"]

    early = CliRunner().invoke(paper, asked)
    split = Split.load(f"{track}/ct-test.safetensors")
    record = evaluate(load_submission(name, modality, track), dataclasses.replace(split, track="ward"), QUICK)
    folder = records_folder(track, "quick") / "ct"
    record_path = record.save(folder)
    done = CliRunner().invoke(paper, asked, catch_exceptions=False)

    assert isinstance(early.exception, DataError)
    assert "first run oncorobust evaluate tiny --modality ct" in str(early.exception)
    assert "never ranked" in done.output
    body = json.loads((folder / "tiny.paper.json").read_bytes())
    assert body["ranked"] is False
    assert body["record_sha256"] == hashlib.sha256(record_path.read_bytes()).hexdigest()
    side = body["summary"]["attacks"]["pgd"]["0.02"]
    assert side["true_labels"] == record.robust_accuracy("0.02", "pgd")
    assert side["papers_protocol"]["value"] == pytest.approx(
        side["right_and_unflipped"] + side["wrong_and_flipped"]
    )

    assert not list((paper_protocol.cache_folder() / "paper").iterdir())  # blocks are done with

    result = PaperResult.load(folder / "tiny.paper.json")
    assert result.belongs_to(record)
    again, _, _ = run_paper_entry(name, modality, track, "quick")
    assert again._table() == result._table()


@pytest.mark.usefixtures("quick")
def test_a_current_result_is_kept_and_another_record_is_set_beside_it(own_entry, monkeypatch):
    name, modality, track = own_entry
    split = dataclasses.replace(Split.load(f"{track}/ct-test.safetensors"), track="ward")
    record = evaluate(load_submission(name, modality, track), split, QUICK)
    folder = records_folder(track, "quick") / "ct"
    record_path = record.save(folder)
    _, _, path = run_paper_entry(name, modality, track, "quick")
    first = json.loads(path.read_bytes())
    dataclasses.replace(record, description={"title": "renamed"}).save(folder)

    def never(*_):
        raise AssertionError("a current result was computed again")

    monkeypatch.setattr("benchmark.evaluation.paper_entry.label_free", never)
    run_paper_entry(name, modality, track, "quick")

    second = json.loads(path.read_bytes())
    assert second["record_sha256"] != first["record_sha256"]
    assert second["summary"] == first["summary"]
    with pytest.raises(AssertionError):
        run_paper_entry(name, modality, track, "quick", fresh=True)
    dataclasses.replace(record, provenance={**record.provenance, "identity": "other"}).save(folder)
    with pytest.raises(DataError, match="of other weights or images"):
        run_paper_entry(name, modality, track, "quick")
    assert record_path.exists()


@pytest.mark.parametrize("change", ["table", "json", "format", "missing"])
def test_a_damaged_result_is_a_sentence(linear, tmp_path, change):
    split, _, results = linear
    record = evaluate(Linear(), split, small_protocol(FGSM))
    result = dataclasses.replace(results["plain"], identity=record.provenance["identity"])
    path = result.save(record, record.save(tmp_path))
    match change:
        case "table":
            path.with_suffix(".csv").write_text(path.with_suffix(".csv").read_text()[:-5])
        case "json":
            path.write_text(path.read_text()[:100])
        case "format":
            path.write_text(path.read_text().replace('"format": 1', '"format": 99'))
        case "missing":
            path.with_suffix(".csv").unlink()

    with pytest.raises(DataError, match="run it again"):
        PaperResult.load(path)


def test_a_result_reads_back_as_it_was(linear, tmp_path):
    split, _, results = linear
    record = evaluate(Linear(), split, small_protocol(FGSM))
    result = dataclasses.replace(results["plain"], identity=record.provenance["identity"])

    back = PaperResult.load(result.save(record, record.save(tmp_path)))

    assert back._table() == result._table()
    assert back.summary(record) == result.summary(record)
    assert (back.starts, back.asked, back.provenance) == (result.starts, result.asked, result.provenance)


def test_a_model_that_raises_is_named_with_attack_and_epsilon():
    class Moody(Linear):
        def forward(self, images):
            if images.requires_grad:
                raise ValueError("no gradients here")
            return super().forward(images)

    with pytest.raises(
        SubmissionError, match=r"without labels, ε = 0\.001, block 0: ValueError: no gradients"
    ):
        label_free(Moody(), oracle_split(Linear()), small_protocol())


def test_dropping_the_most_sensitive_raises_accuracy(linear):
    split, smallest, results = linear
    record = evaluate(Linear(), split, small_protocol(FGSM))
    found = results["plain"].summary(record)["dropping_the_most_sensitive"]

    # On a linear model both orders are that of |g|, up to the grid's steps.
    assert found["clean"]["aurc"] == pytest.approx(found["clean"]["aurc_by_margin"], abs=0.02)
    assert found["worst_case"]["kept"] > found["worst_case"]["all"]
    kept = np.argsort(-smallest)[:16]
    right = results["plain"].right
    assert found["clean"]["kept_by_margin"] == pytest.approx(right[kept].mean())
