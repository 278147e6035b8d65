"""A submission's folder: every complaint names who, what came, what was expected and how to mend it."""

import numpy as np
import pytest
import torch
from models import Failing, Linear, NotANumber, Random, ThreeColumns, vgg_weights
from pydantic import ValidationError
from safetensors.torch import save
from torch.nn import functional

from benchmark import contract
from benchmark.errors import BenchmarkError, IsolationError, SubmissionError
from benchmark.models.wrapper import Wrapped
from benchmark.submission import load_submission, names, read_submission
from benchmark.submission_file import SubmissionFile, complaints
from benchmark.submission_words import WORDS


def test_a_submission_that_keeps_the_contract_passes(make_submission):
    make_submission("good")

    (line,) = contract.check_submission("good")

    assert line.startswith("good · ct (phantom): ")
    assert line.endswith("contract kept in 8 forward passes of 20 images")


def test_it_is_found_by_folder_by_name_and_from_inside(make_submission, monkeypatch):
    folder = make_submission("good")
    monkeypatch.chdir(folder)

    assert [read_submission(given).name for given in (folder, str(folder), "good", ".")] == ["good"] * 4
    assert names() == ["good"]


def test_the_template_is_no_entry(make_submission):
    make_submission("template")

    assert names() == []


def test_a_loaded_model_is_frozen_in_eval_mode_and_float32(make_submission):
    half = {key: value.half() for key, value in vgg_weights(0).items()}

    model = load_submission(make_submission(weights=[half]), "ct")

    assert not any(module.training for module in model.modules())
    assert {(parameter.dtype, parameter.requires_grad) for parameter in model.parameters()} == {
        (torch.float32, False)
    }


# -- the folder ------------------------------------------------------------------------------


def rename(folder):
    return folder.rename(folder.with_name("renamed"))


def edit(old, new):
    def change(folder):
        path = folder / "submission.toml"
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return change


def overwrite(content):
    return lambda folder: (folder / "ct-0.safetensors").write_bytes(content)


