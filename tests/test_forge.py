"""A bare repository plays the forge: an honest pull request becomes a row, of a hostile one nothing is published."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from models import BIM, NOISE, small_protocol
from safetensors.torch import save

from benchmark.errors import SubmissionError
from benchmark.evaluation.external import save_external
from benchmark.folders import ROOT
from benchmark.forge import gate
from benchmark.forge.__main__ import main
from benchmark.forge.change import changes
from benchmark.forge.plan import Job, propose
from benchmark.forge.summary import words
from benchmark.isolation import sandbox
from benchmark.protocol import PROTOCOLS
from benchmark.record import Record
from leaderboard.build import build

README = "<!-- results -->\n<!-- /results -->\n<!-- findings -->\n<!-- /findings -->\n"
TOML = """
name = "{name}"
title = "An entry of the tests"
authors = ["A. Tester"]
licence = "Apache-2.0"
architecture = "{architecture}"
[training]
kind = "naive"
[[weights]]
modality = "ct"
files = ["ct.safetensors"]
sha256 = ["{sha256}"]
claimed = {{ robust_accuracy = 0.99 }}
"""


def git(folder, *words, given=None):
    name = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(
        ["git", *name, *words], cwd=folder, capture_output=True, text=True, input=given, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def entry(name="honest", bias=(-0.5, 0.5), toml=TOML, architecture="constant", **files):
    """The files of an entry, by path in the repository."""
    weights = save({"logits": torch.tensor(bias)})
    text = toml.format(name=name, architecture=architecture, sha256=hashlib.sha256(weights).hexdigest())
    found = {"submission.toml": text.encode(), "ct.safetensors": weights, **files}
    return {f"submissions/{name}/{path}": content for path, content in found.items()}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def forge(tmp_path, monkeypatch, shared):
    """The forge and the clones of its people; phantom images are drawn once for all tests of this file."""
    monkeypatch.setenv("ONCOROBUST_CACHE", str(shared))
    monkeypatch.setitem(
        PROTOCOLS, "standard", small_protocol(NOISE, BIM, name="standard", images=40, block=20)
    )
    bare, maintainer = tmp_path / "forge.git", tmp_path / "maintainer"
    git(tmp_path, "init", "--bare", "-b", "main", bare)
    git(tmp_path, "clone", bare, maintainer)
    place(
        maintainer, entry("theirs", (-0.4, 0.4)) | {"README.md": README.encode(), "benchmark/x.py": b"pass\n"}
    )
    place(maintainer, {".github/workflows/evaluate.yml": b"on: push\n", "leaderboard/results/.keep": b""})
    base = commit(maintainer, "begin")
    git(maintainer, "push", "origin", "HEAD:main")
    return SimpleNamespace(
        shared=shared, bare=bare, base=base, maintainer=maintainer, folder=tmp_path, monkeypatch=monkeypatch
    )


def place(clone, files):
    for path, content in files.items():
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_bytes(content)


def commit(clone, message="change"):
    git(clone, "add", "--all")
    git(clone, "commit", "-q", "--allow-empty", "-m", message)
    return git(clone, "rev-parse", "HEAD")


def pull_request(forge, change):
    """A stranger's clone, changed and pushed; the maintainers' clone has fetched it. Returns its last commit."""
    clone = forge.folder / "stranger"
    git(forge.folder, "clone", "-q", forge.bare, clone)
    change(clone)
    head = commit(clone)
    git(clone, "push", "-q", "origin", "HEAD:refs/pull/1/head")
    git(forge.maintainer, "fetch", "-q", "origin", head)
    return head


def run(forge, *given, **environment):
    """A command of a job, with the outputs and the page that a runner gives it."""
    output, page = forge.folder / "output", forge.folder / "page.md"
    for path in (output, page):
        path.unlink(missing_ok=True)
    for name, value in {"GITHUB_OUTPUT": output, "GITHUB_STEP_SUMMARY": page, **environment}.items():
        forge.monkeypatch.setenv(name, str(value))
    done = CliRunner().invoke(main, [str(word) for word in given])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    lines = output.read_text().splitlines() if output.exists() else []
    done.outputs = dict(line.split("=", 1) for line in lines)
    done.page = page.read_text() if page.exists() else ""
    return done


def proposed(forge, head, out="proposed"):
    repository = ("--repository", forge.maintainer)
    return run(
        forge, "propose", "--base", forge.base, "--head", head, *repository, "--out", forge.folder / out
    )


def evaluated(forge, jobs, submissions, attacks=""):
    """Each job of a matrix, as the runner would do it; what it leaves is what a job uploads."""
    pages = []
    for job in jobs:
        back = forge.folder / "returned" / job["title"]
        # An entry gives the same every time: what one test evaluated, the next ones take.
        told = (submissions / job["entry"] / "submission.toml").read_bytes()
        kept = forge.shared / hashlib.sha256(told + job["title"].encode()).hexdigest()
        if kept.exists() and not job["file"]:
            shutil.copytree(kept / "back", back)
            pages.append((kept / "page.md").read_text())
            continue
        old = forge.maintainer / "leaderboard" / "results"
        if old.exists() and job["file"]:
            subprocess.run(["cp", "-r", old, back], check=True)
        words = ["evaluate", "--entry", job["entry"], "--modality", job["modality"], "--file", job["file"]]
        places = {
            "ONCOROBUST_SUBMISSIONS": submissions,
            "ONCOROBUST_RESULTS": back,
            "ONCOROBUST_ATTACKS": attacks,
        }
        done = run(forge, *words, **places)
        assert done.exit_code == 0, done.output
        pages.append(done.page)
        if not job["file"]:
            shutil.copytree(back, kept / "back")
            (kept / "page.md").write_text(done.page)
    return pages


def merged(forge, head):
    """The maintainers accept it: main, and their clone, hold it."""
    git(forge.maintainer, "merge", "-q", "--no-edit", head)
    git(forge.maintainer, "push", "-q", "origin", "HEAD:main")
    places = {"ONCOROBUST_SUBMISSIONS": "submissions", "ONCOROBUST_RESULTS": "leaderboard/results"}
    places["ONCOROBUST_ATTACKS"] = "submissions/attacks"
    found = run(forge, "missing", **{name: forge.maintainer / path for name, path in places.items()})
    assert found.exit_code == 0, found.output
    return json.loads(found.outputs["matrix"])


def published(forge, matrix):
    words = ("--matrix", json.dumps(matrix), "--returned", forge.folder / "returned")
    return run(forge, "publish", *words, "--repository", forge.maintainer)


def on_main(forge):
    return git(forge.bare, "ls-tree", "-r", "--name-only", "main").splitlines()


def honest_row(forge, files=None):
    """A pull request, previewed, merged, evaluated and published."""
    head = pull_request(forge, lambda clone: place(clone, files or entry()))
    assert proposed(forge, head).exit_code == 0
    matrix = merged(forge, head)
    evaluated(forge, matrix["include"], forge.maintainer / "submissions")
    return matrix, published(forge, matrix)


# -- an honest one -------------------------------------------------------------------------------


def test_an_honest_pull_request_becomes_a_row(forge):
    head = pull_request(forge, lambda clone: place(clone, entry()))

    gate_passed = proposed(forge, head)
    matrix = json.loads(gate_passed.outputs["matrix"])
    (page,) = evaluated(forge, matrix["include"], forge.folder / "proposed" / "submissions")

    assert gate_passed.outputs["any"] == "true"
    assert matrix["include"] == [{"entry": "honest", "modality": "ct", "file": "", "title": "honest-ct"}]
    assert "| honest | ct |" in page
    assert "claimed 99.0 % robust" in page
    assert "A preview" in page
    assert on_main(forge) == git(forge.maintainer, "ls-tree", "-r", "--name-only", forge.base).splitlines()

    (forge.folder / "returned" / "honest-ct").rename(forge.folder / "preview")
    matrix = merged(forge, head)
    evaluated(forge, matrix["include"], forge.maintainer / "submissions")
    done = published(forge, matrix)

    assert done.exit_code == 0, done.output
    assert {job["entry"] for job in matrix["include"]} == {"honest", "theirs"}
    assert "leaderboard/results/phantom/ct/honest.json" in on_main(forge)
    assert "leaderboard/results/phantom/ct/honest.claims.json" in on_main(forge)
    assert "| CT | `honest` |" in git(forge.bare, "show", "main:README.md")
    git(forge.maintainer, "pull", "-q", "origin", "main")
    index = build(forge.maintainer / "leaderboard" / "results", forge.folder / "site")
    board = (index.parent / "phantom/ct/index.html").read_text()
    assert "honest.html" in board
    assert merged(forge, "HEAD")["include"] == []


def test_what_is_published_is_what_was_evaluated_whoever_pushed_meanwhile(forge):
    head = pull_request(forge, lambda clone: place(clone, entry()))
    matrix = merged(forge, head)
    evaluated(forge, matrix["include"], forge.maintainer / "submissions")
    other = forge.folder / "other"
    git(forge.folder, "clone", "-q", forge.bare, other)
    place(other, {"benchmark/y.py": b"pass\n"})
    commit(other)
    git(other, "push", "-q", "origin", "HEAD:main")

    done = published(forge, matrix)

    assert done.exit_code == 0, done.output
    assert {"benchmark/y.py", "leaderboard/results/phantom/ct/honest.json"} <= set(on_main(forge))
    assert git(forge.maintainer, "worktree", "list").count("\n") == 0


def test_images_that_somebody_sends_lower_the_best_known_with_credit(forge):
    matrix, done = honest_row(forge, entry(bias=(0.0, 1e-3), architecture="constant"))
    git(forge.maintainer, "pull", "-q", "origin", "main")
    record = Record.load(forge.maintainer / "leaderboard/results/phantom/ct/honest.json")
    from benchmark import load_split

    split = load_split("ct").first_patients(40)
    images = split.batch()[0].numpy().astype(np.float32)
    path = "submissions/attacks/honest/ct/breaker.safetensors"

    def send(clone):
        (clone / path).parent.mkdir(parents=True)
        save_external(clone / path, images, record.image_ids, "A. Breaker", "https://example.org")

    (forge.folder / "stranger").rename(forge.folder / "earlier")
    forge.base = git(forge.maintainer, "rev-parse", "HEAD")
    head = pull_request(forge, send)
    first = proposed(forge, head, "sent")
    matrix = merged(forge, head)
    evaluated(
        forge, matrix["include"], forge.maintainer / "submissions", forge.maintainer / "submissions/attacks"
    )
    done = published(forge, matrix)

    assert [job["file"] for job in json.loads(first.outputs["matrix"])["include"]] == [path]
    assert [job["file"] for job in matrix["include"]] == [path]
    assert done.exit_code == 0, done.output
    told = json.loads(git(forge.bare, "show", "main:leaderboard/results/phantom/ct/honest.external.json"))
    assert [one["name"] for one in told["files"]] == ["A. Breaker"]
    git(forge.maintainer, "pull", "-q", "origin", "main")
    assert merged(forge, "HEAD")["include"] == []


CODED = """
import torch
from torch import nn


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 64 * 64))

    def forward(self, images):
        gap = images.flatten(1) @ self.weight / 50
        return torch.stack((-gap, gap), 1)


