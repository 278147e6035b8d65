"""VGG16, the architecture of Joel et al. 2022, at full width and slim.

Simonyan & Zisserman 2015 (arXiv 1409.1556), configuration D, with the head of the paper:
dropout, 4096, dropout, 1024, 2. There is no normalisation layer: an image's logits cannot
depend on its batch, and training needs only the initialisation of He et al. 2015.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from benchmark.models.standardise import Standardise

WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG16(nn.Module):
    """VGG16 for one-channel images of any size from 32 pixels, every width divided by `divisor`."""

    def __init__(self, divisor: int = 1, grid: int = 2) -> None:
        super().__init__()
        self.standardise = Standardise()
        self.features = nn.Sequential(*_layers(divisor))
        self.pool = nn.AdaptiveAvgPool2d(grid)  # the identity at 32 · grid pixels
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(512 // divisor * grid**2, 4096 // divisor),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(4096 // divisor, 1024 // divisor),
            nn.ReLU(),
            nn.Linear(1024 // divisor, 2),
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        last = self.head[-1]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, std=0.01)  # begin undecided

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) in [0, 1] → logits (N, 2) = [no disease, disease]."""
        return self.head(self.pool(self.features(self.standardise(images))))


def vgg16() -> VGG16:
    """The paper's network at its full width."""
    return VGG16()


def vgg16_slim(divisor: int = 8) -> VGG16:
    """The paper's network with an eighth of its channels: 0.4 million parameters."""
    return VGG16(divisor)


def _layers(divisor: int) -> Iterator[nn.Module]:
    channels = 1
    for stage in WIDTHS:
        for width in stage:
            yield nn.Conv2d(channels, width // divisor, 3, padding=1)
            yield nn.ReLU(inplace=True)
            channels = width // divisor
        yield nn.MaxPool2d(2)
