"""The parts that training is made of, each against what it should be by its own definition."""

import numpy as np
import pytest
import torch
from models import Linear, Wobbly, oracle_split
from torch import nn
from torch.nn import functional
from training_models import adversarial, bright_split, naive

from benchmark.attacks.two_class import gap, margins
from benchmark.models import vgg
from benchmark.training.adversary import apart, attacked, n_fgsm, pgd
from benchmark.training.batch_norm import folded, has_own, normalised, plain
from benchmark.training.choosing import accuracies
from benchmark.training.course import Course, Epoch, averaged
from benchmark.training.log import as_csv, as_line, as_svg
from benchmark.training.objective import cross_entropy, perturbed, trades

CPU = torch.device("cpu")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# -- attacks ---------------------------------------------------------------------------------


def test_pgd_stays_in_the_ball_and_the_range_and_lowers_every_margin():
    model, split = Linear(), oracle_split(Linear(), wrong=0)
    images, labels = split.batch()
    images[0, 0, 0, :4] = torch.tensor([0.0, 0.001, 0.999, 1.0])

    moved = pgd(model, images, labels, 0.004, 10, 0.25, seeded())

    assert float((moved.double() - images.double()).abs().max()) <= 0.004 + 1e-7
    assert 0 <= float(moved.min()) <= float(moved.max()) <= 1
    assert not moved.requires_grad
    with torch.no_grad():
        before, after = (margins(gap(model(x)), labels) for x in (images, moved))
    size = float(model.weight.detach().abs().sum())
    assert (before[1:] - after[1:]).numpy() == pytest.approx(0.004 * size, rel=1e-3)
    assert before[0] > after[0]
    assert model.weight.grad is None


def test_pgd_starts_at_random():
    images, labels = oracle_split(Linear()).batch()

    starts = [pgd(Linear(), images, labels, 0.004, 0, 0.25, seeded(seed)) for seed in (0, 0, 1)]

    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])
    assert 0.003 < float((starts[0] - images).abs().max()) <= 0.004 + 1e-7


def test_n_fgsm_starts_in_twice_the_ball_and_is_not_projected_into_it():
    model = Linear()
    images, labels = oracle_split(model).batch()
    assert 0.1 < float(images.min()) < float(images.max()) < 0.9  # so that [0, 1] cuts nothing

    start = n_fgsm(model, images, labels, 0.004, 0.0, 2.0, seeded()) - images
    moved = n_fgsm(model, images, labels, 0.004, 1.0, 2.0, seeded()) - images

    assert 0.0079 < float(start.abs().max()) <= 0.008 + 1e-6
    assert float(start.mean()) == pytest.approx(0, abs=2e-4)
    assert float(start.std()) == pytest.approx(0.016 / 12**0.5, rel=0.05)  # uniform
    assert 0.0115 < float(moved.abs().max()) <= 0.012 + 1e-6
    # The step is ε against the true label, pixel by pixel, wherever the start was.
    against = -model.weight.detach().view(images.shape[1:]).sign() * (2 * labels.view(-1, 1, 1, 1) - 1)
    assert torch.allclose(moved - start, 0.004 * against, atol=1e-6)


def test_n_fgsm_makes_one_backward_pass_and_keeps_to_the_range():
    model, asked = Linear(), []
    model.register_forward_hook(lambda *_: asked.append(1))
    images, labels = torch.ones(4, 1, 16, 16), torch.tensor([0, 1, 0, 1])

    moved = n_fgsm(model, images, labels, 0.004, 1.0, 2.0, seeded())

    assert len(asked) == 1
    assert float(moved.max()) <= 1.0
    assert not moved.requires_grad


def test_trades_drives_an_image_from_its_own_answer_inside_the_ball():
    model = Wobbly()
    images, _ = bright_split(0).batch()
    images = images[:, :, :16, :16]

    moved = apart(model, images, 0.01, 10, 0.25, 0.0323, seeded())

    assert float((moved - images).abs().max()) <= 0.01 + 1e-6
    with torch.no_grad():
        away = (gap(model(moved)) - gap(model(images))).abs()
        noise = 0.01 * (torch.rand(images.shape, generator=seeded(1)) * 2 - 1)
        chance = (gap(model(images + noise)) - gap(model(images))).abs()
    assert (away > chance).all()


def test_the_gradient_signs_of_trades_are_those_of_the_divergence():
    model = Wobbly().double()
    images = bright_split(0).batch()[0][:, :, :16, :16].double()
    start = (images + 0.01 * torch.randn(images.shape, generator=seeded()).double()).requires_grad_(True)
    clean, other = model(images).detach(), model(start)
    own = functional.softmax(clean, 1) if clean.shape[1] == 2 else None
    assert own is not None
    divergence = (own * (own.log() - functional.log_softmax(other, 1))).sum()
    (expected,) = torch.autograd.grad(divergence, start, retain_graph=True)
    (ours,) = torch.autograd.grad((gap(other) - gap(clean)).square().sum(), start)

    assert torch.equal(ours.sign(), expected.sign())


