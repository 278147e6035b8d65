"""Further trainings of an entry: evaluated as the entry is, kept beside its record, shown as a spread, never as rows."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from models import BIM, FGSM, random_split, small_protocol, vgg_weights
from safetensors.torch import save
from test_leaderboard import Reader, make, naive_and_trained, write

from benchmark import contract
from benchmark.cli import main
from benchmark.errors import DataError, SubmissionError
from benchmark.evaluation import blocks, trainings
from benchmark.evaluation.entry import entries
from benchmark.evaluation.plan import unfinished
from benchmark.evaluation.trainings import verify_trainings
from benchmark.evidence.trainings import FurtherTraining, Trainings, spreads
from benchmark.evidence.trainings_files import read_trainings, save_trainings
from benchmark.folders import ROOT, results_folder
from benchmark.protocol import ENGINE, PROTOCOLS
from benchmark.record import Flag, Record
from benchmark.submission import load_submission, read_submission
from leaderboard.build import build, read_records

MORE = """
[[weights]]
modality = "{modality}"
training_seed = {seed}
files = ["{file}"]
sha256 = ["{sha256}"]
"""


def add_training(folder: Path, seed: int, state: int | bytes | None = None, modality: str = "ct") -> Path:
    """Weights of one training more in a submission's folder; fresh ones, of that seed unless another is given."""
    content = state if isinstance(state, bytes) else save(vgg_weights(seed if state is None else state))
    path = folder / f"{modality}-seed-{seed}.safetensors"
    path.write_bytes(content)
    told = MORE.format(
        modality=modality, seed=seed, file=path.name, sha256=hashlib.sha256(content).hexdigest()
    )
    with (folder / "submission.toml").open("a") as file:
        file.write(told)
    return path


# -- submission.toml -------------------------------------------------------------------------


def test_the_entry_is_the_training_of_seed_0_and_stays_what_it_was(make_submission):
    folder = make_submission()
    before = load_submission(folder, "ct").identity
    add_training(folder, 1)
    add_training(folder, 7)

    identities = [load_submission(folder, "ct", training_seed=seed).identity for seed in (0, 1, 7)]

    assert load_submission(folder, "ct").identity == identities[0] == before
    assert len(set(identities)) == 3
    assert read_submission(folder).further_seeds("ct", "phantom") == (1, 7)
    with pytest.raises(SubmissionError, match=r"no ct weights of training_seed 2; it has 0, 1, 7"):
        load_submission(folder, "ct", training_seed=2)


def test_one_s_own_images_never_mix_trainings_of_two_tracks(make_submission):
    folder = make_submission()
    add_training(folder, 1)
    clinical = MORE.format(modality="ct", seed=0, file="x.safetensors", sha256=64 * "0")
    with (folder / "submission.toml").open("a") as file:
        file.write(clinical + 'trained_on = "clinical"\n')

    submission = read_submission(folder)

    assert submission.further_seeds("ct", "phantom") == (1,)
    assert submission.further_seeds("ct", "/my/scans") == ()


def test_an_entry_for_the_clinical_track_alone_is_none_of_the_phantom_s_unless_it_is_named(make_submission):
    folder = make_submission()
    more = MORE.format(modality="mri", seed=0, file="x.safetensors", sha256=64 * "0")
    with (folder / "submission.toml").open("a") as file:
        file.write(more + 'trained_on = "clinical"\n')

    submission = read_submission(folder)

    assert submission.modalities == ("ct", "mri")
    assert [submission.modalities_of(track) for track in ("phantom", "clinical")] == [("ct",), ("mri",)]
    assert entries("all") == [("tiny", "ct")]
    assert entries("mri") == []
    both = [("tiny", "ct"), ("tiny", "mri")]
    # Who names it is told what it lacks; one's own images take weights of either track.
    assert entries("all", only="tiny") == entries("all", "clinical") == entries("all", "/my/scans") == both


def test_the_committed_entries_are_still_those_of_their_records():
    records, _ = read_records(results_folder("phantom").parent)

    now = {
        (r.submission, r.modality): load_submission(ROOT / "submissions" / r.submission, r.modality).identity
        for r in records
    }

    assert now == {(r.submission, r.modality): r.provenance["identity"] for r in records}


