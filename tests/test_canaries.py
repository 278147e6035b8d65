"""Models made to look robust. Each is in doubt after a short evaluation; what only looks odd is not."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from honest_models import judged_images, trained
from models import APGD, BIM, FGSM, NOISE, PGD, SQUARE, small_protocol
from PIL import Image
from scipy.ndimage import median_filter
from torch import nn
from torch.nn import functional

from benchmark.evaluation import evaluate

SHORT = small_protocol(
    NOISE,
    FGSM,
    BIM,
    replace(PGD, starts=1),
    replace(APGD, parameters={**APGD.parameters, "steps": 10}),
    replace(SQUARE, parameters={**SQUARE.parameters, "n_queries": 100}),
    block=64,
)


@pytest.fixture(scope="module")
def honest():
    """A small network that learnt from phantom CT images, and the images it is judged on."""
    return trained("cnn", "ct", 0), judged_images("ct")


class Canary(nn.Module):
    """An honest model and something before or after it."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def before(self, images):
        return images

    def after(self, logits, images):
        return logits

    def forward(self, images):
        return self.after(self.model(self.before(images)), images)


class NoGradient(torch.autograd.Function):
    """Images as another programme makes them; nothing comes back."""

    @staticmethod
    def forward(context, images, change):
        return torch.from_numpy(np.stack([change(image[0]) for image in images.numpy()])[:, None]).to(images)

    @staticmethod
    def backward(context, gradient):
        return torch.zeros_like(gradient), None


class RoundedInput(Canary):
    """31 levels of grey."""

    def before(self, images):
        return torch.round(images * 30) / 30


class Jpeg(Canary):
    """JPEG by Pillow, without a stand-in for its gradient."""

    def before(self, images):
        return NoGradient.apply(images, self.compressed)

    @staticmethod
    def compressed(image):
        file = io.BytesIO()
        Image.fromarray((image * 255).round().astype(np.uint8)).save(file, "JPEG", quality=75)
        return np.asarray(Image.open(file), np.float32) / 255


class MedianFilter(Canary):
    """3×3 medians by SciPy, without a stand-in for their gradient."""

    def before(self, images):
        return NoGradient.apply(images, lambda image: median_filter(image, 3))


class Shattered(Canary):
    """Fine ripples on the logits: the gradient is there, is large, and says nothing."""

    def after(self, logits, images):
        return logits + 0.02 * torch.sin(1e6 * images.mean((1, 2, 3)))[:, None] * torch.tensor([-1.0, 1.0])


class Softmax(Canary):
    """Probabilities, steep ones."""

    def after(self, logits, images):
        return torch.softmax(40 * logits, 1)


class Dropout(Canary):
    """Dropout that no eval() turns off."""

    def before(self, images):
        return functional.dropout(images, 0.1, training=True)


class TrainingNorm(Canary):
    """Batch normalisation by the batch at hand."""

    def before(self, images):
        return 0.5 + 0.2 * functional.batch_norm(images, None, None, training=True)


class LeftInTraining(Canary):
    """Batch normalisation that goes back to training at every question, and remembers the answers."""

    def __init__(self, model):
        super().__init__(model)
        self.norm = nn.BatchNorm2d(1)

    def before(self, images):
        return 0.5 + 0.2 * self.norm.train()(images)


class Reversed(torch.autograd.Function):
    """The identity, and a gradient that points the other way."""

    @staticmethod
    def forward(context, images):
        return images.clone()

    @staticmethod
    def backward(context, gradient):
        return -gradient


class WrongBackward(Canary):
    """Attacks climb where they should descend."""

    def before(self, images):
        return Reversed.apply(images)


class Noise(torch.autograd.Function):
    """The identity, and a gradient of noise."""

    @staticmethod
    def forward(context, images):
        return images.clone()

    @staticmethod
    def backward(context, gradient):
        generator = torch.Generator().manual_seed(int(gradient.shape[0]))
        return torch.randn(gradient.shape, generator=generator)


class NoisyBackward(Canary):
    """Attacks go anywhere."""

    def before(self, images):
        return Noise.apply(images)


class KnowsItsImages(Canary):
    """The honest answer for images of the test part, and for all others one drawn at random."""

    def __init__(self, model, split):
        super().__init__(model)
        self.names = {image.tobytes() for image in split.batch()[0].numpy()}

    def after(self, logits, images):
        known = torch.tensor([image.tobytes() in self.names for image in images.detach().numpy()])
        return torch.where(known[:, None], logits, self.other(logits, images))

    def other(self, logits, images):
        return torch.randn_like(logits) + 0 * logits


class KnowsItsImagesAndIsRepeatable(KnowsItsImages):
    """The same, with an answer that hangs on the image alone: asked again, it is the same."""

    def other(self, logits, images):
        wild = (torch.sin(images.detach().double().flatten(1).sum(1) * 1e7) * 5).float()
        return torch.stack((-wild, wild), 1) + 0 * logits


class Tired(Canary):
    """Honest for two hundred and fifty questions."""

    asked = 0

    def after(self, logits, images):
        self.asked += 1
        return logits if self.asked < 250 else logits * 1.1


class Shy(Canary):
    """Honest where nobody takes its gradient."""

    def after(self, logits, images):
        return logits.roll(1, 1) if images.requires_grad else logits


CANARIES = {
    RoundedInput: {"zero-gradient", "large-epsilon"},
    Jpeg: {"zero-gradient", "large-epsilon"},
    MedianFilter: {"zero-gradient", "large-epsilon"},
    Shattered: {"misleading-gradient"},
    Softmax: {"probabilities"},
    Dropout: {"random"},
    TrainingNorm: {"batch-dependent"},
    LeftInTraining: {"batch-dependent", "training-mode", "changing-buffers"},
    WrongBackward: {"misleading-gradient", "large-epsilon"},
    NoisyBackward: {"misleading-gradient"},
    KnowsItsImages: {"random", "discontinuous"},
    KnowsItsImagesAndIsRepeatable: {"discontinuous"},
    Tired: {"stateful"},
    Shy: {"attack-aware"},
}


@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.__name__)
def test_a_model_that_only_looks_robust_is_in_doubt_for_its_own_reason(honest, canary):
    model, split = honest
    torch.manual_seed(0)
    made = canary(model, split) if issubclass(canary, KnowsItsImages) else canary(model)

    record = evaluate(made, split, SHORT)

    assert record.in_doubt
    assert not record.ranked
    assert CANARIES[canary] <= {flag.id for flag in record.flags if flag.severity == "doubt"}


class Louder(Canary):
    """Logits times ten thousand."""

    def after(self, logits, images):
        return 1e4 * logits


class Cubed(Canary):
    """The gap to the third power."""

    def after(self, logits, images):
        g = (logits[:, 1] - logits[:, 0]) ** 3
        return torch.stack((-g / 2, g / 2), 1)


@pytest.mark.parametrize("odd", [Louder, Cubed])
def test_another_scale_of_the_logits_changes_no_verdict_and_raises_no_doubt(honest, odd):
    model, split = honest
    plain = evaluate(model, split, SHORT)

    record = evaluate(odd(model), split, SHORT)

    assert {flag.id for flag in record.flags} <= {"saturated-cross-entropy"}
    assert {flag.severity for flag in record.flags} <= {"notice"}
    assert record.clean_accuracy == plain.clean_accuracy
    for epsilon in SHORT.epsilons:
        other = record.robust(epsilon) != plain.robust(epsilon)
        assert other.sum() <= 1, epsilon  # rounding may move an image that sits on the boundary
