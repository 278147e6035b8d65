"""Batch normalisation for the time of training: put in, then folded into the convolutions.

A deep plain network hardly starts to learn under attack; with normalisation it does. Folding
(fixed statistics are an affine map) leaves the plain network of the architecture, whose logits
cannot depend on a batch, and which is faster to attack.
"""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils import fuse_conv_bn_eval


class NormalisedConvolution(nn.Sequential):
    """A convolution and its batch normalisation."""


def normalised(model: nn.Module) -> nn.Module:
    """The same model, in place, each convolution followed by batch normalisation."""
    for name, child in model.named_children():
        if isinstance(child, nn.Conv2d):
            setattr(model, name, NormalisedConvolution(child, nn.BatchNorm2d(child.out_channels)))
        else:
            normalised(child)
    return model


def folded(model: nn.Module) -> nn.Module:
    """A copy in eval mode with each normalisation folded into its convolution: the plain architecture again."""
    return _fold(copy.deepcopy(model).eval())


def _fold(model: nn.Module) -> nn.Module:
    for name, child in model.named_children():
        if isinstance(child, NormalisedConvolution):
            setattr(model, name, fuse_conv_bn_eval(*child))
        else:
            _fold(child)
    return model
