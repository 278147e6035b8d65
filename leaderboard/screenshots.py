"""Pictures of the site for the README, taken with Debian's chromium: `python -m leaderboard screenshots`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from benchmark.errors import DataError
from benchmark.files import replace_files

FOLDER = Path(__file__).with_name("screenshots")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Shot:
    """A picture: of which page, in which theme, how large a window in CSS pixels."""

    name: str
    page: str
    theme: str
    width: int
    height: int


SHOTS = (
    Shot("overview", "index.html", "light", 1280, 900),
    Shot("board", "phantom/ct/index.html", "light", 1440, 1080),
    Shot("entry", "phantom/ct/vgg16-slim-pgd-at.html", "light", 1280, 900),
    Shot("compare", "phantom/ct/compare.html", "light", 1280, 900),
    Shot("board-dark-phone", "phantom/ct/index.html", "dark", 430, 932),
)


def screenshots(site: Path) -> tuple[Path, ...]:
    """Take all pictures of a built site, as WebP; returns their paths.

    Raises:
        DataError: chromium or playwright is missing.
    """
    files = {FOLDER / f"{shot.name}.webp": content for shot, content in _taken(site)}
    FOLDER.mkdir(exist_ok=True)
    replace_files(files)
    return tuple(files)


def _taken(site: Path) -> Iterator[tuple[Shot, bytes]]:
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        raise DataError("pictures need a browser: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise DataError("pictures need playwright: pip install 'oncorobust[test]'") from None
    with sync_playwright() as playwright:
        browser: Any = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for shot in SHOTS:
            window = {"width": shot.width, "height": shot.height}
            page = browser.new_page(viewport=window, color_scheme=shot.theme, device_scale_factor=1)
            page.goto((site / shot.page).resolve().as_uri())
            yield shot, _as_webp(page.screenshot())
            page.close()
        browser.close()


def _as_webp(png: bytes) -> bytes:
    from PIL import Image

    out = BytesIO()
    Image.open(BytesIO(png)).convert("RGB").save(out, "WEBP", quality=82, method=6)
    return out.getvalue()