@pytest.mark.parametrize("epsilon", [0.004, 0.02])
def test_the_start_of_trades_grows_with_epsilon(epsilon):
    images = torch.full((4, 1, 16, 16), 0.5)

    start = apart(Linear(), images, epsilon, 0, 0.25, 0.0323, seeded()) - images

    assert float(start.std()) == pytest.approx(0.0323 * epsilon, rel=0.1)


@pytest.mark.parametrize("method", ["pgd", "n-fgsm", "trades"])
def test_a_recipe_names_its_attack_and_its_numbers(method):
    attack = adversarial(method).attack
    model = Wobbly()
    images, labels = bright_split(0).batch()
    images = images[:, :, :16, :16]
    given = (model, images, labels, 0.02)
    expected = {
        "pgd": lambda: pgd(*given, 2, 0.5, seeded(), 1.0),
        "n-fgsm": lambda: n_fgsm(*given, 1.0, 2.0, seeded()),
        "trades": lambda: apart(model, images, 0.02, 2, 0.5, 0.0323, seeded()),
    }

    assert torch.equal(attacked(*given, attack, seeded()), expected[method]())


def test_robust_accuracy_counts_images_that_are_wrong_clean():
    split = oracle_split(Linear(), wrong=2)

    clean, robust = accuracies(Linear(), split, 1e-9, 2, 0.5, 0, CPU)
    _, none = accuracies(Linear(), split, 0.5, 10, 0.25, 0, CPU)

    assert clean == robust == pytest.approx(1 - 2 / len(split))
    assert none == 0.0
    assert np.isnan(accuracies(Linear(), split, None, None, None, 0, CPU)[1])


# -- losses ----------------------------------------------------------------------------------


class Fixed(nn.Module):
    """Logits that are the first two pixels."""

    def forward(self, images):
        return images.flatten(1)[:, :2]


def test_the_loss_of_trades_is_cross_entropy_and_beta_times_the_divergence():
    random = np.random.default_rng(0)
    clean, moved = random.normal(size=(2, 5, 2))
    labels = np.array([0, 1, 1, 0, 1])

    def probabilities(logits):
        return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)

    p, q = probabilities(clean), probabilities(moved)
    expected = -np.log(p[range(5), labels]).mean() + 6 * (p * np.log(p / q)).sum(1).mean()

    tensors = [torch.tensor(each).view(5, 1, 1, 2) for each in (clean, moved)]
    found = trades(Fixed(), *tensors, torch.tensor(labels), 6.0)

    assert float(found) == pytest.approx(expected, rel=1e-9)


def test_dropout_is_the_same_for_both_sides_of_trades():
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(256, 2)).train()
    images, labels = torch.rand(8, 1, 16, 16), torch.arange(8) % 2
    torch.manual_seed(0)
    both = trades(model, images, images, labels, 6.0)
    torch.manual_seed(0)

    assert both.item() == pytest.approx(cross_entropy(model, images, labels).item())


def test_one_logit_counts_as_disease_above_zero():
    class One(nn.Module):
        def forward(self, images):
            return images.flatten(1)[:, :1]

    images, labels = torch.randn(6, 1, 2, 2), torch.arange(6) % 2

    found = cross_entropy(One(), images, labels)

    z = images.flatten(1)[:, 0]
    assert float(found) == pytest.approx(
        float(functional.binary_cross_entropy_with_logits(z, labels.float()))
    )


def test_awp_moves_each_weight_by_its_share_raises_the_loss_and_puts_all_back():
    torch.manual_seed(0)
    model = normalised(vgg.VGG16(64)).train()
    model.head[1].p = model.head[4].p = 0.0
    images, labels = bright_split(0).batch()
    before = {key: value.clone() for key, value in model.state_dict().items()}

    def loss():
        return cross_entropy(model, images, labels)

    at_first = loss().item()
    model.load_state_dict(before)
    with perturbed(model, loss, 0.01):
        inside = {name: value.detach().clone() for name, value in model.named_parameters()}
        statistics = {name: value.clone() for name, value in model.named_buffers()}
        raised = loss().item()
    for buffer, value in zip(model.buffers(), statistics.values(), strict=True):
        buffer.copy_(value)

    assert raised > at_first
    for name, value in inside.items():
        moved, size = float((value - before[name]).norm()), float(before[name].norm())
        assert moved == pytest.approx(0.01 * size if value.ndim > 1 else 0.0, rel=1e-3), name
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_awp_puts_all_back_after_an_error():
    model = nn.Linear(2, 2)
    before = model.weight.detach().clone()

    moved = None

    def fail():
        nonlocal moved
        with perturbed(model, lambda: model.weight.sum(), 0.01):
            moved = model.weight.detach().clone()
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert not torch.equal(moved, before)
    assert torch.equal(model.weight, before)