def test_all_that_is_wrong_with_several_trainings_is_said_at_once(make_submission):
    folder = make_submission()
    add_training(folder, 1, 0)
    add_training(folder, 2)
    add_training(folder, 2, 5)
    add_training(folder, 3, modality="mri")

    with pytest.raises(SubmissionError) as caught:
        read_submission(folder)

    for told in (
        "two [[weights]] for ct (phantom) of training_seed 2; give one for each modality, track and training_seed",
        "ct (phantom): training_seed 1 has the checksums of training_seed 0; two trainings give two files",
        "no [[weights]] for mri (phantom) of training_seed 0, which is the entry",
    ):
        assert told in str(caught.value)


def test_a_seed_below_0_is_refused(make_submission):
    folder = make_submission()
    add_training(folder, -1)

    with pytest.raises(SubmissionError, match=r"weights\.1\.training_seed: must be at least 0"):
        read_submission(folder)


def test_check_tries_every_training_and_says_every_fault_at_once(make_submission, monkeypatch):
    folder = make_submission()
    add_training(folder, 1)
    assert [line.partition(":")[0] for line in contract.check_submission(folder)] == [
        "tiny · ct (phantom)",
        "tiny · ct (phantom), training seed 1",
    ]

    add_training(folder, 2).write_bytes(b"damaged")
    add_training(folder, 3, b"no weights")
    monkeypatch.setattr(contract, "LARGEST_FILE", 1000)
    with pytest.raises(SubmissionError) as caught:
        list(contract.check_submission(folder))

    for file, told in ((2, "has sha256"), (3, "is not a readable"), (1, "has 0.0 MB, allowed are 0 MB")):
        assert f"ct-seed-{file}.safetensors" in str(caught.value)
        assert told in str(caught.value)


# -- the command -----------------------------------------------------------------------------


@pytest.fixture
def track(monkeypatch, tmp_path):
    """A folder of 16 images, under a quick protocol made quicker: two blocks."""
    monkeypatch.setitem(PROTOCOLS, "quick", small_protocol(FGSM, BIM, name="quick", ranked=False))
    monkeypatch.setattr(
        "benchmark.evaluation.plan.choose_layout", lambda *_: "channels last"
    )  # takes a second
    random_split(16, 32).save(tmp_path / "scans" / "ct-test.safetensors")
    return str(tmp_path / "scans")


@pytest.fixture
def results(cache):
    return cache / "private" / "results-quick" / "scans" / "ct"


@pytest.fixture
def thrice(make_submission):
    """An entry with two trainings more."""
    folder = make_submission()
    add_training(folder, 1)
    add_training(folder, 2)
    return folder


@pytest.fixture
def run(track):
    """Type a command about the entry."""

    def typed(command, *more, name="tiny"):
        line = [command, name, "--modality", "ct", "--track", track, "--protocol", "quick", *more]
        return CliRunner().invoke(main, line)

    return typed


@pytest.fixture(scope="module")
def kept():
    """What the first test that asks for `evaluated` has computed, for the others."""
    return {}


@pytest.fixture
def evaluated(run, thrice, results, kept):
    """Its record and, beside it, both trainings."""
    if not kept:
        assert (run("evaluate").exit_code, run("trainings").exit_code) == (0, 0)
        kept.update({path.name: path.read_bytes() for path in results.iterdir()})
    results.mkdir(parents=True, exist_ok=True)
    for name, content in kept.items():
        (results / name).write_bytes(content)
    return Record.load(results / "tiny.json")


@pytest.fixture
def computed(monkeypatch):
    """Which blocks of which training are computed from here on."""
    asked, run_job = [], blocks.run_job

    def spy(job):
        asked.append((job.source.training_seed, job.block))
        return run_job(job)

    monkeypatch.setattr("benchmark.evaluation.engine.run_job", spy)
    return asked


