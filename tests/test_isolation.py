"""A worker answers as a model at home would, to the last bit; and where no sandbox works, no code runs."""

import json
import mmap
import os
import shutil
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from models import BIM, FGSM, NOISE, Linear, Wobbly, oracle_split, small_protocol, vgg_weights
from safetensors.torch import save

from benchmark import evaluate
from benchmark.attacks.guard import exact_float32
from benchmark.attacks.two_class import gap
from benchmark.bench.isolation import measure
from benchmark.errors import IsolationError, SubmissionError
from benchmark.evaluation.entry import loaded, run_entry
from benchmark.evaluation.plan import behind, blocks_folder
from benchmark.isolation import filter as calls
from benchmark.isolation import frames, sandbox, zygote
from benchmark.isolation.answer import serve
from benchmark.isolation.entered import bridge_of, load_submission, opened
from benchmark.isolation.frames import Header
from benchmark.isolation.zygote import KEPT
from benchmark.models import build
from benchmark.models.weights import load_weights, undrawn
from benchmark.models.wrapper import Wrapped
from benchmark.protocol import PROTOCOLS, get_protocol
from benchmark.submission import load_submission as load_sealed

ROOT = Path(__file__).parent.parent
CODE = "from benchmark.models import build as named\ndef build(modality):\n    return named('vgg16-slim', {'divisor': 64})\n"
LINEAR = (ROOT / "tests" / "rogues" / "cheats.py").read_text(
    "utf-8"
) + "\ndef build(modality):\n    return Honest()\n"

behind_walls = pytest.mark.skipif(bool(sandbox.complaint()), reason=f"no sandbox here: {sandbox.complaint()}")
WAYS = [pytest.param("bubblewrap", marks=behind_walls), "none"]


