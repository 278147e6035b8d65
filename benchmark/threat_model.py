"""What the adversary may do: move every pixel by at most ε, and stay in [0, 1].

The bounds are rounded inward to float32, so that a projected image is inside the
ball in exact arithmetic, not only up to rounding: at ε = 0.0005 a float32 slip is
small, but "inside" should need no footnote.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from benchmark.errors import ProtocolError

if TYPE_CHECKING:
    from torch import Tensor


def parse_epsilon(epsilon: Decimal | str | float) -> Decimal:
    """ε as the exact decimal that was written.

    >>> parse_epsilon(0.004) == parse_epsilon("0.0040")
    True

    Raises:
        ProtocolError: not a number in [0, 1].
    """
    try:
        value = Decimal(str(epsilon))
    except InvalidOperation:
        raise ProtocolError(f"epsilon must be a number such as 0.004 (got {epsilon!r})") from None
    if not (value.is_finite() and 0 <= value <= 1):
        raise ProtocolError(f"epsilon lies between 0 and 1, as images do (got {epsilon})")
    return value.normalize() if value else Decimal(0)


@dataclass(frozen=True, order=True)
class ThreatModel:
    """Every image within L∞ distance `epsilon` of the original, inside [0, 1]."""

    epsilon: Decimal

    def __post_init__(self) -> None:
        object.__setattr__(self, "epsilon", parse_epsilon(self.epsilon))

    def project(self, images: Tensor, candidates: Tensor) -> Tensor:
        """The nearest allowed image to each candidate.

        Args:
            images: originals, (N, 1, H, W) float32 in [0, 1].
            candidates: what an attack proposes, the same shape. NaN becomes the original pixel.

        Returns:
            (N, 1, H, W) float32 with |x' − x| ≤ ε exactly and x' in [0, 1].
        """
        import torch

        candidates = torch.where(torch.isfinite(candidates), candidates, images).to(images.dtype)
        low, high = self._bounds(images)
        return torch.minimum(torch.maximum(candidates, low), high)

    def check(self, images: Tensor, candidates: Tensor) -> Tensor:
        """Which candidates are allowed as they are. (N,) bool."""
        import torch

        low, high = self._bounds(images)
        inside = torch.isfinite(candidates) & (candidates >= low) & (candidates <= high)
        return inside.flatten(1).all(1)

    def _bounds(self, images: Tensor) -> tuple[Tensor, Tensor]:
        import torch

        epsilon = float(self.epsilon)
        exact_low, exact_high = images.double() - epsilon, images.double() + epsilon
        low, high = exact_low.float(), exact_high.float()
        infinity = torch.tensor(torch.inf, dtype=low.dtype, device=low.device)
        low = torch.where(low.double() < exact_low, torch.nextafter(low, infinity), low)
        high = torch.where(high.double() > exact_high, torch.nextafter(high, -infinity), high)
        return low.clamp(min=0.0), high.clamp(max=1.0)


def achieved(images: Tensor, candidates: Tensor) -> Tensor:
    """‖x' − x‖∞ of each image, in float64 where the difference of two float32 is exact. (N,)."""
    return (candidates.double() - images.double()).abs().flatten(1).amax(1)
