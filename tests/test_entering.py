"""A newcomer's own machine: a draft that keeps the contract, checkpoints read without their code, weights by address."""

import hashlib
import json
import os
import pickle
import shutil
import threading
import tomllib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import jsonschema
import pytest
import torch
from click.testing import CliRunner
from models import vgg_weights
from safetensors.torch import load_file, save

from benchmark import contract, remote
from benchmark.cli import main
from benchmark.contract import check_submission
from benchmark.entering.convert import convert
from benchmark.entering.draft import Draft, as_toml, new_submission, rendered, schema_text
from benchmark.entering.parcel import parcel, parcel_lines
from benchmark.errors import SubmissionError
from benchmark.folders import ROOT
from benchmark.isolation import sandbox
from benchmark.submission import load_submission, read_submission
from benchmark.submission_file import SubmissionFile

SMALL = {"in_chans": 1, "channels": [8, 8, 8, 8], "stem_width": 8}
behind_walls = pytest.mark.skipif(bool(sandbox.complaint()), reason=f"no sandbox here: {sandbox.complaint()}")


def tiny(state=None, name="ct.pt", folder=None, **more):
    path = folder / name
    torch.save(state if state is not None else vgg_weights(0), path, **more)
    return path


# -- a new folder ----------------------------------------------------------------------------------


def test_a_new_folder_passes_check_as_it_is(submissions):
    lines = list(new_submission(Draft("mine", "timm:resnet18", SMALL)))

    assert len(list(check_submission("mine"))) == 3
    assert lines[3] == f"wrote {submissions / 'mine'}"
    assert any("the weights of ct, mammogram, mri are untrained" in line for line in lines)
    assert sorted(path.name for path in submissions.iterdir()) == ["mine", "submission.schema.json"]


@behind_walls
def test_a_new_folder_with_code_passes_check_as_it_is(submissions):
    list(new_submission(Draft("coder", "", modalities=("ct",))))

    (line,) = check_submission("coder")
    assert line.startswith("coder · ct (phantom): 1 network of 5,122 parameters, contract kept")


def test_it_takes_trained_weights(submissions, tmp_path):
    (tmp_path / "w.safetensors").write_bytes(save(vgg_weights(3)))

    draft = Draft("mine", "vgg16-slim", {"divisor": 64}, ("ct",), {"ct": tmp_path / "w.safetensors"})
    lines = list(new_submission(draft))

    own = load_submission("mine", "ct").state_dict()
    assert all(torch.equal(own[f"inner.{name}"], tensor) for name, tensor in vgg_weights(3).items())
    assert not any("untrained" in line for line in lines)


def test_it_finds_what_a_network_wants(submissions):
    list(new_submission(Draft("wide", "robustbench:PreActResNet-18", modalities=("ct",))))

    asked = read_submission("wide").file.input
    assert (asked.channels, asked.resize) == (3, 32)


