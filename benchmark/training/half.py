"""Weights in half precision: half the bytes, computed with in float32 all the same."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from benchmark.data.split import Split
from benchmark.errors import ProtocolError
from benchmark.models import build
from benchmark.training.randomness import reproducible
from benchmark.training.recipe import Recipe
from benchmark.training.train import validate


def halved(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every fraction as the nearest float16; whole numbers stay what they are.

    Raises:
        ProtocolError: one is larger than float16 holds (65504).
    """
    rounded = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()
    }
    large = [name for name, tensor in rounded.items() if not torch.isfinite(tensor).all()]
    if large:
        largest = max(float(weights[name].abs().max()) for name in large)
        raise ProtocolError(
            f"{', '.join(large[:3])}: a weight of {largest:.4g} is more than float16 holds (65504); give the same command "
            "without --half: no epoch is trained again"
        )
    return rounded


def accuracies_of(
    weights: Mapping[str, Tensor],
    architecture: str,
    recipe: Recipe,
    validation: Split,
    seed: int,
    device: torch.device,
) -> tuple[float, float]:
    """What the validation part says of weights as a file holds them: clean, and under attack (NaN for naive recipes).

    Measured as after an epoch, under an attack made for these very weights, so that the two can be compared.

    Args:
        weights: of the architecture, in float16 or float32. seed: of the training.
    """
    with reproducible(seed, device):
        model = build(architecture)
        model.load_state_dict(weights)  # into the network's own float32
        model = model.to(device).to(memory_format=torch.channels_last)  # as it was trained
        return validate(model.eval().requires_grad_(False), recipe, validation, seed)