# -- averages, normalisation, learning rate --------------------------------------------------


def test_the_average_is_its_closed_form():
    model = nn.Linear(1, 1, bias=False)
    average = averaged(model, 0.9)
    values = [3.0, -1.0, 4.0, 1.0, 5.0]

    for value in values:
        with torch.no_grad():
            model.weight.fill_(value)
        average.update_parameters(model)

    expected = 0.9**4 * values[0] + 0.1 * sum(0.9 ** (4 - k) * values[k] for k in range(1, 5))
    assert float(average.module.weight) == pytest.approx(expected)


def test_the_average_takes_the_statistics_of_normalisation_along():
    model = nn.BatchNorm2d(1)
    average = averaged(model, 0.5)
    for mean in (0.0, 8.0):
        model.running_mean.fill_(mean)
        average.update_parameters(model)

    assert float(average.module.running_mean) == pytest.approx(4.0)


def test_a_folded_network_gives_the_answers_of_the_normalised_one():
    torch.manual_seed(0)
    model = normalised(vgg.VGG16(64)).train()
    images, _ = bright_split(0).batch()
    model(images)

    with torch.no_grad():
        assert torch.allclose(folded(model)(images), model.eval()(images), atol=1e-5)
    vgg.VGG16(64).load_state_dict(folded(model).state_dict())


class ScaledConv2d(nn.Conv2d):
    """A convolution that is more than one: normalisation may not be folded into it."""


class RmsNormAct(nn.Identity):
    """A normalisation that PyTorch does not know."""


class NormalizeInput(nn.Identity):
    """Brightness and contrast of the input."""


@pytest.mark.parametrize(
    ("layer", "own"),
    [
        (nn.BatchNorm2d(4), True),
        (nn.GroupNorm(2, 4), True),
        (nn.LayerNorm(4), True),
        (nn.InstanceNorm2d(4), True),
        (ScaledConv2d(4, 4, 1), True),
        (RmsNormAct(), True),
        (NormalizeInput(), False),
        (vgg.Standardise(), False),
        (nn.ReLU(), False),
    ],
)
def test_normalisation_is_put_in_only_where_there_is_none(layer, own):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), layer)
    names = [name for name, _ in model.named_parameters()]

    assert has_own(model) == own
    assert ([name for name, _ in normalised(model).named_parameters()] == names) == own


def test_a_network_of_its_own_normalisation_is_not_copied():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4))

    assert plain(model) is model
    assert not model.training


def test_going_back_twice_slows_down_twice():
    course = Course(nn.Linear(1, 1), naive(), 10, 0, CPU)
    for _ in range(3):
        course.optimiser.step()
        course.schedule.step()
    course.remember_as_good()
    usual = course.optimiser.param_groups[0]["lr"]

    rates = []
    for _ in range(2):
        course.optimiser.step()
        course.schedule.step()
        course.go_back(0.5)
        rates.append(course.optimiser.param_groups[0]["lr"])

    assert rates == pytest.approx([usual / 2, usual / 4])
    assert course.schedule.last_epoch == 3


# -- the log ---------------------------------------------------------------------------------

NAN = float("nan")
LOG = (
    Epoch(1, 1e-3, 0.0, 0.7, NAN, NAN, 100, 90, 0),
    Epoch(2, 5e-4, 0.004, 0.5, 0.9, 0.8, 1100, 1090, 0),
)


def test_the_table_of_the_log_can_be_read_again():
    rows = as_csv(LOG).decode().splitlines()

    assert rows[1:] == [
        "1,0.001,0,0.7000,nan,nan,100,90,0",
        "2,0.0005,0.004,0.5000,0.9000,0.8000,1100,1090,0",
    ]


def test_the_picture_of_the_log_is_the_same_every_time_and_shows_what_there_is():
    first, second, naive_only = as_svg(LOG, "A title"), as_svg(LOG, "A title"), as_svg(LOG[:1], "A title")

    assert first == second
    assert b"A title" in first
    assert b"robust" in first
    assert b"robust" not in naive_only
    assert b"<dc:date>" not in first


def test_the_line_of_an_epoch_says_what_was_measured():
    assert as_line(LOG[0], 2, 300.0) == "epoch 1/2  loss 0.700  5 min left"
    assert as_line(LOG[1], 2, 0.0) == "epoch 2/2  loss 0.500  ε 0.004  validation clean 0.900  robust 0.800"
