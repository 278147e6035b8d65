"""Every architecture that a name can reach keeps the contract; a wrong one says what to change."""

import json
import socket
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from honest_models import judged_images
from models import APGD, BIM, FGSM, NOISE, SQUARE, small_protocol, vgg_weights
from torch import nn

from benchmark import contract
from benchmark.errors import SubmissionError
from benchmark.evaluation import evaluate
from benchmark.folders import ROOT
from benchmark.models import ARCHITECTURES, build
from benchmark.models.__main__ import FORMS, lines, parameters, told
from benchmark.models.standardise import Standardise
from benchmark.models.wrapper import Wrapped
from benchmark.submission import load_submission

IMAGES = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(0))
TINY_VIT = {"img_size": 64, "patch_size": 8, "in_chans": 1, "depth": 2, "embed_dim": 48, "num_heads": 3}
IMAGENET = {
    "channels": 3,
    "resize": 224,
    "mean": [0.485, 0.456, 0.406],
    "deviation": [0.229, 0.224, 0.225],
}
CIFAR = {"channels": 3, "resize": 32}


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Nothing here may ask the network."""

    def refuse(*_):
        raise AssertionError("an architecture went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(contract, "LARGEST_FILE", 10**9)


@pytest.fixture
def enter(make_submission):
    """A submission of an architecture with fresh weights: enter(name, options, input, weights)."""

    def make(architecture, options=None, wrapper=None, weights=None):
        torch.manual_seed(0)
        state = build(architecture, options).state_dict() if weights is None else weights
        pairs = ", ".join(f"{key} = {json.dumps(value)}" for key, value in (options or {}).items())
        lines = [f"architecture_options = {{ {pairs} }}", *(["[input]"] if wrapper else [])]
        lines += [f"{key} = {json.dumps(value)}" for key, value in (wrapper or {}).items()]
        state = {name: tensor.contiguous() for name, tensor in state.items()}
        return make_submission(architecture=architecture, more="\n".join(lines), weights=[state])

    return make


# -- those that keep it ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "options", "wrapper", "columns"),
    [
        *((name, {}, {}, 2) for name in ARCHITECTURES),
        ("timm:convnext_atto", {"in_chans": 1}, {}, 2),
        ("timm:vit_tiny_patch16_224", TINY_VIT, {}, 2),
        ("timm:vit_tiny_patch16_224", {"depth": 3}, IMAGENET, 2),
        ("torchvision:resnet50", {}, IMAGENET, 2),
        ("torchvision:resnet18", {"num_classes": 1}, {"channels": 3}, 1),
        ("robustbench:WideResNet-16-2", {}, CIFAR, 2),
        ("robustbench:DMWideResNet-10-1", {}, CIFAR, 2),
        ("robustbench:PreActResNet-18", {"num_classes": 1}, CIFAR, 1),
        ("robustbench:cifar10/L2/Rice2020Overfitting", {}, CIFAR, 2),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_goes_through_the_contract_with_images_of_64_pixels(
    enter, architecture, options, wrapper, columns
):
    folder = enter(architecture, options, wrapper)

    (line,) = contract.check_submission(folder)

    assert line.endswith("contract kept in 8 forward passes of 20 images")
    images = IMAGES.clone().requires_grad_(True)
    logits = load_submission(folder, "ct")(images)
    assert logits.shape == (4, columns)
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    assert gradient.shape == images.shape


@pytest.mark.parametrize(
    "name", ["vgg16-slim", "resnet8-gn", "resnet20-gn", "convnext-slim", "logistic-regression"]
)
def test_a_network_of_ours_is_small_and_standardises_its_input_itself(name):
    model = build(name).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    (layer,) = [layer for layer in model.modules() if isinstance(layer, Standardise)]
    before = model(IMAGES)
    layer.mean.fill_(0.25)
    layer.deviation.fill_(0.5)

    after = model(0.25 + 0.5 * IMAGES)

    assert sum(parameter.numel() for parameter in model.parameters()) <= 1_000_000
    assert torch.allclose(before, after, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(before, model(IMAGES), rtol=1e-3, atol=1e-4)
    assert {"standardise.mean", "standardise.deviation"} <= set(model.state_dict())


def test_the_residual_network_mixes_no_images_even_while_it_trains():
    model = build("resnet20-gn").train()
    for norm in model.modules():
        if isinstance(norm, nn.GroupNorm):
            nn.init.normal_(norm.weight)

    together, alone = model(IMAGES), torch.cat([model(image[None]) for image in IMAGES])

    assert torch.allclose(together, alone, atol=1e-5)
    assert together.std(0).min() > 0


def test_logistic_regression_has_the_margin_of_its_weights():
    model = build("logistic-regression")
    with torch.no_grad():
        model.weigh.weight.normal_(generator=torch.Generator().manual_seed(0))
        model.weigh.bias.fill_(0.3)
        z = (model.weigh.weight.view(64, 64) * IMAGES[:, 0]).sum((1, 2)) + 0.3

        logits = model(IMAGES)

    assert torch.allclose(logits[:, 1] - logits[:, 0], z, atol=1e-3)
    assert torch.allclose(torch.softmax(logits, 1)[:, 1], torch.sigmoid(z), atol=1e-4)


def test_rounding_hides_the_gradient_and_takes_the_weights_of_the_honest_network():
    honest, rounded = build("vgg16-slim", {"divisor": 64}), build("vgg16-slim-rounded", {"divisor": 64})
    rounded.load_state_dict(honest.state_dict(), strict=True)
    honest.eval(), rounded.eval()
    images = IMAGES.clone().requires_grad_(True)

    logits = rounded(images)

    assert torch.equal(logits, honest(torch.round(IMAGES * 30) / 30))
    assert not torch.equal(logits, honest(IMAGES))
    assert torch.autograd.grad(logits[:, 1].sum(), images)[0].abs().max() == 0


def test_the_rounded_network_is_in_doubt_for_its_own_reason():
    split = judged_images("ct")  # at half resolution, which the network answers too
    short = small_protocol(
        NOISE,
        FGSM,
        BIM,
        replace(APGD, parameters={**APGD.parameters, "steps": 10}),
        replace(SQUARE, parameters={**SQUARE.parameters, "n_queries": 20}),
        block=32,
        epsilons=("0.004",),
    )
    honest = load_submission(ROOT / "submissions" / "vgg16-slim-naive", "ct")
    rounded = build("vgg16-slim-rounded")
    rounded.load_state_dict(honest.inner.state_dict())

    record = evaluate(rounded, split, short, progress=False)

    assert {"zero-gradient", "large-epsilon"} <= {f.id for f in record.flags if f.severity == "doubt"}


def test_the_wrapper_s_gradient_is_the_slope_of_what_it_computes():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(2 * 8 * 8, 2))
    wrapped = Wrapped(
        [network, nn.Sequential(nn.Flatten(), nn.Linear(300, 2))],
        resize=12,
        centre_crop=10,
        channels=3,
        mean=(0.1, 0.2, 0.3),
        deviation=(0.5, 0.25, 2.0),
    ).double()
    smaller = Wrapped([nn.Sequential(nn.Flatten(), nn.Tanh(), nn.Linear(25, 1))], resize=5).double()
    images = torch.rand(2, 1, 8, 8, dtype=torch.double, requires_grad=True)

    assert torch.autograd.gradcheck(wrapped, images)
    assert torch.autograd.gradcheck(smaller, images)


def test_the_table_of_architectures_is_the_command_s_own():
    text = (ROOT / "submissions" / "README.md").read_text("utf-8")
    table = (
        text.split("<!-- architectures -->")[1].split("<!-- /architectures -->")[0].strip().splitlines()[2:]
    )

    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]

    assert {form.architecture for form in FORMS} >= set(ARCHITECTURES)
    assert [row[:4] for row in rows] == [
        [f"`{form.architecture}`", told(form.options), told(form.wrapper), f"{parameters(form.model()):,}"]
        for form in FORMS
    ], "run: python -m benchmark.models"
    assert all(0 < float(forward) < float(both) for *_, forward, both in rows)


def test_the_command_times_every_form_it_lists(monkeypatch):
    few = [form for form in FORMS if form.architecture in ("constant", "resnet20-gn")]
    monkeypatch.setattr("benchmark.models.__main__.FORMS", few)

    head, _, *rows = lines(1, 2)

    assert head.count("|") == rows[0].count("|") == rows[1].count("|")
    slow, fast = ([float(cell) for cell in row.split("|")[-3:-1]] for row in rows)
    assert slow[1] > slow[0] > fast[0] > 0
    assert fast[1] > fast[0]


# -- weights ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_are_computed_with_in_float32(enter, dtype):
    stored = {key: value.to(dtype) for key, value in vgg_weights(0).items()}
    expected = build("vgg16-slim", {"divisor": 64}).eval()
    expected.load_state_dict({key: value.float() for key, value in stored.items()})

    folder = enter("vgg16-slim", {"divisor": 64}, weights=stored)
    model = load_submission(folder, "ct")

    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}
    assert torch.equal(model(IMAGES), expected(IMAGES))
    assert list(contract.check_submission(folder))


def test_half_precision_halves_the_file_and_moves_next_to_nothing(enter):
    torch.manual_seed(0)
    model = build("resnet20-gn").eval()
    half = {key: value.half() for key, value in model.state_dict().items()}

    folder = enter("resnet20-gn", weights=half)

    assert (folder / "ct-0.safetensors").stat().st_size < 0.55 * 4 * 271_666
    difference = (load_submission(folder, "ct")(IMAGES) - model(IMAGES)).abs().max()
    assert difference < 0.01 * model(IMAGES).abs().max()


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda state: without(state, "head.2.bias"), "it lacks head.2.bias; correct 'architecture_options'"),
        (
            lambda state: state | {f"extra.{number}": torch.zeros(1) for number in range(5)},
            "it brings what the architecture has not: extra.0, extra.1, extra.2 and 2 more; correct",
        ),
        (
            lambda state: without(state, "head.2.bias") | {"head.2.bais": state["head.2.bias"]},
            "it lacks head.2.bias; it brings what the architecture has not: head.2.bais;",
        ),
        (
            lambda state: state | {"head.7.bias": torch.zeros(3)},
            "it has a size mismatch: head.7.bias is (3,), expected (2,);",
        ),
        (
            lambda state: state | {"head.7.bias": torch.zeros(2, dtype=torch.int64)},
            "it stores integers where fractions are expected: head.7.bias;",
        ),
        (
            lambda state: {f"module.{key}": value for key, value in state.items()},
            "it has 'module.' before every name; save the state_dict of the network inside",
        ),
        (lambda state: {}, "it lacks features.0.bias, features.0.weight, features.10.bias and "),
    ],
)
def test_weights_that_do_not_fit_are_told_by_name(enter, spoil, told):
    folder = enter("vgg16-slim", {"divisor": 64}, weights=spoil(vgg_weights(0)))

    with pytest.raises(SubmissionError) as caught:
        load_submission(folder, "ct")

    assert f"weights file 'ct-0.safetensors' does not fit architecture 'vgg16-slim': {told}" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)


# -- those that do not -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("vgg17", "did you mean vgg16"),
        ("ResNet20-gn", "did you mean resnet20-gn "),
        ("timm:convnext_ato", "did you mean timm:convnext_atto "),
        ("torchvison:resnet18", "did you mean torchvision:resnet18?"),
        ("torchvision:resnet51", "timm:NAME, torchvision:NAME, robustbench:NAME"),
        ("torchvision:fcn_resnet50", "did you mean torchvision:resnet50?"),  # would fetch a backbone
        ("timm:hf-hub:timm/resnet18", "did you mean timm:resnet18?"),  # would be fetched
        ("robustbench:wideresnet-28-10", "did you mean robustbench:WideResNet-28-10 "),
        ("robustbench:Carmon2019Unlabelled", "did you mean robustbench:Carmon2019Unlabeled "),
        ("timm:", "expected one of"),
        ("", "expected one of vgg16, "),
    ],
)
def test_an_unknown_name_is_answered_with_those_that_are_near(name, told):
    with pytest.raises(SubmissionError) as caught:
        build(name)

    assert f"unknown architecture {name!r}; " in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("vgg16-slim", {"depth": 3}, "unexpected keyword argument 'depth'; correct .*; it takes divisor = 8"),
        ("vgg16", {"divisor": 2}, "it takes none"),
        (
            "resnet20-gn",
            {"groups": 5},
            "divisible by num_groups.*it takes blocks = 3, width = 16, groups = 4",
        ),
        ("vgg16-slim-rounded", {"levels": 1}, "levels must be at least 2, got 1; correct"),
        ("timm:resnet18", {"dpeth": 3}, "unexpected keyword argument 'dpeth'; correct"),
        ("torchvision:resnet18", {"depth": "x"}, "unexpected keyword argument 'depth'; correct"),
        ("timm:resnet18", {"pretrained": True}, "option pretrained would fetch others; remove it"),
        ("timm:resnet18", {"checkpoint_path": "/x"}, "option checkpoint_path would fetch others; remove it"),
        ("torchvision:resnet18", {"weights": "DEFAULT"}, "option weights would fetch others; remove it"),
        (
            "robustbench:Rice2020Overfitting",
            {},
            "several entries.* which of cifar10/Linf/Rice2020Overfitting, ",
        ),
        ("robustbench:WideResNet-27-10", {}, "cannot be built: AssertionError; choose another"),
        (
            "robustbench:Chen2020Adversarial",
            {},
            "3 last layers, one can be made anew; choose a single network",
        ),
        ("robustbench:Carmon2019Unlabeled", {"depth": 3}, "takes num_classes alone, not depth; correct"),
        (
            "robustbench:imagenet/Linf/Standard_R50",
            {},
            "downloads https://.*; weights come from the submission's own files alone",
        ),
    ],
)
def test_an_option_that_does_not_fit_is_named_with_those_that_do(name, options, told):
    with pytest.raises(SubmissionError, match=f"^architecture '{name}' .*{told}") as caught:
        build(name, options)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("architecture", "options", "wrapper", "told"),
    [
        (
            "torchvision:resnet18",
            {},
            {},
            r"to have 3 channels.*; it answers with channels = 3 in \[input\] \(or in_chans = 1 in",
        ),
        (
            "timm:vit_tiny_patch16_224",
            {"in_chans": 1, "depth": 1},
            {},
            r"; it answers with resize = 224 in \[input\]$",
        ),
        (
            "timm:vit_tiny_patch16_224",
            {"depth": 1},
            {"resize": 200},
            r"; it answers with channels = 3 and resize = 224 in \[input\]",
        ),
        (
            "robustbench:WideResNet-10-1",
            {},
            {"channels": 3},
            r"returned shape \(20, 2\) for 5 images.*; it answers with resize = 32 in \[input\]$",
        ),
        (
            "torchvision:alexnet",
            {},
            {"channels": 3, "resize": 32},
            r"; it answers with no resize in \[input\]$",
        ),
        (
            "timm:convnext_atto",
            {"in_chans": 1, "num_classes": 3},
            {},
            r"returned shape \(5, 3\).*change its last layer \(num_classes in 'architecture_options'\)$",
        ),
    ],
)
def test_a_network_for_other_images_says_what_to_write_into_input(
    enter, architecture, options, wrapper, told
):
    folder = enter(architecture, options, wrapper)

    with pytest.raises(SubmissionError, match=f"^submission 'tiny', ct: the model .*{told}") as caught:
        list(contract.check_submission(folder))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        "LIBRARIES['timm'].names()",
        "LIBRARIES['timm'].knows('resnet18')",
        "LIBRARIES['timm'].make('resnet10t', {})",
        "build('convnext-slim')",
    ],
)
def test_a_user_hears_nothing_of_what_timm_asks_of_torch(words):
    words = f"from benchmark.models import LIBRARIES, build; {words}"

    done = subprocess.run([sys.executable, "-W", "error::FutureWarning", "-c", words], cwd=ROOT, check=False)

    assert done.returncode == 0
