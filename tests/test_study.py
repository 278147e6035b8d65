"""The study's page: the abstract three ways, curves and sensitivity, all from the records."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_leaderboard import Reader, make, naive_and_trained, write

from benchmark.errors import DataError
from benchmark.evidence.variants import BASE, Trained, as_table, read_trained, save_trained
from benchmark.folders import results_folder, submissions_folder
from benchmark.submission import read_submission
from leaderboard.build import build, read_records
from leaderboard.paper import Paper, read_papers
from leaderboard.study import study, study_lines, subjects
from leaderboard.tables import collect


@pytest.fixture(scope="module")
def committed():
    root = results_folder("phantom").parent
    records, _ = read_records(root)
    return collect(records), records, read_papers(root, records)


def site(folder: Path, *records) -> Path:
    return build(write(folder / "results", *records), folder / "site").parent


def test_there_is_no_study_without_a_trained_entry_beside_its_twin(tmp_path):
    alone = site(tmp_path, make("strong"), make("weak", naive_twin="nobody"))

    assert not (alone / "study.html").exists()
    assert "study.html" not in (alone / "index.html").read_text("utf-8")


def test_the_index_leads_to_the_study_and_back(tmp_path):
    there = site(tmp_path, *naive_and_trained())

    assert '<a href="study.html">' in (there / "index.html").read_text("utf-8")
    page = (there / "study.html").read_text("utf-8")
    assert '<a href="index.html">' in page
    assert "these images are synthetic" in page
    assert {address for _, a in Reader(page).tags if (address := a.get("href")) and ":" not in address} >= {
        "static/style.css",
        "study.csv",
    }


def test_real_patients_come_before_the_phantom(tmp_path):
    there = site(tmp_path, *naive_and_trained(), *naive_and_trained(track="clinical"))

    page = (there / "study.html").read_text("utf-8")
    assert "the clinical track" in page
    assert "these images are synthetic" not in page


def test_the_abstract_shows_published_papers_protocol_and_worst_case(committed):
    tables, records, papers = committed
    found = study(tables, records, papers)

    lines = {(line.modality, line.entry): line for line in found.abstract}
    ct = next(table.modality.title for table in tables if table.modality.name == "ct")
    published = {line.entry: line.published for line in found.abstract if line.modality == ct}
    titles = {r.submission: r.description["title"] for r in records}
    # The paper trained against PGD: its number stands beside such entries, and beside no other way of training.
    assert published[titles["vgg16-slim-naive"]] == "25.6"
    assert published[titles["vgg16-slim-pgd-at"]] == "67.7"
    assert published[titles["vgg16-slim-n-fgsm"]] == "–"
    assert published[titles["resnet8-gn-naive"]] == "–", "the paper's network was a VGG16"
    here = {(record.modality, record.submission) for record in records}
    twins = [(r.modality, r.description.get("naive_twin"), r.submission) for r in records]
    pairs = [(m, {twin, entry}) for m, twin, entry in twins if (m, twin) in here]
    compared = [r for r in records if any(r.modality == m and r.submission in pair for m, pair in pairs)]
    for record in compared:
        line = lines[
            next(t.modality.title for t in tables if t.modality.name == record.modality),
            record.description["title"],
        ]
        assert line.worst == f"{100 * record.robust_accuracy('0.004'):.1f}"
        assert line.clean == f"{100 * record.clean_accuracy:.1f}"
        # Without labels a wrong answer that is flipped counts as right: never below what true labels leave.
        if f"phantom/{record.modality}/{record.submission}" in papers:
            assert float(line.paper) >= 100 * record.robust_accuracy("0.004", "pgd") - 1e-6
        assert re.fullmatch(r"\d+\.\d–\d+\.\d", line.worst_interval)
    assert len(found.abstract) == len(compared)


def test_quartiles_are_of_the_images_that_are_right_and_say_where_the_grid_ends(committed):
    tables, records, papers = committed
    found = study(tables, records, papers)

    record = next(r for r in records if (r.modality, r.submission) == ("ct", "vgg16-slim-pgd-at"))
    right = np.sort(record.minimal_epsilon[record.clean_correct])
    (line,) = [one for one in found.modalities[0].quartiles if one.entry == record.description["title"]]
    half = right[len(right) // 2]
    assert line.quartiles[1][0] == f"{half:.4f}"
    assert right[3 * len(right) // 4] > 0.02
    assert line.quartiles[2] == (">\N{NO-BREAK SPACE}0.02", ">\N{NO-BREAK SPACE}28")


def test_the_csv_holds_every_attack_and_epsilon(tmp_path):
    records = naive_and_trained()
    there = site(tmp_path, *records)

    with (there / "study.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 4 * 9
    assert rows[0]["submission"] == "vgg16-slim-naive", "the naive twin first"
    for row in rows:
        record = next(r for r in records if r.submission == row["submission"])
        attack = None if row["attack"] == "worst case" else row["attack"]
        assert float(row["accuracy"]) == pytest.approx(
            record.robust_accuracy(row["epsilon"], attack), abs=1e-6
        )
        assert row["papers_protocol"] == ""


def test_a_result_under_the_papers_protocol_of_another_record_is_left_out(committed):
    tables, records, papers = committed
    home = "phantom/ct/vgg16-slim-naive"
    other = replace(papers[home].record, provenance={**papers[home].record.provenance, "identity": "other"})
    stale = {home: Paper(papers[home].result, other)}

    table = next(t for t in tables if t.modality.name == "ct")
    assert {who.paper is None for who in subjects(table, records, stale)} == {True}
    assert {line[-1] for line in study_lines([table], records, stale)[1:]} == {None}
    assert {line.paper for line in study([table], records, stale).abstract} == {"–"}


def test_a_titles_markup_does_not_reach_the_page(tmp_path):
    naive, trained = naive_and_trained()
    bad = make("vgg16-slim-naive", strength=0.001, seed=1, title="<script>alert(1)</script>")

    page = (site(tmp_path, bad, trained) / "study.html").read_text("utf-8")

    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert naive.submission == bad.submission


def trained_variants(seeds: int) -> list[Trained]:
    """Accuracies that a reader could work out: clean 0.9, less 100 times ε, less 0.01 for each seed."""
    variants = [BASE, replace(BASE, side=32), replace(BASE, images=200), replace(BASE, epsilon="0.001")]
    told = ("n-fgsm", "vgg16-slim", "abc", "0" * 64)
    judged = {BASE.side: "phantom-ct-large-1", 32: "phantom-ct-large-1-32px"}
    return [
        Trained(
            replace(variant, seed=seed),
            *told,
            judged[variant.side],
            1000,
            350,
            at,
            0.9 - 100 * float(at) - 0.01 * seed,
            0.05,
            0.95,
        )
        for variant in variants
        for seed in range(seeds)
        for at in ("0", "0.002", "0.004")
    ]


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [(1, ["90.0", "5.0–95.0", "70.0", "50.0"]), (3, ["89.0", "88.0–90.0", "69.0", "49.0"])],
)
def test_what_training_changes_stands_on_the_page_with_its_spread(tmp_path, seeds, expected):
    rows = trained_variants(seeds)
    save_trained(rows, tmp_path / "results" / "phantom" / "ct" / "all.study.csv")
    there = site(tmp_path, *naive_and_trained())

    page = (there / "study.html").read_text("utf-8")
    reader = Reader(page)
    lines = [[cell.strip() for cell in row] for row in reader.rows if row and len(row) == 4]
    values = [row[0] for row in lines if re.fullmatch(r"[\d.,]+", row[0])]
    assert values == ["32", "64", "200", "1,600", "0.001", "0.004"]
    lines = [row for row in lines if row[0] == "32"]
    told = " ".join(lines[0])
    assert all(number in told for number in expected)
    assert f"{seeds} training" in page
    assert "images (phantom-ct-large-1) that" in page
    assert page.count('aria-label="Figure: ') == 2 + 3
    assert (there / "study-ct-trainings.csv").read_text() == as_table(rows)
    assert 'href="study-ct-trainings.csv"' in page


def test_a_damaged_table_of_trainings_stops_the_build(tmp_path):
    path = tmp_path / "results" / "phantom" / "ct" / "all.study.csv"
    save_trained(trained_variants(1), path)
    path.write_text(path.read_text().replace("0.9,", "9,"))

    with pytest.raises(DataError, match=r"all\.study\.csv is damaged"):
        site(tmp_path, *naive_and_trained())


def test_the_variant_that_all_others_are_held_to_is_the_entry_trained_alike():
    rows = read_trained(results_folder("phantom") / "ct" / "all.study.csv")
    entry = read_submission(submissions_folder() / "vgg16-slim-n-fgsm").weights_for("ct", "phantom")

    (sha256,) = {row.weights_sha256 for row in rows if row.variant == BASE}
    assert (sha256,) == entry.sha256
