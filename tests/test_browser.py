"""The site in a real browser, opened from disk: nothing breaks, nothing leaves, everything can be reached and read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
from browser import CHROMIUM, NO_SHADOWS, address
from PIL import Image
from test_leaderboard import DOUBT, make, naive_and_trained, site_of

from leaderboard.serve import serving

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra: test)")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe is not installed (extra: test)"
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium here (Debian: apt-get install chromium)"
)

BOARD = "phantom/ct/index.html"
ROWS = "[...document.querySelectorAll('#board tbody[data-entries] tr')].map(row => row.outerHTML)"


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Seven entries on CT, of several kinds, and two on the other modalities."""
    folder = tmp_path_factory.mktemp("browser")
    records = [r for modality in ("ct", "mammogram", "mri") for r in naive_and_trained(modality)]
    adversarial = {
        "kind": "adversarial",
        "attack": "PGD-10",
        "epsilon": "0.004",
        "external_data": ["ImageNet"],
    }
    records += [
        # Far ahead at large ε, behind at the headline: moving along ε changes the order.
        make("middling", strength=0.004, seed=3, training=adversarial, architecture="resnet8-gn"),
        make("doubtful", strength=0.02, seed=4, flags=(DOUBT,), architecture="resnet8-gn"),
        make("always", strength=0.02, seed=5, kind="baseline", architecture="constant"),
        make("quick-one", protocol="quick"),
    ]
    for record in records:
        path = folder / "results" / record.track / record.modality / f"{record.submission}.times.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"seconds": 12.0, "date": "2026-11-23"}')
    return site_of(folder, *records)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Opened:
    """A page, and everything that went wrong or left while it was open."""

    def __init__(self, context, url: str) -> None:
        self.complaints: list[str] = []
        self.page = context.new_page()
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.complaints.append(m.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._asked)
        self.page.goto(url)

    def _asked(self, request) -> None:
        if urlparse(request.url).scheme not in ("file", "data"):
            self.complaints.append(f"asked for {request.url}")

    def order(self) -> list[str]:
        """The entries in sight, in the order of the table."""
        rows = self.page.locator("#board tbody[data-entries] tr:visible th.entry > a")
        return rows.all_inner_texts()

    def column(self, key: str) -> list[str]:
        """The cells in sight of a column, without their small print."""
        at = self.page.evaluate(
            "key => [...document.querySelectorAll('#board thead th')].findIndex(h => h.dataset.key === key)",
            key,
        )
        cells = self.page.locator(f"#board tbody[data-entries] tr:visible > :nth-child({at + 1})")
        return [text.split("\n")[0].strip() for text in cells.all_inner_texts()]


@pytest.fixture
def opened(browser, site):
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, accept_downloads=True)

    def go(page: str = BOARD, view: str = "") -> Opened:
        return Opened(context, address(site, page, view))

    yield go
    context.close()


def every_page(site: Path) -> list[str]:
    return sorted(str(path.relative_to(site)) for path in site.rglob("*.html"))


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_every_page_opens_without_complaint_and_asks_for_nothing_elsewhere(browser, site, scripts):
    context = browser.new_context(java_script_enabled=scripts)
    pages = every_page(site)
    assert len(pages) > 12
    for name in pages:
        found = Opened(context, address(site, name))
        assert found.complaints == [], name
        assert found.page.locator("h1").count() == 1, name
        found.page.close()
    context.close()


@pytest.mark.parametrize("width", [360, 768, 1920])
def test_no_page_is_wider_than_the_window(browser, site, width):
    context = browser.new_context(viewport={"width": width, "height": 900})
    for name in every_page(site):
        found = Opened(context, address(site, name)).page
        assert found.evaluate("document.documentElement.scrollWidth") <= width, name
        found.close()
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, site, theme):
    context = browser.new_context(color_scheme=theme, viewport={"width": 1400, "height": 1000})
    bad = []
    for name in every_page(site):
        page = Opened(context, address(site, name)).page
        for details in page.locator("main details").all():
            details.evaluate("element => { element.open = true }")
        page.evaluate(NO_SHADOWS)
        for violation in axe.Axe().run(page).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                where = [node["target"] for node in violation["nodes"]][:4]
                bad.append((name, violation["id"], violation["help"], where))
        page.close()
    context.close()
    assert bad == []


