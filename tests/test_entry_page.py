"""An entry's page: its figures are those of the rows, its text is inert, and what is of another record stays away."""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, roc_auc_score
from test_leaderboard import DOUBT, Reader, make, naive_and_trained, site_of, write

from benchmark.errors import DataError
from benchmark.evidence.seeds import read_attack_seeds
from benchmark.evidence.transfers import read_transfers
from benchmark.measures import measure
from benchmark.processes import in_parallel
from benchmark.protocol import PROTOCOLS
from benchmark.statistics import accuracy_interval, bootstrap
from leaderboard import figures
from leaderboard.canvas import canvas
from leaderboard.entry_figures import reliability
from leaderboard.entry_groups import groups_table, worst_group_words
from leaderboard.history import read_history
from leaderboard.measured import measured, measured_meanwhile
from leaderboard.training_log import training_figure

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)


def page(site: Path, name: str = "phantom/ct/vgg16-slim-pgd-at.html") -> str:
    return (site / name).read_text("utf-8")


def row(html: str, *, head: str, columns: int) -> list[str]:
    """The cells of the row with this head among the tables of so many columns."""
    return next(
        [cell.split()[0] for cell in row[1:]]
        for row in Reader(html).rows
        if len(row) == columns and row[0].strip() == head
    )


def test_the_numbers_follow_from_the_rows(tmp_path: Path) -> None:
    naive, trained = naive_and_trained()
    html = page(site_of(tmp_path, naive, trained))

    disease, robust = trained.labels == 1, trained.robust("0.004")
    sensitivity, specificity = robust[disease].mean(), robust[~disease].mean()
    success = 1 - robust[trained.clean_correct].mean()
    shares = [(sensitivity + specificity) / 2, robust.mean(), sensitivity, specificity]
    shares += [min(sensitivity, specificity), success]
    assert row(html, head="worst case at ε = 0.004, at most", columns=7) == [
        f"{100 * share:.1f}" for share in shares
    ]
    # Each attack alone, balanced, at every ε after clean.
    for attack, name in (("fgsm", "FGSM"), ("pgd", "PGD-10 × 20")):
        alone = [trained.robust_accuracy(e, attack, balanced=True) for e in trained.epsilons]
        assert row(html, head=name, columns=11)[1:] == [f"{100 * share:.1f}" for share in alone]
    # Square met what these left, and has no curve.
    left = [trained.robust(e).sum() for e in ("0.002", "0.004")]
    assert f"Broken: 0 of {left[0]} at ε = 0.002, 0 of {left[1]} at ε = 0.004" in html
    assert not [r for r in Reader(html).rows if len(r) == 11 and "Square" in r[0]]
    # Images of a class turned by at most ε, wrong ones from 0 on.
    turned = [(trained.minimal_epsilon[disease] <= float(e)).mean() for e in ("0", *trained.epsilons)]
    assert row(html, head="malignant", columns=11) == [f"{100 * share:.1f}" for share in turned]


def test_confidence_is_what_scikit_learn_says(tmp_path: Path) -> None:
    naive, trained = naive_and_trained()
    attacked = (trained.clean_margins - 1.5).astype(np.float32)
    trained = dataclasses.replace(trained, lowest_margins=attacked)
    html = page(site_of(tmp_path, naive, trained))

    for place, margins in enumerate((trained.clean_margins, attacked)):
        probability = expit(np.where(trained.labels == 1, margins, -margins).astype(float))
        auroc, brier = row(html, head="AUROC", columns=3), row(html, head="Brier score", columns=3)
        assert float(auroc[place]) == pytest.approx(roc_auc_score(trained.labels, probability), abs=6e-4)
        assert float(brier[place]) == pytest.approx(brier_score_loss(trained.labels, probability), abs=6e-4)
        bins = reliability(margins, trained.labels)
        observed, given = calibration_curve(trained.labels, probability, n_bins=15)
        assert [each.observed for each in bins] == pytest.approx(list(observed))
        assert [each.confidence for each in bins] == pytest.approx(list(given))
        error = sum(b.images * abs(b.observed - b.confidence) for b in bins) / len(margins)
        told = row(html, head="expected calibration error", columns=3)[place]
        assert float(told) == pytest.approx(error, abs=6e-4)


