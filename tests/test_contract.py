"""`oncorobust check`: what may lie in a submission's folder, and how its model behaves."""

import json
import os

import numpy as np
import pytest
import torch
from models import make_split, random_split
from safetensors.torch import save

from benchmark import contract
from benchmark.contract import clean
from benchmark.contract.behaviour import odd_behaviour
from benchmark.contract.files import file_complaints
from benchmark.errors import SubmissionError
from benchmark.isolation import sandbox

behind_walls = pytest.mark.skipif(bool(sandbox.complaint()), reason=f"no sandbox here: {sandbox.complaint()}")

GOOD = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 2, 5)
        self.asked = 0

    def forward(self, images):
        self.asked += 1
        return self.spoil(self.convolution(images).mean((2, 3)) * 10)

    def spoil(self, logits):
        return logits
"""


def weights():
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(1, 2, 5)
    return save({f"convolution.{name}": tensor for name, tensor in convolution.state_dict().items()})


def code(spoil="return logits", more=""):
    return GOOD.replace("return logits", spoil) + more + "\ndef build(modality):\n    return Small()\n"


def checked(folder, **changes):
    return list(contract.check_submission(folder, **changes))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("conftest.py", b"", "conftest.py would be obeyed by pytest; remove it"),
        ("deep/conftest.py", b"", "deep/conftest.py would be obeyed by pytest"),
        ("sitecustomize.py", b"", "would be obeyed by Python"),
        ("pyproject.toml", b"", "would be obeyed by pytest and pip"),
        ("evil.pth", b"import os", "may hold a pickle"),
        ("weights.pt", b"", "may hold a pickle"),
        ("weights.safetensors", b"\x80\x04\x95rest", "is a pickle, whatever its name says"),
        ("weights.txt", b"PK\x03\x04rest", "is an archive, as torch.save writes"),
        ("fast.so", b"", "is a program"),
        ("README", b"\x7fELFrest", "is a program, whatever its name says"),
        ("torch.py", b"", "has the name of the module 'torch'; rename it"),
        ("json.py", b"", "has the name of the module 'json'"),
    ],
)
def test_what_could_run_or_be_obeyed_may_not_lie_there(make_submission, name, content, told):
    folder = make_submission("tiny")
    assert list(file_complaints(folder)) == []
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)

    with pytest.raises(SubmissionError) as caught:
        checked(folder)

    assert told in str(caught.value)


def test_a_link_may_not_lie_there(make_submission):
    folder = make_submission("tiny")
    (folder / "notes.md").symlink_to("/etc/passwd")

    with pytest.raises(SubmissionError, match=r"notes\.md is a link"):
        checked(folder)


def test_every_complaint_comes_at_once(make_submission):
    folder = make_submission("tiny", more="nonsense = 1")
    (folder / "conftest.py").touch()
    (folder / "weights.pkl").touch()

    with pytest.raises(SubmissionError) as caught:
        checked(folder)

    for part in ("conftest.py would be", "weights.pkl may hold", "nonsense: is no key"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["model\u202eyp.py", "::error::x", "a\x1b[31m.md", "x" * 101, "white space"])
def test_a_name_that_does_not_show_as_it_is_may_not_lie_there(make_submission, name):
    folder = make_submission("tiny")
    (folder / name).touch()

    (told,) = file_complaints(folder)

    assert "has a name of other characters than letters, digits" in told
    assert told.isprintable()
    assert "::" not in told


@pytest.mark.parametrize("name", ["pipe", "submission.toml", "ct-0.safetensors"])
def test_a_pipe_is_not_waited_for(make_submission, name):
    folder = make_submission("tiny")
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)

    with pytest.raises(SubmissionError, match="is no ordinary file"):
        checked(folder)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("A model\u202e enihcam", "title: must be one line without characters that do not show"),
        ("A model\u001b[31m", "title: must be one line without characters that do not show"),
        ("A" * 3000, "title: has more than 300 characters; shorten it"),
    ],
)
def test_a_title_shows_as_it_stands(make_submission, text, told):
    quoted = json.dumps(text)
    folder = make_submission("tiny", edit=lambda toml: toml.replace('"A model of the tests"', quoted))

    with pytest.raises(SubmissionError) as caught:
        checked(folder)

    assert told in str(caught.value)
    assert str(caught.value).replace("\n", "").isprintable()


@behind_walls
def test_code_that_keeps_the_contract_passes(make_code):
    folder = make_code("coder", code(), weights())

    assert checked(folder) == [
        "coder · ct (phantom): 1 network of 52 parameters, contract kept in 29 forward passes of 1,025 images"
    ]


@behind_walls
@pytest.mark.parametrize(
    ("source", "told"),
    [
        (code("return torch.softmax(logits, 1)"), "it returns probabilities; return logits"),
        (
            code("return logits + 0.01 * torch.randn_like(logits)"),
            "depend on its batch|other logits when asked again",
        ),
        (
            code("return logits * (1 if self.asked < 20 else 1.01)"),
            "other logits after 1000 others were asked about",
        ),
        (code("return logits - logits.mean(0)"), "an image's logits depend on its batch"),
        (code("return logits.detach()"), "the logits have no gradient"),
        (code("return logits.double()"), "returned torch.float64, expected float32"),
        (code().replace("Small()\n", "Small().double()\n"), "holds torch.float64; expected float32"),
        (code().replace("def build", "def make"), r"has no function build\(modality\)"),
        (code().replace("return Small()", "return 1"), "returned int, expected a torch module"),
        (
            code().replace("nn.Conv2d(1, 2, 5)", "nn.Conv2d(1, 2, 3)"),
            "has a size mismatch: convolution.weight",
        ),
        ("import nothing_like_that", "ModuleNotFoundError: No module named 'nothing_like_that'"),
    ],
    ids=lambda value: value[:30] if "\n" not in value else "",
)
def test_code_that_breaks_it_is_told_in_a_sentence(make_code, source, told):
    folder = make_code("coder", source, weights())

    with pytest.raises(SubmissionError, match=f"submission 'coder', ct: .*({told})"):
        checked(folder)


def test_code_that_is_no_python_is_told_with_file_and_line(make_code):
    folder = make_code("coder", "import torch\ndef build(:", weights())

    with pytest.raises(SubmissionError) as caught:
        checked(folder)

    (line,) = str(caught.value).splitlines()
    assert line.startswith("submission 'coder': model.py, line 2: SyntaxError, ")
    assert line.endswith("; correct it, python -m py_compile model.py tries it")


@behind_walls
def test_every_complaint_about_a_model_comes_at_once(make_code):
    source = code("return (logits - logits.mean(0)).detach() * (1 if self.asked < 20 else 1.01)")
    folder = make_code("coder", source, weights())
    (folder / "conftest.py").touch()

    with pytest.raises(SubmissionError) as caught:
        checked(folder)

    for part in ("conftest.py would be obeyed", "depend on its batch", "have no gradient"):
        assert part in str(caught.value)


def test_the_validation_part_is_tried_where_a_track_is_named(make_submission, monkeypatch):
    claim = 'kind = "none"\n\n[[weights]]\nclaimed_accuracy = 1.0'
    folder = make_submission("tiny", edit=lambda toml: toml.replace('kind = "none"\n\n[[weights]]', claim))
    split = random_split(40, 64)
    monkeypatch.setattr(contract, "load_split", lambda *asked: split)

    with pytest.raises(
        SubmissionError, match=r"submission 'tiny', ct: 0\.\d+ accuracy and .* on 40 images of toy: "
    ):
        checked(folder, track="phantom")


def test_state_is_looked_for_in_code_alone():
    class Counting(torch.nn.Module):
        asked = 0

        def forward(self, images):
            self.asked += 1
            return images.flatten(1)[:, :2] * (1 if self.asked < 4 else 1.1)

    assert list(odd_behaviour(Counting(), "it", 16, own_code=False)) == []
    (told,) = odd_behaviour(Counting(), "it", 16, own_code=True)
    assert "keep no state between questions" in told


# -- the validation part ---------------------------------------------------------------------


class Bright(torch.nn.Module):
    """Says disease where it is bright."""

    def __init__(self, sign=1.0):
        super().__init__()
        self.sign = sign

    def forward(self, images):
        return self.sign * (images.mean((1, 2, 3), keepdim=False)[:, None] - 0.5)


def bright_split():
    labels = np.arange(40) % 2
    shade = np.where(labels == 1, 0.6, 0.4) + 0.02 * np.random.default_rng(0).standard_normal(40)
    return make_split(np.tile(shade[:, None, None, None], (1, 1, 8, 8)), labels)


def test_the_validation_part_tells_accuracy_and_auroc():
    told = clean.check_clean(Bright(), bright_split(), "it", 0.95)

    assert told == "1.000 accuracy and 1.000 AUROC on 40 images of toy"


def test_swapped_classes_and_wrong_preprocessing_are_told():
    with pytest.raises(SubmissionError, match=r"0\.000 AUROC.*the classes look swapped"):
        clean.check_clean(Bright(-1.0), bright_split(), "it", None)
    half = torch.nn.Sequential(Bright(), torch.nn.Linear(1, 1))
    with torch.no_grad():
        half[1].weight.fill_(1.0)
        half[1].bias.fill_(1.0)
    with pytest.raises(SubmissionError, match=r"claimed_accuracy = 0\.9: preprocessing mismatch\?"):
        clean.check_clean(half, bright_split(), "it", 0.9)


def test_auroc_counts_ties_half():
    labels = np.array([0, 0, 1, 1])

    assert clean.auroc(np.array([0.0, 1.0, 1.0, 2.0]), labels) == pytest.approx(0.875)
    assert clean.auroc(np.zeros(4), labels) == 0.5
