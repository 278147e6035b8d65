"""What leaves the house: every figure once, RobustBench reads our records with its own code, methods say what was done."""

import csv
import json
from collections import defaultdict, namedtuple
from io import StringIO
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from jinja2 import DictLoader
from test_leaderboard import DOUBT, make, naive_and_trained, write
from test_measures import full

from benchmark.cli import main
from benchmark.errors import DataError
from benchmark.evidence.claims import compare as compare_claims
from benchmark.evidence.claims import save_claims
from benchmark.evidence.facts import save_facts
from benchmark.measures import board, measure
from benchmark.robustbench_bridge import model_info, write_model_info
from benchmark.robustbench_import import import_robustbench
from benchmark.statistics import bootstrap
from leaderboard.build import read_records
from leaderboard.export import export
from leaderboard.methods import methods_text
from leaderboard.tables import collect


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)


@pytest.fixture
def exported(tmp_path):
    """The folder of an export of three records, one with facts beside it."""
    records = [*naive_and_trained(), full()]
    save_facts(
        tmp_path / "results/phantom/ct",
        records[0].split["sha256"],
        records[0].image_ids,
        {"size": list(range(200))},
    )
    export(tmp_path / "results", tmp_path / "out", records)
    return tmp_path / "out", records


def rows(path):
    return list(csv.DictReader(StringIO(path.read_text("utf-8"))))


def test_every_figure_is_a_line(exported):
    folder, records = exported
    found = measure(records[2])

    lines = [line for line in rows(folder / "figures.csv") if line["submission"] == "full"]

    def one(condition, epsilon, measure, group="all"):
        (line,) = [
            x
            for x in lines
            if (x["condition"], x["epsilon"], x["measure"], x["group"])
            == (condition, epsilon, measure, group)
        ]
        return line

    worst = one("worst case", "0.004", "sensitivity")
    estimate = found.at("0.004").sensitivity
    assert float(worst["value"]) == pytest.approx(estimate.value, abs=1e-6)
    assert float(worst["low"]) == pytest.approx(estimate.low, abs=1e-6)
    assert float(worst["high"]) == pytest.approx(estimate.high, abs=1e-6)
    assert "synthetic" in worst["positive_means"]
    assert float(one("pgd", "0.004", "attack_success")["value"]) == pytest.approx(
        found.by_attack["pgd"].attack_success.value, abs=1e-6
    )
    asked = one("square on survivors", "0.004", "images_asked", "survivors")
    assert (float(asked["value"]), asked["low"]) == (records[2].robust("0.004").sum(), "")
    assert float(one("square on survivors", "0.004", "images_broken", "survivors")["value"]) == 0
    assert not [x for x in lines if x["condition"] == "square"]
    assert one("attack never stopped", "0.004", "auroc")["high"]
    assert one("clean", "0", "sensitivity_at_validation_threshold")
    assert one("worst case", "0–0.02", "area_over_epsilon")
    assert one("worst case", "0–0.02", "minimal_epsilon_median")
    assert one("worst case", "0.004", "balanced_accuracy", "size ≤ 66")["images"] == "67"
    assert one("board", "0.004", "rank_first")["value"]
    assert one("board", "0.004", "p_adjusted_to_leader")["value"]
    names = [(x["condition"], x["epsilon"], x["measure"], x["group"]) for x in lines]
    assert len(names) == len(set(names))


def test_the_json_holds_all_of_it_with_numbers(exported):
    folder, records = exported

    body = json.loads((folder / "figures.json").read_text("utf-8"))

    names = [entry["submission"] for entry in body["entries"]]
    assert names == ["full", "vgg16-slim-naive", "vgg16-slim-pgd-at"]
    (table,) = body["boards"]
    assert table["leader"] == board(records).leader
    assert table["standings"][0]["rank"] == {"first": 1, "last": 1}
    assert body["entries"][0]["subgroups"][0]["fact"] == "size"


