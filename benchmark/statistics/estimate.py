"""A figure with its interval, and when there may be one."""

from __future__ import annotations

from dataclasses import dataclass

MINIMUM_PATIENTS = 20


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; the bounds are None below 20 patients."""

    value: float
    low: float | None = None
    high: float | None = None
