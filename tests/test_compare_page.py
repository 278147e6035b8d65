"""Side by side: every pair once, as the board judged it, small enough, and the script's numbers are the page's."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, address
from scipy.stats import binomtest
from test_leaderboard import Reader, make, naive_and_trained, site_of

from benchmark.record import Record
from benchmark.statistics import bootstrap
from benchmark.statistics.comparison import compare
from leaderboard.pages.compare import MATRIX
from leaderboard.pairs import all_pairs
from leaderboard.tables import collect


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)


def data_of(site: Path) -> dict:
    html = (site / "phantom/ct/compare.html").read_text("utf-8")
    return json.loads(html.split('id="compare-data">')[1].split("</script>")[0])


def board() -> list[Record]:
    return [*naive_and_trained(), make("a-baseline", kind="baseline", strength=0.003, seed=3)]


def test_mcnemar_stands_with_the_pair(tmp_path: Path) -> None:
    records = board()
    pairs = all_pairs(collect(records)[0], records)
    html = (site_of(tmp_path, *records) / "phantom/ct/compare.html").read_text("utf-8")
    both = pairs[1].agreement
    assert both.p == pytest.approx(binomtest(both.first_alone, both.first_alone + both.second_alone).pvalue)
    told = "p < 0.001" if both.p < 0.001 else f"p = {both.p:.3f}"
    cell = next(row for row in Reader(html).rows if "a-baseline" in " ".join(row[:1]) and len(row) > 4)[3]
    assert cell.split(maxsplit=1)[1].split(maxsplit=1) == [f"{both.first_alone + both.second_alone}", told]


def test_every_pair_is_there_once_and_is_the_boards_own_where_it_judged_it() -> None:
    records = board()
    (table,) = collect(records)
    pairs = all_pairs(table, records[::-1])
    names = [row.submission for row in table.rows]
    assert [(names[p.first], names[p.second]) for p in pairs] == [
        ("vgg16-slim-pgd-at", "vgg16-slim-naive"),
        ("vgg16-slim-pgd-at", "a-baseline"),
        ("vgg16-slim-naive", "a-baseline"),
    ]
    ranking, *others = pairs
    versus = table.board.of("vgg16-slim-naive").against_leader
    assert versus is not None
    assert ranking.ranking
    assert ranking.difference.value == pytest.approx(-versus.difference.value)
    assert ranking.difference.low == pytest.approx(-versus.difference.high)  # type: ignore[operator]
    assert ranking.p_adjusted == versus.p_adjusted
    assert not any(pair.ranking for pair in others)

    by_name = {record.submission: record for record in records}
    right = np.column_stack([by_name[name].robust("0.004") for name in names])
    again = compare(right, records[0].labels, records[0].patient_ids, [(0, 2), (1, 2)])
    assert [(p.difference, p.p_adjusted) for p in others] == [(a.difference, a.p_adjusted) for a in again]
    for pair in pairs:
        one, two = right[:, pair.first], right[:, pair.second]
        found = pair.agreement
        assert (found.both, found.first_alone) == ((one & two).sum(), (one & ~two).sum())


def test_pairs_stand_in_the_order_of_the_rows_whatever_family_they_are_of() -> None:
    records = [*board(), make("third", strength=0.005, seed=7)]
    (table,) = collect(records)
    pairs = all_pairs(table, records)
    assert [row.rank for row in table.rows].count(None) == 1
    assert [(p.first, p.second) for p in pairs] == [(i, j) for i in range(4) for j in range(i + 1, 4)]
    by_name = {record.submission: record for record in records}
    right = [by_name[row.submission].robust("0.004") for row in table.rows]
    for pair in pairs:
        one, two = right[pair.first], right[pair.second]
        found = pair.agreement
        assert (found.both, found.first_alone) == ((one & two).sum(), (one & ~two).sum())


def test_matrix_file_and_script_say_the_same(tmp_path: Path) -> None:
    records = board()
    site = site_of(tmp_path, *records)
    pairs = all_pairs(collect(records)[0], records)
    html = (site / "phantom/ct/compare.html").read_text("utf-8")
    with (site / "phantom/ct/phantom-ct-standard-pairs.csv").open() as file:
        lines = list(csv.DictReader(file))
    data = data_of(site)
    assert len(pairs) == len(lines) == len(data["pairs"]) == 3
    for pair, line, (difference, low, high, p) in zip(pairs, lines, data["pairs"], strict=True):
        d = pair.difference
        assert float(line["difference"]) == pytest.approx(d.value, abs=1e-5)
        assert (difference, low, high) == tuple(round(1000 * x) for x in (d.value, d.low, d.high))  # type: ignore[operator]
        assert p == round(10_000 * pair.p_adjusted)
        # Row minus column, and the row is the lower one.
        (cells,) = [r for r in Reader(html).rows if len(r) > 3 and r[0].split()[0] == str(pair.second + 1)]
        points = -100 * d.value
        shown = f"{points:+.1f}".replace("-", "−")
        assert cells[3 + pair.first].split()[0] == shown
    by_name = {record.submission: record for record in records}
    for entry in data["entries"]:
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(entry["right"]), np.uint8))[: data["images"]]
        assert (bits == by_name[entry["id"]].robust("0.004")).all()
        curve = [by_name[entry["id"]].robust_accuracy(e, balanced=True) for e in data["epsilons"][1:]]
        assert entry["curve"][1:] == [round(1000 * share) for share in curve]


def test_the_page_of_an_entry_leads_to_its_comparison_with_its_twin(tmp_path: Path) -> None:
    site = site_of(tmp_path, *board())
    entries = {entry["id"]: entry for entry in data_of(site)["entries"]}
    order = list(entries)
    assert order[entries["vgg16-slim-pgd-at"]["beside"]] == "vgg16-slim-naive"
    page = Reader((site / "phantom/ct/vgg16-slim-pgd-at.html").read_text("utf-8"))
    (link,) = {link for link in page.links if "compare.html#" in link}
    assert link.partition("#")[2] == entries["vgg16-slim-pgd-at"]["anchor"]


def test_few_patients_have_no_interval(tmp_path: Path) -> None:
    site = site_of(tmp_path, make("one", patients=12), make("two", patients=12, strength=0.009))
    assert [len(pair) for pair in data_of(site)["pairs"]] == [1]
    html = (site / "phantom/ct/compare.html").read_text("utf-8")
    assert "Only 12 patients" in html
    assert 'class="number beyond"' not in html


def test_one_entry_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    site = site_of(tmp_path, make("alone"))
    assert not (site / "phantom/ct/compare.html").exists()
    assert "compare.html" not in (site / "phantom/ct/alone.html").read_text("utf-8")


def test_two_hundred_entries_fit_into_150_kilobytes(monkeypatch: pytest.MonkeyPatch) -> None:
    from leaderboard.frame import Page, rendered
    from leaderboard.pages import compare as made

    records = [
        dataclasses.replace(make(f"entry-{k:03d}", strength=0.001 * 1.01**k, seed=k), description={})
        for k in range(200)
    ]
    tables = collect(records)

    class Few:
        """As much of a source as the page asks for."""

        def of(self, _: object) -> list[Record]:
            return records

    source = Few()
    source.tables = tables  # type: ignore[attr-defined]
    found = list(made.pages(source))  # type: ignore[arg-type]
    page = next(each for each in found if isinstance(each, Page))
    assert len(page.content.rows) == MATRIX
    assert page.content.left_out == 200 - MATRIX
    html = rendered([page], (), False)[page.path]
    assert len(gzip.compress(html)) < 150_000


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (Debian: apt-get install chromium)")
def test_the_choice_stands_in_the_address_and_the_numbers_are_the_matrix_s(tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra: test)")
    records = board()
    site = site_of(tmp_path, *records)
    first, second, third = all_pairs(collect(records)[0], records)
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address(site, "phantom/ct/compare.html", "e=vgg16-slim-naive&e=a-baseline"))
        (row,) = page.locator("[data-pairs] tr").all()
        cells = row.locator("td").all_inner_texts()
        points = f"{100 * third.difference.value:+.1f}".replace("-", "−")
        agreed = third.agreement
        assert cells[0] == points
        assert cells[3:7] == [
            str(n) for n in (agreed.both, agreed.first_alone, agreed.second_alone, agreed.neither)
        ]
        assert cells[7] == "< 0.001"
        # A third one, the best, makes three pairs and three lines, and the address says so.
        page.select_option("[data-choice=c]", "1")
        assert page.locator("[data-pairs] tr").count() == 3
        assert page.locator("[data-line]").count() == 3
        assert page.evaluate("location.hash").endswith("&e=vgg16-slim-pgd-at")
        # The lower entry first turns the sign of the difference.
        turned = page.locator("[data-pairs] tr").nth(1).locator("td").first.inner_text()
        assert turned == f"{-100 * first.difference.value:+.1f}".replace("-", "−")
        assert second.difference.value != first.difference.value
        # From an entry's own page: the entry and its twin, at the top of the page.
        page.goto(address(site, "phantom/ct/vgg16-slim-pgd-at.html"))
        page.get_by_role("link", name="Compare with another entry").click()
        page.wait_for_url("**/compare.html#e=*")
        assert page.locator("[data-legend] a").all_inner_texts() == ["vgg16-slim-pgd-at", "vgg16-slim-naive"]
        chromium.close()
    assert complaints == []


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (Debian: apt-get install chromium)")
def test_the_script_tells_mcnemars_p_of_what_it_counts(tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra: test)")
    names = [f"near-{number}" for number in range(4)]
    records = [make(name, strength=0.003 + 0.0002 * number, seed=number) for number, name in enumerate(names)]
    site = site_of(tmp_path, *records)
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page()
        page.goto(address(site, "phantom/ct/compare.html", "&".join(f"e={name}" for name in names)))
        told = [row.locator("td").all_inner_texts() for row in page.locator("[data-pairs] tr").all()]
        chromium.close()
    expected = [binomtest(int(cells[4]), int(cells[4]) + int(cells[5])).pvalue for cells in told]
    assert len(told) == 6
    assert [cells[7] for cells in told] == ["< 0.001" if p < 0.001 else f"{p:.3f}" for p in expected]
    assert len({p for p in expected if 0.001 < p < 1}) > 2