def test_challenger_reads_one_line_for_each_image_and_entry(exported):
    folder, records = exported

    lines = rows(folder / "challenger.csv")

    assert list(lines[0]) == ["Task", "TestCase", "Algorithm", "MetricValue", "Patient"]
    assert len(lines) == 600
    mean = np.mean([float(x["MetricValue"]) for x in lines if x["Algorithm"] == "full"])
    assert mean == pytest.approx(records[2].robust("0.004").mean())
    keys = {(x["Task"], x["TestCase"], x["Algorithm"]) for x in lines}
    assert len(keys) == 600


def test_an_entry_twice_is_an_error_and_writes_nothing(tmp_path):
    with pytest.raises(DataError, match=r"two records claim the place of X, x"):
        export(tmp_path, tmp_path / "out", [make("x"), make("X", seed=1)])
    with pytest.raises(DataError, match="two records claim the place of x"):
        collect([make("x"), make("x", seed=1)])
    assert not (tmp_path / "out").exists()


# -- RobustBench -----------------------------------------------------------------------------


@pytest.fixture
def robustbench(monkeypatch):
    """Its own code, told of a data set called ct; its release ships no template, so it gets one with the same names."""
    import_robustbench()
    import robustbench.leaderboard.template as template
    import robustbench.utils as utils

    for module in (template, utils):
        monkeypatch.setattr(module, "BenchmarkDataset", namedtuple("BenchmarkDataset", "value"))
    page = "{% for m in models %}{{ m.name }}|{{ m.clean_acc }}|{{ m[acc_field] }}|{{ m.footnote }}\n{% endfor %}"
    monkeypatch.setattr(template, "PackageLoader", lambda *_: DictLoader({"leaderboard.html.j2": page}))
    monkeypatch.setattr(utils, "all_models", defaultdict(lambda: defaultdict(dict)))
    return SimpleNamespace(template=template, utils=utils)


def test_robustbench_sorts_and_prints_our_records_with_its_own_code(tmp_path, monkeypatch, robustbench):
    weak, strong = naive_and_trained()
    write_model_info([weak, strong], tmp_path / "results", tmp_path)
    monkeypatch.chdir(tmp_path)

    page = robustbench.template.generate_leaderboard("ct", "Linf", "model_info").splitlines()
    latex = robustbench.utils.get_leaderboard_latex("ct", "Linf", sort_by="autoattack_acc").splitlines()

    assert [line.split("|")[0] for line in page] == ["vgg16-slim-pgd-at", "vgg16-slim-naive"]
    assert page[0].split("|")[1:3] == [
        f"{100 * strong.clean_accuracy:.2f}",
        f"{100 * strong.robust_accuracy('0.004'):.2f}",
    ]
    assert "Synthetic images" in page[0]
    assert latex[0].startswith("1 &\\citet{vgg16-slim-pgd-at}")


def test_the_fields_are_robustbench_s(robustbench):
    record = make("x", authors=["A. B.", "C. D."], flags=(DOUBT,), training={"external_data": ["LUNA16"]})

    info = model_info(record)

    known = set(robustbench.utils.ModelInfo.__dataclass_fields__) | {"external", "unreliable"}
    assert set(info) <= known
    robustbench.utils.ModelInfo(**{k: v for k, v in info.items() if k not in ("external", "unreliable")})
    assert (info["authors"], info["additional_data"], info["unreliable"]) == ("A. B., C. D.", True, True)
    assert (info["eps"], info["dataset"]) == ("0.004", "ct")
    assert isinstance(info["clean_acc"], str)
    assert "<" not in model_info(make("y", track="<b>"))["footnote"]


def test_external_is_there_only_where_it_is_lower():
    record = make("x")
    robust = record.robust("0.004")
    lower = robust.copy()
    lower[np.flatnonzero(robust)[0]] = False

    assert "external" not in model_info(record)
    assert "external" not in model_info(record, robust)
    assert float(model_info(record, lower)["external"]) == pytest.approx(100 * lower.mean(), abs=0.005)