def test_a_record_without_the_unstopped_attack_says_nothing_of_confidence_under_it(tmp_path: Path) -> None:
    html = page(site_of(tmp_path, *naive_and_trained()))
    assert "never stopped" not in html.replace("one attack that goes on", "")
    assert len(next(r for r in Reader(html).rows if r and r[0].strip() == "AUROC")) == 2


def test_lines_lie_where_matplotlib_would_draw_them() -> None:
    def frame(axes: object) -> None:
        axes.set_xlim(0, 8)  # type: ignore[attr-defined]
        figures.draw_percent(axes, "accuracy")

    def whole(axes: object) -> None:
        axes.plot([1, 4, 7], [10, 90, 35], color=figures.placeholder(2))  # type: ignore[attr-defined]
        frame(axes)

    def numbers(svg: str) -> list[float]:
        import re

        (path,) = [p for p in re.findall(r"<path[^>]*>", svg) if "stroke-series-2" in p]
        return [float(n) for n in re.findall(r"[\d.]+", re.findall(r'\bd="([^"]*)"', path)[0])]

    area = canvas(frame, (5, 3), "here")
    ours = area.drawn("title", "words", [area.line([1, 4, 7], [10, 90, 35], 2)])
    theirs = figures.drawn(whole, (5, 3), "here", "title", "words")
    assert numbers(ours) == pytest.approx(numbers(theirs), abs=0.06)


def test_flags_are_told_with_what_the_check_asks(tmp_path: Path) -> None:
    known = dataclasses.replace(DOUBT, id="zero-gradient")
    site = site_of(tmp_path, make("flagged", flags=(known, DOUBT)), make("clean-one"))
    html = page(site, "phantom/ct/flagged.html")
    assert html.count(DOUBT.sentence) == 2
    assert "Is the gradient of the logit gap exactly zero" in html
    assert "Measured 0.12, tolerance 0.01" in html
    assert "No health check had anything to say" in page(site, "phantom/ct/clean-one.html")


def test_what_a_submission_writes_stays_text(tmp_path: Path, submissions: Path) -> None:
    record = make(
        "hostile",
        title=HOSTILE,
        authors=[HOSTILE],
        licence=HOSTILE,
        paper="javascript:alert(3)",
        training={"kind": HOSTILE, "note": HOSTILE},
        architecture_options={HOSTILE: HOSTILE},
    )
    record = dataclasses.replace(
        record, provenance={**record.provenance, "command": HOSTILE, "trained_on": HOSTILE}
    )
    (submissions / "hostile").mkdir()
    (submissions / "hostile" / "ct.log.csv").write_text(f"epoch,{HOSTILE}\n1,0.5\n")
    site = site_of(tmp_path, record, make("other"))
    for path in site.rglob("*.html"):
        found = Reader(path.read_text("utf-8"))
        assert not [a for t, a in found.tags if t == "img" and a.get("src") == "x"], path
        assert not [a for _, a in found.tags for name in a if name.startswith("on")], path
        assert not [link for link in found.links if link.startswith("javascript")], path
        for tag, attributes in found.tags:
            if tag == "script":
                assert attributes.get("src") or attributes.get("type") == "application/json", path
    compare = page(site, "phantom/ct/compare.html")
    data = compare.split('id="compare-data">')[1].split("</script>")[0]
    assert HOSTILE in [entry["title"] for entry in json.loads(data)["entries"]]


