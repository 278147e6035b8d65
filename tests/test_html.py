"""Every page is valid HTML, and no file of the site is heavier than it may be."""

from __future__ import annotations

import gzip
from pathlib import Path

import html5lib
import pytest
from browser import large_board
from test_leaderboard import DOUBT, make, naive_and_trained, site_of

from benchmark.statistics import bootstrap
from leaderboard.build import build

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module", autouse=True)
def few_resamples():
    before, bootstrap.RESAMPLES = bootstrap.RESAMPLES, 200
    yield
    bootstrap.RESAMPLES = before


def parse_errors(path: Path) -> list[str]:
    parser = html5lib.HTMLParser(strict=False)
    parser.parse(path.read_bytes(), transport_encoding="utf-8")
    return [f"{path.name}: {code} {told} at {place}" for place, code, told in parser.errors]


def test_the_parser_finds_what_is_wrong(tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text("<!doctype html><html lang=en><title>x</title><p><div></p></div><p id=a id=a>")
    assert len(parse_errors(bad)) >= 2


def test_every_page_parses_without_an_error(tmp_path):
    records = [r for modality in ("ct", "mammogram", "mri") for r in naive_and_trained(modality)]
    site = site_of(tmp_path, *records, make("d", flags=(DOUBT,)), make("q", protocol="quick"))
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 10
    assert [error for page in pages for error in parse_errors(page)] == []
    empty = site_of(tmp_path / "empty")
    assert parse_errors(empty / "index.html") == []


def bare_terms(path: Path) -> list[str]:
    """Groups of a definition list that have no term, or a term that nothing is said of."""
    tree = html5lib.parse(path.read_bytes(), transport_encoding="utf-8", namespaceHTMLElements=False)
    groups = [group for each in tree.iter("dl") for group in each.findall("div") or [each]]
    return [
        f"{path.name}: {''.join(group.itertext())}"
        for group in groups
        if {c.tag for c in group} != {"dt", "dd"}
    ]


def test_every_term_of_a_list_has_something_said_of_it(tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text("<dl><div><dt>a<dd>b</div><div><dt>both ends</div></dl>")
    assert bare_terms(bad) == ["bad.html: both ends"]
    site = site_of(tmp_path, *naive_and_trained())
    shipped = build(ROOT / "leaderboard" / "results", tmp_path / "shipped").parent
    pages = [*site.rglob("*.html"), *shipped.rglob("*.html")]
    assert shipped / "phantom/ct/images.html" in pages
    assert [bare for page in pages for bare in bare_terms(page)] == []


def test_a_board_of_200_entries_is_light(tmp_path):
    site = site_of(tmp_path, *large_board(200, ("ct",)))
    for page in ("phantom/ct/index.html", "index.html"):
        assert len(gzip.compress((site / page).read_bytes())) <= 150_000, page
