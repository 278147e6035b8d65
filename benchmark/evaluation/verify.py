"""Is a committed record still what this model gives? The clean and BIM margins of every image say so, in seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from benchmark.attacks.two_class import margins, temperature
from benchmark.data.split import Split
from benchmark.errors import DataError
from benchmark.evaluation.arena import Arena
from benchmark.evaluation.engine import choose_device
from benchmark.evaluation.judge import clean_gaps
from benchmark.evaluation.layout import USUAL
from benchmark.evaluation.source import LAYOUTS, FolderSource
from benchmark.protocol import Protocol, get_protocol
from benchmark.record import Record
from benchmark.submission import SubmittedModel

# Relative to T. Sign steps double what another processor's rounding changes, so BIM gets more room.
CLEAN_TOLERANCE, BIM_TOLERANCE = 1e-3, 5e-2
# Share of images that may lie outside, and only where the margin itself is this small.
UNDECIDED = 1e-3


@dataclass(frozen=True)
class Verification:
    """How far the margins lie apart, as multiples of T, and what it cost."""

    clean_difference: float
    bim_difference: float
    changed_verdicts: int
    forward: int
    backward: int


def is_current(record: Record, model: SubmittedModel, split: Split, protocol: str | Protocol) -> bool:
    """Whether a record is whole, and of these weights, this data, this protocol and this engine."""
    protocol = get_protocol(protocol)
    split = split.first_patients(protocol.images)
    return (
        record.provenance["identity"] == model.identity
        and record.split["sha256"] == split.sha256
        and record.protocol.get("sha256") == protocol.sha256
        and not record.missing
    )


def require_scale(record: Record, own: float) -> None:
    """Every tolerance is a share of T, so a record's word for it is not enough.

    Raises:
        DataError: it is another than T as computed here.
    """
    scale = record.provenance["temperature"]
    if not abs(own - scale) <= CLEAN_TOLERANCE * own:  # nor is NaN
        raise DataError(
            f"the record of {record.submission} on {record.modality} does not hold: it says that the scale of the logits "
            f"is {scale:.6g}, it is {own:.6g}; evaluate it again with --fresh"
        )


def verify(model: SubmittedModel, split: Split, record: Record, device: str = "auto") -> Verification:
    """Recompute clean and BIM margins at the headline ε for all images and compare them with a record's.

    Raises:
        DataError: they differ by more than rounding can explain.
    """
    protocol = get_protocol(record.protocol["name"])
    split = split.first_patients(protocol.images)
    chosen = choose_device(device)
    layout = record.provenance.get("layout", "")
    source = FolderSource.of(model, split, layout if layout in LAYOUTS else USUAL)
    attacked, judge = (m.to(chosen) for m in source.models())
    micro_batch = protocol.micro_batch(*split.image_size)
    gaps = clean_gaps(judge, split, micro_batch, chosen)
    clean = margins(gaps, torch.from_numpy(split.labels)).numpy()
    spec, scale = protocol.attack("bim"), record.provenance["temperature"]
    require_scale(record, temperature(gaps))
    index = protocol.epsilons.index(protocol.headline)
    found, forward, backward = [], len(split), 0
    for block, start in enumerate(range(0, len(split), protocol.block)):
        images, labels = split.batch(start, start + protocol.block)
        recorded = record.clean_margins[start : start + protocol.block]
        arena = Arena(attacked, judge, images.to(chosen), labels.to(chosen), recorded, scale, protocol, block)
        arena.attempt(spec, np.flatnonzero(arena.right), index)
        tally = arena.tallies[spec.name]
        found.append(tally.margins[index])
        forward, backward = forward + tally.forward, backward + tally.backward
    expected = record.attacks[spec.name].margins[protocol.headline]
    now = np.concatenate(found)
    asked = np.isfinite(expected)
    unasked = int((np.isfinite(now) & ~asked).sum())
    changed = (now[asked] > 0) != (expected[asked] > 0)
    result = Verification(
        float(np.abs(clean - record.clean_margins).max() / scale),
        float(np.abs(now[asked] - expected[asked]).max(initial=0) / scale),
        int(changed.sum() + ((clean > 0) != record.clean_correct).sum()),
        forward,
        backward,
    )
    decided = np.abs(expected[asked]) > UNDECIDED * scale
    if (
        not result.clean_difference <= CLEAN_TOLERANCE  # so that NaN is no way through
        or not result.bim_difference <= BIM_TOLERANCE
        or (changed & decided).any()
        or unasked
    ):
        raise DataError(
            f"the record of {record.submission} on {record.modality} does not hold: clean margins differ by "
            f"{result.clean_difference:.2g} T (allowed {CLEAN_TOLERANCE:g}), BIM margins by {result.bim_difference:.2g} T "
            f"(allowed {BIM_TOLERANCE:g}), {result.changed_verdicts} verdicts changed, "
            f"{unasked} images have none; evaluate it again with --fresh"
        )
    return result