def test_the_transfer_row_is_of_these_very_records(tmp_path: Path) -> None:
    naive, trained = naive_and_trained()
    write(tmp_path / "results", naive, trained)
    folder = tmp_path / "results/phantom/ct"
    body = {
        "format": 1,
        "epsilon": "0.004",
        "submissions": [naive.submission, trained.submission],
        "records": {r.submission: r.table_sha256 for r in (naive, trained)},
        "success": {
            naive.submission: {naive.submission: 0.9, trained.submission: 0.125},
            trained.submission: {naive.submission: 0.375, trained.submission: 0.2},
        },
    }
    (folder / "all.transfer.json").write_text(json.dumps(body))
    html = page(site_of(tmp_path, naive, trained))
    assert row(html, head="its images turn the other", columns=2) == ["37.5"]
    assert row(html, head="the other's images turn it", columns=2) == ["12.5"]
    assert "Median over all 2 pairs" in html
    assert "in either direction: 25.0" in html

    body["success"][naive.submission] = dict.fromkeys(body["success"], None)  # its images were not at hand
    (folder / "all.transfer.json").write_text(json.dumps(body))
    html = page(site_of(tmp_path, naive, trained))
    assert "Median over 1 of 2 pairs of these entries, each in either direction: 37.5" in html

    body["records"][trained.submission] = "0" * 64
    (folder / "all.transfer.json").write_text(json.dumps(body))
    assert "Does another model's attack do?" not in page(site_of(tmp_path, naive, trained))
    body["success"][naive.submission][naive.submission] = 7
    (folder / "all.transfer.json").write_text(json.dumps(body))
    with pytest.raises(DataError, match="oncorobust transfer"):
        read_transfers(folder, [naive, trained])


def test_the_worst_group_is_told_with_unit_interval_and_how_many_there_were() -> None:
    record = make("entry")
    facts = {
        "diameter_mm": np.arange(200.0),
        "wall": np.arange(200) % 2.0,
        "depth (px)": np.arange(200) % 2.0,
    }
    found = measure(record, facts)
    worst = found.worst_group
    assert worst is not None
    words = worst_group_words(found).replace("\N{NO-BREAK SPACE}", " ")
    assert f"balanced accuracy at most {100 * worst.robust.value:.1f} %" in words
    assert f"({100 * worst.robust.low:.1f}–{100 * worst.robust.high:.1f})" in words  # type: ignore[operator]
    assert f"{worst.images} images of {worst.patients} patients; the lowest of 7 groups" in words
    table = groups_table(found)
    assert table is not None
    assert [line.head for line in table.lines] == [
        "depth: 0 px",
        "depth: 1 px",
        "diameter ≤ 66 mm",
        "diameter: 66–133 mm",
        "diameter > 133 mm",
        "chest wall in the image: no",
        "chest wall in the image: yes",
    ]


def test_a_training_log_is_shown_where_the_entry_has_one(tmp_path: Path, submissions: Path) -> None:
    home = submissions / "vgg16-slim-pgd-at"
    home.mkdir()
    log = home / "ct.log.csv"
    log.write_text("epoch,loss,validation_clean,validation_robust\n1,0.7,nan,nan\n2,0.5,0.91,0.62\n")
    html = page(site_of(tmp_path, *naive_and_trained()))
    assert "How it was trained" in html
    assert row(html, head="2", columns=4) == ["0.5", "91.0", "62.0"]
    for damaged in ("", "epoch,loss\n1,much\n", "loss\n1\n", "epoch,loss\n1,0.5,0.5\n", "epoch,loss\n-3,1\n"):
        log.write_text(damaged)
        assert training_figure(log) is None, damaged
    log.write_text("epoch,loss\n1,0.5\n" + "#" * 300_000)
    assert training_figure(log) is None


def test_history_comes_from_the_repository_and_not_from_elsewhere(tmp_path: Path) -> None:
    assert read_history(tmp_path) == {}
    record = make("entry")

    def git(*words: str) -> None:
        who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    git("init")
    write(tmp_path / "results", record)
    git("add", ".")
    git("commit", "-m", f"Enter {HOSTILE}")
    (found,) = read_history(tmp_path / "results").values()
    assert [change.subject for change in found.changes] == [f"Enter {HOSTILE}"]
    assert not found.uncommitted
    write(tmp_path / "results", make("entry", strength=0.004))
    assert read_history(tmp_path / "results")["phantom/ct/entry"].uncommitted
    html = page(site_of(tmp_path, record), "phantom/ct/entry.html")
    assert "Enter &lt;script&gt;" in html