@pytest.mark.parametrize(
    ("hurt", "parts"),
    [
        (
            lambda folder: (folder / "ct-0.safetensors").unlink(),
            ["'ct-0.safetensors' cannot be read", "commit it"],
        ),
        (overwrite(b"other"), ["'ct-0.safetensors' has sha256", "submission.toml says", "restore the file"]),
        (
            edit("ct-0.saf", "../tiny2/ct-0.saf"),
            ["'../tiny2/ct-0.safetensors' lies outside the submission's folder"],
        ),
        (edit('files = ["ct-0', 'files = ["/etc/ct-0'), ["lies outside the submission's folder"]),
        (
            edit("files = [", 'files = ["ct-1.safetensors", '),
            ["2 weight files and 1 checksums", "one sha256 for each file"],
        ),
        (edit("divisor = 64", "divisor = 32"), ["does not fit architecture 'vgg16-slim'", "size mismatch"]),
        (edit("divisor = 64", "depth = 3"), ["refuses options", "depth", "correct 'architecture_options'"]),
        (edit("divisor = 64", "divisor = 0"), ["refuses options", "correct 'architecture_options'"]),
        (
            lambda folder: (
                (folder / "submission.toml")
                .open("a")
                .write(
                    '\n[[weights]]\nmodality = "ct"\nfiles = ["other.safetensors"]\nsha256 = ["'
                    + 64 * "0"
                    + '"]\n'
                )
            ),
            ["two [[weights]] for", "one for each modality, track and training_seed"],
        ),
        (edit('"vgg16-slim"', '"vgg17"'), ["unknown architecture 'vgg17'", "vgg16-slim"]),
        (edit('"vgg16-slim"', '"torchvision:nosuchnet"'), ["torchvision:nosuchnet"]),
        (
            edit("licence =", "license ="),
            ["license: is no key; did you mean licence?", "licence: is missing; add it"],
        ),
        (
            edit('modality = "ct"', 'modality = "pet"'),
            ["weights.0.modality: must be 'ct', 'mammogram' or 'mri' (got 'pet')"],
        ),
        (
            edit('kind = "none"', 'kind = "none"\nsupersedes = "x"'),
            ["training.supersedes: is no key of [training]; it belongs above the first [table]"],
        ),
        (edit('["A. Tester"]', '"A. Tester"'), ["authors: must be a list in [ ] (got 'A. Tester')"]),
        (edit('"A model of the tests"', "3"), ["title: must be text in quotes, such as \"…\" (got '3')"]),
        (edit('"Apache-2.0"', '" "'), ["licence: must not be empty; fill it in"]),
        (edit('"Apache-2.0"', '""'), ["licence: must not be empty; fill it in"]),
        (edit('name = "tiny"', 'name = "Ti ny"'), ["name: must be 2 to 41 lower-case letters"]),
        (
            edit('kind = "none"', 'kind = "none"\nepsilon = "8/255 maybe"'),
            ['training.epsilon: must be one ε from 0 to 1, on pixels in [0, 1], such as "0.004" or "8/255"'],
        ),
        (edit('kind = "none"', 'kind = "none"\nepsilon = "4/2"'), ["training.epsilon: must be one ε"]),
        (
            edit("divisor = 64 }", 'divisor = 64 }\ninput.resize = "224"'),
            ["input.resize: must be a whole number"],
        ),
        (edit("divisor = 64 }", 'divisor = 64 }\ninput.mean = ["0.0"]'), ["input.mean.0: must be a number"]),
        (edit("divisor = 64 }", "divisor = 64 }\ninput.mean = [nan]"), ["neither infinite nor nan"]),
        (
            edit("divisor = 64 }", "divisor = 64 }\ninput.channels = true"),
            ["input.channels: must be a whole"],
        ),
        (
            edit('name = "tiny"', 'name = "other"'),
            ["submission.toml says name = 'other'; make them the same"],
        ),
        (edit("[training]", "[training"), ["submission.toml is not valid TOML"]),
        (
            lambda folder: (folder / "submission.toml").unlink(),
            ["has no submission.toml", "oncorobust new-submission tiny"],
        ),
    ],
)
def test_each_fault_of_a_folder_is_a_sentence_with_its_name(make_submission, hurt, parts):
    make_submission("tiny2")
    folder = make_submission("tiny")
    hurt(folder)

    with pytest.raises(SubmissionError) as caught:
        load_submission(folder, "ct")

    for part in ["submission 'tiny'", *parts]:
        assert part in str(caught.value)


def test_what_is_wrong_inside_of_a_list_is_told_once(make_submission):
    folder = make_submission("tiny", edit=lambda text: text.replace('modality = "ct"', 'modality = "pet"'))

    with pytest.raises(SubmissionError) as caught:
        read_submission(folder)

    assert len(str(caught.value).splitlines()) == 2
    assert "at least" not in str(caught.value)


@pytest.mark.parametrize("change", [{"weights": []}, {"authors": ["a"] * 101}, {"training": "naive"}])
def test_no_sentence_is_pydantic_s(change):
    good = {"name": "tiny", "title": "x", "authors": ["a"], "licence": "MIT", "training": {"kind": "none"}}
    good["weights"] = [{"modality": "ct", "files": ["a.safetensors"], "sha256": ["0" * 64]}]
    SubmissionFile.model_validate(good)

    with pytest.raises(ValidationError) as caught:
        SubmissionFile.model_validate(good | change)

    assert {each["type"] for each in caught.value.errors()} <= set(WORDS)
    (line,) = complaints(caught.value).splitlines()
    assert "Tuple" not in line
    assert "{{" not in line


@pytest.mark.parametrize("epsilon", ["", "0.004", ".1", "8/255", "1e-3", "0"])
def test_an_epsilon_is_a_number_or_a_fraction(make_submission, epsilon):
    said = lambda text: text.replace('kind = "none"', f'kind = "none"\nepsilon = "{epsilon}"')  # noqa: E731

    assert read_submission(make_submission(edit=said)).file.training.epsilon == epsilon