@pytest.mark.parametrize(
    ("architecture", "options", "mean", "deviation"),
    [
        ("timm:resnet18", SMALL | {"in_chans": 3}, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("timm:resnet18", SMALL, (0.0,), (1.0,)),
        ("torchvision:mobilenet_v3_small", {}, (0.0,), (1.0,)),
    ],
    ids=["three channels of timm", "one of timm", "another library"],
)
def test_it_asks_whether_images_were_standardised_so(submissions, architecture, options, mean, deviation):
    lines = list(new_submission(Draft("mine", architecture, options, modalities=("ct",))))

    asked = read_submission("mine").file.input
    assert (asked.mean, asked.deviation) == (mean, deviation)
    (line,) = [line for line in lines if line.startswith("input: ")]
    assert line == (
        f"input: channels {asked.channels}, mean {list(mean)}, deviation {list(deviation)}: "
        "are these those you trained with?"
    )


def test_weights_that_are_too_large_for_the_repository_wait_in_the_cache(submissions):
    lines = list(new_submission(Draft("big", "timm:resnet18", {"in_chans": 1}, ("ct",))))

    assert [path.name for path in (submissions / "big").iterdir()] == ["submission.toml"]
    assert any("upload before you open a pull request" in line for line in lines)
    with pytest.raises(SubmissionError, match=r"untrained\.safetensors has no address yet; upload .*weights"):
        parcel("big")


def test_a_draft_s_placeholder_is_no_address(submissions):
    list(new_submission(Draft("big", "timm:resnet18", {"in_chans": 1}, ("ct",))))
    shutil.rmtree(remote.kept("0").parent)  # as on another machine

    with pytest.raises(SubmissionError) as caught:
        list(check_submission("big"))

    assert "weights file 'untrained.safetensors': no address yet: upload the file" in str(caught.value)
    assert "HTTPSConnectionPool" not in str(caught.value)


def test_large_weights_with_an_address_may_lie_beside_for_trying_out(make_submission, monkeypatch):
    address = f"https://huggingface.co/me/tiny/resolve/{'a' * 40}/ct-0.safetensors"
    make_submission("tiny", edit=lambda text: text.replace("sha256 =", f'urls = ["{address}"]\nsha256 ='))
    monkeypatch.setattr(contract, "LARGEST_FILE", 1000)

    assert list(check_submission("tiny"))

    found = parcel("tiny")
    assert [path.name for path, _ in found.files] == ["submission.toml"]
    assert any("':!submissions/tiny/ct-0.safetensors'" in line for line in parcel_lines(found))


def test_large_weights_without_an_address_are_told_both_ways_on(make_submission, monkeypatch):
    make_submission("tiny")
    monkeypatch.setattr(contract, "LARGEST_FILE", 1000)

    with pytest.raises(
        SubmissionError, match=r"oncorobust convert --half\), or upload it and give its 'urls'"
    ):
        list(check_submission("tiny"))


@pytest.mark.parametrize("name", ["Mine", "a", "../mine", "-x", "a_b", "x" * 42, "mine\n"])
def test_a_name_that_no_entry_may_have_is_refused(submissions, name):
    with pytest.raises(SubmissionError, match="cannot be the name of an entry"):
        list(new_submission(Draft(name)))


@pytest.mark.parametrize("name", ["template", "attacks"])
def test_a_name_that_the_project_needs_is_reserved(submissions, name):
    with pytest.raises(SubmissionError, match=f"'{name}' is reserved"):
        list(new_submission(Draft(name)))


def test_what_is_there_stays(submissions):
    (submissions / "mine").mkdir()

    with pytest.raises(SubmissionError, match="is there already"):
        list(new_submission(Draft("mine")))


def test_where_check_fails_nothing_is_left(submissions, tmp_path):
    (tmp_path / "w.safetensors").write_bytes(save({"x": torch.zeros(1)}))

    with pytest.raises(SubmissionError, match="does not fit architecture"):
        list(new_submission(Draft("mine", weights={"ct": tmp_path / "w.safetensors"}, modalities=("ct",))))

    assert list(submissions.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "new-submission mine --weights ct",
            "--weights 'ct' is no pair; expected something like --weights ct=weights.safetensors",
        ),
        ("new-submission mine --weights pet=x", "--weights of 'pet'; expected one of ct, mammogram, mri"),
        ("new-submission mine --from-timm resnet19", "unknown architecture 'timm:resnet19'; did you mean"),
        ("new-submission mine --architecture resnet18", "did you mean timm:resnet18 or torchvision:resnet18"),
        ("new-submission mine --from-timm timm/resnet18.a1_in1k", "did you mean timm:resnet18.a1_in1k?"),
        ("new-submission mine --architecture timm/resnet18", "did you mean timm:resnet18 or"),
        ("new-submission mine --code --from-timm resnet18", "--from-timm and --code exclude each other"),
        (
            "new-submission mine --architecture vgg16 --from-timm resnet18",
            "--architecture and --from-timm exclude each other",
        ),
        (
            "new-submission mine --code --weights ct=x.safetensors",
            "with --code write your network into model.py first",
        ),
        ("new-submission mine --weights ct=x.pt", "make one: oncorobust convert x.pt"),
        ("convert nothing.pt", "checkpoint nothing.pt cannot be read"),
        ("package nobody", "no submission 'nobody'"),
    ],
)
def test_each_error_says_how_to_go_on(submissions, line, told):
    done = CliRunner().invoke(main, line.split())

    assert done.exit_code == 2
    assert told in done.output


@pytest.mark.parametrize(
    "value", ['a "b" \\ ü', 3, 0.5, True, [1, 2], {"a": 1, "b": [0.5, "x"]}, {}, {"a b": {"c": 1}}]
)
def test_values_are_written_as_toml_reads_them(value):
    assert tomllib.loads(f"v = {as_toml(value)}")["v"] == value


