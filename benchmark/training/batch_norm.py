"""Batch normalisation for the time of training: put in, then folded into the convolutions.

A deep plain network hardly starts to learn under attack; with normalisation it does. Folding
(fixed statistics are an affine map) leaves the plain network of the architecture, whose logits
cannot depend on a batch, and which is faster to attack.
"""

from __future__ import annotations

import copy
import re

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval


class NormalisedConvolution(nn.Sequential):
    """A convolution and its batch normalisation."""


def has_own(model: nn.Module) -> bool:
    """Whether a network brings normalisation of its own: such a layer, or convolutions that are more than that.

    Layers of timm and of zoos are known by their names alone; an input's "Normalize" is none of them.
    """
    return any(
        re.search(r"norm(?!ali)", type(layer).__name__.lower())
        or (isinstance(layer, nn.Conv2d) and type(layer) is not nn.Conv2d)
        for layer in model.modules()
    )


def plain(model: nn.Module) -> nn.Module:
    """The network as it will be used, in eval mode: a frozen, folded copy, or where nothing was put in, itself."""
    if not any(isinstance(layer, NormalisedConvolution) for layer in model.modules()):
        return model.eval()
    # Folded: the same function without dropout, and cheaper to attack.
    return folded(model).requires_grad_(False).to(memory_format=torch.channels_last)


def normalised(model: nn.Module) -> nn.Module:
    """The same model, in place, each convolution followed by batch normalisation; untouched where it has its own."""
    return model if has_own(model) else _put_in(model)


def _put_in(model: nn.Module) -> nn.Module:
    for name, child in model.named_children():
        if isinstance(child, nn.Conv2d):
            setattr(model, name, NormalisedConvolution(child, nn.BatchNorm2d(child.out_channels)))
        else:
            _put_in(child)
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
