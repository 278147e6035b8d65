"""Every page is valid HTML, and no file of the site is heavier than it may be."""

from __future__ import annotations

import gzip
from pathlib import Path

import html5lib
import pytest
from browser import large_board
from test_leaderboard import DOUBT, make, naive_and_trained, site_of

from benchmark.statistics import bootstrap


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


def test_a_board_of_200_entries_is_light(tmp_path):
    site = site_of(tmp_path, *large_board(200, ("ct",)))
    for page in ("phantom/ct/index.html", "index.html"):
        assert len(gzip.compress((site / page).read_bytes())) <= 150_000, page