def test_a_mark_at_the_beginning_is_read_over(make_submission):
    make_submission("tiny", edit=lambda text: f"\ufeff{text}")

    assert read_submission("tiny").name == "tiny"


def test_the_folder_s_name_is_the_entry_s(make_submission):
    folder = rename(make_submission("tiny"))

    with pytest.raises(SubmissionError, match=r"submission 'renamed': submission.toml says name = 'tiny'"):
        read_submission(folder)


def test_a_file_that_is_no_safetensors_is_refused_though_its_checksum_fits(make_submission):
    content = save(vgg_weights(0))

    for weights in (b"no weights", content[:-8], content[:100], b""):
        folder = make_submission(f"bad{len(weights)}", weights=[weights])
        with pytest.raises(
            SubmissionError, match=r"submission 'bad.*not a readable safetensors file .* save it with"
        ):
            load_submission(folder, "ct")


def test_every_fault_of_the_weights_is_said_at_once(make_submission):
    folder = make_submission(
        "tiny", weights=[vgg_weights(0), b"damaged", vgg_weights(1), {"a": torch.zeros(1)}]
    )
    (folder / "ct-0.safetensors").unlink()
    (folder / "ct-2.safetensors").write_bytes(b"other")

    with pytest.raises(SubmissionError) as caught:
        load_submission(folder, "ct")

    for part in (
        "'ct-0.safetensors' cannot be read",
        "'ct-1.safetensors' is not",
        "'ct-2.safetensors' has sha256",
    ):
        assert part in str(caught.value)
    assert "'ct-3.safetensors' does not fit" in str(caught.value)


RAISING = "raise SystemExit('this code was run')"


def test_code_beside_an_architecture_is_refused(make_submission):
    folder = make_submission("tiny")
    (folder / "model.py").write_text(RAISING)

    with pytest.raises(
        SubmissionError, match=r"names architecture 'vgg16-slim' and brings code \(model.py\)"
    ):
        load_submission(folder, "ct")


def test_code_is_checked_and_not_run(make_code):
    model = load_submission(make_code("coder", RAISING), "ct")

    assert model.submission.code == ("model.py",)
    with pytest.raises(IsolationError, match=r"submission 'coder' brings code \(model.py\)"):
        model(torch.zeros(1, 1, 64, 64))


def test_neither_code_nor_an_architecture_is_no_entry(make_code):
    folder = make_code("coder", RAISING)
    (folder / "model.py").unlink()

    with pytest.raises(SubmissionError, match=r"names no architecture and brings no model\.py"):
        read_submission(folder)


@pytest.mark.parametrize("name", ["model.py", "deep/inside.py", "data.bin"])
def test_code_with_a_link_in_its_folder_is_refused(make_code, tmp_path, name):
    folder = make_code("coder", RAISING)
    (tmp_path / "secret").write_text("labels")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(tmp_path / "secret")

    with pytest.raises(SubmissionError, match=rf"holds links \({name}\)"):
        read_submission(folder)


def test_who_changes_its_code_is_another_entry(make_code):
    folder = make_code("coder", RAISING)
    (folder / "layers.py").write_text("one = 1")
    before = load_submission(folder, "ct").identity
    (folder / "README.md").write_text("words")
    assert load_submission(folder, "ct").identity == before

    (folder / "layers.py").write_text("one = 2")

    assert load_submission(folder, "ct").identity != before


def test_a_submission_that_is_not_there_is_answered_with_those_that_are(make_submission):
    make_submission("tiny")

    with pytest.raises(SubmissionError, match=r"no submission 'tinny'; did you mean tiny\? there are tiny"):
        read_submission("tinny")
    with pytest.raises(SubmissionError, match="did you mean tiny"):
        read_submission("Tiny")