def test_what_the_authors_reported_is_their_claim_of_the_test_part(tmp_path):
    record = make("x")
    save_claims(
        compare_claims(record, {"clean": 0.9, "robust": 0.4}), record, tmp_path / "results/phantom/ct"
    )

    write_model_info([record, make("silent")], tmp_path / "results", tmp_path)

    told = [
        json.loads((tmp_path / f"model_info/ct/Linf/{name}.json").read_text()) for name in ("x", "silent")
    ]
    assert [each["reported"] for each in told] == ["40.00", None]


def test_quick_records_do_not_go_to_robustbench(tmp_path):
    assert write_model_info([make("x", protocol="quick")], tmp_path, tmp_path) == ()


# -- commands and words ----------------------------------------------------------------------


def test_the_commands(tmp_path, monkeypatch):
    results = write(tmp_path / "results", *naive_and_trained())
    monkeypatch.setenv("ONCOROBUST_RESULTS", str(results))

    exported = CliRunner().invoke(main, ["export", "--out", str(tmp_path / "out")])
    told = CliRunner().invoke(main, ["methods", "vgg16-slim-pgd-at", "--modality", "ct"])
    missing = CliRunner().invoke(main, ["methods", "nobody"])

    assert exported.exit_code == 0, exported.output
    assert (tmp_path / "out/model_info/ct/Linf/vgg16-slim-pgd-at.json").exists()
    assert (tmp_path / "out/figures.csv").exists()
    assert told.exit_code == 0, told.output
    assert "Balanced accuracy" in told.output
    assert missing.exit_code == 2
    assert "oncorobust evaluate nobody" in missing.output


def test_methods_say_what_a_reviewer_asks():
    record = full()
    text = " ".join(methods_text(record).split())
    found = measure(record)

    for said in (
        "200 images of 70 patients",
        "A positive is a nodule drawn as malignant (synthetic)",
        "ε = 0.004, that is 5.6 HU",
        "n_queries 1000",
        "arXiv 1706.06083",
        "10,000 resamples",
        "nothing here says anything of patients",
        "oncorobust evaluate full --modality ct --track phantom --protocol standard --fresh",
    ):
        assert said in text, said
    assert f"at most {100 * found.at('0.004').balanced.value:.1f} %" in text
    assert f"AUROC was {found.clean_confidence.auroc.value:.3f} (" in text
    (met,) = [met for met in found.survivors if met.epsilon == "0.004"]
    assert "Square-1000 at ε = 0.004 met only images that no attack before it had broken there" in text
    assert f"it broke 0 of {met.asked}." in text
    assert (
        "Away from the headline ε PGD-10 × 20 and APGD-100 found where each image falls by bisection" in text
    )
    assert "OncoRobust 0." in text.split("References")[1]
    assert "doi 10.1200/CCI.21.00170" in text
    assert f"achieved {100 * found.threshold.specificity:.1f} %" in text


def test_a_command_can_be_copied_from_the_methods():
    record = make("a-name-with-many-hyphens-in-it-as-entries-have", strength=0.003)
    command = (
        f"oncorobust evaluate {record.submission} --modality ct --track phantom --protocol standard --fresh"
    )

    for width in (60, 120):
        assert command in methods_text(record, width).splitlines()


def test_methods_of_a_record_with_little_say_less():
    text = methods_text(make("plain", track="clinical", patients=12))

    assert "synthetic" not in text
    assert "no other threshold than 0" in " ".join(text.split())
    assert "no interval" in text


def test_the_committed_records_can_be_exported(tmp_path):
    from benchmark.folders import results_folder

    root = results_folder("phantom").parent
    records = read_records(root)[0]

    paths = export(root, tmp_path, records)

    assert all(path.stat().st_size > 1000 for path in paths)