def build(modality):
    return Mean()
"""


@pytest.mark.skipif(bool(sandbox.complaint()), reason=f"no sandbox here: {sandbox.complaint()}")
def test_an_entry_with_code_is_published_where_no_sandbox_is(forge, monkeypatch):
    toml = TOML.replace('architecture = "{architecture}"\n', "").replace('["ct.safetensors"]', "[]")
    files = entry(toml=toml.replace('["{sha256}"]', "[]"), **{"model.py": CODED.encode()})
    del files["submissions/honest/ct.safetensors"]
    head = pull_request(forge, lambda clone: place(clone, files))
    matrix = merged(forge, head)
    evaluated(forge, matrix["include"], forge.maintainer / "submissions")
    sandbox.complaint.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: None)

    done = published(forge, matrix)

    monkeypatch.undo()
    sandbox.complaint.cache_clear()
    assert done.exit_code == 0, done.output
    assert "leaderboard/results/phantom/ct/honest.json" in on_main(forge)


def test_what_one_job_alone_gave_back_lies_in_no_folder_of_its_own(forge):
    head = pull_request(forge, lambda clone: place(clone, entry()))
    matrix = merged(forge, head)
    evaluated(forge, matrix["include"], forge.maintainer / "submissions")
    (forge.folder / "returned").rename(forge.folder / "all")
    (forge.folder / "all" / "honest-ct").rename(forge.folder / "returned")

    done = published(forge, matrix)

    assert done.exit_code == 3, done.output
    assert "theirs.json is not there" in done.output
    assert "leaderboard/results/phantom/ct/honest.json" in on_main(forge)


# -- hostile ones --------------------------------------------------------------------------------


def link(clone):
    place(clone, entry())
    (clone / "submissions/honest/notes.md").symlink_to("/etc/passwd")


def rename(clone):
    git(clone, "mv", "submissions/theirs", "submissions/mine")


def execute(clone):
    place(clone, entry())
    (clone / "submissions/honest/ct.safetensors").chmod(0o755)


def submodule(clone):
    place(clone, entry())
    deep = clone / "submissions/honest/deep"
    git(clone, "init", "-q", deep)
    git(deep, "commit", "-q", "--allow-empty", "-m", "another repository")


def putting(**changes):
    return lambda clone: place(clone, entry() | dict(changes))


EVIL = "$(touch /tmp/owned)"
HOSTILE = {
    "another file too": (
        putting(**{"benchmark/protocol.py": b"x"}),
        "it changes benchmark/protocol.py; one that enters",
    ),
    "the workflow": (
        putting(**{".github/workflows/evaluate.yml": b"on: push # all keys"}),
        "it changes .github/workflows",
    ),
    "the tests' settings": (putting(**{"conftest.py": b"x"}), "it changes conftest.py"),
    "attributes of git": (putting(**{".gitattributes": b"* filter=evil"}), "it changes .gitattributes"),
    "forged records": (
        putting(**{"leaderboard/results/phantom/ct/honest.json": b"{}"}),
        "records are written by the project alone",
    ),
    "another's entry": (
        lambda clone: place(clone, entry("theirs", (9.0, 0.0))),
        "it changes theirs, which is there already",
    ),
    "another's entry, renamed": (
        rename,
        "it removes submissions/theirs/ct.safetensors; what is entered stays",
    ),
    "another's name, nearly": (lambda clone: place(clone, entry("the-irs")), "the-irs reads like theirs"),
    "two entries": (lambda clone: place(clone, entry() | entry("second")), "it touches 2 entries"),
    "nothing at all": (lambda clone: None, "it enters nothing"),
    "a link": (link, "submissions/honest/notes.md is a link"),
    "a submodule": (submodule, "submissions/honest/deep is a submodule"),
    "a program": (execute, "may be executed (mode 100755)"),
    "a pickle by its name": (
        putting(**{"submissions/honest/ct.pt": b"\x80\x04evil"}),
        "ct.pt is no file of an entry",
    ),
    "a pickle by its content": (
        putting(**{"submissions/honest/more.safetensors": b"\x80\x04\x95evil"}),
        "more.safetensors is a pickle, whatever its name says",
    ),
    "what pytest obeys": (
        putting(**{"submissions/honest/conftest.py": b""}),
        "conftest.py would be obeyed by pytest",
    ),
    "a hidden file": (putting(**{"submissions/honest/.git": b"gitdir: /"}), None),
    "a huge file": (
        putting(**{"submissions/honest/big.safetensors": bytes(5_000_000)}),
        "big.safetensors has 5.0 MB",
    ),
    "many large files": (
        putting(**{f"submissions/honest/{i}.safetensors": bytes([i]) * 3_900_000 for i in range(7)}),
        "the entry has 27.3 MB",
    ),
    "a shell command as a name": (
        lambda clone: place(clone, {f"submissions/{EVIL}/submission.toml".replace("/tmp/", ""): b"x"}),
        "$(touch owned) cannot be the name of an entry",
    ),
    "a shell command as a file": (
        putting(**{"submissions/honest/a`id`;b.md": b""}),
        "a'id';b.md is no path that an entry may have",
    ),
    "a line break in a file's name": (
        putting(**{"submissions/honest/a\n::set-output::.md": b""}),
        r"a\n::set-output::.md is no",
    ),
    "images against nobody": (
        lambda clone: place(clone, {"submissions/attacks/nobody/ct/a.safetensors": b"x"}),
        "attacks nobody, and no such entry is there",
    ),
    "images elsewhere": (
        lambda clone: place(clone, {"submissions/attacks/theirs/a.pt": b"x"}),
        "is no place for sent images",
    ),
    "TOML that breaks out": (
        lambda clone: place(clone, entry(toml=TOML.replace("An entry", "x\\n::add-mask::\\u202e"))),
        "must be one line without characters that do not show",
    ),
    "a script as a link": (
        lambda clone: place(clone, entry(toml='paper = "javascript:alert(1)"\n' + TOML)),
        "must be a link that begins with https://",
    ),
    "a key nobody knows": (
        lambda clone: place(clone, entry(toml="run = 1\n" + TOML)),
        "run: is no key",
    ),
    "weights from anywhere": (
        lambda clone: place(
            clone, entry(toml=TOML.replace("files =", 'urls = ["https://evil.example/w"]\nfiles ='))
        ),
        "must name a file that cannot change",
    ),
    "the project's own kind": (
        lambda clone: place(clone, entry(toml='kind = "reference"\n' + TOML)),
        "for the project's own",
    ),
    "a table without a bottom": (
        putting(**{"submissions/honest/submission.toml": b"a=" + b"[" * 5000}),
        "submission.toml is not valid TOML",
    ),
    "a number without an end": (
        putting(**{"submissions/honest/submission.toml": b"a=" + b"9" * 5000}),
        "submission.toml is not valid TOML",
    ),
    "a checksum that is a path": (
        lambda clone: place(clone, entry(toml=TOML.replace("{sha256}", "../../escaped"))),
        "must be 64 digits from 0 to f",
    ),
    "no weights for the track": (
        lambda clone: place(clone, entry(toml=TOML.replace("files =", 'trained_on = "clinical"\nfiles ='))),
        "brings no weights trained_on",
    ),
    "code as weights": (
        lambda clone: place(clone, entry(toml=TOML.replace("ct.safetensors", "helper.py"))),
        "must be a .safetensors file",
    ),
    "weights of another folder": (
        lambda clone: place(clone, entry(toml=TOML.replace('["ct.safe', '["../theirs/ct.safe'))),
        None,
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pull_request_is_refused_with_a_reason(forge, name):
    change, reason = HOSTILE[name]
    if name == "a hidden file":
        # git itself keeps .git out of a commit; other hidden names it takes.
        change, reason = (
            putting(**{"submissions/honest/.gitattributes": b"* filter=x"}),
            ".gitattributes is no path",
        )
    if name == "weights of another folder":
        head = pull_request(forge, change)
        assert proposed(forge, head).exit_code == 0
        places = {
            "ONCOROBUST_SUBMISSIONS": forge.folder / "proposed/submissions",
            "ONCOROBUST_RESULTS": forge.folder / "r",
        }
        done = run(forge, "evaluate", "--entry", "honest", "--modality", "ct", **places)
        reason = "lies outside the submission"
    else:
        done = proposed(forge, pull_request(forge, change))

    assert done.exit_code == 2, done.output
    assert (
        reason in (done.stderr + done.page).replace("&#x27;", "'").replace("&#96;", "`")
        or words(reason) in done.page
    )
    assert done.outputs == {}
    assert "::" not in done.stderr
    assert "\n::" not in done.page
    assert on_main(forge) == git(forge.maintainer, "ls-tree", "-r", "--name-only", forge.base).splitlines()


def test_all_complaints_come_at_once(forge):
    head = pull_request(
        forge, putting(**{"conftest.py": b"", "submissions/honest/x.exe": b"", ".github/dependabot.yml": b""})
    )

    with pytest.raises(SubmissionError) as caught:
        propose(forge.maintainer, forge.base, head, forge.folder / "out")

    for part in ("conftest.py", ".github/dependabot.yml", "x.exe is no file of an entry"):
        assert part in str(caught.value)
    assert not (forge.folder / "out").exists()


def test_only_what_the_gate_saw_is_written_and_no_filter_of_git_runs(forge, monkeypatch):
    git(forge.maintainer, "config", "filter.evil.smudge", f"touch {forge.folder}/owned; cat")
    (forge.maintainer / ".git/info/attributes").write_text("* filter=evil\n")
    head = pull_request(forge, putting(**{"submissions/honest/README.md": b"# mine\n"}))

    propose(forge.maintainer, forge.base, head, forge.folder / "out")

    found = sorted(
        p.relative_to(forge.folder / "out").as_posix()
        for p in (forge.folder / "out").rglob("*")
        if p.is_file()
    )
    assert found == [
        f"submissions/honest/{name}" for name in ("README.md", "ct.safetensors", "submission.toml")
    ]
    assert not (forge.folder / "owned").exists()


@pytest.mark.parametrize("given", ["HEAD", "--upload-pack=evil", "main", "a" * 39, "$(id)"])
def test_only_full_commit_ids_reach_git(forge, given):
    with pytest.raises(Exception, match="is no full commit id"):
        changes(forge.maintainer, forge.base, given)


# -- what a job that ran foreign code may give back --------------------------------------------------


def forged(change):
    """Change the JSON of what came back; its table stays."""

    def forge_it(folder):
        path = folder / "phantom/ct/honest.json"
        body = json.loads(path.read_bytes())
        change(body)
        path.write_text(json.dumps(body))

    return forge_it


def better_rows(folder):
    """Rows and summary that agree, of a model that no attack breaks."""
    from dataclasses import replace

    record = Record.load(folder / "phantom/ct/honest.json")
    margins = np.where(record.clean_margins < 0, np.float32(0.3), record.clean_margins)
    replace(record, clean_margins=margins).save(folder / "phantom/ct")


def few_rows(folder):
    """Only the images that it gets right."""
    record = Record.load(folder / "phantom/ct/honest.json")
    only(folder, record, np.flatnonzero(record.clean_correct))


def other_order(folder):
    """Every image, from the last to the first."""
    record = Record.load(folder / "phantom/ct/honest.json")
    only(folder, record, np.arange(len(record.labels))[::-1])


def only(folder, record, at):
    from dataclasses import replace

    attacks = {
        name: replace(
            each,
            linf=each.linf[at],
            margins={epsilon: margins[at] for epsilon, margins in each.margins.items()},
        )
        for name, each in record.attacks.items()
    }
    replace(
        record,
        labels=record.labels[at],
        image_ids=tuple(record.image_ids[row] for row in at),
        patient_ids=tuple(record.patient_ids[row] for row in at),
        clean_margins=record.clean_margins[at],
        attacks=attacks,
        lowest_margins=None,
        stored_margins={bits: margins[at] for bits, margins in record.stored_margins.items()},
    ).save(folder / "phantom/ct")


def other_patients(folder):
    from dataclasses import replace

    record = Record.load(folder / "phantom/ct/honest.json")
    replace(record, patient_ids=record.image_ids).save(folder / "phantom/ct")


def other_labels(folder):
    from dataclasses import replace

    record = Record.load(folder / "phantom/ct/honest.json")
    replace(record, labels=np.ones_like(record.labels)).save(folder / "phantom/ct")


def better_validation(fewer):
    """Of the validation part only what it gets right, or all with the labels that it gives."""

    def forge_it(folder):
        from dataclasses import replace

        record = Record.load(folder / "phantom/ct/honest.json")
        part, right = record.validation, record.validation.margins > 0
        assert 0 < right.sum() < len(right)
        at = np.flatnonzero(right) if fewer else np.arange(len(right))
        better = replace(
            part,
            labels=np.where(right, part.labels, 1 - part.labels)[at],
            margins=np.abs(part.margins)[at],
            patient_ids=[part.patient_ids[row] for row in at],
            image_ids=[part.image_ids[row] for row in at],
        )
        replace(record, validation=better).save(folder / "phantom/ct")

    return forge_it


def as_link(folder):
    path = folder / "phantom/ct/honest.csv"
    target = folder.parent / "elsewhere.csv"
    path.rename(target)
    path.symlink_to(target)


FORGERIES = {
    "a better summary": (
        forged(lambda body: body["summary"]["robust"]["0.004"].update(value=1.0)),
        "summary of 'robust' does not follow",
    ),
    "better rows": (better_rows, "clean margins differ"),
    "other labels": (other_labels, "other labels than the split"),
    "other patients": (other_patients, "other patients than the split"),
    "fewer rows": (few_rows, "other images than the split, or not all"),
    "rows in another order": (other_order, "other images than the split, or not all of them in its order"),
    "no scale": (
        forged(lambda body: body["provenance"].update(temperature=float("nan"))),
        "the scale of the logits is nan",
    ),
    "a huge scale": (
        forged(lambda body: body["provenance"].update(temperature=1e9)),
        "the scale of the logits is 1e+09",
    ),
    "no figures": (forged(lambda body: body.pop("summary")), "is malformed (KeyError"),
    "another name": (forged(lambda body: body.update(submission="theirs")), "its entry is 'theirs'"),
    "another protocol": (forged(lambda body: body["protocol"].update(sha256="0" * 64)), "of other attacks"),
    "another harness": (
        forged(lambda body: body["provenance"].update(harness_sha256="0" * 64)),
        "its harness is '000",
    ),
    "other weights": (
        forged(lambda body: body["provenance"].update(identity="0" * 64)),
        "of other weights or code",
    ),
    "no isolation": (
        forged(lambda body: body["provenance"].update(verified=False)),
        "made without isolation",
    ),
    "validation of other images": (
        forged(lambda body: body["validation"].update(split_sha256="0" * 64)),
        "its validation margins are of other images",
    ),
    "no validation part": (
        forged(lambda body: body.pop("validation")),
        "its validation margins are of other images than are here, or there are none",
    ),
    "half of the validation part": (better_validation(fewer=True), "its validation rows have other images"),
    "other labels of the validation part": (
        better_validation(fewer=False),
        "its validation rows have other labels",
    ),
    "blocks left out": (
        forged(lambda body: body["provenance"].update(missing=[{"reason": "crash"}])),
        "1 of its blocks could not be computed",
    ),
    "a link": (as_link, "honest.csv is a link"),
    "no JSON": (lambda folder: (folder / "phantom/ct/honest.json").write_text("no"), "damaged"),
    "nothing": (lambda folder: (folder / "phantom/ct/honest.json").unlink(), "honest.json is not there"),
    "a huge file": (
        lambda folder: (folder / "phantom/ct/honest.csv").open("ab").truncate(30_000_000),
        "honest.csv has 30,000,000 bytes",
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_record_is_left_out_and_the_others_are_published(forge, name):
    change, reason = FORGERIES[name]
    head = pull_request(forge, lambda clone: place(clone, entry()))
    matrix = merged(forge, head)
    evaluated(forge, matrix["include"], forge.maintainer / "submissions")
    change(forge.folder / "returned" / "honest-ct")

    done = published(forge, matrix)

    assert done.exit_code == 3, done.output
    assert words(reason) in done.output
    assert "leaderboard/results/phantom/ct/theirs.json" in on_main(forge)
    assert not [path for path in on_main(forge) if "honest" in path and path.startswith("leaderboard")]
    assert "honest" not in git(forge.bare, "show", "main:README.md")


def test_what_a_record_says_beside_its_rows_is_said_anew(forge):
    def better(body):
        body["description"] |= {"title": "Another", "division": "open", "authors": ["Somebody"]}
        body["split"] |= {"patients": 9999}
        body["protocol"] |= {"version": 9999}
        body["provenance"] |= {"command": "of another", "trained_on": "clinical"}

    head = pull_request(forge, lambda clone: place(clone, entry()))
    matrix = merged(forge, head)
    evaluated(forge, matrix["include"], forge.maintainer / "submissions")
    honest = Record.load(forge.folder / "returned/honest-ct/phantom/ct/honest.json")
    forged(better)(forge.folder / "returned" / "honest-ct")

    done = published(forge, matrix)

    git(forge.maintainer, "pull", "-q", "origin", "main")
    path = forge.maintainer / "leaderboard/results/phantom/ct/honest.json"
    assert done.exit_code == 0, done.output
    record = Record.load(path)
    assert (record.description, record.split) == (honest.description, honest.split)
    assert (record.protocol, record.provenance) == (honest.protocol, honest.provenance)


def test_where_nothing_holds_nothing_is_published(forge):
    head = pull_request(forge, lambda clone: place(clone, entry()))
    matrix = merged(forge, head)
    before = git(forge.bare, "rev-parse", "main")
    (forge.folder / "returned").mkdir()

    done = published(forge, matrix)

    assert done.exit_code == 2
    assert "gave nothing back" in done.stderr
    assert git(forge.bare, "rev-parse", "main") == before


def test_a_file_that_nobody_asked_for_never_reaches_the_commit(forge):
    head = pull_request(forge, lambda clone: place(clone, entry()))
    matrix = merged(forge, head)
    evaluated(forge, matrix["include"], forge.maintainer / "submissions")
    returned = forge.folder / "returned" / "honest-ct"
    for path in (
        "phantom/ct/theirs.runs.json",
        "phantom/ct/index.html",
        "../escape.json",
        "phantom/ct/honest.runs.json",
    ):
        (returned / path).write_text('{"made": {"by": "The maintainers"}}')

    done = published(forge, matrix)

    assert done.exit_code == 0, done.output
    assert not [path for path in on_main(forge) if path.endswith(("index.html", "escape.json"))]
    runs = json.loads(git(forge.bare, "show", "main:leaderboard/results/phantom/ct/honest.runs.json"))
    assert runs["made"]["by"] == "CI of this project"


# -- small pieces --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "![x](https://evil.example/a.png)",
        "a\n::error::b",
        "| a |",
        "[x](y)",
        "\u202eabc",
        "@all",
    ],
)
def test_no_word_of_a_submitter_is_more_than_a_word(text):
    told = words(text)

    assert not set("<>|[]()\n\u202e@!") & set(told)
    assert "::" not in told


def test_titles_of_jobs_are_all_different_and_plain():
    jobs = [
        Job("a", "ct"),
        Job("a", "ct", "submissions/attacks/a/ct/x-y.safetensors"),
        Job("a", "ct", "submissions/attacks/a/ct/x_y.safetensors"),
    ]

    assert len({job.title for job in jobs}) == 3
    assert all(set(job.title) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for job in jobs)


def test_every_entry_that_is_there_keeps_the_rules_for_paths():
    found = (
        path.relative_to(ROOT / "submissions") for path in (ROOT / "submissions").rglob("*") if path.is_file()
    )
    inside = [path.relative_to(path.parts[0]).as_posix() for path in found if len(path.parts) > 1]

    inside = [path for path in inside if "__pycache__" not in path]
    assert inside
    assert [told for path in inside if (told := gate.path_complaint(path))] == []


def test_the_command_runs_without_the_folder_it_stands_in(tmp_path):
    """`python -P` keeps a pull request's modules out of the harness."""
    (tmp_path / "torch.py").write_text("raise SystemExit('taken over')")
    command = [sys.executable, "-P", "-m", "benchmark.forge", "--help"]

    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