def rows_of(results, name="tiny"):
    found = {}
    with (results / f"{name}.trainings.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(int(row["training_seed"]), []).append(row)
    return found


def test_each_training_gets_the_numbers_of_an_entry_with_its_weights(
    run, thrice, results, make_submission, evaluated
):
    rows = rows_of(results)

    for seed in (1, 2):
        make_submission(f"alone{seed}", weights=[vgg_weights(seed)])
        assert run("evaluate", name=f"alone{seed}").exit_code == 0
        alone = Record.load(results / f"alone{seed}.json")
        assert [float(row["clean_margin"]) for row in rows[seed]] == pytest.approx(
            alone.clean_margins.tolist(), abs=1e-7
        )
        assert [
            float(row["minimal_epsilon"] or "inf") for row in rows[seed]
        ] == alone.minimal_epsilon.tolist()
        assert [row["robust"] == "1" for row in rows[seed]] == alone.robust("0.004").tolist()
        assert [row["image_id"] for row in rows[seed]] == list(alone.image_ids)
        assert [int(row["label"]) for row in rows[seed]] == alone.labels.tolist()
    assert list(rows) == [1, 2]
    assert rows[1] != [dict(row, training_seed="1") for row in rows[2]]


def test_the_file_says_of_which_weights_protocol_split_and_engine_it_is(thrice, results, evaluated):
    body = json.loads((results / "tiny.trainings.json").read_text("utf-8"))

    first = hashlib.sha256((thrice / "ct-seed-1.safetensors").read_bytes()).hexdigest()
    assert body["trainings"][0]["weights_sha256"] == [first]
    assert [each["training_seed"] for each in body["trainings"]] == [1, 2]
    assert (body["protocol"], body["engine"]) == ("quick", ENGINE)
    assert body["protocol_sha256"] == PROTOCOLS["quick"].sha256
    assert body["split_sha256"] == evaluated.split["sha256"]
    assert body["reference"] == evaluated.provenance["identity"]
    rates = [evaluated.robust_accuracy("0.004")]
    rates += [np.mean([row["robust"] == "1" for row in own]) for own in rows_of(results).values()]
    assert body["summary"]["robust"]["0.004"]["values"] == pytest.approx(rates)
    assert body["summary"]["robust"]["0.004"]["mean"] == pytest.approx(sum(rates) / 3)


def test_the_record_stays_as_it_is_and_nothing_is_left_in_the_cache(run, thrice, results):
    run("evaluate")
    before = {path.name: path.read_bytes() for path in results.iterdir()}

    told = run("trainings").output

    assert {path.name: path.read_bytes() for path in results.iterdir() if path.name in before} == before
    assert {path.name for path in results.iterdir()} - set(before) == {
        "tiny.trainings.json",
        "tiny.trainings.csv",
    }
    assert not unfinished()
    assert "tiny · ct · training seed 1: clean " in told
    assert "worst case over 3 trainings, all images: " in told


def test_what_is_there_is_verified_and_only_fresh_evaluates_it(run, evaluated, results, computed):
    before = (results / "tiny.trainings.csv").read_bytes()

    second = run("trainings")
    assert second.output.startswith("verified clean margins of training seeds 1, 2\n")
    assert computed == []

    fresh = run("trainings", "--fresh")
    assert f"wrote {results}" in fresh.output
    assert sorted(computed) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert (results / "tiny.trainings.csv").read_bytes() == before


def test_a_training_that_is_added_is_evaluated_alone(run, thrice, evaluated, results, computed):
    before = rows_of(results)
    add_training(thrice, 3)

    assert run("trainings").exit_code == 0

    assert sorted(computed) == [(3, 0), (3, 1)]
    rows = rows_of(results)
    assert list(rows) == [1, 2, 3]
    assert {seed: rows[seed] for seed in (1, 2)} == before


def test_a_training_that_got_another_number_keeps_its_rows_under_the_new_one(run, thrice, evaluated, results):
    before, toml = rows_of(results), thrice / "submission.toml"
    toml.write_text(toml.read_text("utf-8").replace("training_seed = 1", "training_seed = 9"), "utf-8")

    assert run("trainings").exit_code == 0

    rows = rows_of(results)
    assert list(rows) == [2, 9]
    assert [dict(row, training_seed="1") for row in rows[9]] == before[1]


def test_an_interrupted_run_goes_on_after_its_last_block(run, thrice, results, monkeypatch, computed):
    run("evaluate")
    whole, evaluate = run("trainings", "--fresh"), trainings.evaluate
    expected = (results / "tiny.trainings.csv").read_bytes()
    assert whole.exit_code == 0
    for path in results.glob("*.trainings.*"):
        path.unlink()
    computed.clear()

    def dies_in_the_second(model, *rest, **options):
        if model.weights.training_seed == 2:
            raise KeyboardInterrupt
        return evaluate(model, *rest, **options)

    monkeypatch.setattr(trainings, "evaluate", dies_in_the_second)
    stopped = run("trainings")
    assert stopped.exit_code == 130
    assert not list(results.glob("*.trainings.*"))
    assert "tiny, training seed 1 · ct" in CliRunner().invoke(main, ["status"]).output
    monkeypatch.setattr(trainings, "evaluate", evaluate)
    again = run("trainings")

    assert again.exit_code == 0
    assert sorted(computed) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert (results / "tiny.trainings.csv").read_bytes() == expected


def test_what_cannot_be_evaluated_is_a_sentence(run, thrice, make_submission, results):
    make_submission("alone")
    assert "'alone' brings one training for ct; add [[weights]] with training_seed = 1" in (
        run("trainings", name="alone").output
    )
    assert "has no record of protocol quick on ct" in run("trainings").output

    run("evaluate")
    for seed in (1, 2):
        (thrice / f"ct-seed-{seed}.safetensors").write_bytes(b"damaged")
    told = run("trainings")
    assert told.exit_code == 2
    assert (
        "training seed 1: submission 'tiny', ct: weights file 'ct-seed-1.safetensors' has sha256"
        in told.output
    )
    assert (
        "training seed 2: submission 'tiny', ct: weights file 'ct-seed-2.safetensors' has sha256"
        in told.output
    )

    record = Record.load(results / "tiny.json")
    replace(record, provenance={**record.provenance, "identity": "other"}).save(results)
    for seed in (1, 2):
        (thrice / f"ct-seed-{seed}.safetensors").write_bytes(save(vgg_weights(seed)))
    assert "is of other weights, images or attacks than are here" in run("trainings").output


def test_a_block_that_fails_leaves_no_file_with_holes(run, thrice, results, monkeypatch):
    run("evaluate")
    evaluate = trainings.evaluate

    def with_a_hole(*given, **options):
        found = evaluate(*given, **options)
        return replace(found, provenance={**found.provenance, "missing": [{"reason": "no memory"}]})

    monkeypatch.setattr(trainings, "evaluate", with_a_hole)
    told = run("trainings")

    assert told.exit_code == 2
    assert "tiny on ct, training seed 1: 1 blocks could not be computed (no memory)" in told.output
    assert not list(results.glob("*.trainings.*"))


# -- verified with the record ----------------------------------------------------------------


@pytest.fixture
def verify(track):
    return lambda: verify_trainings("tiny", "ct", track, "quick")


def test_verifying_recomputes_the_clean_margins_of_every_training(evaluated, results, verify):
    assert verify() == "tiny on ct: clean margins of training seeds 1, 2"

    found = read_trainings(evaluated, results)
    moved = [
        replace(
            each,
            clean_margins=each.clean_margins + np.float32(0.01 * each.temperature * (each.clean_margins > 0)),
        )
        for each in found.trained
    ]
    assert all((each.clean_margins > 0).any() for each in moved)
    save_trainings(replace(found, trained=tuple(moved)), evaluated, results)

    with pytest.raises(DataError) as caught:
        verify()
    for seed in (1, 2):
        assert f"clean margins of training seed {seed} differ by 0.01 T (allowed 0.001)" in str(caught.value)
    assert "oncorobust trainings tiny --modality ct --track TRACK --protocol quick --fresh" in str(
        caught.value
    )


def test_other_weights_lacking_ones_and_left_over_ones_are_all_named(thrice, evaluated, verify):
    toml = thrice / "submission.toml"
    text = toml.read_text("utf-8").partition('[[weights]]\nmodality = "ct"\ntraining_seed')[0]
    toml.write_text(text, "utf-8")
    with pytest.raises(
        DataError, match=r"training seed 1 is no longer brought .*; training seed 2 is no longer"
    ):
        verify()

    add_training(thrice, 2, 5)
    add_training(thrice, 3)
    with pytest.raises(DataError) as caught:
        verify()
    for told in (
        "training seed 1 is no longer brought by the entry",
        "training seed 2 has other weights now",
        "training seed 3 was not evaluated",
    ):
        assert told in str(caught.value)


def test_trainings_beside_a_later_record_are_outdated(evaluated, results, verify):
    replace(evaluated, provenance={**evaluated.provenance, "engine": ENGINE + 1}).save(results)

    with pytest.raises(DataError, match="evaluated beside a record of other engine and are not shown"):
        verify()


def test_where_nothing_was_evaluated_nothing_fails(run, thrice, verify):
    run("evaluate")

    assert verify() == ""


# -- the files -------------------------------------------------------------------------------


def trainings_of(record: Record, *strengths: float, **changes) -> Trainings:
    """Two trainings, or as many as strengths are given, made up like the records of these tests."""
    made = [
        make(record.submission, strength=s, seed=40 + n) for n, s in enumerate(strengths or (0.008, 0.012))
    ]
    given = {
        "submission": record.submission,
        "modality": record.modality,
        "track": record.track,
        "protocol": record.protocol["name"],
        "protocol_sha256": record.protocol.get("sha256"),
        "headline": record.headline,
        "engine": record.provenance.get("engine"),
        "split_sha256": record.split["sha256"],
        "reference": record.provenance["identity"],
        "image_ids": tuple(record.image_ids),
        "patient_ids": tuple(record.patient_ids),
        "labels": record.labels,
        "trained": tuple(
            FurtherTraining(
                n + 1, f"identity-{n}", ("0",), 1.0, {"layout": ""}, (), m.clean_margins, m.minimal_epsilon
            )
            for n, m in enumerate(made)
        ),
    }
    return Trainings(**given | changes)


def entered(submission="entry", **given) -> Record:
    record = make(submission, **given)
    return replace(record, provenance={**record.provenance, "identity": submission, "engine": 3})


@pytest.fixture
def files(tmp_path):
    """A record and its trainings: (record, folder)."""
    record, folder = entered(strength=0.01), tmp_path / "results" / "phantom" / "ct"
    write(tmp_path / "results", record)
    save_trainings(trainings_of(record), record, folder)
    return record, folder


def test_what_is_written_is_read_back(files):
    record, folder = files

    found, written = read_trainings(record, folder), trainings_of(record)

    assert found.foreign(record) == ()
    for one, other in zip(found.trained, written.trained, strict=True):
        assert (one.clean_margins == other.clean_margins).all()
        assert (one.minimal_epsilon == other.minimal_epsilon).all()
        assert one.robust("0.004").tolist() == other.robust("0.004").tolist()
    assert (found.image_ids, found.labels.tolist()) == (tuple(record.image_ids), record.labels.tolist())


def resum(folder):
    """Make the checksum fit again, as one who edits by hand would."""
    body = json.loads((folder / "entry.trainings.json").read_text("utf-8"))
    table = (folder / "entry.trainings.csv").read_bytes()
    body["images_sha256"] = hashlib.sha256(table).hexdigest()
    (folder / "entry.trainings.json").write_text(json.dumps(body), "utf-8")


def edit_table(change, summed=True):
    def edit(folder):
        path = folder / "entry.trainings.csv"
        path.write_text("\n".join(change(path.read_text("utf-8").split("\n"))), "utf-8")
        if summed:
            resum(folder)

    return edit


def edit_json(**changes):
    def edit(folder):
        path = folder / "entry.trainings.json"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")

    return edit


def turned(line):
    return line[:-1] + ("0" if line.endswith("1") else "1")


@pytest.mark.parametrize(
    ("hurt", "told"),
    [
        (edit_table(lambda lines: lines[:-3], summed=False), "its table was changed or cut short"),
        (
            edit_table(lambda lines: [lines[0], turned(lines[1]), *lines[2:]]),
            "verdicts of training seed 1 do not follow",
        ),
        (edit_table(lambda lines: [lines[0], *lines[2:]]), "training seed 2 has other images than the first"),
        (
            edit_table(lambda lines: [*lines[:201], ""]),
            r"tells of training seeds \[1, 2\], its table of \[1\]",
        ),
        (edit_table(lambda lines: [*lines[:1], lines[1].replace("i0", "i0,"), *lines[2:]]), "is damaged"),
        (edit_json(format=99), "has format 99, this version reads 1"),
        (edit_json(trainings=[]), "tells of training seeds"),
        (edit_json(trainings=None), "is damaged"),
        (lambda folder: (folder / "entry.trainings.json").write_text("{"), "is damaged"),
        (lambda folder: (folder / "entry.trainings.csv").unlink(), r"trainings\.csv cannot be read"),
        (lambda folder: (folder / "entry.trainings.json").unlink(), r"trainings\.json cannot be read"),
    ],
)
def test_a_damaged_file_stops_the_page_with_a_sentence(files, tmp_path, hurt, told):
    _, folder = files
    hurt(folder)

    with pytest.raises(DataError, match=told) as caught:
        build(tmp_path / "results", tmp_path / "site")
    assert str(caught.value).endswith("oncorobust trainings entry --modality ct --fresh")


def test_an_image_that_is_wrong_clean_cannot_be_said_to_stand(files):
    record, folder = files
    found = trainings_of(record)
    first = found.trained[0]
    wrong = np.flatnonzero(~first.clean_correct)
    lifted = first.minimal_epsilon.copy()
    lifted[wrong[0]] = np.inf

    save_trainings(
        replace(found, trained=(replace(first, minimal_epsilon=lifted), found.trained[1])), record, folder
    )

    with pytest.raises(DataError, match="verdicts of training seed 1 do not follow"):
        read_trainings(record, folder)


# -- the page --------------------------------------------------------------------------------


def cells(site: Path, name: str = "entry") -> dict[str, str]:
    with (site / "phantom/ct/phantom-ct-standard.csv").open(newline="") as file:
        return next(row for row in csv.DictReader(file) if row["submission"] == name)


def pages_of(folder):
    """Board and page of the entry, built from folder/results."""
    built = build(folder / "results", folder / "site").parent / "phantom/ct"
    return (built / "index.html").read_text("utf-8"), (built / "entry.html").read_text("utf-8")


def test_the_spread_on_the_page_is_that_of_the_rows(files, tmp_path):
    record, folder = files

    board, page = pages_of(tmp_path)

    disease, worst = record.labels == 1, [record.robust("0.004")]
    worst += [np.array([row["robust"] == "1" for row in own]) for own in rows_of(folder, "entry").values()]
    everywhere = [100 * answers.mean() for answers in worst]
    balanced = [50 * (answers[disease].mean() + answers[~disease].mean()) for answers in worst]
    assert len({f"{value:.1f}" for value in everywhere}) == 3

    def told(values):
        one, two, three = values
        mean = sum(values) / 3
        sd = (((one - mean) ** 2 + (two - mean) ** 2 + (three - mean) ** 2) / 2) ** 0.5
        return f"{one:.1f}, {two:.1f}, {three:.1f} (mean {mean:.1f}, SD {sd:.1f})", mean, sd

    text, mean, sd = told(everywhere)
    assert (
        f"worst case over 3 trainings (seeds 0, 1, 2), balanced: {told(balanced)[0]}; of all images: {text}"
        in page
    )
    row = Reader(board).cells("entry")
    assert f"3 trainings: mean {told(balanced)[1]:.1f}, SD {told(balanced)[2]:.1f}" in row["robust"]
    assert f"3 trainings: mean {mean:.1f}, SD {sd:.1f}" in row["all"]
    line = cells(tmp_path / "site")
    assert line["trainings"] == "3"
    assert float(line["worst_case_mean_of_trainings"]) == pytest.approx(mean / 100, rel=1e-5)
    assert float(line["worst_case_sd_of_trainings"]) == pytest.approx(sd / 100, rel=1e-5)
    assert float(line["worst_case_balanced_mean_of_trainings"]) == pytest.approx(
        told(balanced)[1] / 100, rel=1e-5
    )
    assert float(line["worst_case"]) == pytest.approx(everywhere[0] / 100)


def test_it_moves_no_rank_and_makes_no_row(tmp_path):
    weak, strong = entered("weak", strength=0.006), entered("strong", strength=0.02)
    write(tmp_path / "results", weak, strong)
    build(tmp_path / "results", tmp_path / "before")
    save_trainings(trainings_of(weak, 0.09, 0.09), weak, tmp_path / "results" / "phantom" / "ct")

    build(tmp_path / "results", tmp_path / "site")

    def without(site):
        with (site / "phantom/ct/phantom-ct-standard.csv").open(newline="") as file:
            return [{k: v for k, v in row.items() if "training" not in k} for row in csv.DictReader(file)]

    assert without(tmp_path / "site") == without(tmp_path / "before")
    assert cells(tmp_path / "site", "strong")["trainings"] == ""


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (edit_json(reference="other"), "weights"),
        (edit_json(split_sha256="other"), "images"),
        (edit_table(lambda lines: [line.replace(",p0,", ",p1,") for line in lines]), "images"),
        (edit_table(lambda lines: [line.replace(",i0,", ",x0,") for line in lines]), "images"),
        (edit_table(lambda lines: [line.replace(",p0,0,", ",p0,1,") for line in lines]), "images"),
        (edit_json(protocol_sha256="other"), "protocol"),
        (edit_json(protocol="quick"), "protocol"),
        (edit_json(engine=2), "engine"),
        (edit_json(engine=2, reference="other"), "weights and engine"),
    ],
)
def test_trainings_of_another_record_are_not_shown_but_a_warning_is(files, tmp_path, change, what):
    _, folder = files
    before = [path.read_bytes() for path in sorted(folder.glob("*.trainings.*"))]
    change(folder)
    assert before != [path.read_bytes() for path in sorted(folder.glob("*.trainings.*"))]

    board, page = pages_of(tmp_path)

    warning = f"the further trainings of entry on ct were evaluated beside a record of other {what} and are not shown"
    assert warning in Reader(board).cells("entry")["entry"]
    assert page.count(warning) == 1
    assert "3 trainings" not in board + page
    assert cells(tmp_path / "site")["trainings"] == ""


