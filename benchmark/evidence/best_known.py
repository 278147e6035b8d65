"""Best known: the lowest robust accuracy at the headline ε that anyone has shown of an entry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.errors import DataError
from benchmark.evidence import ExternalImages, SecondOpinion, remembers
from benchmark.evidence.files import read_external, read_second_opinion
from benchmark.record import Flag, Record
from benchmark.record.files import table_sha256
from benchmark.statistics import balanced_accuracy


@dataclass(frozen=True)
class Credit:
    """Who lowered "best known", by how many images that nothing before had broken."""

    name: str
    link: str
    images: int


@dataclass(frozen=True)
class BestKnown:
    """The lowest robust accuracy that anyone has shown at the headline ε.

    robust: (N,) bool, what still stands. evidence: whether anyone but the battery was asked.
    sentences: files that were passed over, and why.
    """

    robust: np.ndarray
    labels: np.ndarray
    credits: tuple[Credit, ...]
    flags: tuple[Flag, ...]
    sentences: tuple[str, ...]
    evidence: bool

    def accuracy(self, balanced: bool = False) -> float:
        """Share of images that stand, or the mean of the two classes' shares."""
        return balanced_accuracy(self.robust, self.labels) if balanced else float(self.robust.mean())


def best_known(record: Record, folder: Path) -> BestKnown:
    """What stands of a record after the second opinion and all external images beside it.

    Args:
        folder: where the record lies.

    Raises:
        DataError: a file is damaged.
    """
    credits, sentences = [], []
    standing = record.robust(record.headline)
    row = {image_id: number for number, image_id in enumerate(record.image_ids)}
    opinion, external = read_second_opinion(record, folder), read_external(record, folder)
    found: list[tuple[str, str, str, SecondOpinion | ExternalImages]] = []
    if opinion is not None:
        found.append((opinion.record_sha256, f"{opinion.code} {opinion.version}", "", opinion))
    found += [(images.record_sha256, images.name, images.link, images) for images in external]
    # The checksum of a large table takes longer than all else here: not where nobody but the battery was asked.
    sha256 = table_sha256(record) if found else ""
    flags = [opinion.flag] if opinion is not None and opinion.record_sha256 == sha256 else []
    for made_for, name, link, answered in found:
        broken = answered.broken
        if made_for != sha256:
            sentences.append(
                f"{record.submission}, {record.modality}: what {name} broke was judged for another record of this "
                "entry and is not counted; ask again, or judge the file again"
            )
            continue
        unknown = sorted({b.image_id for b in broken} - set(row))
        if unknown:
            raise DataError(
                f"what {name} broke of {record.submission}, {record.modality}, names images that the record does not "
                f"have ({', '.join(unknown[:3])}); delete the file beside the record and make it again"
            )
        flags.append(remembers(answered.apart, name))
        rows = np.array([row[b.image_id] for b in broken], dtype=np.int64)
        new = int(standing[rows].sum())
        standing[rows] = False
        if new:
            credits.append(Credit(name, link, new))
    counted = [made_for for made_for, *_ in found if made_for == sha256]
    return BestKnown(
        standing,
        record.labels,
        tuple(credits),
        tuple(flag for flag in flags if flag),
        tuple(sentences),
        bool(counted),
    )
