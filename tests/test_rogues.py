"""Hostile submissions: what each tries is stopped, and leaves no process, no file and no traceback behind."""

import os
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
)


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
    return psutil.Process(zygote.process.pid).children(recursive=True)


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
