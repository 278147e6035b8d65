"""Pictures for a page: a few images, the worst that the never-stopped attack made of them, and what it changed.

The attack runs again through the harness, block by block with the seeds of the evaluation, so the images are those whose
margins the record holds; they are held against it. Nothing is taken from a cache.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from benchmark.data.split import LEVELS, Split
from benchmark.data.tracks import is_private
from benchmark.errors import DataError, ProtocolError
from benchmark.evaluation.arena import Arena
from benchmark.evaluation.engine import choose_device
from benchmark.evaluation.entry import loaded, naming, records_folder
from benchmark.evaluation.judge import one_thread
from benchmark.evaluation.plan import Plan, make_plan
from benchmark.evaluation.verify import BIM_TOLERANCE, CLEAN_TOLERANCE, is_current
from benchmark.evidence.pictures import Attacked, Picture, Pictures, save_pictures
from benchmark.files import require_writable
from benchmark.measures.fragility import Chosen, choose_images
from benchmark.progress import progress_bar
from benchmark.protocol import Protocol, get_protocol
from benchmark.record import Record
from benchmark.record.files import table_sha256
from benchmark.statistics import balanced_accuracy
from benchmark.submission import SubmittedModel

SHOWN = 4  # entries, unless they are named
GREY = 127.5  # no change, of a picture of what was changed


def show_images(
    names: Sequence[str],
    modality: str,
    track: str = "phantom",
    protocol: str = "standard",
    device: str = "auto",
    private_thumbnails: bool = False,
    progress: bool = True,
) -> Iterator[str]:
    """Make the pictures of one modality and write them beside its records.

    Args:
        names: submissions; none: the leader, its naive twin, and the next best, four in all.
        private_thumbnails: the owner of private images wants to see them; they stay where the private records are.

    Yields:
        Lines for the user.

    Raises:
        DataError: images are private and nobody asked for thumbnails by name; there is no current record; or the attack
            gives other margins than the record holds.
        ProtocolError: the protocol has no attack that is never stopped.
    """
    if is_private(track) and not private_thumbnails:
        raise DataError(
            "the images of this folder are private and these pictures show them as they are; give --private-thumbnails "
            "if that is meant: they stay beside the private records, outside the repository"
        )
    asked = get_protocol(protocol)
    if not asked.pursuit:
        raise ProtocolError(
            f"protocol {protocol} has no attack that is never stopped, by which pictures are made; name another protocol"
        )
    folder = records_folder(track, protocol) / modality
    records = _records(folder, names, modality)
    require_writable(folder, "ONCOROBUST_RESULTS")
    chosen = choose_images(records)
    entries = [(record, *loaded(record.submission, modality, track, asked)) for record in records]
    for record, model, split in entries:
        if not is_current(record, model, split, asked):
            raise DataError(
                f"the record of {record.submission} on {modality} is of other weights, images or attacks than are here; "
                f"make it again first: oncorobust evaluate {record.submission} --modality {modality} --fresh"
            )
    split = entries[0][2].first_patients(asked.images)
    files = {_name(number): _grey(_decoded(split, one.row) * 255) for number, one in enumerate(chosen)}
    attacked: list[list[Attacked]] = [[] for _ in chosen]
    apart = 0.0
    size = asked.block
    blocks = sorted({one.row // size for one in chosen})
    with progress_bar(f"{modality} · pictures", len(blocks) * len(entries), progress) as advance:
        for record, model, _ in entries:
            with naming(model, modality):
                found = _worst(record, model, split, asked, device, blocks, advance)
            apart = max(apart, found.difference)
            for number, one in enumerate(chosen):
                files |= (made := _pictures(found, split, record, one, number, asked))[1]
                attacked[number].append(made[0])
    shown = Pictures(
        modality=modality,
        track=split.track,
        protocol=protocol,
        epsilon=asked.headline,
        split_sha256=split.sha256,
        attack=asked.attack(asked.pursuit).title,
        difference=apart,
        height=split.image_size[0],
        width=split.image_size[1],
        records={record.submission: table_sha256(record) for record in records},
        pictures=tuple(
            Picture(
                split.image_ids[one.row],
                int(split.labels[one.row]),
                one.kind,
                _name(number),
                tuple(attacked[number]),
            )
            for number, one in enumerate(chosen)
        ),
        files={name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
    )
    path = save_pictures(shown, files, folder)
    kilobytes = sum(map(len, files.values())) / 1000
    yield (
        f"{modality}: {len(chosen)} images × {', '.join(shown.records)}: {len(files)} pictures, {kilobytes:.0f} kB; their "
        f"margins are those of the records to {apart:.1g} T"
    )
    yield f"wrote {path}"


def default_entries(records: Sequence[Record], count: int = SHOWN) -> list[Record]:
    """The leader, its naive twin, and the next best of those that take a rank; without ranks all but baselines."""
    ranked = [record for record in records if record.ranked] or [
        record for record in records if record.description.get("kind") != "baseline"
    ]
    ranked.sort(key=lambda r: (-balanced_accuracy(r.robust(r.headline), r.labels), r.submission))
    twin = str(ranked[0].description.get("naive_twin", "")) if ranked else ""
    first = ranked[:1] + [record for record in ranked if record.submission == twin]
    return (first + [record for record in ranked if record not in first])[:count]


def _records(folder: Path, names: Sequence[str], modality: str) -> list[Record]:
    paths = sorted(path for path in folder.glob("*.json") if "." not in path.stem)
    records = [Record.load(path) for path in paths]
    if names:
        missing = sorted(set(names) - {record.submission for record in records})
        if missing:
            raise DataError(
                f"no record of {', '.join(missing)} on {modality} in {folder}; make it first: oncorobust evaluate "
                f"{missing[0]} --modality {modality}"
            )
        return [next(r for r in records if r.submission == name) for name in dict.fromkeys(names)]
    found = default_entries(records)
    if not found:
        raise DataError(
            f"there is no record on {modality} in {folder} to show pictures of; make one: oncorobust evaluate"
        )
    return found


class _Found:
    """The worst images of some blocks of one entry, by row of the split."""

    def __init__(self) -> None:
        self.images: dict[int, np.ndarray] = {}
        self.margins: dict[int, float] = {}
        self.difference = 0.0


def _worst(
    record: Record,
    model: SubmittedModel,
    split: Split,
    protocol: Protocol,
    device: str,
    blocks: Sequence[int],
    advance: object,
) -> _Found:
    """Let the never-stopped attack go over some blocks again, and hold it against the record."""
    found, scale = _Found(), float(record.provenance["temperature"])
    with tempfile.TemporaryDirectory(prefix="oncorobust-") as folder, one_thread():
        plan = make_plan(model, split, protocol, choose_device(device), Path(folder))
        _same(
            record, float(np.abs(plan.clean - record.clean_margins).max()) / scale, CLEAN_TOLERANCE, "clean"
        )
        for number in blocks:
            arena = _pursued(plan, number)
            start = number * protocol.block
            rows = range(start, start + len(arena.labels))
            assert record.lowest_margins is not None
            apart = float(np.abs(arena.lowest - record.lowest_margins[rows]).max()) / scale
            _same(record, apart, BIM_TOLERANCE, "attacked")
            found.difference = max(found.difference, apart)
            worst = arena.worst.cpu().numpy()
            for place, row in enumerate(rows):
                found.images[row] = worst[place, 0]
                found.margins[row] = float(arena.worst_margin[place])
            advance()  # type: ignore[operator]
    return found


def _pursued(plan: Plan, number: int) -> Arena:
    job = plan.jobs[number]
    attacked, judge = (model.to(plan.device) for model in job.source.models())
    images, labels = (tensor.to(plan.device) for tensor in job.split.batch())
    arena = Arena(attacked, judge, images, labels, job.clean, job.temperature, job.protocol, job.block)
    arena.pursue(plan.protocol.attack(str(plan.protocol.pursuit)))
    return arena


def _same(record: Record, apart: float, allowed: float, which: str) -> None:
    if apart > allowed:
        raise DataError(
            f"the {which} margins of {record.submission} on {record.modality} differ from its record's by {apart:.2g} T, "
            f"allowed are {allowed:g}: these would not be the images that were judged; evaluate it again: "
            f"oncorobust evaluate {record.submission} --modality {record.modality} --fresh"
        )


def _pictures(
    found: _Found, split: Split, record: Record, one: Chosen, number: int, protocol: Protocol
) -> tuple[Attacked, dict[str, bytes]]:
    clean, worst = _decoded(split, one.row), found.images[one.row].astype(np.float64)
    change = worst - clean
    names = f"{number + 1:02d}-{record.submission}.png", f"{number + 1:02d}-{record.submission}-change.png"
    told = Attacked(
        record.submission,
        float(record.clean_margins[one.row]),
        found.margins[one.row],
        float(np.abs(change).max()),
        *names,
    )
    magnified = GREY * (1 + change / float(protocol.headline))
    return told, {names[0]: _grey(worst * 255), names[1]: _grey(magnified)}


def _decoded(split: Split, row: int) -> np.ndarray:
    """As the model sees it: (H, W) float64 of float32 values in [0, 1]."""
    return (split.images[row, 0].astype(np.float32) / np.float32(LEVELS)).astype(np.float64)


def _name(number: int) -> str:
    return f"{number + 1:02d}.png"


def _grey(levels: np.ndarray) -> bytes:
    """A PNG of (H, W) grey levels from 0 to 255."""
    from PIL import Image

    out = BytesIO()
    Image.fromarray(np.rint(levels).clip(0, 255).astype(np.uint8), "L").save(out, "PNG", optimize=True)
    return out.getvalue()
