"""Hostile submissions: what each tries is stopped, and leaves no process, no file and no traceback behind."""

import ast
import contextlib
import os
import re
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from benchmark.errors import SubmissionError
from benchmark.isolation import sandbox
from benchmark.isolation.bridge import Bridge
from benchmark.isolation.link import Limits
from benchmark.isolation.zygote import Place, Zygote

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "tests" / "rogues" / "prisoner.py"
SECRET = "token-that-nobody-may-read"

pytestmark = pytest.mark.skipif(bool(sandbox.complaint()), reason=f"no sandbox here: {sandbox.complaint()}")

STOPPED = (
    "labels",
    "environment",
    "host files",
    "tcp",
    "udp",
    "unix",
    "dns",
    "fork",
    "exec",
    "write",
    "disk",
    "kill",
    "sibling",
    "calls",
    "capabilities",
    "descriptors",
    "locks",
    "signals",
    "memory of itself",
    "truncate",
    "pickle",
    "machine",
    "flood",
)
# What anybody would try, and what tries it: in this file, or against the numbers, in test_cheats.py.
GALLERY = {
    "reads the labels": "labels",
    "reads /proc/1/environ": "environment",
    "opens a socket: TCP": "tcp",
    "opens a socket: UDP": "udp",
    "opens a socket: Unix": "unix",
    "opens a socket: DNS": "dns",
    "forks": "fork",
    "executes": "exec",
    "writes outside": "write",
    "fills the disk": "disk",
    "fills the memory": "memory",
    "spins for ever": "spin",
    "kills the parent": "kill",
    "sends malformed frames": "babble",
    "sends huge frames": "bellow",
    "changes the shared buffer after the check": "scribble",
    "truncates it": "truncate",
    "prints workflow commands": "print",
    "monkeypatches torch or the metrics": "torch",
    "memorises labels from gradients": "FromGradients",
    "memorises test images by hash": "KnowsTheTestPart",
    "answers by the nearest test image": "NearestImage",
    "is sure near test images alone": "SureNearKnown",
    "returns wrong gradients": "WrongGradient",
    "answers by the composition of a batch": "ByBatch",
    "answers by the size of a batch": "BySize",
    "answers by the order of images": "ByOrder",
    "answers by the count of calls": "ByCalls",
    "answers by time": "ByTime",
    "answers otherwise when its gradient is wanted": "WhenAsked",
    "answers at random when an image differs from a known one": "RandomElsewhere",
    "overwrites the images that it was given": "Overwrites",
    "writes into a sibling's memory": "sibling",
    "loads a pickle": "pickle",
}


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left(tmp_path_factory):
    """When all are done: no process of theirs, and no file where any of them could have wanted one."""
    mine, cache = tmp_path_factory.mktemp("mine"), tmp_path_factory.mktemp("cache")
    places = [mine, cache, Path("/dev/shm"), Path("/tmp"), Path("/var/tmp"), Path("/"), Path.home(), ROOT]
    old = tempfile.tempdir
    tempfile.tempdir = str(mine)
    before = {place: _listed(place) for place in places}
    SEEN.clear()
    yield
    tempfile.tempdir = old
    deadline = time.monotonic() + 5  # the kernel ends them with bubblewrap's process, not in the same instant
    while _alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert SEEN
    assert not _alive(), "a process was left behind"
    for place in places:
        new = _listed(place) - before[place]
        # Others of this machine write to its public places; what a rogue writes has one of these names, or is nobody's.
        foreign = place in (mine, cache, ROOT) or any(_is_theirs(place / name) for name in new)
        assert not (new and foreign), f"left behind in {place}: {new}"


SEEN = set()  # (pid, time of birth) of every process that was started for a rogue


def _alive():
    """Who of them is there and no zombie."""
    found = []
    for pid, born in SEEN:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.create_time() == born and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _listed(place):
    return {path.name for path in Path(place).iterdir()} - {"__pycache__", ".ruff_cache", ".mypy_cache"}


def _is_theirs(path):
    with contextlib.suppress(OSError):
        return path.name in ("mark", "x") or path.stat().st_uid == 65534
    return False


@pytest.fixture(scope="module")
def prison(tmp_path_factory):
    """A zygote for all of them: what one does must not reach the next."""
    folder = tmp_path_factory.mktemp("rogue")
    os.environ["SECRET_TOKEN"] = SECRET
    text = SOURCE.read_text("utf-8")
    for name, value in (("REPOSITORY", str(ROOT)), ("SECRET", SECRET), ("PARENT", str(os.getpid()))):
        text = text.replace(f"@{name}@", value)
    (folder / "model.py").write_text(text, encoding="utf-8")
    place = Place(folder, ("model.py",), "bubblewrap", limits=Limits(memory=400 << 20))
    zygote = Zygote(place)
    yield zygote, place
    zygote.close()
    del os.environ["SECRET_TOKEN"]
    assert sorted(path.name for path in folder.iterdir()) == ["model.py"], "a file was left behind"


@pytest.fixture(scope="module")
def open_air(prison):
    """The same without walls."""
    zygote = Zygote(replace(prison[1], how="none"))
    yield zygote
    zygote.close()


@pytest.fixture
def locked(prison):
    """locked(name): a bridge to a worker with that prisoner."""
    zygote, _ = prison
    made = []

    def lock(name, patience=60.0):
        made.append(Bridge(lambda device: zygote.worker(order(name), Limits(answer=patience))))
        return made[-1]

    yield lock
    for bridge in made:
        bridge.close()
    deadline = time.monotonic() + 5
    while len(processes(zygote)) > ALONE and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(processes(zygote)) == ALONE, "a process was left behind"