def test_without_scripts_the_whole_table_is_there(browser, site):
    context = browser.new_context(java_script_enabled=False)
    page = Opened(context, address(site, BOARD)).page
    heads = page.locator("#board thead th")
    assert heads.count() == page.locator("#board thead th:visible").count() > 15
    assert page.locator("#board tbody[data-entries] tr:visible").count() == 5
    assert not page.locator("[data-controls]").is_visible()
    assert page.locator("svg.curves").is_visible()
    context.close()


def test_a_click_on_a_header_sorts_and_says_so(opened):
    board = opened()
    ranks = board.order()
    board.page.get_by_role("button", name="Clean", exact=True).click()
    clean = [float(value) for value in board.column("clean")]
    assert clean == sorted(clean, reverse=True)
    assert board.page.locator("#board thead th[aria-sort]").count() == 1
    assert board.page.locator('#board th[data-key="clean"]').get_attribute("aria-sort") == "descending"
    assert "by Clean, descending" in board.page.locator("[data-count]").inner_text()
    board.page.get_by_role("button", name="Clean", exact=True).press("Enter")  # by keyboard, the other way
    assert [float(value) for value in board.column("clean")] == sorted(clean)
    board.page.get_by_role("button", name="Rank", exact=True).click()
    assert board.order() == ranks
    assert board.complaints == []


def test_search_and_filters_leave_what_fits(opened):
    board = opened()
    everyone = board.order()
    board.page.get_by_role("searchbox").fill("resnet8 pgd")
    assert board.order() == ["middling"]
    assert board.page.locator("[data-count]").inner_text().startswith("1 of 5 entries")
    board.page.get_by_role("searchbox").fill("")
    board.page.locator("#facet-architecture").select_option("resnet8-gn")
    assert set(board.order()) == {"middling", "doubtful"}
    board.page.locator("#facet-flags").select_option("doubt")
    assert board.order() == ["doubtful"]
    board.page.get_by_role("button", name="Reset").click()
    assert board.order() == everyone
    board.page.locator("#facet-external").select_option("yes")
    assert board.order() == ["middling"]


def test_moving_along_epsilon_ranks_again(opened, site):
    with (site / "phantom/ct/phantom-ct-standard-curves.csv").open() as file:
        lines = list(csv.DictReader(file))
    board = opened()
    before, kept = board.order(), board.page.evaluate(ROWS)
    slider = board.page.get_by_role("slider")
    slider.focus()
    for _ in range(4):
        board.page.keyboard.press("ArrowRight")
    assert "0.02 (28 HU)" in board.page.locator("#epsilon-value").inner_text()
    at = {
        line["submission"]: float(line["worst_case_balanced"]) for line in lines if line["epsilon"] == "0.02"
    }
    told = dict(zip(board.order(), board.column("robust"), strict=True))
    assert told == {name: f"{100 * value:.1f}" for name, value in at.items()}
    ranked = [name for name in board.order() if name not in ("doubtful", "always")]
    assert ranked == sorted(ranked, key=lambda name: -at[name])
    assert board.column("rank")[: len(ranked)] == ["1", "2", "3"]
    assert board.page.locator("[data-order-note]").is_visible()
    for _ in range(4):
        board.page.keyboard.press("ArrowLeft")
    assert board.order() == before
    assert board.page.evaluate(ROWS) == kept


