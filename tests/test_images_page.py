"""Pictures: chosen by the records, of the very images that were judged, never private ones unasked, never stale ones."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_leaderboard import Reader, make, site_of, write

from benchmark.data.split import LEVELS, Split
from benchmark.data.tracks import load_split
from benchmark.errors import DataError, ProtocolError
from benchmark.evaluation import entry
from benchmark.evaluation import pictures as making
from benchmark.evaluation.health import fresh
from benchmark.evaluation.pictures import default_entries, show_images
from benchmark.evidence.described import read_described
from benchmark.evidence.pictures import read_pictures
from benchmark.measures.fragility import choose_images, fragility
from benchmark.protocol import PROTOCOLS
from benchmark.record import AttackResult, Record
from benchmark.statistics import bootstrap
from leaderboard.build import build
from leaderboard.groups import check_current
from leaderboard.words import slug

ROOT = Path(__file__).resolve().parent.parent
Evaluated = tuple[Record, Path, Split]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)


def by_hand(*rows: list[float], labels: tuple[int, ...] = (1, 0, 1, 0), clean: float = 1.0) -> list[Record]:
    """Records of a few images, one patient each, with these minimal ε."""
    found = []
    for number, smallest in enumerate(rows):
        record = make(f"entry-{number}")
        linf = np.array(smallest)
        found.append(
            dataclasses.replace(
                record,
                labels=np.array(labels),
                image_ids=[f"i{k}" for k in range(len(labels))],
                patient_ids=[f"p{k}" for k in range(len(labels))],
                clean_margins=np.full(len(labels), clean, np.float32),
                attacks={name: AttackResult(linf, {}) for name in record.attacks},
            )
        )
    return found


def test_fragility_is_the_median_over_entries_and_never_averages_with_infinity() -> None:
    inf = np.inf
    records = by_hand([0.001, inf, 0.01, inf], [0.003, inf, 0.002, 0.002], [0.002, 0.001, inf, inf])
    assert fragility(records).tolist() == [0.002, inf, 0.01, inf]
    assert fragility(records[:2]).tolist() == [0.003, inf, 0.01, inf]


def test_the_chosen_are_right_when_clean_and_of_different_patients() -> None:
    records = by_hand([0.001, 0.002, 0.003, 0.01], [0.001, 0.002, 0.003, 0.02])
    chosen = {one.kind: one.row for one in choose_images(records, each=1)}
    assert chosen == {"most fragile": 0, "missed disease": 2, "false alarm": 1, "least fragile": 3}
    wrong = [dataclasses.replace(r, clean_margins=np.array([-1, 1, 1, 1], np.float32)) for r in records]
    assert 0 not in {one.row for one in choose_images(wrong, each=4)}
    one_patient = [dataclasses.replace(r, patient_ids=["p"] * 4) for r in records]
    assert len(choose_images(one_patient, each=4)) == 1


def test_by_default_the_leader_its_twin_and_the_next_best_are_shown() -> None:
    records = [
        make("best", strength=0.02, naive_twin="worst"),
        make("good", strength=0.01),
        make("fair", strength=0.005),
        make("poor", strength=0.002),
        make("worst", strength=0.0005),
        make("a-baseline", strength=0.1, kind="baseline"),
    ]
    assert [r.submission for r in default_entries(records)] == ["best", "worst", "good", "fair"]


@pytest.fixture
def evaluated(
    make_submission: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Record, Path, Split]:
    """An entry with a record of its own on forty images, under a protocol of two attacks; and the record's folder."""
    whole = PROTOCOLS["standard"]
    few = tuple(replace(whole.attack(name), starts=1) for name in ("fgsm", "bim"))
    pursuit = replace(whole.attack("apgd"), parameters={**whole.attack("apgd").parameters, "steps": 6})
    monkeypatch.setitem(PROTOCOLS, "standard", replace(whole, attacks=(*few, pursuit), block=20, proof=None))
    monkeypatch.setattr(fresh, "FRESH", 8)
    monkeypatch.setenv("ONCOROBUST_RESULTS", str(tmp_path / "results"))
    small = load_split("ct").part_of(0, 40)

    def parts(modality: str, track: str, part: str) -> Split:
        if part != "test":
            raise DataError("not here")
        return small

    monkeypatch.setattr(entry, "load_split", parts)
    weights = (ROOT / "submissions/logistic-regression/ct.safetensors").read_bytes()
    make_submission("shown", "logistic-regression", "", [weights])
    outcome = entry.run_entry("shown", "ct", progress=False)
    return outcome.record, outcome.path.parent, small


def test_the_pictures_are_of_the_images_that_were_judged(evaluated: Evaluated) -> None:
    record, folder, split = evaluated
    assert any("wrote" in line for line in show_images([], "ct", progress=False))
    found = read_pictures(folder, [record])
    assert found is not None
    shown, files = found
    assert shown.difference == 0
    assert shown.pictures
    rows = list(split.image_ids)
    for picture in shown.pictures:
        row = rows.index(picture.image_id)
        clean = np.asarray(Image.open(BytesIO(files[picture.image])))
        assert (clean == np.rint(split.images[row, 0] / LEVELS * 255)).all()
        (attacked,) = picture.attacked
        assert attacked.linf <= 0.004
        assert record.lowest_margins is not None
        assert attacked.margin == pytest.approx(min(record.lowest_margins[row], record.clean_margins[row]))
        change = np.asarray(Image.open(BytesIO(files[attacked.change]))).astype(float) / 127.5 - 1
        after = np.asarray(Image.open(BytesIO(files[attacked.image]))).astype(float)
        # At 8 bits a step of ε is one level; where the change is full and up, the picture must not be darker.
        assert np.abs(after - (split.images[row, 0] / LEVELS + 0.004 * change) * 255).max() < 0.52
        assert hashlib.sha256(files[picture.image]).hexdigest() == shown.files[picture.image]