ALONE = 2  # bubblewrap's first process inside, and the zygote


def order(name):
    return {"modality": name, "files": [], "input": None, "device": "cpu", "gradients": True, "exact": False}


def processes(zygote):
    found = psutil.Process(zygote.process.pid).children(recursive=True)
    for process in (zygote.process, *found):
        with contextlib.suppress(psutil.Error):
            SEEN.add((process.pid, psutil.Process(process.pid).create_time()))
    return found


IMAGES = torch.full((8, 1, 16, 16), 0.5)


@pytest.mark.parametrize("name", STOPPED)
def test_what_is_not_the_models_business_is_out_of_reach(locked, name):
    logits = locked(name)(IMAGES)

    assert (logits[:, 1] == -1).all(), f"{name} got what it wanted"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("memory", r"memory|MemoryError|was killed"),
        ("spin", "gave no answer within 1 s, when it was asked about 8 images"),
        ("sleep", "gave no answer within 1 s"),
        ("threads", "RuntimeError: can't start new thread"),
        ("babble", "sent what is no answer"),
        ("shout", "sent what is no answer"),
        ("bellow", "sent what is no answer"),
        ("brackets", "sent what is no answer, while its model was built"),
        ("leave", "ended with code 7"),
        ("crash", "was killed by SIGSEGV"),
        ("quit", "SystemExit"),
        ("print", "ValueError: first"),
        ("wrong nan", "NaN or infinite logits for 8 of 8 images"),
        ("wrong three", r"returned shape \(8, 3\)"),
        ("wrong fewer", r"returned shape \(7, 2\)"),
        ("wrong double", "returned torch.float64, expected float32"),
        ("wrong list", "returned list"),
    ],
)
def test_what_breaks_the_conversation_ends_in_a_sentence(locked, capfd, name, told):
    patience = 1.0 if "no answer within" in told else 60.0
    with pytest.raises(SubmissionError, match=told) as caught:
        locked(name, patience)(IMAGES)

    sentence, shown = str(caught.value), "".join(capfd.readouterr())
    assert len(sentence) < 500
    assert "\n" not in sentence
    for word in ("::", "##[", "\x1b", "Traceback"):
        assert word not in sentence + shown


@pytest.mark.parametrize("name", ["labels", "environment", "host files", "udp", "fork", "disk"])
def test_without_walls_it_would_have_got_there(open_air, name):
    """Or the tests above would prove nothing."""
    bridge = Bridge(lambda device: open_air.worker(order(name), Limits()))

    logits = bridge(IMAGES)

    assert (logits[:, 1] == 1).all()
    bridge.close()


def test_everything_that_anybody_would_try_is_tried():
    cheats = set(
        re.findall(r"^class (\w+)\(", (ROOT / "tests/rogues/cheats.py").read_text("utf-8"), re.MULTILINE)
    )
    tried = (
        set(re.findall(r'^    "([\w ]+)": ', SOURCE.read_text("utf-8"), re.MULTILINE)) | {"scribble"} | cheats
    )

    assert set(GALLERY.values()) <= tried
    assert len(set(GALLERY.values())) >= 25
    asked = {name for test in (__file__, ROOT / "tests/test_cheats.py") for name in _words(Path(test))}
    assert set(GALLERY.values()) <= asked


def _words(path):
    """The strings of a file, save those of the table above."""
    tree = ast.parse(path.read_text("utf-8"))
    kept = [part for part in tree.body if not ast.unparse(part).startswith("GALLERY")]
    found = [node.value for part in kept for node in ast.walk(part) if isinstance(node, ast.Constant)]
    return {value for value in found if isinstance(value, str)}


def test_a_boast_of_parameters_is_no_number(locked):
    bridge = locked("boast")

    assert bridge.parameter_count == 0


def test_an_answer_given_before_the_question_is_none(locked):
    with pytest.raises(SubmissionError, match="sent logits of another shape than was asked for"):
        locked("foretell")(IMAGES)


def test_a_worker_that_was_given_up_answers_nothing_more(locked):
    bridge = locked("leave")

    for _ in range(2):
        with pytest.raises(SubmissionError, match="ended with code 7"):
            bridge(IMAGES)


def test_a_gradient_is_the_harnesss_own_once_it_was_checked(locked):
    images = IMAGES.clone().requires_grad_(True)
    logits = locked("scribble")(images)

    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), images)

    kept = gradient.clone()
    time.sleep(0.2)
    assert torch.equal(gradient, kept)
    assert torch.isfinite(gradient).all()


def test_a_gradient_that_is_no_number_is_refused(locked):
    images = IMAGES.clone().requires_grad_(True)
    logits = locked("wrong infinite-gradient")(images)

    with pytest.raises(SubmissionError, match="NaN or infinite gradients for 8 of 8 images"):
        torch.autograd.grad(logits[:, 1].sum(), images)


def test_what_is_changed_in_a_worker_is_changed_there_alone(locked):
    patched = locked("torch")
    patched(IMAGES)

    assert not torch.isfinite(torch.tensor(torch.nan))
    with pytest.raises(SubmissionError, match="NaN or infinite logits"):
        locked("wrong nan")(IMAGES)