# -- the schema ------------------------------------------------------------------------------------


def test_the_published_schema_is_that_of_the_code():
    assert (ROOT / "submissions" / "submission.schema.json").read_text("utf-8") == schema_text(), (
        "run: oncorobust schema"
    )


def test_the_template_is_what_a_new_folder_has():
    found = {
        "channels": 3,
        "resize": 224,
        "logits": 2,
        "mean": [0.485, 0.456, 0.406],
        "deviation": [0.229, 0.224, 0.225],
    }
    weights = [
        {
            "modality": "ct",
            "file": "ct.safetensors",
            "sha256": "0000000000000000000000000000000000000000000000000000000000000000",
            "url": "",
        }
    ]
    text = rendered(Draft("template", "timm:resnet18", title="My model (training method)"), found, weights)

    assert (ROOT / "submissions" / "template" / "submission.toml").read_text("utf-8") == text
    assert text.startswith("#:schema ../submission.schema.json\n")


def test_schema_and_code_refuse_the_same():
    schema = json.loads(schema_text())
    good = tomllib.loads((ROOT / "submissions" / "template" / "submission.toml").read_text("utf-8"))
    jsonschema.validate(good, schema)
    wrong = [
        {"nonsense": 1},
        {"name": "No Name"},
        {"division": "half-open"},
        {"authors": []},
        {"input": {"channels": 2}},
        {"output": {"logits": 3}},
        {"output": {"logits": True}},
        {"input": {"channels": True}},
        {"input": {"resize": "224"}},
        {"input": {"mean": ["0.0"]}},
        {"licence": ""},
        {"training": {"kind": "none", "epsilon": "8/255 maybe"}},
        {"training": {"kind": "magic"}},
        {"packages": ["requests"]},
        {"weights": []},
        {"weights": [good["weights"][0] | {"claimed": {"clean_accuracy": 2}}]},
        {"weights": [good["weights"][0] | {"sha256": ["../../escaped"]}]},
        {"weights": [good["weights"][0] | {"files": ["helper.py"]}]},
        {"weights": [good["weights"][0] | {"trained_on": "Phantom"}]},
        {"weights": [good["weights"][0] | {"files": ["x.safetensors"] * 21, "sha256": [64 * "0"] * 21}]},
    ]

    for change in wrong:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(good | change, schema)
        with pytest.raises(ValueError, match=r".+"):
            SubmissionFile.model_validate(good | change)


def test_every_key_of_the_schema_is_explained():
    schema = json.loads(schema_text())
    tables = [schema, *schema["$defs"].values()]

    bare = [
        name
        for table in tables
        for name, key in table["properties"].items()
        if not ({"description", "$ref", "title"} & set(key)) and "default" not in key
    ]
    assert bare == []


@pytest.mark.parametrize(("said", "told"), [(1, "logits = 1 and the model gives 2"), (2, "")])
def test_the_number_of_logits_is_held_to_what_is_said(make_submission, said, told):
    make_submission(
        "tiny", edit=lambda text: text.replace("[training]", f"[output]\nlogits = {said}\n[training]")
    )

    if told:
        with pytest.raises(SubmissionError, match=told):
            list(check_submission("tiny"))
    else:
        assert list(check_submission("tiny"))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import requests", "model.py imports requests; allowed are"),
        ("def f():\n    from einops.layers import torch", "model.py imports einops"),
        ("from . import requests\nimport json, torch.nn", ""),
    ],
)
def test_code_imports_what_it_says(make_code, source, told):
    from benchmark.contract.said import package_complaints

    make_code("coder", source)

    assert told in "".join(package_complaints(read_submission("coder")))
    assert bool(told) == bool(list(package_complaints(read_submission("coder"))))


# -- what goes into a pull request -------------------------------------------------------------------


def test_a_pull_request_holds_the_folder_and_no_more(make_submission):
    folder = make_submission("tiny")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").touch()
    (folder / "README.md").write_text("# tiny")

    found = parcel("tiny")

    assert [path.name for path, _ in found.files] == ["README.md", "ct-0.safetensors", "submission.toml"]


def test_what_would_be_refused_is_told_before(make_submission):
    folder = make_submission("tiny", edit=lambda text: text.replace("A. Tester", "Your Name"))
    (folder / "notes.docx").write_text("x")

    with pytest.raises(SubmissionError) as caught:
        parcel("tiny")

    assert "notes.docx is no file of an entry" in str(caught.value)
    assert "its authors are still 'Your Name'" in str(caught.value)


