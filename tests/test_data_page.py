"""The data page tells what was described of these very images; the method page what the code does, not what was typed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from test_leaderboard import Reader, make, naive_and_trained, site_of, write

from benchmark.checks import CHECKS
from benchmark.data.audit import describe
from benchmark.data.manifest import shipped_manifests
from benchmark.data.phantom import draw_split
from benchmark.data.split import Split
from benchmark.errors import DataError
from benchmark.evidence.described import read_described
from benchmark.protocol import PROTOCOLS
from benchmark.statistics import bootstrap
from leaderboard.build import build
from leaderboard.pages.data import merged

NOISE = {"noise_sigma": 0.01, "noise_sigma_unit": 14.0, "noise_measured": "on calm blocks"}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Split]:
    """Small parts of a phantom, in place of the track's own."""
    parts = {part: draw_split("ct", part, seed, 24) for part, seed in (("train", 1), ("test", 2))}

    def load(modality: str, track: str, part: str) -> Split:
        if part not in parts:
            raise DataError("not here")
        return dataclasses.replace(parts[part], track=track if track == "phantom" else "hospital")

    monkeypatch.setattr(describe.tracks, "load_split", load)
    monkeypatch.setenv("ONCOROBUST_RESULTS", str(tmp_path / "results"))
    return parts


def test_what_is_described_stands_on_the_page(tmp_path: Path, drawn: dict[str, Split]) -> None:
    assert any("train 24, test 24" in line for line in describe.describe_lines("ct", "phantom"))
    record = make("entry")
    record = dataclasses.replace(record, split={**record.split, "sha256": drawn["test"].sha256})
    write(tmp_path / "results", record)
    site = build(tmp_path / "results", tmp_path / "site").parent
    html = (site / "data.html").read_text("utf-8")
    row = Reader(html).row("train")
    assert [cell.split()[0] for cell in row[1:3]] == ["24", str(drawn["train"].patients)]
    assert [cell.split()[0] for cell in Reader(html).row("train and test")[1:]] == ["0", "0", "0"]
    assert (site / "data/phantom-ct.png").read_bytes().startswith(b"\x89PNG")
    assert (site / "data/phantom-ct.png").stat().st_size < 120_000
    # No id of a patient or an image goes into a file that is committed.
    told = (tmp_path / "results/phantom/ct/all.data.json").read_text("utf-8")
    assert not [name for name in (*drawn["test"].image_ids, *drawn["test"].patient_ids) if name in told]

    # Of other images than the records' nothing is told.
    write(tmp_path / "results", make("entry"))
    site = build(tmp_path / "results", tmp_path / "site").parent
    assert "train and test" not in (site / "data.html").read_text("utf-8")
    assert not (site / "data/phantom-ct.png").exists()


def test_private_images_get_a_sheet_only_when_asked(
    tmp_path: Path, drawn: dict[str, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(describe, "is_synthetic", lambda split: False)
    assert any("no sheet" in line for line in describe.describe_lines("ct", str(tmp_path)))
    assert not list(tmp_path.rglob("results/**/*.png"))
    list(describe.describe_lines("ct", str(tmp_path), private_thumbnails=True))
    (sheet,) = tmp_path.rglob("all.data.png")
    assert "private" in sheet.parts
    list(describe.describe_lines("ct", str(tmp_path)))
    assert not sheet.exists()


def test_a_damaged_description_names_itself(tmp_path: Path, drawn: dict[str, Split]) -> None:
    list(describe.describe_lines("ct", "phantom"))
    folder = tmp_path / "results/phantom/ct"
    (folder / "all.data.png").write_bytes(b"")
    with pytest.raises(DataError, match="another checksum"):
        read_described(folder)
    (folder / "all.data.png").unlink()
    with pytest.raises(DataError, match="is missing"):
        read_described(folder)
    (folder / "all.data.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(DataError, match="oncorobust data describe"):
        read_described(folder)
    (folder / "all.data.json").unlink()
    assert read_described(folder) is None


def test_epsilon_is_told_in_every_unit(tmp_path: Path) -> None:
    record = make("entry")
    record = dataclasses.replace(record, split={**record.split, "notes": NOISE})
    html = (site_of(tmp_path, record) / "data.html").read_text("utf-8")
    # 0.004 of 1,400 HU; of σ = 0.01; of 255, 4,095 and 65,535 levels.
    cells = Reader(html).row("0.004, the headline")
    assert [cell.split()[0] for cell in cells[1:]] == ["5.6", "0.4", "1.02", "16.4", "262"]
    assert "14 HU" in html


def test_the_collections_are_told_as_their_manifests_say(tmp_path: Path) -> None:
    html = (site_of(tmp_path, make("entry")) / "data.html").read_text("utf-8")
    text = " ".join(html.replace("&#39;", "'").split())
    for manifest in shipped_manifests().values():
        for key in ("licence", "labels", "title"):
            assert str(manifest.about[key]) in text
        assert manifest.sha256 in html
        assert f"https://doi.org/{manifest.about['doi']}" in html
    assert "not pathology" in html
    sizes = shipped_manifests()["cbis-ddsm"].sizes()["test"]
    rows = [[cell.split()[0] for cell in r if cell.strip()] for r in Reader(html).rows]
    told = [str(sizes[key]) for key in ("patients", "items", "positive", "images")]
    assert ["test", *told] in rows


def test_the_method_is_the_code_s_own(tmp_path: Path) -> None:
    html = (site_of(tmp_path, *naive_and_trained()) / "method.html").read_text("utf-8")
    found = Reader(html)
    for check in CHECKS.values():
        cells = next(r for r in found.rows if r and r[0].strip() == check.id)
        assert cells[2].strip() == check.asks
    for spec in PROTOCOLS["standard"].attacks:
        (words,) = [r for r in found.rows if len(r) == 3 and r[0].strip() == spec.title]
        if spec.method == "sign_noise":
            assert "control" in words[1]
        else:
            assert ("white-box" in words[1]) == spec.white_box
            assert ("AML.T0043.000" in words[2]) == spec.white_box


def test_a_warning_of_several_parts_is_told_once_and_without_ticks() -> None:
    same, of_two = "much is black (`data show` tells)", "train and test: a copy of one picture"
    told = merged([f"train: {same}", of_two, f"test: {same}", "one: of no part"])
    assert told == (
        "train, test: much is black (data show tells).",
        "train and test: a copy of one picture.",
        "one: of no part.",
    )
