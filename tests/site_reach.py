"""How far the site reaches: `python tests/site_reach.py 200` builds a board of 200 entries × 3 modalities and times it.

Prints seconds and memory of the build, sizes, first paint, sorting and the ε slider in headless chromium; asserts nothing.
"""

from __future__ import annotations

import gzip
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from browser import CHROMIUM, address, large_board
from test_leaderboard import write

PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
# Each gesture 21 times. `laid`: until the whole page is laid out; `drawn`: until the frame that shows it has been made.
TIMES = """async gesture => {
  const laid = [], drawn = [];
  for (let i = 0; i < 21; i++) {
    const begun = performance.now();
    gesture(i);
    document.body.offsetHeight;
    laid.push(performance.now() - begun);
  }
  for (let i = 0; i < 21; i++) {
    drawn.push(await new Promise(done => requestAnimationFrame(() => {
      const begun = performance.now(), after = new MessageChannel();
      gesture(i);
      after.port1.onmessage = () => done(performance.now() - begun);
      after.port2.postMessage(null);
    })));
  }
  return [laid, drawn];
}"""
GESTURES = {
    "sorting by a number": "() => document.querySelector('#board th[data-key=\"area\"] .sort').click()",
    "sorting by words": "() => document.querySelector('#board th[data-key=\"architecture\"] .sort').click()",
    "moving along ε": """i => {
      const slider = document.getElementById("epsilon");
      slider.value = String(1 + i % 9);
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    }""",
}


def main(entries: int) -> None:
    """Build, measure, print."""
    from leaderboard.build import build

    with tempfile.TemporaryDirectory(prefix="oncorobust-reach-") as folder:
        print(f"writing {3 * entries} synthetic records …", flush=True)
        results = write(Path(folder) / "results", *large_board(entries))
        before, begun, cpu = peak(), time.perf_counter(), time.process_time()
        site = build(results, Path(folder) / "site").parent
        took, used = time.perf_counter() - begun, time.process_time() - cpu
        print(f"build of {entries} entries x 3: {took:.1f} s, {used:.1f} s of processor")
        print(f"memory at most {peak():.2f} GB, {before:.2f} of it before the build")
        for page in ("index.html", "phantom/ct/index.html"):
            content = (site / page).read_bytes()
            print(
                f"{page}: {len(content) / 1e3:.0f} kB, {len(gzip.compress(content)) / 1e3:.0f} kB compressed"
            )
        in_browser(site)


def peak() -> float:
    """The most memory this process has held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def in_browser(site: Path) -> None:
    """First paint and sorting, several times."""
    if CHROMIUM is None:
        print("no chromium here: nothing painted")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        paints = []
        for _ in range(5):
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            page.goto(address(site, "phantom/ct/index.html"))
            while (
                page.evaluate(PAINT) is None
            ):  # the page lets no string become a program, so nothing is waited for there
                page.wait_for_timeout(20)
            paints.append(page.evaluate(PAINT))
        times = {name: page.evaluate(f"({TIMES})({gesture})") for name, gesture in GESTURES.items()}
        print(f"first paint: {told(paints)}")
        for name, (laid, drawn) in times.items():
            print(f"{name}: laid out {told(laid)}; drawn {told(drawn)}")
        browser.close()


def told(took: list[float]) -> str:
    """The best and the median of several times in milliseconds."""
    return f"best {min(took):.0f} ms, median {statistics.median(took):.0f} ms of {len(took)}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
