"""A small residual network with group normalisation, for images of one channel.

He et al. 2016 (arXiv 1512.03385, §4.2): three stages of basic blocks, 16, 32 and 64 channels, three
blocks each. Their batch normalisation is group normalisation here (Wu & He 2018, arXiv 1803.08494): an
image's logits cannot depend on its batch, neither in training nor after it. The stem halves the image,
so 64 pixels are worked on at the 32 × 32 that the network was made for.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from benchmark.models.standardise import Standardise

STAGES = (1, 2, 4)  # width of each, in multiples of the first


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, channels: int, width: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(groups, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(groups, width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride, bias=False), nn.GroupNorm(groups, width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, width, H / stride, W / stride)."""
        out = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(out)) + self.shortcut(x))


class GroupNormResNet(nn.Module):
    """A residual network of 6 · `blocks` + 2 layers for one-channel images of any size from 16 pixels.

    Args:
        blocks: of each of the three stages.
        width: channels of the first stage.
        groups: channels are normalised in so many groups; must divide `width`.
    """

    def __init__(self, blocks: int = 3, width: int = 16, groups: int = 4) -> None:
        super().__init__()
        self.standardise = Standardise()
        self.stem = nn.Conv2d(1, width, 3, stride=2, padding=1, bias=False)
        self.norm = nn.GroupNorm(groups, width)
        layers, channels = [], width
        for number, multiple in enumerate(STAGES):
            for block in range(blocks):
                stride = 2 if number and not block else 1
                layers.append(Block(channels, width * multiple, stride, groups))
                channels = width * multiple
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(channels, 2)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.head.weight, std=0.01)  # begin undecided
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) in [0, 1] → logits (N, 2) = [no disease, disease]."""
        x = functional.relu(self.norm(self.stem(self.standardise(images))))
        return self.head(self.blocks(x).mean((2, 3)))


def resnet20_gn(blocks: int = 3, width: int = 16, groups: int = 4) -> GroupNormResNet:
    """ResNet-20 with group normalisation: 0.3 million parameters."""
    return GroupNormResNet(blocks, width, groups)


def resnet8_gn(blocks: int = 1, width: int = 16, groups: int = 4) -> GroupNormResNet:
    """The same with one block a stage, a third of the cost: 0.08 million parameters."""
    return GroupNormResNet(blocks, width, groups)