def test_what_is_not_of_the_record_is_refused(evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch) -> None:
    record, folder, _ = evaluated
    list(show_images(["shown"], "ct", progress=False))
    other = dataclasses.replace(record, clean_margins=record.clean_margins + np.float32(0.5))
    assert read_pictures(folder, [other]) is None
    (folder / "all.images" / "01.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="checksum"):
        read_pictures(folder, [record])

    assert record.lowest_margins is not None
    shifted = dataclasses.replace(record, lowest_margins=record.lowest_margins + np.float32(50))
    monkeypatch.setattr(making.Record, "load", classmethod(lambda cls, path: shifted))
    with pytest.raises(DataError, match="attacked margins of shown on ct differ"):
        list(show_images(["shown"], "ct", progress=False))
    with pytest.raises(DataError, match="no record of nobody"):
        list(show_images(["nobody"], "ct", progress=False))
    with pytest.raises(ProtocolError, match="never stopped"):
        list(show_images([], "ct", protocol="quick", progress=False))


def test_names_in_the_file_cannot_lead_out_of_its_folder(evaluated: Evaluated) -> None:
    record, folder, _ = evaluated
    list(show_images(["shown"], "ct", progress=False))
    path = folder / "all.images" / "images.json"
    body = json.loads(path.read_text())
    body["pictures"][0]["image"] = "../../secret.png"
    body["files"]["../../secret.png"] = body["files"].pop("01.png")
    path.write_text(json.dumps(body))
    with pytest.raises(DataError, match="no name of a picture"):
        read_pictures(folder, [record])


def test_private_images_are_not_shown_unasked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--private-thumbnails"):
        list(show_images([], "ct", track=str(tmp_path), progress=False))


def test_the_page_shows_them_and_what_the_record_says(evaluated: Evaluated, tmp_path: Path) -> None:
    record, folder, _ = evaluated
    list(show_images(["shown"], "ct", progress=False))
    site = build(folder.parent.parent, tmp_path / "site").parent
    html = (site / "phantom/ct/images.html").read_text("utf-8")
    found = Reader(html)
    images = [a for tag, a in found.tags if tag == "img"]
    assert images
    assert all((site / "phantom/ct" / (a["src"] or "")).resolve().is_file() for a in images)
    assert all(a["alt"] and a["width"] == "64" for a in images)
    assert "−5.6 HU" in html
    assert "of a change, 125 times as large as in the image" in html
    ids = {a["id"] for _, a in found.tags if a.get("id")}
    jumps = {
        (a["href"] or "")[1:]
        for tag, a in found.tags
        if tag == "a" and (a.get("href") or "").startswith("#image-")
    }
    cases = {a["id"] for tag, a in found.tags if tag == "article"}
    assert jumps == cases <= ids
    assert f"image-{slug(min_id(record))}" in jumps
    row = list(record.image_ids).index(fragile := min_id(record))
    assert found.row(fragile)[2].split()[0] == f"{record.minimal_epsilon[row]:.4f}"


def test_entries_stand_in_the_order_of_the_board(tmp_path: Path) -> None:
    site = build(ROOT / "leaderboard" / "results", tmp_path / "site").parent
    order = re.findall(
        r'class="entry">.*?<a href="../../([^"]+)"', (site / "phantom/ct/index.html").read_text("utf-8")
    )
    cases = (site / "phantom/ct/images.html").read_text("utf-8").split("<article")[1:]
    for case in cases:
        shown = re.findall(r'<p><a href="../../([^"]+)"', case)
        assert len(shown) == 4
        assert shown == sorted(shown, key=order.index)


def min_id(record: Record) -> str:
    """The id of the image that falls first among those right when clean."""
    right = np.flatnonzero(record.clean_correct)
    order = np.lexsort((np.array(record.image_ids)[right], record.minimal_epsilon[right]))
    return record.image_ids[right[order[0]]]


def test_without_pictures_the_ends_of_the_split_are_still_told(tmp_path: Path) -> None:
    site = site_of(tmp_path, make("one"), make("two", strength=0.005))
    html = (site / "phantom/ct/images.html").read_text("utf-8")
    assert "Both ends of the split" in html
    assert "<img" not in html


def test_ids_of_private_images_are_not_listed(tmp_path: Path) -> None:
    write(tmp_path / "results", make("one", track="hospital"), make("two", track="hospital"))
    site = build(tmp_path / "results", tmp_path / "site").parent
    assert not (site / "hospital/ct/images.html").exists()


def test_the_committed_pictures_are_of_the_committed_records_and_small() -> None:
    results, size = ROOT / "leaderboard" / "results" / "phantom", 0
    for folder in sorted(results.iterdir()):
        records = [Record.load(path) for path in folder.glob("*.json") if "." not in path.stem]
        check_current(records)
        found = read_pictures(folder, records)
        assert found is not None, folder
        shown, files = found
        body = json.loads((folder / "all.images" / "images.json").read_text("utf-8"))
        assert set(shown.records) == set(body["records"]), "show-images again: a record is another one by now"
        assert set(files) == {path.name for path in (folder / "all.images").glob("*.png")}
        assert len(shown.pictures) == 12
        assert shown.difference <= 1e-3
        described = read_described(folder)
        assert described is not None
        part = described[0].part("test")
        assert part is not None
        assert part.sha256 == records[0].split["sha256"]
        size += sum(map(len, files.values()))
    assert size < 1_500_000
