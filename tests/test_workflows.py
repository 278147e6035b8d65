"""The workflows ask for nothing they do not need, run nothing that others can change, and put no name into a script."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmark.folders import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = sorted((ROOT / ".ci").iterdir())
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")


def read(path):
    body = yaml.safe_load(path.read_text("utf-8"))
    return body | {"on": body[True]}  # YAML reads the key `on` as true


def jobs():
    return [
        pytest.param(path, name, job, id=f"{path.stem}:{name}")
        for path in WORKFLOWS
        for name, job in read(path)["jobs"].items()
    ]


def steps(job):
    return job.get("steps", [])


def tool(name):
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed; it is of the extra dev")
    return found


def test_there_are_workflows():
    assert {path.stem for path in WORKFLOWS} == {"ci", "evaluate", "pages", "again"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_begins_with_no_right_and_no_trigger_that_gives_strangers_one(path):
    body = read(path)

    assert body["permissions"] == {}
    assert not {"pull_request_target", "workflow_run", "issue_comment", "issues"} & set(body["on"])
    assert "concurrency" in body


@pytest.mark.parametrize(("path", "name", "job"), jobs())
def test_a_job_is_bounded_and_names_what_it_may(path, name, job):
    assert "permissions" in job
    if "uses" not in job:
        assert 0 < job["timeout-minutes"] <= 330
        assert job["runs-on"] == "ubuntu-24.04"


@pytest.mark.parametrize(("path", "name", "job"), jobs())
def test_only_what_runs_no_foreign_code_may_write(path, name, job):
    writing = {right for right, level in job["permissions"].items() if level == "write"}
    foreign = any(
        "forge evaluate" in step.get("run", "") or "forge again" in step.get("run", "") for step in steps(job)
    )

    assert writing <= {"contents", "pages", "id-token"}
    assert not (writing and foreign)
    assert ("contents" in writing) == ((path.stem, name) == ("evaluate", "record"))
    if "contents" in writing:
        assert "github.event_name != 'pull_request' && github.ref == 'refs/heads/main'" in job["if"]


@pytest.mark.parametrize(("path", "name", "job"), jobs())
def test_actions_are_pinned_and_keep_no_key_and_no_cache(path, name, job):
    for step in steps(job):
        if "uses" in step:
            assert PINNED.fullmatch(step["uses"]), step["uses"]
            assert f"{step['uses']} # v" in path.read_text("utf-8")
            given = step.get("with", {})
            assert "cache" not in given
            if "checkout" in step["uses"]:
                assert given["persist-credentials"] is False
                assert "head" not in str(given.get("ref", ""))


@pytest.mark.parametrize(("path", "name", "job"), jobs())
def test_no_expression_stands_in_a_script(path, name, job):
    assert not [step for step in steps(job) if "${{" in step.get("run", "")]


@pytest.mark.parametrize(("path", "name", "job"), jobs())
def test_what_a_pull_request_says_of_itself_is_never_used(path, name, job):
    told = yaml.safe_dump(job)

    for chosen in (
        "head_ref",
        "head.ref",
        "pull_request.title",
        "pull_request.body",
        "head.label",
        "user.login",
    ):
        assert chosen not in told


def test_a_pull_request_is_evaluated_by_the_harness_of_the_main_branch():
    for name in ("plan", "evaluate"):
        job = read(ROOT / ".github/workflows/evaluate.yml")["jobs"][name]
        (checkout,) = [step for step in steps(job) if "checkout" in step.get("uses", "")]
        assert checkout["with"]["ref"] == "${{ github.event.pull_request.base.sha || github.sha }}"


def test_what_one_run_left_undone_is_taken_up_every_night():
    workflow = read(ROOT / ".github/workflows/evaluate.yml")
    (missing,) = [s for s in steps(workflow["jobs"]["plan"]) if "forge missing" in s.get("run", "")]

    assert workflow["on"]["schedule"]
    for condition in (missing["if"], workflow["jobs"]["record"]["if"], workflow["jobs"]["pages"]["if"]):
        assert "github.event_name != 'pull_request'" in condition


@pytest.mark.parametrize("command", ["propose", "missing", "evaluate", "publish", "again"])
def test_every_command_of_the_jobs_is_there(command):
    from benchmark.forge.__main__ import main

    calls = "".join(path.read_text("utf-8") for path in WORKFLOWS)
    found = re.findall(rf"python -P -m benchmark\.forge {command}(.*)", calls)
    options = {option for parameter in main.commands[command].params for option in parameter.opts}

    assert found
    assert set(re.findall(r"--[a-z]+", " ".join(found))) <= options


@pytest.mark.parametrize(("path", "name", "job"), jobs())
def test_the_shell_of_a_step_is_clean(path, name, job, tmp_path):
    for number, step in enumerate(steps(job)):
        if "run" in step:
            script = tmp_path / f"{number}.sh"
            script.write_text(f"#!/usr/bin/env bash\n{step['run']}\n")
            done = subprocess.run([tool("shellcheck"), script], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout


def test_the_scripts_are_clean():
    done = subprocess.run([tool("shellcheck"), *SCRIPTS], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_zizmor_finds_nothing():
    command = [tool("zizmor"), "--offline", "--persona", "pedantic", ROOT / ".github"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--builtin-schema", "vendor.github-workflows", *WORKFLOWS],
        ["--builtin-schema", "vendor.dependabot", ROOT / ".github" / "dependabot.yml"],
        ["--check-metaschema", ROOT / "submissions" / "submission.schema.json"],
        [
            "--schemafile",
            ROOT / "submissions" / "submission.schema.json",
            *sorted((ROOT / "submissions").glob("*/submission.toml")),
        ],
    ],
    ids=["workflows", "dependabot", "the schema", "entries"],
)
def test_files_keep_their_schema(words):
    done = subprocess.run([tool("check-jsonschema"), *words], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_linters_of_ci_are_these():
    lint = (ROOT / ".ci" / "lint").read_text("utf-8")

    assert all(
        name in lint for name in ("ruff check", "mypy", "shellcheck", "zizmor --offline", "check-jsonschema")
    )
    assert ".ci/lint" in (ROOT / ".ci" / "run").read_text("utf-8")
