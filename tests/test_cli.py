"""Every error of the command line is one sentence and exit code 2; every example can be typed."""

import json
import os
import shlex
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from models import BIM, FGSM, random_split, small_protocol

from benchmark.cli import main
from benchmark.errors import BenchmarkError
from benchmark.protocol import PROTOCOLS


def commands(group=main, path=()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = list(commands())


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Type a command; everything is written into this test's folder."""
    monkeypatch.setenv("ONCOROBUST_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("ONCOROBUST_SITE", str(tmp_path / "site"))
    return lambda line: CliRunner().invoke(main, shlex.split(line))


@pytest.fixture
def scans(monkeypatch, tmp_path):
    """A folder of one's own with a CT split; the quick protocol is made quicker."""
    monkeypatch.setitem(PROTOCOLS, "quick", small_protocol(FGSM, BIM, name="quick", ranked=False))
    random_split(6, 64).save(tmp_path / "scans" / "ct-test.safetensors")
    return tmp_path / "scans"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("evaluate nobody", "no submission 'nobody'; there are constantlike"),
        ("evaluate constantlike --track /no/such/folder", "unknown track '/no/such/folder'"),
        ("evaluate constantlike --modality mri", "'constantlike' has no weights for modality 'mri'"),
        (
            "evaluate constantlike --device abacus --protocol quick --track {scans}",
            "device 'abacus' cannot be used here",
        ),
        ("check nobody", "no submission 'nobody'"),
        ("train --modality ct --recipe magic --out x", "unknown recipe 'magic'"),
        ("train --modality ct --recipe naive --out /dev/null/x", "cannot write to /dev/null/x"),
        ("evaluate constantlike --protocol fast", "Invalid value for '--protocol': 'fast'"),
        ("evaluate constantlike --modality pet", "Invalid value for '--modality': 'pet'"),
        ("evaluate", "name one SUBMISSION, or --all of them"),
        ("evalate", "No such command 'evalate'"),
    ],
)
def test_each_error_is_a_sentence_and_exit_code_2(run, constant, scans, line, sentence):
    result = run(line.format(scans=scans))

    assert result.exit_code == 2
    assert sentence in result.output
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)


def test_a_redrawn_test_part_is_refused(run, monkeypatch, tmp_path):
    drawn = tmp_path / "ct-test-1.safetensors"
    drawn.write_bytes(b"")
    monkeypatch.setattr("benchmark.data.phantom.test_file", lambda modality: drawn)

    result = run("data draw-test ct")

    assert (result.exit_code, drawn.read_bytes()) == (2, b"")
    assert "error: ct-test-1.safetensors was drawn already" in result.output


def test_an_error_inside_a_group_of_commands_is_a_sentence_too(run, monkeypatch):
    def fail(*_, **__):
        raise BenchmarkError("the disk is full")

    monkeypatch.setattr("benchmark.data.tracks.load_split", fail)

    assert (run("data audit").exit_code, run("data audit").output) == (2, "error: the disk is full\n")


def test_an_interrupt_says_that_nothing_is_lost(run, constant, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.evaluation.entry.run_entry", interrupt)

    result = run("evaluate constantlike")

    assert result.exit_code == 130
    assert "finished blocks and epochs are kept" in result.output


def test_a_bug_of_ours_is_not_dressed_as_a_sentence(run, constant, monkeypatch):
    monkeypatch.setattr("benchmark.evaluation.entry.run_entry", lambda *_, **__: 1 / 0)

    assert isinstance(run("evaluate constantlike").exception, ZeroDivisionError)


def test_the_installed_command_prints_one_line_and_no_traceback(submissions):
    command = [
        sys.executable,
        "-c",
        "from benchmark.cli import main; main(prog_name='oncorobust')",
        "check",
        "nobody",
    ]

    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_submission_is_evaluated_and_then_verified(run, constant, scans, cache):
    first, second = (
        run(f"evaluate constantlike --modality ct --protocol quick --track {scans}") for _ in range(2)
    )

    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert "\nwrote" in first.output
    assert "\nverified" in second.output
    assert "constantlike" in first.output
    assert list(cache.glob("private/results-quick/scans/ct/constantlike.json"))


def test_a_submission_is_checked(run, constant):
    result = run("check constantlike")

    assert result.exit_code == 0
    assert result.output == (
        "constantlike · ct (phantom): 1 network of 2 parameters, contract kept in 8 forward passes of 20 images\n"
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_an_example_that_can_be_typed(run, words):
    result = run(" ".join(words) + " --help")

    assert result.exit_code == 0
    _, _, after = result.output.partition("Example: oncorobust ")
    given = shlex.split(after.partition("\n\n")[0])  # wrapped to the width of the terminal
    command, typed = main, []
    while isinstance(command, click.Group):
        typed.append(given.pop(0))
        command = command.commands[typed[-1]]
    assert tuple(typed) == words
    command.make_context(words[-1], given)


def test_the_version_is_told(run):
    from benchmark import __version__

    assert __version__ in run("--version").output


# -- for programs ----------------------------------------------------------------------------


def test_every_command_answers_with_one_document(run):
    for words in COMMANDS:
        assert "--json" in run(" ".join(words) + " --help").output, words


def test_an_evaluation_tells_its_figures_to_a_program(run, constant, scans):
    done = run(f"evaluate constantlike --modality ct --protocol quick --track {scans} --json")

    body = json.loads(done.output)
    (record,) = body["records"]
    assert (done.exit_code, body["exit_code"], body["error"], body["command"]) == (0, 0, "", "evaluate")
    assert record["clean"]["value"] == record["robust"]["0.004"]["value"]
    assert record["verified"] is False
    assert record["path"].endswith("constantlike.json")
    assert body["lines"][-1] == f"wrote {record['path']}"


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        ("check nobody --json", 2, "no submission 'nobody'"),
        ("data verify /no/such --json", 2, ""),
        ("plan --entries many --json", 2, "'many' is not a valid integer"),
        ("cluster worker --json", 2, "Missing argument"),
        ("--json check constantlike", 2, "--json stands after the command"),
        ("nonsense --json", 2, "No such command 'nonsense'"),
    ],
)
def test_an_error_is_in_the_document_too(run, constant, scans, line, code, error):
    done = run(line.format(scans=scans))

    body = json.loads(done.output)
    assert (done.exit_code, body["exit_code"]) == (code, code)
    assert error in body["error"]
    assert body["error"]


def test_an_interrupt_is_in_the_document_too(run, constant, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.evaluation.entry.run_entry", interrupt)

    assert json.loads(run("evaluate constantlike --json").output)["exit_code"] == 130


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_entries(run, constant, shell):
    assert "_ONCOROBUST_COMPLETE" in run(f"completion {shell}").output


@pytest.mark.parametrize(("typed", "expected"), [("eval", "evaluate"), ("check con", "constantlike")])
def test_what_is_begun_is_completed(submissions, constant, typed, expected):
    words = f"oncorobust {typed}"
    environment = os.environ | {
        "_ONCOROBUST_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    command = [sys.executable, "-c", "from benchmark.cli import main; main(prog_name='oncorobust')"]

    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    assert f"plain,{expected}" in done.stdout, done.stderr