@pytest.mark.parametrize(
    ("modality", "track", "sentence"),
    [
        ("pet", "phantom", "unknown modality 'pet'; expected one of ct, mammogram, mri"),
        (
            "mri",
            "phantom",
            r"submission 'tiny' has no mri weights for track 'phantom'; it has ct \(phantom\)",
        ),
        ("ct", "clinical", "submission 'tiny' has no ct weights for track 'clinical'"),
    ],
)
def test_weights_that_are_not_there_are_asked_for_in_a_sentence(make_submission, modality, track, sentence):
    make_submission("tiny")

    with pytest.raises(BenchmarkError, match=sentence):
        load_submission("tiny", modality, track)


def test_one_s_own_images_are_judged_with_the_phantom_s_weights_where_there_are_no_others(make_submission):
    make_submission("tiny")

    assert load_submission("tiny", "ct", "/my/scans").weights.trained_on == "phantom"


def test_the_identity_is_of_all_that_changes_a_logit(make_submission):
    def identity(name, **changes):
        return load_submission(make_submission(name, **changes), "ct").identity

    options = "architecture_options = { divisor = 64 }"
    first = identity("first")
    others = [
        identity("weights", weights=[vgg_weights(1)]),
        identity("resize", more=f"{options}\n[input]\nresize = 32"),
        identity("mean", more=f"{options}\n[input]\nmean = [0.5]"),
        identity("files", weights=[vgg_weights(0), vgg_weights(0)]),
    ]

    assert first == identity("same", edit=lambda text: text.replace("A model of the tests", "Another title"))
    assert len({first, *others}) == 5


# -- the model -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (
            ThreeColumns,
            r"returned shape \(5, 3\) for 5 images, expected \(5, 2\) = \[no disease, disease\].*last layer",
        ),
        (NotANumber, "NaN or infinite logits for 5 of 5 images; check its weights"),
        (Failing, r"raised RuntimeError on images \(5, 1, 16, 16\)"),
        (Random, "depend on its batch"),
        (
            type("Listing", (Linear,), {"forward": lambda self, x: [1.0]}),
            "returned list, expected a tensor of logits",
        ),
        (type("Flat", (Linear,), {"forward": lambda self, x: x.mean((1, 2, 3))}), r"returned shape \(5,\)"),
        (
            type("Cut", (Linear,), {"forward": lambda self, x: Linear.forward(self, x.detach()).detach()}),
            "the logits have no gradient",
        ),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_each_broken_contract_is_a_sentence_with_its_name(make_submission, monkeypatch, model, sentence):
    make_submission("tiny")
    monkeypatch.setattr(contract, "SIZE", 16)
    monkeypatch.setattr("benchmark.submission.build", lambda *_: model().requires_grad_(False))
    monkeypatch.setattr("benchmark.submission.load_weights", lambda *_: None)

    with pytest.raises(SubmissionError, match="submission 'tiny', ct: .*" + sentence):
        list(contract.check_submission("tiny"))


def test_a_file_too_large_for_the_repository_is_named(make_submission, monkeypatch):
    make_submission("tiny")
    monkeypatch.setattr(contract, "LARGEST_FILE", 1000)

    with pytest.raises(SubmissionError, match=r"ct-0.safetensors has \d+\.\d MB, allowed are 0 MB"):
        list(contract.check_submission("tiny"))


# -- the wrapper -----------------------------------------------------------------------------


