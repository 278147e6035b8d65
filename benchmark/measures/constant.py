"""Models that give every image the same answer: of their balanced accuracy nothing is left to chance."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.record import Record
from benchmark.statistics import Estimate

FLAG = "constant"  # of `benchmark.checks`


def exact_if_constant(record: Record, balanced: Sequence[Estimate]) -> list[Estimate]:
    """Balanced figures of a record, without interval where it is constant: one class is right, the other wrong.

    Whichever patients are drawn, it is one half. An interval would say that another sample could tell another number.
    """
    if not any(flag.id == FLAG for flag in record.flags):
        return list(balanced)
    return [Estimate(each.value) for each in balanced]
