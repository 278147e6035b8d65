"""Options of `pytest benchmark/`, the table at its end, and the page. Loaded by pytest through an entry point.

The plugin is loaded in every pytest run of the environment, so nothing heavy is imported until
a test asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmark.errors import BenchmarkError
from benchmark.isolation.choices import CHOICES
from benchmark.kernels import fix_kernels
from benchmark.modality import MODALITIES
from benchmark.protocol import PROTOCOLS

if TYPE_CHECKING:
    from benchmark.evaluation.entry import Outcome

OUTCOMES = pytest.StashKey[list["Outcome"]]()
TRAININGS = pytest.StashKey[list[str]]()
REFUSED = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of `pytest benchmark/`."""
    group = parser.getgroup("oncorobust", "robustness of models of oncologic images")
    group.addoption("--modality", default="all", help="all, " + ", ".join(MODALITIES))
    group.addoption("--submission", default=None, help="evaluate this entry alone (a name, or a folder)")
    group.addoption("--track", default="phantom", help="phantom, or a folder of images")
    group.addoption("--protocol", default="standard", help=", ".join(PROTOCOLS))
    group.addoption("--isolation", default="auto", help="of an entry's own code: " + ", ".join(CHOICES))
    group.addoption("--fresh", action="store_true", help="evaluate also what has a current record")
    group.addoption(
        "--ran-by",
        default=os.environ.get("ONCOROBUST_RAN_BY", ""),
        help="who runs this, kept beside records that are written; or set ONCOROBUST_RAN_BY",
    )
    group.addoption(
        "--second-opinion",
        action="store_true",
        help="then let AutoAttack by its authors try what still stands",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse what cannot be asked before anything is collected."""
    config.stash[OUTCOMES], config.stash[TRAININGS] = [], []
    choices = {"modality": ["all", *MODALITIES], "protocol": list(PROTOCOLS), "isolation": CHOICES}
    for option, allowed in choices.items():
        if (given := config.getoption(option)) not in allowed:
            raise pytest.UsageError(f"unknown {option} {given!r}; expected one of {', '.join(allowed)}")
    track = config.getoption("track")
    if track not in ("phantom", "clinical") and not Path(track).expanduser().is_dir():
        raise pytest.UsageError(f"unknown track {track!r}; expected phantom, clinical or a folder of images")
    if config.getoption("submission"):  # named by hand: a wrong request, not a failed collection
        _cases(config)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The table of speed takes minutes and judges no entry, so it is made only when its file is named."""
    named = any("test_speed" in argument for argument in config.args)
    return True if collection_path == Path(__file__).with_name("test_speed.py") and not named else None


def _cases(config: pytest.Config) -> list[tuple[str, str]]:
    fix_kernels()  # here are entries to evaluate, and torch was asked nothing yet
    from benchmark.evaluation.entry import entries
    from benchmark.folders import submissions_folder

    modality, only = config.getoption("modality"), config.getoption("submission")
    try:
        cases = entries(modality, config.getoption("track"), only)
    except BenchmarkError as error:
        raise pytest.UsageError(str(error)) from None
    if not cases:
        asked = f" ({only!r} was asked for)" if only else ""
        told = f"no entry has weights for modality {modality!r}{asked}; choose another --modality"
        if not only and modality == "all":
            told = (
                f"there is no entry in {submissions_folder()}; see 'I want to add a model' in CONTRIBUTING.md"
            )
        raise pytest.UsageError(told)
    return cases


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per entry and modality, for tests that take `entry`."""
    if "entry" not in metafunc.fixturenames:
        return
    cases: list[tuple[str, str]] = []
    try:
        cases = _cases(metafunc.config)
    except pytest.UsageError as error:  # raised here, pytest would show it with a traceback
        metafunc.config.stash[REFUSED] = str(error)
    metafunc.parametrize(
        "entry", cases, ids=["-".join((modality, Path(name).name)) for name, modality in cases]
    )


def pytest_collection_modifyitems(config: pytest.Config) -> None:
    """Refuse, in a sentence, where there was nothing to make tests of."""
    if told := config.stash.get(REFUSED, ""):
        raise pytest.UsageError(told)


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Callable[[tuple[str, str]], Outcome]:
    """Evaluate or verify one (submission, modality) by the options given; its record goes into the table.

    What was evaluated of its further trainings is verified with it.
    """
    from benchmark.evaluation.entry import run_entry
    from benchmark.evaluation.trainings import verify_trainings

    option, stash = request.config.getoption, request.config.stash
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def run_one(entry: tuple[str, str]) -> Outcome:
        told = ""
        try:
            with capture.global_and_fixture_disabled():  # the progress bar is for the person who waits
                outcome = run_entry(
                    *entry,
                    option("track"),
                    option("protocol"),
                    option("fresh"),
                    ran_by=option("ran_by"),
                    isolation=option("isolation"),
                )
                if option("second_opinion"):
                    from benchmark.evaluation.evidence import ask_second_opinion

                    for line in ask_second_opinion(*entry, option("track"), option("protocol")):
                        print(line)
            stash[OUTCOMES].append(outcome)
            stash[TRAININGS].append(verify_trainings(*entry, option("track"), option("protocol")))
        except BenchmarkError as error:
            told = str(error)
        if told:  # outside of the handler, or pytest prints the sentence twice
            pytest.fail(told, pytrace=False)
        return outcome

    return run_one


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table of what was run, and build the page."""
    outcomes = config.stash.get(OUTCOMES, [])
    if not outcomes:
        return
    from benchmark.data.tracks import is_private
    from benchmark.evaluation.entry import costs, records_folder
    from benchmark.folders import site_folder
    from benchmark.protocol import get_protocol
    from leaderboard.build import build
    from leaderboard.terminal import render_text

    track, protocol = config.getoption("track"), config.getoption("protocol")
    terminalreporter.section("robustness")
    seconds, passes = costs(outcomes)
    terminalreporter.write_line(render_text([outcome.record for outcome in outcomes], seconds, passes))
    verified = sum(outcome.verification is not None for outcome in outcomes)
    forward, backward = sum(o.forward for o in outcomes), sum(o.backward for o in outcomes)
    terminalreporter.write_line(
        f"{len(outcomes) - verified} evaluated, {verified} verified against their record; "
        f"this run: {forward:,} forward and {backward:,} backward passes of an image, {sum(seconds.values()):.0f} s"
    )
    for line in config.stash[TRAININGS]:
        if line:
            terminalreporter.write_line(line)
    private = is_private(track) or not get_protocol(protocol).ranked
    try:
        terminalreporter.write_line(
            f"page: {build(records_folder(track, protocol).parent, site_folder(private))}"
        )
    except BenchmarkError as error:
        terminalreporter.write_line(f"the page was not built: {error}")
