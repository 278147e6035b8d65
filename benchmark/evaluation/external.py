"""Adversarial images that others made: checked, projected, judged by the harness, credited.

A safetensors file with one tensor and three lines of metadata:

    images      (n, 1, H, W) float32, the perturbed images of one split, within ε of the originals, in [0, 1]
    image_ids   which image each is: a JSON list of n names from the record's table
    name, link  whom to credit, and where the attack is described (http or https)

`save_external` writes one. A file with a single image outside the ball is refused whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.data.split import Split
from benchmark.errors import DataError
from benchmark.evaluation.anew import Pile, judged_anew
from benchmark.evaluation.engine import choose_device
from benchmark.evaluation.judge import one_thread
from benchmark.evaluation.proposals import judge_proposals, signed
from benchmark.evaluation.second_opinion import require_current
from benchmark.evaluation.source import FolderSource
from benchmark.evidence import Broken, ExternalImages
from benchmark.files import replace_file
from benchmark.protocol import get_protocol
from benchmark.record import Record
from benchmark.record.files import table_sha256
from benchmark.submission import SubmittedModel
from benchmark.threat_model import ThreatModel, achieved

# Half a step of float32 at 1: what x + δ may be off by where others computed it. It is projected away.
ROUNDING = 2.0**-24
LONGEST_CREDIT = 200  # characters


@dataclass(frozen=True)
class Sent:
    """A file as it came, read but not yet compared with any split."""

    images: Tensor
    image_ids: tuple[str, ...]
    name: str
    link: str
    sha256: str


def save_external(path: Path, images: np.ndarray, image_ids: Sequence[str], name: str, link: str) -> None:
    """Write adversarial images as `judge_external` reads them.

    Args:
        images: (n, 1, H, W) float32 in [0, 1]. image_ids: n names of the split's images.
        name, link: whom to credit, and where to read about it.
    """
    from safetensors.numpy import save

    metadata = {"image_ids": json.dumps(list(image_ids)), "name": name, "link": link}
    replace_file(path, save({"images": np.ascontiguousarray(images, dtype=np.float32)}, metadata))


def judge_external(
    path: Path, record: Record, model: SubmittedModel, split: Split, device: str = "auto"
) -> ExternalImages:
    """Check a file of adversarial images and judge every image of it.

    Args:
        record: current for this model and split. split: the whole part that the record was made on.

    Returns:
        What broke the model; `add_external` of `benchmark.evidence.files` writes it beside the record.

    Raises:
        DataError: with every complaint about the file at once; or the record is not current.
    """
    split = require_current(record, model, split)
    sent = read_sent(Path(path))
    row = {image_id: number for number, image_id in enumerate(split.image_ids)}
    wrong = list(_complaints(sent, row, split, record.headline))
    if wrong:
        raise DataError(f"adversarial images {path}: " + "; ".join(wrong))
    chosen = choose_device(device)
    source = FolderSource.of(model, split, record.provenance["layout"])
    _, judge = source.models()
    judge.to(chosen)
    micro_batch = get_protocol(record.protocol["name"]).micro_batch(*split.image_size)
    rows = [row[image_id] for image_id in sent.image_ids]
    pile, found = Pile(bool(model.submission.code)), []
    with one_thread():
        for start in range(0, len(sent.images), micro_batch):
            images, labels = split.chosen(rows[start : start + micro_batch]).batch()
            found.append(
                judge_proposals(
                    judge,
                    images.to(chosen),
                    labels.to(chosen),
                    sent.images[start : start + micro_batch].to(chosen),
                    record.headline,
                    micro_batch,
                    pile,
                )
            )
        shape, scale = tuple(sent.images.shape[1:]), record.provenance["temperature"]
        again = judged_anew(source, pile, shape, micro_batch, scale, sent.sha256, chosen, None, (judge,))
    margin, linf = (np.concatenate(parts) for parts in zip(*found, strict=True))
    if again:
        margin = signed(again.gaps, torch.from_numpy(split.labels[rows]))
    broken = [
        Broken(sent.image_ids[i], "", float(linf[i]), float(margin[i]))
        for i in np.flatnonzero(record.clean_correct[rows] & (margin <= 0))
    ]
    return ExternalImages(
        table_sha256(record),
        sent.sha256,
        Path(path).name,
        sent.name,
        sent.link,
        len(sent.images),
        tuple(broken),
        again.apart if again else 0.0,
    )


def read_sent(path: Path) -> Sent:
    """Read a file of the layout above.

    Raises:
        DataError: it is not there, not safetensors, or not of that layout; every complaint at once.
    """
    from safetensors import SafetensorError, safe_open

    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        with safe_open(path, framework="pt") as file:
            names, metadata = list(file.keys()), file.metadata() or {}
            images = file.get_tensor("images") if "images" in names else None
    except OSError as error:
        raise DataError(f"adversarial images {path} cannot be read: {error.strerror or error}") from None
    except SafetensorError as error:
        raise DataError(
            f"{path} is not a safetensors file ({error}); write one with benchmark.evaluation.external.save_external"
        ) from None
    wrong = list(_layout_complaints(names, images, metadata))
    if wrong or images is None:
        raise DataError(f"adversarial images {path}: " + "; ".join(wrong))
    ids = tuple(json.loads(metadata["image_ids"]))
    return Sent(images, ids, metadata["name"].strip(), metadata["link"].strip(), sha256)


def _layout_complaints(names: list[str], images: Tensor | None, metadata: dict[str, str]) -> Iterator[str]:
    count = None
    if names != ["images"]:
        yield f"it holds the tensors {', '.join(names) or 'none'}, expected one, called images"
    if images is not None:
        count = len(images) if images.ndim else 0
        if images.ndim != 4 or images.shape[1] != 1 or not count:
            yield f"images have shape {tuple(images.shape)}, expected (n, 1, H, W) with n ≥ 1"
        if images.dtype != torch.float32:
            yield f"images are {str(images.dtype).removeprefix('torch.')}, expected float32"
    missing = [key for key in ("image_ids", "name", "link") if not metadata.get(key, "").strip()]
    if missing:
        yield f"its metadata has no {', '.join(missing)}"
    if "image_ids" not in missing:
        ids = _listed(metadata["image_ids"])
        if ids is None:
            yield "image_ids is not a JSON list of names"
        elif count is not None and len(ids) != count:
            yield f"{len(ids)} image ids for {count} images"
    if "link" not in missing and not metadata["link"].strip().startswith(("https://", "http://")):
        yield "link must begin with https:// or http://"
    for key in ("name", "link"):
        given = metadata.get(key, "")
        if len(given) > LONGEST_CREDIT or not given.isprintable():
            yield f"{key} must be one line of at most {LONGEST_CREDIT} characters"


def _listed(text: str) -> list[str] | None:
    try:
        ids: Any = json.loads(text)
    except ValueError:
        return None
    return ids if isinstance(ids, list) and all(isinstance(one, str) for one in ids) else None


def _complaints(sent: Sent, row: dict[str, int], split: Split, epsilon: str) -> Iterator[str]:
    unknown = [image_id for image_id in sent.image_ids if image_id not in row]
    twice = len(sent.image_ids) - len(set(sent.image_ids))
    if unknown:
        yield f"{len(unknown)} image ids are none of {split.name} ({', '.join(unknown[:3])}…)"
    if twice:
        yield f"{twice} image ids are used twice"
    sized = tuple(sent.images.shape[2:]) == split.image_size
    if not sized:
        yield (
            f"images have {sent.images.shape[2]} × {sent.images.shape[3]} pixels, those of {split.name} "
            f"{split.image_size[0]} × {split.image_size[1]}"
        )
    finite = torch.isfinite(sent.images).flatten(1).all(1)
    if not finite.all():
        yield f"{int((~finite).sum())} images hold NaN or infinity"
    outside = ((sent.images < 0) | (sent.images > 1)).flatten(1).any(1)
    if outside.any():
        yield (
            f"{int(outside.sum())} images leave [0, 1]: they lie in "
            f"[{float(sent.images[finite].min()):.4g}, {float(sent.images[finite].max()):.4g}]"
        )
    known = torch.tensor([image_id in row for image_id in sent.image_ids]) & finite
    if sized and known.any():
        rows = [row[image_id] for image_id, good in zip(sent.image_ids, known.tolist(), strict=True) if good]
        originals, _ = split.chosen(rows).batch()
        distance = achieved(originals, sent.images[known])
        far = distance > float(ThreatModel(Decimal(epsilon)).epsilon) + ROUNDING
        if far.any():
            yield (
                f"{int(far.sum())} images lie further than ε = {epsilon} from their originals, up to "
                f"{float(distance.max()):.6g}; project them into the ball before they are saved as float32"
            )