# -- checkpoints -----------------------------------------------------------------------------------


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    ("wrap", "place", "stripped"),
    [
        (lambda state: state, "", ()),
        (lambda state: {"epoch": 3, "state_dict": state, "loss": 0.1}, "state_dict", ()),
        (lambda state: {"model": {f"module.{n}": t for n, t in state.items()}}, "model", ("module.",)),
        (
            lambda state: {f"_orig_mod.module.{n}": t.double() for n, t in state.items()},
            "",
            ("_orig_mod.", "module."),
        ),
    ],
)
def test_a_checkpoint_becomes_safetensors(tmp_path, wrap, place, stripped, legacy):
    path = tiny(wrap(vgg_weights(1)), folder=tmp_path, _use_new_zipfile_serialization=not legacy)

    done = convert(path, tmp_path / "ct.safetensors")

    found = load_file(tmp_path / "ct.safetensors")
    assert (done.taken_from, done.stripped) == (place, stripped)
    assert done.sha256 == hashlib.sha256((tmp_path / "ct.safetensors").read_bytes()).hexdigest()
    assert found.keys() == vgg_weights(1).keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in vgg_weights(1).items())


def test_a_file_is_not_written_over_itself(tmp_path):
    (tmp_path / "ct.safetensors").write_bytes(save(vgg_weights(0)))

    done = CliRunner().invoke(main, ["convert", str(tmp_path / "ct.safetensors"), "--half"])

    assert done.exit_code == 2
    assert "would be written over itself; name another file" in done.output
    assert (tmp_path / "ct.safetensors").read_bytes() == save(vgg_weights(0))


def test_what_else_a_checkpoint_holds_is_named(tmp_path):
    with pytest.raises(
        SubmissionError, match=r"holds more than tensors \(torch\.nn\.modules\.linear\.Linear\)"
    ):
        convert(tiny({"model": torch.nn.Linear(1, 1)}, folder=tmp_path), tmp_path / "x.safetensors")


def test_weights_for_colour_say_which_option_they_want(submissions, tmp_path):
    import timm

    state = timm.create_model("resnet18", num_classes=2, **SMALL | {"in_chans": 3}).state_dict()
    (tmp_path / "w.safetensors").write_bytes(save(state))

    with pytest.raises(SubmissionError, match="new-submission: --option in_chans=3"):
        list(
            new_submission(Draft("mine", "timm:resnet18", SMALL, ("ct",), {"ct": tmp_path / "w.safetensors"}))
        )


def test_tensors_that_share_memory_become_two(tmp_path):
    one = torch.arange(4.0)
    convert(tiny({"a": one, "b": one[:2]}, folder=tmp_path), tmp_path / "x.safetensors")

    assert {n: t.tolist() for n, t in load_file(tmp_path / "x.safetensors").items()} == {
        "a": [0, 1, 2, 3],
        "b": [0, 1],
    }


class Hostile:
    def __reduce__(self):
        return os.system, ("touch owned",)


class HostileLater:
    """Hidden behind tensors that look honest."""

    def __reduce__(self):
        return eval, ("open('owned', 'w')",)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: torch.save(Hostile(), path),
        lambda path: torch.save({"state_dict": vgg_weights(0), "optimiser": HostileLater()}, path),
        lambda path: torch.save({"a": Hostile()}, path, _use_new_zipfile_serialization=False),
        lambda path: path.write_bytes(pickle.dumps(Hostile())),
        lambda path: torch.save(torch.nn.Linear(1, 1), path),
    ],
    ids=["alone", "beside tensors", "legacy", "a bare pickle", "a whole module"],
)
def test_code_in_a_checkpoint_is_not_run(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "evil.pt")

    with pytest.raises(
        SubmissionError,
        match=r"checkpoint .*evil\.pt (holds more than tensors|is not what torch\.save writes)",
    ) as caught:
        convert(tmp_path / "evil.pt", tmp_path / "out.safetensors")

    assert "torch.save(model.state_dict()" in str(caught.value)
    assert not (tmp_path / "owned").exists()
    assert not (tmp_path / "out.safetensors").exists()


