"""What the page says of the paper's protocol: the figures of the files, beside the record's, and only where they belong."""

import csv
import dataclasses
import re

import numpy as np
import pytest
from test_leaderboard import Reader, built, contents, make, naive_and_trained, write

from benchmark.paper_result import PaperResult
from benchmark.statistics import bootstrap
from leaderboard.build import build
from leaderboard.paper import paper_text

ATTACKS = ("fgsm", "bim", "pgd")


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)


def result_of(record):
    """A result whose images flip around the record's own smallest ε, the wrong ones too."""
    random = np.random.default_rng(3)
    gaps = np.where(record.labels == 1, record.clean_margins, -record.clean_margins)
    sensitivity = np.where(record.clean_correct, record.minimal_epsilon, random.gamma(2, 0.0005, 200))
    turned = {e: np.where(sensitivity <= float(e), -gaps, gaps).astype(np.float32) for e in record.epsilons}
    return PaperResult(
        submission=record.submission,
        modality=record.modality,
        track=record.track,
        identity=record.provenance["identity"],
        split_sha256=record.split["sha256"],
        asked={
            "attacks": [{"name": name} for name in ATTACKS],
            "epsilons": list(record.epsilons),
            "sensitivity_grid": ["0.0001", "0.02"],
        },
        provenance={},
        image_ids=tuple(record.image_ids),
        patient_ids=tuple(record.patient_ids),
        labels=record.labels,
        clean_gaps=gaps,
        gaps=dict.fromkeys(ATTACKS, turned),
        flips={e: (sensitivity <= float(e)) * 5 for e in record.epsilons},
        starts=dict.fromkeys(record.epsilons, 5),
        sensitivity=np.where(sensitivity <= 0.02, sensitivity, np.inf),
    )


@pytest.fixture
def results(tmp_path):
    """Two records, and beside the first a result under the paper's protocol."""
    records = [
        dataclasses.replace(record, provenance={**record.provenance, "identity": record.submission})
        for record in naive_and_trained()
    ]
    folder = write(tmp_path / "results", *records)
    naive = records[0]
    result = result_of(naive)
    result.save(naive, folder / "phantom/ct/vgg16-slim-naive.json")
    return folder, naive, result


def test_both_numbers_stand_side_by_side(results, tmp_path):
    folder, record, _ = results

    board = build(folder, tmp_path / "site").parent / "phantom/ct/index.html"

    with (folder / "phantom/ct/vgg16-slim-naive.paper.csv").open() as file:
        images = list(csv.DictReader(file))
    disease = np.array([image["label"] == "1" for image in images])
    clean = np.array([float(image["clean_gap"]) > 0 for image in images])
    after = np.array([float(image["pgd@0.004"]) > 0 for image in images])
    rows = [row for row in Reader(board.read_text("utf-8")).rows if len(row) == 7 and "PGD" in row[1]]
    (row,) = [[cell.strip() for cell in row] for row in rows]
    assert row[0] == "vgg16-slim-naive"
    assert row[2].split()[0] == f"{100 * (after == disease).mean():.1f}"
    assert row[3] == f"{100 * ((clean == disease) & (after == clean)).mean():.1f}"
    assert row[4] == f"{100 * ((clean != disease) & (after != clean)).mean():.1f}"
    assert row[5] == f"{100 * record.robust_accuracy('0.004', 'pgd'):.1f}"
    assert row[6].split()[0] == f"{100 * record.robust_accuracy('0.004'):.1f}"
    with (board.parent / "phantom-ct-standard-paper.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 3 * 9
    assert {line["submission"] for line in lines} == {"vgg16-slim-naive"}
    with (board.parent / "phantom-ct-standard-coverage.csv").open() as file:
        assert float(list(csv.DictReader(file))[-1]["clean"]) == pytest.approx(
            record.clean_accuracy, abs=1e-5
        )


def test_the_page_stays_whole(results, tmp_path):
    folder, _, _ = results

    index = build(folder, tmp_path / "site")
    board = index.parent / "phantom/ct/index.html"
    html = board.read_text("utf-8")

    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert all((board.parent / link).is_file() for link in re.findall(r'href="([^"#:]+)"', html))
    assert 'style="' not in html
    assert contents(index.parent) == contents(build(folder, tmp_path / "again").parent)


def test_the_drop_is_told_with_the_reason_why_accuracy_rises(results, tmp_path):
    folder, _, result = results

    html = (build(folder, tmp_path / "site").parent / "phantom/ct/index.html").read_text("utf-8")

    curve = result.curve(result.right)
    kept = np.argsort(-result.sensitivity, kind="stable")[:160]
    assert curve.at(0.8) == pytest.approx(result.right[kept].mean(), abs=0.01)
    assert f"{100 * curve.at(0.8):.1f}\N{NO-BREAK SPACE}%" in html
    assert "rises almost of itself" in html
    assert f"AURC) {curve.area:.3f}" in html


def test_a_result_of_other_weights_is_not_shown(results, tmp_path):
    folder, record, _ = results
    write(folder, dataclasses.replace(record, provenance={**record.provenance, "identity": "retrained"}))

    board = build(folder, tmp_path / "site").parent / "phantom/ct/index.html"

    html = board.read_text("utf-8")
    assert "is of other weights or images" in html
    assert "right, unflipped" not in html
    assert not (board.parent / "phantom-ct-standard-paper.csv").exists()


def test_without_a_result_the_page_says_nothing_of_it(tmp_path):
    html = built(tmp_path, make("x"))

    assert "paper's protocol" not in html


def test_the_terminal_says_both(results):
    _, record, result = results

    text = paper_text(result, record)

    assert "never ranked" in text
    row = next(line.split() for line in text.splitlines() if line.strip().startswith("pgd"))
    assert row[-1] == f"{100 * result.accuracy('pgd', '0.02').value:.1f}"
    worst = next(line.split() for line in text.splitlines() if line.strip().startswith("worst case"))
    assert worst[-9:] == [f"{100 * record.robust_accuracy(e):.1f}" for e in record.epsilons]
    assert max(map(len, text.splitlines())) <= 160