def test_figures_are_kept_and_computed_anew_when_anything_changes(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = make("entry")
    first = measured(record, tmp_path)
    (kept,) = (cache / "figures").iterdir()

    def fail(*_: object) -> None:
        raise AssertionError("computed again")

    with monkeypatch.context() as patched:
        patched.setattr("leaderboard.measured.measure", fail)
        assert measured(record, tmp_path) == first
        with pytest.raises(AssertionError, match="computed again"):
            measured(make("entry", strength=0.004), tmp_path)
    kept.write_bytes(b"{}")
    assert measured(record, tmp_path) == first
    monkeypatch.setattr(bootstrap, "RESAMPLES", 300)
    assert measured(record, tmp_path) != first


def test_each_attack_s_curve_is_of_that_attack_alone(tmp_path: Path) -> None:
    record = make("entry")
    found = measured(record, tmp_path).by_attack
    assert list(found) == [attack for attack in record.attacks if attack != "square"]
    for attack, curve in found.items():
        assert curve == tuple(
            accuracy_interval(
                record.robust(epsilon, attack), record.labels, record.patient_ids, balanced=True
            )
            for epsilon in record.epsilons
        )


def test_no_two_attacks_share_a_colour_or_a_dash(tmp_path: Path) -> None:
    html = page(site_of(tmp_path, *naive_and_trained()))
    legend = html.split('id="figure-attacks-head"')[1].split("</ul>")[0].split('<ul class="legend">')[1]
    lines = re.findall(r'<line class="(stroke-series-\d)"[^>]*stroke-dasharray="([^"]*)"', legend)
    # The worst case and every attack that is asked on all images: Square, asked on survivors, has no curve.
    assert len(lines) == 7
    assert len({colour for colour, _ in lines}) == len({dash for _, dash in lines}) == 7
    style = (Path(figures.__file__).parent / "static" / "style.css").read_text("utf-8")
    for colour, _ in lines:
        assert f".{colour} {{" in style
        assert f".{colour.replace('stroke', 'fill')} {{" in style


def test_a_page_stays_small(tmp_path: Path) -> None:
    site = site_of(tmp_path, *naive_and_trained())
    assert len(gzip.compress(page(site).encode())) < 40_000


def test_every_figure_has_a_title_words_and_its_numbers(tmp_path: Path, submissions: Path) -> None:
    html = page(site_of(tmp_path, *naive_and_trained()))
    drawings = html.split('<figure class="drawing"')[1:]
    assert len(drawings) == 4
    for drawing in drawings:
        body = drawing.split("</figure>")[0]
        assert "<title" in body
        assert "<desc" in body
        assert "title-of-this-drawing" not in body
        assert "<table" in body
        assert "style=" not in body


def test_pages_made_by_several_processes_are_those_of_one(tmp_path, monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)
    records = [make(f"entry-{seed}", seed=seed) for seed in range(4)]
    alone = site_of(tmp_path / "alone", *records)
    started = []
    monkeypatch.setattr(
        "leaderboard.frame.in_parallel",
        lambda work, jobs, workers: started.append(workers) or in_parallel(work, jobs, workers),
    )
    monkeypatch.setattr("leaderboard.frame.MANY", 2)
    monkeypatch.setattr("leaderboard.pages.entry.BATCH", 2)
    monkeypatch.setenv("ONCOROBUST_WORKERS", "2")
    monkeypatch.setenv("ONCOROBUST_CACHE", str(tmp_path / "cache-of-several"))
    several = site_of(tmp_path / "several", *records)
    assert started == [2]
    names = sorted(path.relative_to(alone) for path in alone.rglob("*.*"))
    assert names == sorted(path.relative_to(several) for path in several.rglob("*.*"))
    assert sum(name.name.startswith("entry-") for name in names) == 4
    assert all((alone / name).read_bytes() == (several / name).read_bytes() for name in names)


def test_several_processes_find_what_one_finds(tmp_path, monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)
    monkeypatch.setattr("leaderboard.measured.MANY", 2)
    monkeypatch.setattr("leaderboard.measured.PART", 1)
    monkeypatch.setenv("ONCOROBUST_WORKERS", "2")
    records = [make(f"entry-{seed}", seed=seed) for seed in range(3)]
    monkeypatch.setenv("ONCOROBUST_CACHE", str(tmp_path / "alone"))
    alone = [measured(record, tmp_path) for record in records]

    monkeypatch.setenv("ONCOROBUST_CACHE", str(tmp_path / "shared"))
    with measured_meanwhile([(record, tmp_path) for record in records]):
        pass
    until = time.monotonic() + 120
    while len(list((tmp_path / "shared").glob("figures/[!.]*"))) < 3 and time.monotonic() < until:
        time.sleep(0.1)
    kept = sorted((tmp_path / "shared" / "figures").iterdir())

    assert [path.read_bytes() for path in kept] == [
        path.read_bytes() for path in sorted((tmp_path / "alone" / "figures").iterdir())
    ]
    assert len(kept) == 3
    monkeypatch.setattr("leaderboard.measured.measure", None)  # all is there: nothing is computed again
    assert [measured(record, tmp_path) for record in records] == alone


def test_what_is_done_to_an_image_and_what_its_code_needs_is_told(tmp_path: Path) -> None:
    entry = make(
        "a-large-one", strength=0.01, seed=1, input={"channels": 3, "resize": 224}, packages=["monai"]
    )
    html = page(site_of(tmp_path, entry), "phantom/ct/a-large-one.html")

    told = [" ".join(cell.split()) for row in Reader(html).rows for cell in row] + [" ".join(html.split())]
    assert any("channels: 3" in text and "resize: 224" in text for text in told)
    assert "packages of its code" in html
    assert "monai" in html


def test_the_luck_of_the_attacks_is_told_apart_from_that_of_the_training(tmp_path: Path) -> None:
    record = make("entry")
    record = dataclasses.replace(
        record,
        provenance={**record.provenance, "identity": "a" * 64},
        protocol={**record.protocol, "sha256": PROTOCOLS["standard"].sha256},
    )
    folder = write(tmp_path / "results", record) / "phantom/ct"
    body = {
        "identity": "a" * 64,
        "protocol_sha256": record.protocol["sha256"],
        "headline": "0.004",
        "images": 200,
        "seeds": [
            {"seed": seed, "robust_accuracy": rate} for seed, rate in ((1, 0.31), (2, 0.305), (3, 0.32))
        ],
        "images_that_change": 4,
    }
    path = folder / "entry.seeds.json"
    path.write_text(json.dumps(body))
    html = page(site_of(tmp_path, record), "phantom/ct/entry.html").replace("\N{NO-BREAK SPACE}", " ")
    assert "under 3 seeds of the attacks: worst case at ε = 0.004 from 30.5 to 32.0 % of all images" in html
    assert "4 of 200 images change their verdict" in html

    for other in (
        "identity",
        "protocol_sha256",
        "images",
    ):  # of other weights, another protocol, other images
        path.write_text(json.dumps({**body, other: "0"}))
        assert read_attack_seeds(record, folder) is None
    path.write_text("{}")
    with pytest.raises(DataError, match="attack-seeds"):
        read_attack_seeds(record, folder)


def test_an_interval_that_lies_beside_its_figure_is_explained_where_it_stands(tmp_path: Path) -> None:
    site = site_of(tmp_path, *naive_and_trained())
    assert "can lie below it (basic bootstrap)" in page(site)
    assert "basic bootstrap; Davison &amp; Hinkley 1997" in page(site, "method.html")