def test_the_hostile_checkpoint_would_run_if_it_were_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(Hostile(), tmp_path / "evil.pt")

    torch.load(tmp_path / "evil.pt", weights_only=False)

    assert (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("state", "key", "told"),
    [
        ({"weights_of_mine": {"a": torch.ones(1)}}, "", "'weights_of_mine' (dict); name the one with --key"),
        (
            {"state_dict": {"a": torch.ones(1)}},
            "nothing",
            "has no weights under 'nothing'; it has 'state_dict'",
        ),
        ([1, 2], "", "holds list, expected a state_dict"),
    ],
)
def test_a_checkpoint_without_weights_says_what_it_has(tmp_path, state, key, told):
    with pytest.raises(SubmissionError) as caught:
        convert(tiny(state, folder=tmp_path), tmp_path / "x.safetensors", key)

    assert told in str(caught.value)


def test_a_torch_that_reads_unsafely_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")

    with pytest.raises(SubmissionError, match=r"pip install 'torch>=2\.10'"):
        convert(tiny(folder=tmp_path), tmp_path / "x.safetensors")


# -- weights by address ----------------------------------------------------------------------------


class Handler(SimpleHTTPRequestHandler):
    """Sends files with ranges, as Hugging Face does; cut, whole, moved or grown as a test wants."""

    asked: ClassVar[list] = []
    cut = 0  # bytes after which the next answers end
    ranges = True
    moved_to = ""

    def log_message(self, *_):
        pass

    def do_GET(self):
        kind, range_ = type(self), self.headers.get("Range", "")
        kind.asked.append(range_)
        if kind.moved_to:
            self.send_response(302)
            self.send_header("Location", kind.moved_to)
            self.end_headers()
            return
        path = Path(self.directory) / self.path.lstrip("/")
        if not path.exists():
            self.send_error(404)
            return
        content = path.read_bytes()
        start = int(range_.removeprefix("bytes=").rstrip("-")) if range_ and kind.ranges else 0
        if start >= len(content) and range_:
            self.send_error(416)
            return
        body = content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if kind.cut:
            body, kind.cut = body[: kind.cut], 0
        self.wfile.write(body)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of this machine that stands for the allowed ones; `server.at(content)` gives an address and a checksum."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = type("Own", (Handler,), {"asked": []})
    made = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=folder))
    threading.Thread(target=made.serve_forever, daemon=True).start()
    monkeypatch.setattr(
        remote, "HOSTS", {"this machine": (r"http://127\.0\.0\.1:\d+/[\w.]+", "http://127.0.0.1/x")}
    )
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def at(content, name="ct.safetensors"):
        (folder / name).write_bytes(content)
        return f"http://127.0.0.1:{made.server_port}/{name}", hashlib.sha256(content).hexdigest()

    handler.at = staticmethod(at)
    yield handler
    made.shutdown()
    made.server_close()


CONTENT = bytes(range(256)) * 20_000  # 5 MB


def test_a_file_is_fetched_once_and_kept(server):
    url, sha256 = server.at(CONTENT)

    paths = {remote.fetched(url, sha256) for _ in "ab"}

    (path,) = paths
    assert path.read_bytes() == CONTENT
    assert server.asked == [""]


def test_a_file_that_was_cut_off_goes_on_where_it_ended(server):
    url, sha256 = server.at(CONTENT)
    server.cut = 2_500_000

    path = remote.fetched(url, sha256)

    assert path.read_bytes() == CONTENT
    assert len(server.asked) == 2
    assert server.asked[1].startswith("bytes=")
    assert 0 < int(server.asked[1][6:-1]) <= 2_500_000