def both(model, images):
    asked = images.clone().requires_grad_(True)
    logits = model(asked)
    return logits.detach(), torch.autograd.grad(gap(logits).sum(), asked)[0]


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def no_sandbox(monkeypatch):
    """A machine without bubblewrap."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    sandbox.complaint.cache_clear()
    yield
    sandbox.complaint.cache_clear()


# -- the bridge --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", WAYS)
def test_logits_and_gradients_are_those_of_the_model_at_home_to_the_last_bit(make_code, how, one_thread):
    folder = make_code("coder", CODE, save(vgg_weights(0)))
    model = load_submission(folder, "ct", isolation=how)
    home = build("vgg16-slim", {"divisor": 64})
    load_weights(home, folder / "ct.safetensors", "it")  # as there: sums also depend on where a tensor lies
    home.eval().requires_grad_(False)
    images = torch.rand(7, 1, 64, 64, generator=torch.Generator().manual_seed(1))

    for part in (images, images[:1], images[:, :, :32, :48].contiguous()):
        for there, here in zip(both(model, part), both(home, part), strict=True):
            assert torch.equal(there, here)
        assert torch.equal(model(part), home(part))


def test_weights_that_a_file_brings_need_not_be_drawn(make_code, one_thread):
    inside = CODE.replace("    return named", "    with undrawn():\n        return named")
    folder = make_code(
        "coder", f"from benchmark.models.weights import undrawn\n{inside}", save(vgg_weights(0))
    )
    home = build("vgg16-slim", {"divisor": 64})
    load_weights(home, folder / "ct.safetensors", "it")
    images = torch.rand(2, 1, 64, 64)

    model = load_submission(folder, "ct", isolation="none")

    assert torch.equal(model(images), home.eval()(images))
    with undrawn():
        assert torch.nn.init.ones_(torch.zeros(3)).sum() == 0
    assert torch.nn.init.ones_(torch.zeros(3)).sum() == 3


def test_weights_lie_in_memory_as_build_laid_them(make_code, one_thread):
    laid = CODE.replace("{'divisor': 64})", "{'divisor': 64}).to(memory_format=torch.channels_last)")
    folder = make_code("coder", f"import torch\n{laid}", save(vgg_weights(0)))
    home = build("vgg16-slim", {"divisor": 64})
    load_weights(home, folder / "ct.safetensors", "it")
    home.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    images = torch.rand(9, 1, 64, 64, generator=torch.Generator().manual_seed(1))

    model = load_submission(folder, "ct", isolation="none")

    for there, here in zip(both(model, images), both(home, images), strict=True):
        assert torch.equal(there, here)


def test_what_the_model_wants_of_its_input_is_done_for_code_too(make_code, one_thread):
    more = "[input]\nresize = 96\nmean = [0.2]\ndeviation = [0.5]"
    folder = make_code("coder", CODE, save(vgg_weights(0)), more)
    model = load_submission(folder, "ct", isolation="none")
    home = build("vgg16-slim", {"divisor": 64})
    load_weights(home, folder / "ct.safetensors", "it")
    wrapped = Wrapped([home.eval().requires_grad_(False)], 96, mean=(0.2,), deviation=(0.5,))
    images = torch.rand(3, 1, 64, 64)

    for there, here in zip(both(model, images), both(wrapped, images), strict=True):
        assert torch.equal(there, here)


def test_a_gradient_of_an_earlier_question_is_still_its_own(make_code):
    model = load_submission(make_code("coder", LINEAR), "ct", isolation="none")
    first = torch.rand(2, 1, 16, 16, requires_grad=True)
    logits = model(first)
    expected = both(model, first.detach())[1]
    model(torch.rand(4, 1, 16, 16, requires_grad=True))

    (gradient,) = torch.autograd.grad(gap(logits).sum(), first)

    assert torch.equal(gradient, expected)


def test_a_gradient_taken_twice_is_the_same_twice(make_code):
    model = load_submission(make_code("coder", CODE, save(vgg_weights(0))), "ct", isolation="none")
    images = torch.rand(2, 1, 64, 64, requires_grad=True)
    logits = model(images)
    once, again, other = (
        torch.autograd.grad(out, images, retain_graph=True)[0]
        for out in (gap(logits).sum(), gap(logits).sum(), logits[:, 0].sum())
    )

    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def test_a_worker_has_freed_its_graph_when_the_gradient_is_told(monkeypatch):
    # Kept, a network's activations lie beside those of the next question, and their memory is not used again.
    monkeypatch.setattr(frames, "HALF", 1 << 16)
    upstream = torch.ones(2, 2).numpy().tobytes()
    questions = [
        (Header(frames.FOLLOWED, 1, 2, 16, 16), b""),
        (Header(frames.REVERSE, 1, 2, 16, 16, 2, len(upstream)), upstream),
    ]
    held, counts, said = weakref.WeakSet(), [], []

    class Activation:
        def __init__(self, tensor):
            self.tensor = tensor
            held.add(self)

    class Asking:
        def question(self):
            counts.append(len(held))
            return questions.pop(0) if questions else None

        def say(self, header, content=b""):
            said.append(header.kind)

    hooks = torch.autograd.graph.saved_tensors_hooks(Activation, lambda kept: kept.tensor)
    with exact_float32(), hooks:  # serving sets TF32 for its whole process
        serve(
            Asking(),
            Wobbly(),
            mmap.mmap(-1, 2 * frames.HALF),
            {"device": "cpu", "gradients": True, "exact": True},
        )

    assert said == [frames.LOGITS, frames.GRADIENT]
    assert counts[1] > 0
    assert counts[2] == 0


def test_a_model_without_a_gradient_says_so(make_code):
    source = LINEAR.replace("return gap\n", "return gap.detach()\n", 1)
    model = load_submission(make_code("coder", source), "ct", isolation="none")

    assert not model(torch.rand(2, 1, 16, 16, requires_grad=True)).requires_grad


def test_the_one_that_judges_gives_no_gradient(make_code):
    sealed = load_sealed(make_code("coder", LINEAR), "ct")
    sealed.isolation = "none"

    assert not opened(sealed, gradients=False)(torch.rand(2, 1, 16, 16, requires_grad=True)).requires_grad


def test_workers_know_nothing_of_each_other_and_end_with_their_bridge(make_code):
    source = LINEAR.replace("return gap\n", "return gap + self.asked\n", 1)
    model = load_submission(make_code("coder", source), "ct", isolation="none")
    images = torch.rand(2, 1, 16, 16)
    first, second = model(images), model(images)

    bridge_of(model).close()

    assert torch.equal(model(images), first)
    assert not torch.equal(first, second)


def test_zygotes_of_entries_that_are_done_do_not_pile_up(make_code):
    """A house of many entries is evaluated by one process."""
    models = [
        load_submission(make_code(f"coder-{n}", LINEAR), "ct", isolation="none") for n in range(KEPT + 3)
    ]
    images = torch.rand(1, 1, 16, 16)
    running = zygote._zygotes()
    zygote._close_all(running)
    running.clear()

    first = models[0](images)
    for model in models[1:]:
        model(images)
        bridge_of(model).close()

    assert len(running) <= KEPT + 2  # those, the one that was asked last, and the busy one
    assert torch.equal(models[0](images), first)
    assert torch.equal(models[1](images), first)


def test_more_images_than_the_shared_block_holds_are_refused(make_code):
    model = load_submission(make_code("coder", LINEAR), "ct", isolation="none")

    with pytest.raises(SubmissionError, match="are more than the 256 MB that go to a worker at once"):
        model(torch.empty(1, 1, 1, 1).expand(65, 1, 1024, 1024))


def test_a_header_survives_the_way_and_anything_else_is_none():
    header = Header(frames.LOGITS, 7, 8, 16, 32, 2, 64)

    assert frames.unpacked(header.packed()) == header
    assert frames.unpacked(b"\x80\x04" + header.packed()[2:]) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc", "a b c"),
        ("::error::x", ": :error: :x"),
        ("##[error]x", "# #[error]x"),
        ("\x1b[31mred\u202e", "[31mred"),
        ("x" * 1000, "x" * 300),
    ],
)
def test_a_strangers_words_are_one_plain_line(text, shown):
    assert frames.plain(text) == shown


@behind_walls
def test_what_walls_cost_can_be_measured():
    found = measure("logistic-regression", images=4, rounds=2)

    assert found.equal
    assert 0 < found.later < found.start


# -- without a sandbox -------------------------------------------------------------------------


def test_code_is_refused_where_no_sandbox_works_and_nothing_of_it_ran(make_code, no_sandbox, tmp_path):
    make_code("coder", f"open({str(tmp_path / 'ran')!r}, 'w')\n{LINEAR}")

    for isolation in ("auto", "bubblewrap"):
        with pytest.raises(IsolationError) as caught:
            loaded("coder", "ct", "phantom", get_protocol("quick"), isolation)
        for part in ("bubblewrap (bwrap) is not installed", "apt-get install bubblewrap", "--isolation none"):
            assert part in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_entries_by_architecture_go_on_where_no_sandbox_works(make_submission, no_sandbox):
    split = oracle_split(Linear())
    model = load_sealed(make_submission(), "ct")

    assert load_submission("tiny", "ct")(torch.rand(1, 1, 64, 64)).shape == (1, 2)
    assert behind(model) == ""
    assert len(split)


def test_a_wall_that_cannot_be_put_up_is_a_reason(monkeypatch):
    monkeypatch.setattr(calls, "ALLOWED", [*calls.ALLOWED, "socket"])
    calls.program.cache_clear()
    sandbox.complaint.cache_clear()

    if shutil.which("bwrap"):
        assert "a worker could still make a socket" in sandbox.complaint() or "refused" in sandbox.complaint()
    calls.program.cache_clear()
    sandbox.complaint.cache_clear()


def test_an_unknown_way_is_refused():
    with pytest.raises(
        IsolationError, match=r"isolation 'docker' is not available; expected one of auto, bubblewrap, none"
    ):
        evaluate(Linear(), oracle_split(Linear()), "quick", isolation="docker")


def test_without_isolation_the_record_is_unverified_and_takes_no_rank_and_its_blocks_are_its_own(
    make_code, monkeypatch
):
    monkeypatch.setitem(PROTOCOLS, "small", small_protocol(NOISE, FGSM, BIM, block=20, images=20))
    folder, split = make_code("coder", LINEAR), oracle_split(Linear())
    model = load_sealed(folder, "ct", "toy")

    record = evaluate(model, split, "small", isolation="none", progress=False)

    assert record.provenance["isolation"] == "none"
    assert not record.provenance["verified"]
    assert not record.ranked
    assert {flag.id for flag in record.flags if flag.severity == "doubt"} == set()
    open_air = blocks_folder(model, split, PROTOCOLS["small"], torch.device("cpu"))
    monkeypatch.setattr(sandbox, "complaint", lambda: "")
    model.isolation = "bubblewrap"
    assert blocks_folder(model, split, PROTOCOLS["small"], torch.device("cpu")) != open_air


def test_the_setting_names_the_way_where_none_is_asked_for(monkeypatch):
    monkeypatch.setenv("ONCOROBUST_ISOLATION", "none")

    assert sandbox.chosen("auto") == "none"


# -- pytest's own door -------------------------------------------------------------------------

HOSTILE = """
import pathlib
pathlib.Path({mark!r}).touch()
def pytest_runtest_makereport(item, call):
    raise SystemExit("taken over")