def test_away_from_the_headline_everything_says_of_which_epsilon_it_is(opened):
    board = opened(view="epsilon=0.02&columns=robust,clean,best,leader,under-fgsm")
    caption, count = board.page.locator("#board caption"), board.page.locator("[data-count]")
    assert "robust at ε = 0.02 (28 HU)" in caption.inner_text()
    assert "by Order, ascending" in count.inner_text()
    ink = {
        key: board.page.locator("#board tbody tr")
        .first.locator("td")
        .nth(at)
        .evaluate("cell => getComputedStyle(cell).color")
        for at, key in ((2, "clean"), (3, "best"), (4, "leader"), (5, "under-fgsm"))
    }
    for key in ("best", "leader", "under-fgsm"):
        assert "stays at ε = 0.004" in board.page.locator(f'#board th[data-key="{key}"]').inner_text()
        assert ink[key] != ink["clean"]
    assert "stays" not in board.page.locator('#board th[data-key="clean"]').inner_text()
    board.page.get_by_role("slider").fill("5")
    assert "robust at ε = 0.004 (5.6 HU)" in caption.inner_text()
    assert "by Rank, ascending" in count.inner_text()
    assert not board.page.locator("#board .held:visible").count()


def test_the_address_carries_the_view(opened):
    board = opened()
    board.page.get_by_role("button", name="Area over ε", exact=True).click()
    board.page.get_by_role("searchbox").fill("vgg16")
    board.page.get_by_role("slider").fill("7")
    board.page.locator(".chooser summary").click()
    board.page.locator('[data-column="architecture"]').uncheck()
    board.page.locator('[data-column="specificity"]').check()
    hash_ = board.page.evaluate("location.hash.slice(1)")
    assert "epsilon=0.008" in hash_

    again = opened(view=hash_)
    assert again.order() == board.order()
    assert again.column("robust") == board.column("robust")
    assert again.page.get_by_role("searchbox").input_value() == "vgg16"
    assert not again.page.locator('#board th[data-key="architecture"]').is_visible()
    assert again.page.locator('#board th[data-key="specificity"]').is_visible()
    assert again.page.locator('#board th[data-key="area"]').get_attribute("aria-sort") == "descending"
    # An address that makes no sense shows the board as it is.
    assert opened(view="sort=nothing&epsilon=7&columns=rank").complaints == []


def test_columns_are_chosen(opened):
    board = opened()
    assert not board.page.locator('#board th[data-key="under-fgsm"]').is_visible()
    board.page.locator(".chooser summary").click()
    board.page.locator('[data-column="under-fgsm"]').check()
    assert board.page.locator('#board th[data-key="under-fgsm"]').is_visible()
    assert all(float(value) <= 100 for value in board.column("under-fgsm"))
    for label in board.page.locator("[data-choices] label").all():  # a box and its words stand in one line
        box, words = label.locator("input").bounding_box(), label.bounding_box()
        assert words["height"] < 2 * box["height"]


@pytest.mark.parametrize("width", [1180, 1280, 1920])
def test_what_is_chosen_to_compare_stands_side_by_side(browser, site, width):
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = Opened(context, address(site, "phantom/ct/compare.html")).page
    page.evaluate(
        "document.querySelectorAll('[data-choice] option').forEach(each => { each.label = 'A long title '.repeat(5) })"
    )
    boxes = [select.bounding_box() for select in page.locator("[data-choice]").all()]
    edge = page.locator("#chosen").bounding_box()
    ends = [box["x"] + box["width"] for box in boxes]
    for box, end, after in zip(boxes, ends, boxes[1:], strict=False):
        assert end <= after["x"] or box["y"] < after["y"]
    assert max(ends) <= edge["x"] + edge["width"]
    context.close()


def test_a_board_fits_a_common_window_and_where_it_does_not_its_edge_says_so(browser, site):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = Opened(context, address(site, BOARD)).page
    wide = "(() => { const box = document.querySelector('.scroll'); return box.scrollWidth - box.clientWidth })()"
    assert page.evaluate(wide) == 0
    page.set_viewport_size({"width": 390, "height": 900})
    assert page.evaluate(wide) > 100
    beginning, end = shade_at_the_right(page), None
    page.evaluate("document.querySelector('.scroll').scrollLeft = 9999")
    end = shade_at_the_right(page)
    assert beginning < end - 15
    context.close()