def test_a_run_that_was_killed_goes_on_too(server):
    url, sha256 = server.at(CONTENT)
    part = remote.kept(sha256).with_suffix(".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:1_000_000])

    assert remote.fetched(url, sha256).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000000-"]
    assert not part.exists()


def test_a_server_that_knows_no_ranges_begins_anew(server):
    url, sha256 = server.at(CONTENT)
    server.ranges, server.cut = False, 1_500_000

    assert remote.fetched(url, sha256).read_bytes() == CONTENT


def test_another_file_is_refused_and_not_kept(server):
    url, _ = server.at(CONTENT)

    with pytest.raises(SubmissionError, match=r"has sha256 .*, submission.toml says 0000"):
        remote.fetched(url, "0" * 64)

    assert [p.suffix for p in remote.kept("0" * 64).parent.iterdir()] == [".lock"]


@pytest.mark.parametrize("sha256", ["../../escaped", "", "0" * 63, "0" * 65, "A" * 64, "0" * 64 + "\n"])
def test_what_is_no_checksum_names_no_file_of_the_cache(server, cache, sha256):
    url, _ = server.at(CONTENT)

    with pytest.raises(SubmissionError, match="is no sha256"):
        remote.fetched(url, sha256)

    assert server.asked == []
    assert not cache.exists()


def test_what_is_damaged_in_the_cache_is_fetched_again(server):
    url, sha256 = server.at(CONTENT)
    remote.fetched(url, sha256).write_bytes(b"damaged")

    assert remote.fetched(url, sha256).read_bytes() == CONTENT


def test_a_file_larger_than_allowed_is_refused_before_it_comes(server, monkeypatch):
    url, sha256 = server.at(CONTENT)
    monkeypatch.setattr(remote, "LARGEST", 1_000_000)

    with pytest.raises(SubmissionError, match="allowed are"):
        remote.fetched(url, sha256)

    assert not remote.kept(sha256).exists()


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example/x",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "https://hf.co.evil.example/",
    ],
)
def test_nobody_is_followed_to_other_hosts(server, to):
    url, sha256 = server.at(CONTENT)
    server.moved_to = to

    with pytest.raises(SubmissionError, match="which is none of its own hosts"):
        remote.fetched(url, sha256)


def test_a_file_that_is_not_there_is_told(server):
    url, sha256 = server.at(CONTENT)

    with pytest.raises(SubmissionError, match=r"cannot be fetched \(its server answers 404"):
        remote.fetched(url.replace("ct.", "no."), sha256)


def test_a_server_that_is_not_there_is_told_in_words(server):
    with pytest.raises(
        SubmissionError, match=r"cannot be fetched \(its server cannot be reached from here\)"
    ):
        remote.fetched("http://127.0.0.1:9/x", "0" * 64)


def test_a_submission_is_loaded_from_an_address(server, make_submission):
    content = save(vgg_weights(0))
    url, _ = server.at(content)
    folder = make_submission(
        "tiny", edit=lambda text: text.replace("sha256 =", f'urls = ["{url}"]\nsha256 =')
    )
    beside = load_submission("tiny", "ct")
    (folder / "ct-0.safetensors").unlink()

    model = load_submission("tiny", "ct")

    assert model.identity == beside.identity
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), beside.parameters(), strict=True))


@behind_walls
def test_code_gets_weights_of_an_address_into_its_sandbox(server, make_code):
    from benchmark.entering import example_model

    torch.manual_seed(0)
    content = save(example_model.build("ct").state_dict())
    url, _ = server.at(content)
    source = Path(example_model.__file__).read_text("utf-8")
    folder = make_code("coder", source, content)
    text = (folder / "submission.toml").read_text("utf-8")
    (folder / "submission.toml").write_text(text.replace("sha256 =", f'urls = ["{url}"]\nsha256 ='))
    (folder / "ct.safetensors").unlink()

    (line,) = check_submission("coder")
    assert line.startswith("coder · ct (phantom): 1 network of 5,122 parameters, contract kept")


@pytest.mark.parametrize(
    "url",
    [
        "https://huggingface.co/a/b/resolve/main/x.safetensors",
        "https://huggingface.co/a/b/resolve/0123456/x.safetensors",
        f"http://huggingface.co/a/b/resolve/{'a' * 40}/x.safetensors",
        f"https://huggingface.co.evil.example/a/b/resolve/{'a' * 40}/x.safetensors",
        f"https://evil@huggingface.co/a/b/resolve/{'a' * 40}/x.safetensors",
        f"https://huggingface.co/a/b/resolve/{'a' * 40}/../../x",
        "https://drive.google.com/uc?id=1",
        "https://zenodo.org/records/latest/files/x",
        "file:///etc/passwd",
        "",
    ],
)
def test_an_address_that_may_change_or_lead_elsewhere_is_refused(url):
    assert "must name a file that cannot change" in remote.address_complaint(url)


@pytest.mark.parametrize(
    "url",
    [
        f"https://huggingface.co/some-lab/model.v2/resolve/{'a' * 40}/deep/ct.safetensors",
        "https://zenodo.org/records/1234567/files/ct.safetensors",
        "https://zenodo.org/records/1234567/files/ct.safetensors?download=1",
    ],
)
def test_an_address_that_names_a_file_for_good_is_taken(url):
    assert remote.address_complaint(url) == ""
