"""`check` and `package` say what the gate of a pull request will, while there is time to mend it."""

import shlex
import subprocess

import pytest
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.forge import newcomer


def git(folder, *words):
    name = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *name, *words], cwd=folder, capture_output=True, check=True)


@pytest.fixture
def clone(submissions, tmp_path, monkeypatch, make_submission):
    """A clone of the project, on whose main branch lies the entry `theirs`, the project's own."""
    monkeypatch.setattr(newcomer, "home", lambda: tmp_path)
    make_submission("theirs", edit=saying("reference"))
    git(tmp_path, "init", "-b", "main")
    git(tmp_path, "add", "submissions")
    git(tmp_path, "commit", "-m", "begin")
    return tmp_path


def saying(kind):
    return lambda text: text.replace('licence = "Apache-2.0"', f'licence = "Apache-2.0"\nkind = "{kind}"')


def typed(line):
    done = CliRunner().invoke(main, shlex.split(line))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def put(name, content=b"x"):
    def change(folder):
        (folder / name).write_bytes(content)

    return change


def words(old, new):
    def change(folder):
        path = folder / "submission.toml"
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return change


REFUSED = {
    "a notebook": ("mine", put("curve.ipynb"), "curve.ipynb is no file of an entry"),
    "a picture": ("mine", put("curve.png"), "curve.png is no file of an entry"),
    "another's name, nearly": ("the-irs", lambda folder: None, "the-irs reads like theirs, which is there"),
    "the project's own kind": (
        "mine",
        words('licence = "Apache-2.0"', 'licence = "Apache-2.0"\nkind = "reference"'),
        "kind = 'reference' is for the project's own; say \"entry\"",
    ),
    "a twin that nobody is": (
        "mine",
        words('licence = "Apache-2.0"', 'licence = "Apache-2.0"\nnaive_twin = "thiers"'),
        "naive_twin = 'thiers' is no entry that is there; did you mean theirs?",
    ),
    "another that it replaces": (
        "mine",
        words('licence = "Apache-2.0"', 'licence = "Apache-2.0"\nsupersedes = "nobody"'),
        "supersedes = 'nobody' is no entry that is there; correct it, or leave it out",
    ),
    "the clinical track alone": (
        "mine",
        words('trained_on = "phantom"', 'trained_on = "clinical"'),
        "brings no weights trained_on = 'phantom'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_gate_refuses_is_refused_here(clone, make_submission, case):
    name, change, told = REFUSED[case]
    folder = make_submission(name)
    change(folder)

    checked, packed = typed(f"check {name}"), typed(f"package {name}")

    assert (checked.exit_code, packed.exit_code) == (2, 2)
    assert "a pull request would be refused: " in checked.output
    assert told in checked.output
    assert told in packed.output
    assert "contract kept" in checked.output


def test_a_new_entry_that_breaks_nothing_passes(clone, make_submission):
    make_submission("mine")

    assert typed("check mine").exit_code == 0
    assert typed("package mine").exit_code == 0


def test_what_is_there_already_passes_and_is_not_sent_again(clone):
    checked, packed = typed("check theirs"), typed("package theirs")

    assert checked.exit_code == 0, checked.output
    assert packed.exit_code == 2
    assert "submission 'theirs' is there already, and stays as it was evaluated" in packed.output
    assert "supersedes = 'theirs'" in packed.output


def test_what_is_on_a_branch_of_ones_own_is_not_there_yet(clone, make_submission):
    git(clone, "switch", "-c", "enter-mine")
    make_submission("mine", edit=saying("reference"))
    git(clone, "add", "submissions")
    git(clone, "commit", "-m", "Enter mine")

    assert "is for the project's own" in typed("check mine").output


def test_another_folder_of_a_name_that_is_there_is_refused(clone, make_submission, tmp_path):
    folder = make_submission("mine", edit=lambda text: text.replace('"mine"', '"theirs"'))
    folder = folder.rename(tmp_path / "theirs")

    done = typed(f"check {folder}")

    assert done.exit_code == 2
    assert "it changes theirs, which is there already" in done.output


def test_complaints_of_contract_and_gate_come_at_once(clone, make_submission):
    folder = make_submission("mine")
    (folder / "conftest.py").touch()
    (folder / "curve.png").touch()

    told = typed("check mine").output

    assert "conftest.py would be obeyed by pytest" in told
    assert "a pull request would be refused: submissions/mine: curve.png is no file of an entry" in told


def test_without_a_clone_the_project_s_own_still_pass(submissions, tmp_path, monkeypatch, make_submission):
    monkeypatch.setattr(newcomer, "home", lambda: tmp_path)
    make_submission("theirs", edit=saying("reference"))
    make_submission("the-irs")

    assert typed("check theirs").exit_code == 0
    assert "the-irs reads like theirs" in typed("check the-irs").output


def test_what_is_left_behind_is_not_added(clone, make_submission):
    folder = make_submission("mine")
    (folder / ".DS_Store").touch()

    told = typed("package mine").output

    (line,) = [each for each in told.splitlines() if "git add" in each]
    command = shlex.split(line.partition("&&")[0])
    subprocess.run(command, cwd=clone, check=True, capture_output=True)
    staged = subprocess.run(
        ["git", "diff", "--cached", "--name-only"], cwd=clone, capture_output=True, text=True, check=True
    ).stdout.split()
    assert staged == ["submissions/mine/ct-0.safetensors", "submissions/mine/submission.toml"]