def shade_at_the_right(page) -> float:
    """How light the right edge of the board's box is, below its caption's text."""
    shot = Image.open(BytesIO(page.locator(".scroll").first.screenshot())).convert("L")
    return float(np.median(np.asarray(shot)[:, -3:]))


def test_a_download_is_the_table(browser, site):
    # From disk a browser shows a file where it would save it; so here the site is served, as --serve does.
    context = browser.new_context(accept_downloads=True)
    with serving(site, 0) as server:
        board = Opened(context, f"http://127.0.0.1:{server.server_port}/{BOARD}")
        downloads(board, site)
        assert [told for told in board.complaints if "127.0.0.1" not in told] == []
    context.close()


def downloads(board, site):
    for name in ("the table (CSV)", "the table (JSON)"):
        with board.page.expect_download() as download:
            board.page.get_by_role("link", name=name).click()
        suggested = download.value.suggested_filename
        assert Path(download.value.path()).read_bytes() == (site / "phantom/ct" / suggested).read_bytes()
    assert len(json.loads((site / "phantom/ct/phantom-ct-standard.json").read_text())["entries"]) == 5


def test_a_definition_opens_by_keyboard_and_closes_by_escape(opened):
    board = opened()
    why = board.page.get_by_role("button", name="What Median minimal ε means")
    why.focus()
    board.page.keyboard.press("Enter")
    tip = board.page.locator("#about-median")
    assert tip.is_visible()
    assert "smallest change" in tip.inner_text()
    board.page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_the_theme_is_chosen_and_kept(opened):
    ground = "getComputedStyle(document.body).backgroundColor"
    board = opened()
    light = board.page.evaluate(ground)
    board.page.get_by_role("button", name="Dark theme").click()
    dark = board.page.evaluate(ground)
    assert dark != light
    assert opened("method.html").page.evaluate(ground) == dark
    board.page.get_by_role("button", name="Light theme").click()
    assert board.page.evaluate(ground) == light


@pytest.mark.parametrize(("button", "begins"), [("Copy", "The OncoRobust"), ("Copy the BibTeX", "@misc{")])
def test_the_citation_is_copied_or_marked(opened, button, begins):
    board = opened()
    pressed = board.page.get_by_role("button", name=button, exact=True)
    pressed.click()
    said = pressed.locator("xpath=..").locator("[data-copied]")
    sync_api.expect(said).not_to_be_empty()
    if "Marked" in said.inner_text():
        assert board.page.evaluate("getSelection().toString()").startswith(begins)


def test_the_keyboard_reaches_the_content_first(opened):
    board = opened()
    board.page.keyboard.press("Tab")
    assert board.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    board.page.keyboard.press("Enter")
    assert board.page.evaluate("document.activeElement.id") == "main"


def test_print_shows_the_table_and_no_controls(opened):
    board = opened()
    board.page.emulate_media(media="print")
    assert not board.page.locator("[data-controls]").is_visible()
    assert not board.page.locator("header.top nav").is_visible()
    assert board.page.locator("#board").is_visible()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_a_board_fits_on_paper_and_its_entries_can_be_read(browser, site, scripts):
    # Paper is written on in the light, whatever theme was chosen; 965 px are a letter on its side.
    context = browser.new_context(viewport={"width": 965, "height": 720}, java_script_enabled=scripts)
    page = Opened(context, address(site, BOARD)).page
    if scripts:
        page.get_by_role("button", name="Dark theme").click()
    page.emulate_media(media="print")
    assert min(cell.bounding_box()["width"] for cell in page.locator("#board th.entry").all()) >= 140
    assert page.locator("#board").bounding_box()["width"] <= 965
    shown = [head.get_attribute("data-key") for head in page.locator("#board thead th:visible").all()]
    assert shown == ["rank", "entry", "robust", "forest", "clean", "missed", "median", "area", "best"]
    assert "size: landscape" in (site / "static/style.css").read_text("utf-8")
    assert sum(page.evaluate("getComputedStyle(document.body).color.match(/\\d+/g).map(Number)")) < 150
    context.close()