def test_a_training_in_doubt_is_named(files, tmp_path):
    record, folder = files
    found = trainings_of(record)
    doubt = (Flag("zero-gradient", "doubt", 1.0, 0.0, "no gradient"), Flag("x", "notice", 1.0, 0.0, "y"))
    save_trainings(
        replace(found, trained=(found.trained[0], replace(found.trained[1], flags=doubt))), record, folder
    )

    assert "in doubt: training seed 2." in pages_of(tmp_path)[1]


def test_the_study_tells_the_spread_at_every_epsilon(tmp_path):
    records = [
        replace(record, provenance={**record.provenance, "identity": record.submission})
        for record in naive_and_trained()
    ]
    write(tmp_path / "results", *records)
    found = trainings_of(records[1])
    save_trainings(found, records[1], tmp_path / "results" / "phantom" / "ct")

    site = build(tmp_path / "results", tmp_path / "site").parent

    page = (site / "study.html").read_text("utf-8")
    with (site / "study.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    told = {
        (line["submission"], line["attack"], line["epsilon"]): line["mean_of_trainings"]
        for line in lines
        if line["mean_of_trainings"]
    }
    assert {key[:2] for key in told} == {("vgg16-slim-pgd-at", "worst case")}
    for epsilon in records[1].epsilons:
        values = [records[1].robust(epsilon).mean(), *(each.robust(epsilon).mean() for each in found.trained)]
        assert float(told["vgg16-slim-pgd-at", "worst case", epsilon]) == pytest.approx(
            np.mean(values), rel=1e-5
        )
    mean = 100 * spreads(records[1], found).robust["0.004"].mean
    assert f"3 trainings: mean {mean:.1f}, SD" in page


def test_an_entry_that_was_trained_once_says_nothing_of_trainings(tmp_path):
    write(tmp_path / "results", entered())

    for page in pages_of(tmp_path):
        assert "trainings" not in page.partition("<main")[2]
