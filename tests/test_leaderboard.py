"""The leaderboard: its figures are those of the records, its ranks are earned, and its pages are safe."""

from __future__ import annotations

import csv
import dataclasses
import gc
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmark.errors import DataError
from benchmark.protocol import PROTOCOLS
from benchmark.record import AttackResult, Flag, Record
from benchmark.statistics import bootstrap
from leaderboard import board_words
from leaderboard.board_words import tie_words, verdict
from leaderboard.build import build
from leaderboard.screenshots import SHOTS
from leaderboard.stamp import code_commit, stamp
from leaderboard.tables import collect
from leaderboard.terminal import render_text, text_table

PROJECT = Path(__file__).resolve().parent.parent
DOUBT = Flag("masked", "doubt", 0.12, 0.01, "Square breaks what no gradient attack breaks.")
WEAKNESS = {"noise": 12, "fgsm": 1.6, "bim": 1.25, "pgd": 1.1, "apgd": 1.0, "fab": 1.05, "square": 1}


def make(
    submission: str,
    modality: str = "ct",
    track: str = "phantom",
    protocol: str = "standard",
    strength: float = 0.002,
    seed: int = 0,
    patients: int = 70,
    flags: tuple[Flag, ...] = (),
    **description: Any,
) -> Record:
    """A record whose images break around ε = `strength`, on the same 200 images for every submission."""
    asked, images = PROTOCOLS[protocol], 200
    rng = np.random.default_rng([seed, len(modality)])
    labels = (np.arange(images) * 7 % 5 < 2).astype(int)
    margins = np.where(rng.random(images) < 0.9, 1, -1) * rng.gamma(2, 1, images)
    smallest = rng.lognormal(np.log(strength), 0.8, images)
    attacks = {}
    for spec in asked.attacks:
        linf = smallest * WEAKNESS[spec.name]
        judged = {e: np.where(linf <= float(e), -1, 1).astype(np.float32) for e in asked.epsilons}
        if spec.search == "survivors":
            # APGD found each image's smallest change, so nothing that this one is asked about falls.
            linf = np.full(images, np.inf)
            left = {e: (margins > 0) & (smallest > float(e)) for e in spec.epsilons}
            judged = {
                e: np.where(left.get(e, False), np.float32(1), np.float32(np.nan)) for e in asked.epsilons
            }
        attacks[spec.name] = AttackResult(np.where(linf <= 0.02, linf, np.inf), judged, 1000, 900)
    return Record(
        submission=submission,
        modality=modality,
        track=track,
        protocol=asked.described(),
        split={"name": f"{track}-{modality}", "sha256": "0c1d" * 16, "images": images, "patients": patients},
        provenance={"verified": True, "device": "cpu"},
        labels=labels,
        patient_ids=[f"p{i * patients // images}" for i in range(images)],
        image_ids=[f"i{i}" for i in range(images)],
        clean_margins=margins.astype(np.float32),
        attacks=attacks,
        flags=flags,
        description={"title": submission, "kind": "entry", "training": "naive", **description},
    )


def write(root: Path, *records: Record) -> Path:
    for record in records:
        record.save(root / record.track / record.modality)
    return root


def site_of(folder: Path, *records: Record) -> Path:
    """The site built from these records: folder/site."""
    return build(write(folder / "results", *records), folder / "site").parent


def built(folder: Path, *records: Record, page: str = "phantom/ct/index.html") -> str:
    """One page of the site built from these records, in folder/site."""
    return (site_of(folder, *records) / page).read_text(encoding="utf-8")


def naive_and_trained(modality: str = "ct", track: str = "phantom") -> list[Record]:
    return [
        make("vgg16-slim-naive", modality, track, strength=0.001, seed=1, kind="reference"),
        make("vgg16-slim-pgd-at", modality, track, strength=0.009, seed=2, naive_twin="vgg16-slim-naive"),
    ]


