"""Best known stands beside the protocol's number on the page, with credit, and moves no rank."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from test_leaderboard import Reader, make, write

from benchmark.errors import DataError
from benchmark.evidence import Broken, ExternalImages, SecondOpinion
from benchmark.evidence.files import add_external, beside, save_second_opinion
from benchmark.record import Record
from benchmark.record.files import table_sha256
from leaderboard.build import build, read_records
from leaderboard.evidence import read_best_known
from leaderboard.tables import collect


def standing(record: Record) -> np.ndarray:
    return np.flatnonzero(record.robust(record.headline))


def broken(record: Record, count: int, attack: str = "") -> tuple[Broken, ...]:
    """The first `count` images that stand, as broken."""
    return tuple(Broken(record.image_ids[row], attack, 0.0039, -0.1) for row in standing(record)[:count])


def sent(
    record: Record, count: int, name: str = "A. Breaker", link: str = "https://example.org/x"
) -> ExternalImages:
    return ExternalImages(table_sha256(record), name, "x.safetensors", name, link, 9, broken(record, count))


def opinion(record: Record, count: int) -> SecondOpinion:
    spec = {"name": "square", "title": "Square-5000"}
    asked = len(standing(record))
    fallen = broken(record, count, "square")
    return SecondOpinion(
        table_sha256(record), "pyautoattack", "0.2.0", (spec,), "0.004", 1.0, 1, "cpu", asked, fallen, {}
    )


@pytest.fixture
def results(tmp_path: Path) -> tuple[Path, Record, Record]:
    """Two entries close together, the stronger first."""
    strong, weak = make("strong", strength=0.02), make("weak", strength=0.012)
    return write(tmp_path / "results", strong, weak), strong, weak


def pages_of(root: Path, site: Path, name: str = "strong") -> tuple[str, str]:
    """Board and page of an entry."""
    folder = build(root, site).parent / "phantom/ct"
    return (folder / "index.html").read_text("utf-8"), (folder / f"{name}.html").read_text("utf-8")


def home(root: Path, record: Record) -> Path:
    return root / record.track / record.modality


def cells(site: Path, name: str) -> dict[str, str]:
    with open(site / "phantom/ct/phantom-ct-standard.csv", newline="") as file:
        return next(row for row in csv.DictReader(file) if row["submission"] == name)


def test_best_known_stands_beside_the_number_with_credit(results, tmp_path):
    root, strong, _ = results
    save_second_opinion(opinion(strong, 3), strong, home(root, strong))
    add_external(sent(strong, 7), strong, home(root, strong))

    board, page = pages_of(root, tmp_path / "site")

    left = strong.robust("0.004").copy()
    left[standing(strong)[:7]] = False
    disease = strong.labels == 1
    balanced = (left[disease].mean() + left[~disease].mean()) / 2
    told = Reader(board).cells("strong")
    assert told["best"].split() == [f"{100 * balanced:.1f}", "7", "more", "broken"]
    assert f"best known {100 * left.mean():.1f}" in told["all"]
    assert "3 more broken by pyautoattack 0.2.0" in page
    assert '4 more broken by <a href="https://example.org/x" rel="noreferrer">A. Breaker</a>' in page
    assert (
        f"pyautoattack 0.2.0 broke 3 of the {len(standing(strong))} images that the battery left standing"
        in page
    )
    row = cells(tmp_path / "site", "strong")
    assert float(row["best_known"]) == pytest.approx(left.mean(), abs=1e-6)
    assert float(row["worst_case"]) == pytest.approx(strong.robust_accuracy("0.004"), abs=1e-6)


def test_it_moves_no_rank_and_no_figure(results):
    root, strong, _ = results
    before = collect(read_records(root)[0])
    add_external(sent(strong, len(standing(strong))), strong, home(root, strong))

    records, seconds = read_records(root)
    after = collect(records, seconds, read_best_known(root, records))

    assert [(row.submission, row.rank, row.balanced) for row in after[0].rows] == [
        (row.submission, row.rank, row.balanced) for row in before[0].rows
    ]
    assert after[0].rows[0].best_known is not None
    assert after[0].rows[0].best_known.accuracy() == 0


def test_where_nobody_was_asked_the_page_says_nothing_of_it(results, tmp_path):
    root, *_ = results

    board, page = pages_of(root, tmp_path / "site")

    assert Reader(board).cells("strong")["best"].split() == ["–", "not", "asked"]
    assert "best known" not in page.partition("<main")[2].lower()
    assert cells(tmp_path / "site", "strong")["best_known"] == ""


def test_evidence_of_another_record_is_passed_over_with_a_sentence(results, tmp_path):
    root, strong, weak = results
    save_second_opinion(opinion(weak, 3), strong, home(root, strong))

    board, page = pages_of(root, tmp_path / "site")

    assert (
        "what pyautoattack 0.2.0 broke was judged for another record of this entry and is not counted" in page
    )
    assert Reader(board).cells("strong")["best"].split() == ["–", "outdated"]
    assert cells(tmp_path / "site", "strong")["best_known"] == ""


def test_a_name_is_text_and_a_link_leads_to_the_web_or_nowhere(results, tmp_path):
    root, strong, _ = results
    add_external(
        sent(strong, 2, "<script>alert(1)</script>", "javascript:alert(1)"), strong, home(root, strong)
    )

    board, page = pages_of(root, tmp_path / "site")

    assert "<script>alert" not in board
    assert "<script>alert" not in page
    assert "javascript:" not in page
    assert "&lt;script&gt;" in page


def test_a_damaged_file_stops_the_page_with_its_name(results, tmp_path):
    root, strong, _ = results
    beside(strong, home(root, strong), "external").write_text(
        json.dumps({"format": 1, "files": [{"sha256": 1}]})
    )

    with pytest.raises(DataError, match=r"strong.external.json is damaged"):
        build(root, tmp_path / "site")


def test_a_transfer_file_is_not_taken_for_a_record(results, tmp_path):
    root, strong, _ = results
    (home(root, strong) / "all.transfer.json").write_text("{}")

    assert len(read_records(root)[0]) == 2