class Flat(torch.nn.Module):
    """Shows what reaches the model: its pixels times `factor`, summed over columns."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor

    def forward(self, images):
        return self.factor * images.flatten(1)


IMAGES = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_one_channel_is_repeated_and_standardised():
    mean, deviation = (0.1, 0.2, 0.3), (1.0, 2.0, 4.0)

    out = Wrapped([Flat()], channels=3, mean=mean, deviation=deviation)(IMAGES)

    by_hand = [(IMAGES[:, 0].flatten(1) - m) / d for m, d in zip(mean, deviation, strict=True)]
    assert torch.allclose(out, torch.cat(by_hand, 1))


def test_the_centre_is_cropped():
    out = Wrapped([Flat()], centre_crop=4)(IMAGES)

    assert torch.equal(out, IMAGES[:, :, 2:6, 2:6].flatten(1))


def test_an_image_is_resized_by_the_mean_of_what_it_covers():
    out = Wrapped([Flat()], resize=16, centre_crop=16)(torch.full((1, 1, 8, 8), 0.25))
    ramp = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 1, 8, 8)

    half = Wrapped([Flat()], resize=4)(ramp).view(4, 4)

    assert torch.allclose(out, torch.full((1, 256), 0.25))
    assert half[0, 1:3].tolist() == pytest.approx([2.5, 4.5])
    assert torch.equal(half, functional.interpolate(ramp, (4, 4), mode="bilinear", antialias=True)[0, 0])


def test_several_models_are_averaged_in_their_logits():
    out = Wrapped([Flat(1.0), Flat(3.0), Flat(-10.0)])(IMAGES)

    assert torch.allclose(out, -2 * IMAGES.flatten(1))


def test_several_files_are_averaged_in_their_logits(make_submission):
    both = load_submission(make_submission("both", weights=[vgg_weights(0), vgg_weights(1)]), "ct")
    alone = [
        load_submission(make_submission(f"one{seed}", weights=[vgg_weights(seed)]), "ct") for seed in (0, 1)
    ]
    images = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))

    assert torch.allclose(both(images), (alone[0](images) + alone[1](images)) / 2)


def test_the_wrapper_is_differentiable():
    model = Wrapped(
        [Flat(), Flat(2.0)], resize=12, centre_crop=10, channels=3, mean=(0.5,) * 3, deviation=(0.5,) * 3
    )
    images = IMAGES[:1].double().requires_grad_(True)
    direction = torch.randn(1, 300, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def total(x):
        return (model.double()(x) * direction).sum()

    (gradient,) = torch.autograd.grad(total(images), images)

    step = torch.zeros_like(images)
    step[0, 0, 3, 4] = 1e-4
    with torch.no_grad():
        by_hand = (total(images + step) - total(images - step)) / 2e-4
    assert float(gradient[0, 0, 3, 4]) == pytest.approx(float(by_hand), rel=1e-6)
    assert np.isfinite(gradient.numpy()).all()


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("mean = [0.5, 0.5, 0.5]", "mean"),
        ("channels = 3\nmean = [0.5, 0.5]", "mean"),
        ("channels = 3\ndeviation = [0.5, 0.5]", "deviation"),
        ("deviation = [0.0]", "deviation"),
        ("resize = 32\ncentre_crop = 64", "centre_crop"),
    ],
)
def test_an_input_that_cannot_be_meant_is_refused(make_submission, table, sentence):
    folder = make_submission("tiny", more=f"architecture_options = {{ divisor = 64 }}\n[input]\n{table}")

    with pytest.raises(SubmissionError, match=f"submission 'tiny'.*\n?.*{sentence}"):
        load_submission(folder, "ct")


def test_a_crop_larger_than_the_image_is_refused(make_submission):
    make_submission("tiny", more="architecture_options = { divisor = 64 }\n[input]\ncentre_crop = 96")

    with pytest.raises(SubmissionError, match=r"submission 'tiny', ct: .*crop"):
        list(contract.check_submission("tiny"))


def test_what_is_done_to_an_image_is_told_where_something_is(make_submission):
    plain = read_submission(make_submission()).described()
    more = "architecture_options = { divisor = 64 }\n[input]\nchannels = 3\nresize = 64\nmean = [0.5]"
    changed = read_submission(make_submission("changed", more=more)).described()

    assert plain["architecture_options"] == {"divisor": 64}
    assert not {"input", "packages"} & plain.keys()
    assert changed["input"] == {"channels": 3, "resize": 64, "mean": [0.5]}