class Reader(HTMLParser):
    """What a browser would make of a page: the text of the rows, and every address that an element loads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.keys: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if key := dict(attrs).get("data-key"):
            self.keys.append(key)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += f" {data.strip()}" if data.strip() else ""

    def row(self, text: str) -> list[str]:
        """The cells of the first row with this text in it."""
        return next([cell.strip() for cell in row] for row in self.rows if any(text in cell for cell in row))

    def cells(self, text: str) -> dict[str, str]:
        """The cells of the row of a board whose entry is called so, by the names of their columns."""
        rows = [row for row in self.rows if len(row) == len(self.keys) and row[1].strip().startswith(text)]
        return {key: cell.strip() for key, cell in zip(self.keys, rows[0], strict=True)}

    @property
    def links(self) -> list[str]:
        """Where the page leads or what it loads, without what lies elsewhere."""
        named = [a.get(name) or "" for _, a in self.tags for name in ("href", "src")]
        return [link for link in named if link and ":" not in link]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer resamples, for speed: records and pages are compared under the same number."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)


def test_a_page_with_everything_is_built(tmp_path: Path) -> None:
    records = [record for modality in ("ct", "mammogram", "mri") for record in naive_and_trained(modality)]
    write(tmp_path / "results", *records, make("draft", protocol="quick"))
    index = build(tmp_path / "results", tmp_path / "site")
    site = index.parent

    assert index == (tmp_path / "site" / "index.html").resolve()
    pages = {str(path.relative_to(site)): path.read_text("utf-8") for path in site.rglob("*.html")}
    assert {
        "index.html",
        "method.html",
        "study.html",
        "phantom/ct/index.html",
        "phantom/ct/quick/index.html",
        "phantom/ct/quick/draft.html",
        "phantom/mri/vgg16-slim-pgd-at.html",
    } <= set(pages)
    assert "5.6 HU" in pages["phantom/ct/index.html"]
    assert "262 grey levels" in pages["phantom/mammogram/index.html"]
    assert "n_queries = 1000" in pages["method.html"]
    assert "quick: never ranked" in pages["phantom/ct/quick/index.html"]
    for name, html in pages.items():
        assert "Research use only" in html, name
        assert "upper bound" in html, name
        # Every page of measurements warns for itself: a reader may land on any of them.
        assert ("these images are synthetic" in html) == (name != "method.html"), name


def test_every_link_leads_somewhere(tmp_path: Path) -> None:
    records = [record for modality in ("ct", "mammogram", "mri") for record in naive_and_trained(modality)]
    site = site_of(tmp_path, *records, make("draft", protocol="quick"))

    pages = {path: Reader(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    ids = {path: [a["id"] for _, a in page.tags if a.get("id")] for path, page in pages.items()}
    followed = 0
    for path, page in pages.items():
        assert len(ids[path]) == len(set(ids[path])), path
        for link in page.links:
            target, _, anchor = link.partition("#")
            there = (path.parent / target).resolve() if target else path
            assert there.is_file(), (path, link)
            assert there.is_relative_to(site)
            assert not anchor or anchor in ids[there], (path, link)
            followed += 1
    assert followed > 100
    assert "phantom-ct-standard.csv" in " ".join(pages[site / "phantom/ct/index.html"].links)


def test_the_figures_are_those_of_the_records(tmp_path: Path) -> None:
    naive, trained = naive_and_trained()
    html = built(tmp_path, naive, trained)

    # From the files of the records alone, by another way than the tables'.
    with (tmp_path / "results/phantom/ct/vgg16-slim-pgd-at.csv").open() as file:
        images = list(csv.DictReader(file))
    right = np.array([float(image["clean_margin"]) > 0 for image in images])
    disease = np.array([image["label"] == "1" for image in images])

    def survives(attack: str) -> np.ndarray:
        return right & np.array([float(image[f"{attack}_linf"] or "inf") > 0.004 for image in images])

    worst = np.logical_and.reduce([survives(attack) for attack in trained.attacks])
    balanced = (worst[disease].mean() + worst[~disease].mean()) / 2
    summary = json.loads((tmp_path / "results/phantom/ct/vgg16-slim-pgd-at.json").read_text())["summary"]

    row = Reader(html).cells("vgg16-slim-pgd-at")
    assert row["rank"] == "1"
    assert row["clean-all"].split() == [f"{100 * right.mean():.1f}", interval(summary["clean"])]
    both = (right[disease].mean() + right[~disease].mean()) / 2
    assert row["clean"].split()[0] == f"{100 * both:.1f}" != row["clean-all"].split()[0]
    assert row["robust"].split() == [f"{100 * balanced:.1f}", interval(summary["robust_balanced"])]
    assert row["all"].split() == [f"{100 * worst.mean():.1f}", interval(summary["robust"]["0.004"])]
    alone = [attack for attack in trained.attacks if attack != "square"]
    for attack in alone:
        assert row[f"under-{attack}"] == f"{100 * survives(attack).mean():.1f}"
    # Square is asked about what the others left: it broke none of these, which is no accuracy.
    left = {e: sum(bool(image[f"square@{e}"]) for image in images) for e in ("0.002", "0.004")}
    assert left["0.004"] == np.logical_and.reduce([survives(attack) for attack in alone]).sum()
    assert row["met-square"] == f"0 of {left['0.004']} at ε = 0.004 0 of {left['0.002']} at 0.002"
    assert "under-square" not in row
    assert row["missed"].split()[0] == f"{100 * (1 - worst[disease].mean()):.1f}"
    median = float(np.median(trained.minimal_epsilon))
    assert row["median"].split() == [f"{median:.4f}", f"{1400 * round(median, 4):.3g}", "HU"]
    # The curve's numbers, and the same in the download.
    curve = [trained.robust_accuracy(e, balanced=True) for e in trained.epsilons]
    assert [f"{100 * share:.1f}" for share in curve] == next(
        [cell.strip() for cell in row[3:]]
        for row in Reader(html).rows
        if len(row) == 12 and "pgd-at" in row[0] and "worst" in row[1]
    )
    folder = tmp_path / "site/phantom/ct"
    with (folder / "phantom-ct-standard.csv").open() as file:
        line = next(line for line in csv.DictReader(file) if line["submission"] == "vgg16-slim-pgd-at")
    assert float(line["worst_case_balanced"]) == pytest.approx(balanced, abs=1e-5)
    assert [line[f"square_{what}_at_0.004"] for what in ("asked", "broken")] == [str(left["0.004"]), "0"]
    assert "square_robust" not in line
    assert line["positive_means"] == "a nodule drawn as malignant (synthetic)"
    with (folder / "phantom-ct-standard-curves.csv").open() as file:
        points = [point for point in csv.DictReader(file) if point["submission"] == "vgg16-slim-pgd-at"]
    (at,) = [point for point in points if point["epsilon"] == "0.004"]
    assert float(at["missed_disease"]) == pytest.approx(1 - worst[disease].mean(), abs=1e-5)
    bounds = [summary["robust_balanced"][end] for end in ("low", "high")]
    assert [float(at[f"worst_case_balanced_{end}"]) for end in ("low", "high")] == pytest.approx(
        bounds, abs=1e-5
    )
    told = json.loads((folder / "phantom-ct-standard.json").read_text("utf-8"))
    assert told["positive_means"] == line["positive_means"]
    (entry,) = [each for each in told["entries"] if each["submission"] == "vgg16-slim-pgd-at"]
    assert entry["worst_case_balanced"] == pytest.approx(balanced)
    assert [point["worst_case_balanced"] for point in entry["curve"][1:]] == pytest.approx(curve)


def test_what_the_slider_shows_is_what_the_records_hold(tmp_path: Path) -> None:
    naive, trained = naive_and_trained()
    html = built(tmp_path, naive, trained)
    data = json.loads(re.findall(r'<script type="application/json" id="board-data">(.*?)</script>', html)[0])
    assert data["epsilons"] == ["0", *trained.epsilons]
    assert [column["key"] for column in data["columns"]] == Reader(html).keys[2:]
    disease = trained.labels == 1
    for place, epsilon in enumerate(data["epsilons"]):
        verdicts = trained.clean_correct if epsilon == "0" else trained.robust(epsilon)
        shares = [verdicts[disease].mean(), verdicts[~disease].mean()]
        worst, low, high, missed = data["rows"][0]["curve"][place]
        assert worst == pytest.approx(1000 * np.mean(shares), abs=0.51)
        assert missed == pytest.approx(1000 * (1 - shares[0]), abs=0.51)
        assert low <= worst <= high
    at_headline = data["rows"][0]["curve"][data["epsilons"].index("0.004")]
    assert Reader(html).cells("vgg16-slim-pgd-at")["robust"].split()[1] == (
        f"{at_headline[1] / 10:.1f}–{at_headline[2] / 10:.1f}"
    )


def test_what_the_filters_look_at_is_what_the_entry_says(tmp_path: Path) -> None:
    training = {"kind": "pgd-at", "external_data": "ImageNet"}
    told = {"division": "open", "architecture": "vgg16", "training": training}
    html = built(
        tmp_path, make("told", seed=1, flags=(DOUBT,), **told), make("silent", seed=2, strength=0.001)
    )
    data = json.loads(re.findall(r'<script type="application/json" id="board-data">(.*?)</script>', html)[0])
    silent, entered = (row["facets"] for row in data["rows"])  # who is in doubt stands below
    assert entered == {
        "training": "pgd-at",
        "architecture": "vgg16",
        "external": "yes",
        "flags": "doubt",
        "division": "open",
        "kind": "entry",
    }
    assert silent == {
        "training": "naive",
        "architecture": "not told",
        "external": "no",
        "flags": "none",
        "division": "closed",
        "kind": "entry",
    }
    facets = {attributes["data-facet"] for _, attributes in Reader(html).tags if "data-facet" in attributes}
    assert facets == entered.keys()


def interval(estimate: dict[str, float]) -> str:
    return f"{100 * estimate['low']:.1f}–{100 * estimate['high']:.1f}"


def test_equal_entries_tie_and_a_clearly_better_one_is_first() -> None:
    weak, strong = naive_and_trained()
    table = collect([weak, dataclasses.replace(weak, submission="copy"), strong])[0]
    ranks = {row.submission: row.rank for row in table.rows}
    assert ranks == {"vgg16-slim-pgd-at": 1, "vgg16-slim-naive": 2, "copy": 2}
    assert table.rows[0].submission == "vgg16-slim-pgd-at"


def test_what_a_positive_is_stands_on_every_page_with_a_figure_of_it(tmp_path: Path) -> None:
    site = site_of(tmp_path, *naive_and_trained())
    for name in ("study.html", "phantom/ct/compare.html", "phantom/ct/vgg16-slim-pgd-at.html"):
        assert "a nodule drawn as malignant (synthetic)" in (site / name).read_text("utf-8"), name
    board = (site / "phantom/ct/index.html").read_text("utf-8")
    assert (
        "calls healthy: 1 − robust sensitivity. Small: clean. Diseased means a nodule drawn as malignant"
        in board
    )


def test_whom_chance_does_not_tell_apart_stands_under_the_board(tmp_path: Path) -> None:
    weak, strong = naive_and_trained()
    html = built(tmp_path, weak, dataclasses.replace(weak, submission="copy"), strong)
    assert (
        "Not told apart beyond chance: vgg16-slim-naive; vgg16-slim-naive." in html
    )  # a copy has its title too
    assert "Not told apart" not in built(tmp_path / "apart", weak, strong)

    many = [make(f"e{place}", strength=0.002) for place in range(12)]
    (words,) = tie_words(collect(many)[0])
    assert words.endswith("e0; e1; e10; e11; e2; e3; e4; e5 and 4 more.")


def test_a_lead_within_chance_is_a_tie() -> None:
    # One image in two hundred: ahead, but not beyond chance.
    behind = make("behind", strength=0.004)
    image = int(np.flatnonzero(behind.clean_correct & ~behind.robust("0.004"))[0])
    attacks = {}
    for name, result in behind.attacks.items():
        linf = result.linf.copy()
        linf[image] = np.inf
        attacks[name] = dataclasses.replace(result, linf=linf)
    ahead = dataclasses.replace(behind, submission="ahead", attacks=attacks)
    table = collect([behind, ahead])[0]
    assert [(row.submission, row.rank) for row in table.rows] == [("ahead", 1), ("behind", 1)]


def test_first_is_not_better_than_whom_these_patients_do_not_tell_from_it() -> None:
    # Pairs are tested one by one: a second may beat a third from which the first is not told apart.
    records = [
        make("first", strength=0.009, seed=2),
        make("second", strength=0.005, seed=1),
        make("third", seed=3),
    ]
    table = collect(records)[0]
    assert [row.rank for row in table.rows] == [1, 2, 3]
    assert verdict(table).endswith("better than every other ranked entry beyond chance.")

    versus = table.board.of("third").against_leader
    assert versus is not None
    unsure = dataclasses.replace(
        table.board.of("third"), against_leader=dataclasses.replace(versus, p_adjusted=0.07)
    )
    standings = tuple(unsure if each.submission == "third" else each for each in table.board.standings)
    table = dataclasses.replace(table, board=dataclasses.replace(table.board, standings=standings))
    assert (
        verdict(table) == "first comes first, but these patients do not tell it from third, whom others beat."
    )


def test_what_may_not_be_ranked_is_shown_with_its_reason(tmp_path: Path) -> None:
    best: dict[str, Any] = {"strength": 0.02}
    records = [
        *naive_and_trained(),
        make("in-doubt", flags=(DOUBT,), **best),
        make("a-baseline", kind="baseline", **best),
        dataclasses.replace(make("unverified", **best), provenance={}),
        make("quick-one", protocol="quick", **best),
        make("few", "mri", patients=12, **best),
    ]
    reasons = {
        row.submission: (row.rank, row.unranked_because) for table in collect(records) for row in table.rows
    }
    assert reasons["vgg16-slim-pgd-at"] == (1, "")  # the better ones that may not be ranked cost it nothing
    assert reasons["in-doubt"] == (None, "in doubt")
    assert reasons["a-baseline"] == (None, "baseline")
    assert reasons["unverified"] == (None, "unverified")
    assert reasons["quick-one"] == (None, "quick: never ranked")
    assert reasons["few"] == (None, "under 20 patients")

    site = site_of(tmp_path, *records)
    html = (site / "phantom/ct/index.html").read_text("utf-8")
    assert Reader(html).row("in-doubt")[0] == "–"
    assert DOUBT.sentence in html
    few = (site / "phantom/mri/index.html").read_text("utf-8")
    assert "Only 12 patients" in few
    assert Reader(few).cells("few")["robust"].endswith("no interval")


def test_the_twin_is_what_an_entry_is_compared_with() -> None:
    naive, trained = naive_and_trained()
    orphan = make("orphan", naive_twin="nowhere")
    gains = {gain.entry: gain for gain in collect([naive, trained, orphan])[0].gains}
    expected = trained.robust_accuracy("0.004", balanced=True) - naive.robust_accuracy("0.004", balanced=True)
    worst = gains["vgg16-slim-pgd-at"].worst
    assert worst is not None
    assert worst.value == pytest.approx(expected)
    assert worst.low is not None
    assert worst.low > 0
    assert gains["orphan"].worst is None


def test_the_published_numbers_are_there_and_take_no_rank(tmp_path: Path) -> None:
    records = [record for modality in ("ct", "mammogram", "mri") for record in naive_and_trained(modality)]
    site, found = site_of(tmp_path, *records), []
    for modality in ("ct", "mammogram", "mri"):
        html = (site / f"phantom/{modality}/index.html").read_text("utf-8")
        rows = [row for row in Reader(html).rows if row and "as published" in " ".join(row)]
        assert {row[0].strip() for row in rows} == {"–"}
        assert all("not comparable" in row[1] for row in rows)
        assert "https://doi.org/10.1200/CCI.21.00170" in html
        found += [row[Reader(html).keys.index("robust")].split()[0] for row in rows]
    assert found == ["25.6", "67.7", "23.9", "63.4", "6.4", "87.2"]


def always_healthy() -> Record:
    """A model that calls every image healthy, which nothing changes."""
    flag = Flag("constant", "notice", 0, 1e-6, "every image gets the same answer")
    record = make("always", kind="baseline", architecture="constant", flags=(flag,))
    margins = np.where(record.labels == 0, 1, -1).astype(np.float32)
    never = {n: dataclasses.replace(a, linf=np.full(200, np.inf)) for n, a in record.attacks.items()}
    return dataclasses.replace(record, clean_margins=margins, attacks=never)


def test_the_controls_stand_on_the_board_and_take_no_rank(tmp_path: Path) -> None:
    naive, trained = naive_and_trained()
    reader = Reader(built(tmp_path, naive, trained))
    constant, noise = reader.cells("A constant answer"), reader.cells("Noise instead of an attack")
    assert (constant["rank"], constant["robust"].split()[0]) == ("–", "50.0")
    share = trained.robust_accuracy("0.004", "noise", balanced=True)
    assert (noise["rank"], noise["robust"].split()[0]) == ("–", f"{100 * share:.1f}")

    # An entry that is constant says the same with its own measurement.
    baseline = always_healthy()
    html = built(tmp_path / "with", naive, trained, baseline)
    assert "A constant answer" not in html
    # It has the more frequent answer right, which earns nothing: what cannot drop shows no drop, and no interval.
    cells = Reader(html).cells("always")
    assert (cells["clean"], cells["robust"]) == ("50.0 no interval", "50.0 no interval")
    assert cells["clean-all"].split()[0] == "60.0"
    tile = built(tmp_path / "with", naive, trained, baseline, page="phantom/ct/always.html")
    assert "<dt>balanced, nothing done</dt><dd>50.0 %" in tile


def test_what_a_submission_writes_stays_text(tmp_path: Path) -> None:
    attack = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    flag = Flag("notice-<b>", "notice", 1, 2, attack)
    record = make("x", title=attack, training=attack, architecture=attack, authors=[attack], flags=(flag,))
    record = dataclasses.replace(record, provenance={"verified": True, attack: attack})
    site = site_of(tmp_path, record)
    pages = sorted(site.rglob("*.html"))
    assert len(pages) >= 4
    for path in pages:
        html = path.read_text("utf-8")
        tags = Reader(html).tags
        assert not [tag for tag, _ in tags if tag in ("img", "b", "iframe")]
        scripts = [a for tag, a in tags if tag == "script"]
        assert {a.get("type", "") for a in scripts if not a.get("src")} <= {"application/json"}
        assert {(a["src"] or "").rpartition("/")[0].lstrip("./") for a in scripts if a.get("src")} <= {
            "static"
        }
        named = [name for _, attributes in tags for name in attributes]
        assert not [name for name in named if name.startswith("on") or name == "style"]
    board = (site / "phantom/ct/index.html").read_text("utf-8")
    assert "&lt;script&gt;alert(1)" in board
    # In the script's data too, where no entity would be read.
    assert "\\u003cscript\\u003ealert(1)" in board


def test_a_download_holds_no_formula(tmp_path: Path) -> None:
    record = make("x", title='=HYPERLINK("http://evil")')
    index = build(write(tmp_path / "results", record), tmp_path / "site")
    with (index.parent / "phantom/ct/phantom-ct-standard.csv").open() as file:
        assert next(csv.DictReader(file))["title"].startswith("'=")


def test_a_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    site = site_of(tmp_path, *naive_and_trained())
    for path in sorted(site.rglob("*.html")):
        html = path.read_text("utf-8")
        for tag, attributes in Reader(html).tags:
            for name, value in attributes.items():
                if name in ("src", "srcset", "poster", "data", "action") or (name == "href" and tag != "a"):
                    own = re.fullmatch(r"(\.\./)*(static/[\w.]+|feed\.xml)|data:.*|#.*", value or "")
                    assert own, (path, tag, name, value)
        policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:"
        assert policy in html
        assert "unsafe" not in html
    for path in sorted((site / "static").iterdir()):
        text = path.read_text("utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(r"url\(|@import|https?://|\beval\b|Function\(|fetch\(|XMLHttpRequest", text), (
            path
        )


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    results = write(tmp_path / "results", *naive_and_trained())
    first, second = build(results, tmp_path / "one").parent, build(results, tmp_path / "two").parent
    assert contents(first) == contents(second)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("change", ["version", "images"])
def test_records_that_cannot_be_compared_stop_the_build(tmp_path: Path, change: str) -> None:
    results = write(tmp_path / "results", *naive_and_trained())
    index = build(results, tmp_path / "site")
    before = index.read_bytes()
    odd = make("odd-one")
    if change == "version":
        odd = dataclasses.replace(odd, protocol={**odd.protocol, "version": 0})
    else:
        odd = dataclasses.replace(odd, split={**odd.split, "sha256": "ffff"})
    write(results, odd)
    with pytest.raises(DataError, match=r"evaluate again: odd-one \(pytest benchmark/ --fresh\)"):
        build(results, tmp_path / "site")
    assert index.read_bytes() == before
    assert not [path.name for path in tmp_path.iterdir() if path.name not in {"results", "site", "cache"}]


def test_records_of_another_version_of_the_protocol_stop_the_build(tmp_path: Path) -> None:
    old = [
        dataclasses.replace(record, protocol={**record.protocol, "version": 1})
        for record in naive_and_trained()
    ]
    assert PROTOCOLS["standard"].version != 1
    with pytest.raises(
        DataError, match=r"phantom/ct/vgg16-slim-naive, .*evaluate them again \(pytest benchm"
    ):
        site_of(tmp_path, *old)
    assert not (tmp_path / "site").exists()


def test_two_records_that_claim_one_place_stop_the_build(tmp_path: Path) -> None:
    folder = write(tmp_path / "results", make("twice")) / "phantom" / "ct"
    dataclasses.replace(make("twice", strength=0.01), submission="TWICE").save(folder)
    with pytest.raises(DataError, match="two records claim the place of TWICE, twice"):
        build(tmp_path / "results", tmp_path / "site")


def test_a_record_in_a_foreign_folder_stops_the_build(tmp_path: Path) -> None:
    make("x", track="mine").save(tmp_path / "results" / "phantom" / "ct")
    with pytest.raises(DataError, match="mine/ct/x"):
        build(tmp_path / "results", tmp_path / "site")


def test_a_private_track_says_so(tmp_path: Path) -> None:
    public = built(tmp_path / "public", make("x"))
    site = site_of(tmp_path / "private", make("x", track="Our Ward"))
    (board,) = site.glob("our-ward-*/ct/index.html")
    private = board.read_text("utf-8")
    assert '<p class="warning">Private' in private
    assert "<title>Private" in private
    assert "noindex" in private
    assert "Private" not in public
    assert '<p class="warning">Phantom' in public
    assert '<p class="warning">Phantom' not in private


def test_what_a_split_says_of_itself_is_told(tmp_path: Path) -> None:
    plain = make("x", track="clinical")
    notes = {
        "noise_sigma": 0.008,
        "window": [-1000.0, 1000.0],
        "audit": {"warnings": ["diameter alone tells the classes apart with AUC 0.906"]},
    }
    told = dataclasses.replace(plain, split={**plain.split, "notes": notes})

    board = "clinical/ct/index.html"
    page = built(tmp_path / "told", told, page=board)
    assert "8 HU = 0.5 σ" in page
    assert "The audit of these images: diameter alone tells the classes apart with AUC 0.906." in page
    assert "(8 HU = 0.5 σ)" in render_text([told])
    assert "5.6 HU" in built(tmp_path / "plain", plain, page=board)
    assert "The audit" not in built(tmp_path / "plain", plain, page=board)


def test_no_records_make_a_page_that_says_how_to_get_some(tmp_path: Path) -> None:
    html = build(tmp_path / "nothing", tmp_path / "site").read_text(encoding="utf-8")
    assert "No records yet" in html
    assert "pytest benchmark/" in html


def test_a_citation_says_when_where_and_from_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = naive_and_trained()
    bare = built(tmp_path / "bare", *records)
    assert "year =" not in bare
    assert "The OncoRobust developers. OncoRobust" in bare
    home = tmp_path / "results" / "phantom" / "ct"
    home.mkdir(parents=True)
    for record, date in zip(records, ("2025-11-20", "2026-01-22"), strict=True):
        (home / f"{record.submission}.times.json").write_text(json.dumps({"seconds": 3.0, "date": date}))
    monkeypatch.setenv("ONCOROBUST_ADDRESS", "https://example.org")
    monkeypatch.setattr(board_words, "records_commit", lambda results: "abcdef123456")
    html = built(tmp_path, *records)
    assert "The OncoRobust developers (2026). OncoRobust" in html
    assert (
        "records of 2025-11-20 to 2026-01-22, at commit abcdef123456. https://example.org/phantom/ct/index.html<"
        in html
    )
    bibtex = html.split('id="bibtex">')[1].split("</code>")[0]
    assert bibtex.startswith(
        "@misc{oncorobust-phantom-ct-standard-2,\n  author = {{The OncoRobust developers}},"
    )
    assert "  year = {2026},\n" in bibtex
    assert "  howpublished = {\\url{https://example.org/phantom/ct/index.html}},\n" in bibtex
    assert bibtex.count("{") == bibtex.count("}")


def test_a_notice_of_the_leader_is_told_in_its_own_sentence(tmp_path: Path) -> None:
    naive, trained = naive_and_trained()
    flag = Flag(
        "saturated-cross-entropy", "notice", 0.1, 0.0, "plain cross-entropy would saturate on 3 images"
    )
    html = built(tmp_path, naive, dataclasses.replace(trained, flags=(flag,)))
    assert (
        "No health check doubts its number. A notice informs and does not lower trust: plain cross-entropy would "
        "saturate on 3 images. No second attack code was asked."
    ) in html
    assert "doubts its number; no second attack code was asked." in built(tmp_path / "plain", naive, trained)


def test_every_picture_for_the_readme_is_of_a_page(tmp_path: Path) -> None:
    site = site_of(tmp_path, *naive_and_trained())
    assert [shot.page for shot in SHOTS if not (site / shot.page).is_file()] == []
    assert {"entry", "compare"} <= {shot.name for shot in SHOTS}


def test_the_feed_tells_of_new_entries_and_of_nothing_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [*naive_and_trained(), make("own", track="Our Ward")]
    for record, date in zip(records, ("2026-11-20", "2026-11-22", "2026-11-23"), strict=True):
        home = tmp_path / "results" / record.track / record.modality
        home.mkdir(parents=True, exist_ok=True)
        times = {"seconds": 3.0, "date": date}
        (home / f"{record.submission}.times.json").write_text(json.dumps(times))
    site = site_of(tmp_path, *records)
    feed, atom = ElementTree.parse(site / "feed.xml").getroot(), "{http://www.w3.org/2005/Atom}"
    entries = feed.findall(f"{atom}entry")
    links = [entry.find(f"{atom}link").attrib["href"] for entry in entries]  # type: ignore[union-attr]
    assert links == ["phantom/ct/vgg16-slim-pgd-at.html", "phantom/ct/vgg16-slim-naive.html"]
    assert all((site / link).is_file() for link in links)
    assert feed.findtext(f"{atom}updated") == "2026-11-22T00:00:00Z"
    ids = [each.findtext(f"{atom}id") for each in (feed, *entries)]
    assert len(set(ids)) == 3
    assert all(str(each).startswith("urn:uuid:") for each in ids)
    assert "rank 1" in str(entries[0].findtext(f"{atom}summary"))
    assert entries[1].findtext(f"{atom}published") == "2026-11-20T00:00:00Z"

    monkeypatch.setenv("ONCOROBUST_ADDRESS", "https://example.org/board")
    again = ElementTree.parse(site_of(tmp_path, *records) / "feed.xml").getroot()
    absolute = [link.attrib["href"] for link in again.iter(f"{atom}link")]
    assert absolute[0] == "https://example.org/board/feed.xml"
    assert absolute[2:] == [f"https://example.org/board/{link}" for link in links]
    assert [each.text for each in again.iter(f"{atom}id")] == ids


def test_the_stamp_names_the_commit_of_the_records_where_git_knows_it(tmp_path: Path) -> None:
    results = write(tmp_path / "results", make("x"))
    assert "records at commit" not in build(results, tmp_path / "plain").read_text("utf-8")

    def git(*words: str) -> str:
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        command = ["git", "-C", str(results), *who, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "records")
    html = build(results, tmp_path / "committed").read_text("utf-8")
    assert f"<dd>{git('rev-parse', '--short=12', 'HEAD')}</dd>" in html
    assert "no board of an earlier version yet" in (tmp_path / "committed/method.html").read_text("utf-8")
    for tag in ("board-standard-2", "board-standard-9", "board-standard-10", "v1.0"):
        git("tag", tag)
    build(results, tmp_path / "tagged")
    commands = re.findall(
        r"<li>.*: <code>(git .*)</code>", (tmp_path / "tagged/method.html").read_text("utf-8")
    )
    assert commands == [
        f"git checkout board-standard-{version} &amp;&amp; oncorobust leaderboard" for version in (10, 9, 2)
    ]
    (results / "phantom" / "ct" / "x.times.json").write_text('{"seconds": 1}')
    assert "records at commit" not in build(results, tmp_path / "changed").read_text("utf-8")


def test_the_stamp_names_the_commit_of_the_code_and_not_that_of_records(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        command = ["git", "-C", str(tmp_path), *who, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    code, record = tmp_path / "leaderboard" / "build.py", tmp_path / "leaderboard" / "results" / "x.json"
    assert code_commit(tmp_path) == ""
    git("init", "-q")
    for file in (code, record):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("1")
        git("add", ".")
        git("commit", "-qm", file.name)
    assert code_commit(tmp_path) == git("rev-parse", "--short=12", "HEAD~1")
    record.write_text("2")
    assert code_commit(tmp_path)
    code.write_text("2")
    assert code_commit(tmp_path) == ""


def test_times_are_costs_and_other_files_are_no_records(tmp_path: Path) -> None:
    results = write(tmp_path / "results", make("x"))
    folder = results / "phantom" / "ct"
    (folder / "x.times.json").write_text('{"seconds": 1234.4}')
    (folder / "x.remarks.json").write_text("{}")
    site = build(results, tmp_path / "site").parent
    html = (site / "phantom/ct/index.html").read_text("utf-8")
    assert "1,234 s" in Reader(html).cells("x")["cost"]


def test_a_folder_that_is_not_a_site_is_left_alone(tmp_path: Path) -> None:
    thesis = tmp_path / "home" / "index.html"
    thesis.parent.mkdir()
    thesis.write_text("my thesis")
    with pytest.raises(DataError, match="not a site"):
        build(tmp_path / "results", thesis.parent)
    assert thesis.read_text() == "my thesis"
    results = write(tmp_path / "site" / "results", make("x"))
    with pytest.raises(DataError, match="holds the records"):
        build(results, tmp_path / "site")


def test_the_terminal_table() -> None:
    naive, trained = naive_and_trained()
    flagged = make("[red]name[/red]", flags=(DOUBT,))
    header, first, second, third = text_table([naive, trained, flagged], {"ct/vgg16-slim-pgd-at": 12.34})
    assert header[:3] == ["entry", "clean", "worst case at 0.004"]
    assert header[-2:] == ["seconds", "flags"]
    assert first[0] == "vgg16-slim-naive"
    assert first[-4:] == ["7,000", "6,300", "–", "–"]
    assert second[1] == f"{100 * trained.clean_accuracy:.1f}"
    assert second[-2] == "12.3"
    assert second[2].startswith(f"≤ {100 * trained.robust_accuracy('0.004'):.1f} (")
    assert second[3] == f"{100 * trained.robust_accuracy('0.004', 'noise'):.1f}"
    assert third[-1] == "doubt: masked"
    asked = int((trained.robust("0.004")).sum())
    assert dict(zip(header, second, strict=True))["Square-1000, broken of asked"] == f"0 of {asked}"
    assert "seconds" not in text_table([naive])[0]

    text = render_text([naive, trained, flagged, make("m", "mri"), make("q", protocol="quick")])
    assert text.count("protocol standard") == 2
    assert text.count("never ranked") == 1
    assert "[red]name[/red]" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 160


def test_the_leaderboard_imports_no_torch(tmp_path: Path) -> None:
    results = write(tmp_path / "results", make("x", protocol="quick"))
    program = (
        "import sys, pathlib; from leaderboard.build import build; import leaderboard.__main__; "
        "from leaderboard.terminal import render_text; from leaderboard.build import read_records; "
        "root, site = map(pathlib.Path, sys.argv[1:]); build(root, site); render_text(read_records(root)[0]); "
        "sys.exit('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(results), str(tmp_path / "site")]
    subprocess.run(command, cwd=PROJECT, check=True, timeout=120)


def test_cycles_are_not_looked_for_while_a_site_is_built_and_are_again_afterwards(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "leaderboard.build.stamp", lambda source: (seen.append(gc.isenabled()), stamp(source))[1]
    )
    site_of(tmp_path, *naive_and_trained())

    assert seen == [False]
    assert gc.isenabled()

    monkeypatch.setattr("leaderboard.build.stamp", lambda source: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        site_of(tmp_path, *naive_and_trained())
    assert gc.isenabled()