"""


def test_nothing_in_submissions_reaches_the_harness(tmp_path, make_code):
    """A copy of the house with an entry full of what pytest, Python and pip would obey elsewhere."""
    mark, evil = tmp_path / "mark", make_code("evil", LINEAR)
    house = evil.parent.parent
    shutil.copy(ROOT / "pyproject.toml", house / "pyproject.toml")
    (house / "benchmark").symlink_to(ROOT / "benchmark")
    hostile = HOSTILE.format(mark=str(mark))
    names = (
        "conftest.py",
        "sitecustomize.py",
        "usercustomize.py",
        "torch.py",
        "test_evil.py",
        "setup.py",
        "model.py",
    )
    for name in names:
        (evil / name).write_text(hostile)
    (evil / "evil.pth").write_text(f"import pathlib; pathlib.Path({str(mark)!r}).touch()\n")
    (evil / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "-p evil"\n')
    (evil / "pytest.ini").write_text("[pytest]\naddopts = -p evil\n")
    command = [sys.executable, "-m", "pytest", "benchmark/", "--collect-only", "-q", "-p", "no:cacheprovider"]

    done = subprocess.run(
        command,
        cwd=house,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert not mark.exists(), done.stdout + done.stderr
    assert "test_robustness[ct-evil]" in done.stdout, done.stdout + done.stderr
    assert "1 test collected" in done.stdout
    assert done.returncode == 0


@behind_walls
def test_what_lies_beside_the_code_changes_nothing_in_a_worker_either(make_code):
    folder = make_code("coder", LINEAR)
    expected = load_submission(folder, "ct")(torch.full((1, 1, 16, 16), 0.6))
    for name in ("sitecustomize.py", "usercustomize.py", "torch.py", "json.py", "numpy.py", "benchmark.py"):
        (folder / name).write_text("raise SystemExit('shadowed')")
    (folder / "evil.pth").write_text("import sys; sys.exit('obeyed')")

    assert torch.equal(load_submission(folder, "ct")(torch.full((1, 1, 16, 16), 0.6)), expected)


@behind_walls
def test_an_entry_with_code_goes_the_whole_way(make_code, monkeypatch, tmp_path):
    monkeypatch.setenv("ONCOROBUST_RESULTS", str(tmp_path / "results"))
    monkeypatch.setitem(
        PROTOCOLS, "quick", small_protocol(NOISE, FGSM, BIM, name="quick", block=20, images=20, ranked=False)
    )
    oracle_split(Linear()).save(tmp_path / "scans" / "ct-test.safetensors")
    make_code("coder", LINEAR)
    scans = str(tmp_path / "scans")

    first = run_entry("coder", "ct", scans, "quick", progress=False)
    second = run_entry("coder", "ct", scans, "quick", progress=False)

    assert first.verification is None
    assert second.verification.changed_verdicts == 0
    body = json.loads(first.path.read_text("utf-8"))
    assert body["description"]["architecture"] == "own code"
    assert body["provenance"]["isolation"].startswith("bubblewrap")
    assert len(body["provenance"]["harness_sha256"]) == 64
