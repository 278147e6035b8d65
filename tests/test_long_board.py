"""A board too long to be laid out whole at each sort: its far rows wait, and nobody misses anything for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, NO_SHADOWS, address, large_board
from test_leaderboard import site_of

from benchmark.statistics import bootstrap

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra: test)")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe is not installed (extra: test)"
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium here (Debian: apt-get install chromium)"
)

ENTRIES, BOARD = 45, "phantom/ct/index.html"
COLUMNS = "[...document.querySelectorAll('[data-column]')].map(box => box.dataset.column).join()"
# Which rows' cells are laid out, in the order of the table.
LAID_OUT = """[...document.querySelectorAll('#board tbody[data-entries] tr')].map(
  row => row.cells[0].checkVisibility({ contentVisibilityAuto: true }))"""
# Cells that do not stand below their head, or whose text is wider than they are, once no row waits any more.
ASTRAY = """() => {
  const table = document.getElementById("board"), heads = [...table.tHead.rows[0].cells], astray = [];
  for (const row of table.rows) row.style.contentVisibility = "visible";
  for (const row of table.rows) for (const [at, cell] of [...row.cells].entries()) {
    const { left, width } = cell.getBoundingClientRect(), head = heads[at].getBoundingClientRect();
    if (Math.abs(left - head.left) > 0.5 || Math.abs(width - head.width) > 0.5 || cell.scrollWidth > cell.clientWidth + 1)
      astray.push([row.rowIndex, heads[at].dataset.key, left, head.left, width, head.width, cell.scrollWidth]);
  }
  return astray.slice(0, 9);
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    before, bootstrap.RESAMPLES = bootstrap.RESAMPLES, 200
    yield site_of(tmp_path_factory.mktemp("long"), *large_board(ENTRIES, ("ct",)))
    bootstrap.RESAMPLES = before


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """With the tree that readers aloud are given, which chromium otherwise makes only in part."""
    with sync_api.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--force-renderer-accessibility"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, site):
    contexts = []

    def go(view: str = "", width: int = 1400, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": 1000}, **options))
        page = contexts[-1].new_page()
        page.goto(address(site, BOARD, view))
        return page

    yield go
    for context in contexts:
        context.close()


def test_rows_far_from_the_window_wait_and_sorting_moves_them_all_the_same(opened):
    page = opened()
    names = page.locator("#board tbody[data-entries] th.entry > a").all_text_contents()
    assert len(names) == ENTRIES
    page.locator('#board th[data-key="entry"] .sort').click()
    by_number = page.locator("#board tbody[data-entries] th.entry > a").all_text_contents()
    assert by_number == sorted(names, key=lambda name: int(name.split(",")[0].removeprefix("Entry ")))
    page.locator(".lead").scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    laid_out = page.evaluate(LAID_OUT)
    assert len(laid_out) == ENTRIES
    assert laid_out[-10:] == [False] * 10
    page.locator("#board tbody[data-entries] tr").last.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    assert page.evaluate(LAID_OUT)[-1]


@pytest.mark.parametrize("width", [400, 1000, 1400, 2200])
def test_every_cell_stands_below_its_head_and_holds_its_text(opened, width):
    page = opened(width=width)
    assert page.evaluate(ASTRAY) == []
    everything = opened(f"columns={page.evaluate(COLUMNS)}", width)
    assert everything.locator("#board thead th").count() > 20
    assert everything.evaluate(ASTRAY) == []
    few = opened("columns=clean,training", width)
    assert few.locator("#board thead th").count() == 4
    assert few.evaluate(ASTRAY) == []


def test_a_reader_aloud_meets_every_row_with_the_cells_of_its_heads(opened):
    page = opened()
    page.wait_for_timeout(500)
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    known = {node["nodeId"]: node for node in tree}

    def told(node):
        roles = [
            known[child]["role"]["value"]
            for child in node["childIds"]
            if child in known and not known[child]["ignored"]
        ]
        return [role for role in roles if role != "StaticText"]

    rows = [told(node) for node in tree if not node["ignored"] and node["role"]["value"] == "row"]
    columns = page.locator("#board thead th").count()
    heads = ["columnheader"] * columns
    assert rows.count(heads) == 1
    rows.remove(heads)
    assert len(rows) >= ENTRIES
    assert [row for row in rows if row != ["cell", "rowheader"] + ["cell"] * (columns - 2)] == []


def test_paper_takes_the_whole_table(opened):
    page = opened()
    page.emulate_media(media="print")
    found = page.evaluate(
        """() => [document.getElementById("board"), ...document.querySelectorAll("#board tr")].map(
             part => getComputedStyle(part)).map(style => `${style.display} ${style.contentVisibility}`)"""
    )
    assert set(found) == {"table visible", "table-row visible"}
    assert page.evaluate(LAID_OUT) == [True] * ENTRIES


def test_without_scripts_every_column_is_there(opened):
    page = opened(java_script_enabled=False)
    heads = page.locator("#board thead th")
    assert heads.count() == page.locator("#board thead th:visible").count() > 20
    assert page.locator("#board tbody[data-entries] tr:visible").count() == ENTRIES


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(opened, theme):
    page = opened("epsilon=0.02", color_scheme=theme)
    page.evaluate(NO_SHADOWS)
    found = axe.Axe().run(page).response["violations"]
    assert [(v["id"], v["help"]) for v in found if v["impact"] in ("serious", "critical")] == []
