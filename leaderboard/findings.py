"""What the records say, in sentences: the README's section "What we found", so that no number in it is typed by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchmark.modality import get_modality
from benchmark.record import Flag, Record
from benchmark.statistics import Estimate, accuracy_interval, paired_difference
from leaderboard.paper import Paper
from leaderboard.words import number, with_interval

NOISE = "noise"


def findings(records: Sequence[Record], papers: Mapping[str, Paper]) -> str:
    """A Markdown list: a line for each modality in which a trained entry stands beside its naive twin, then the doubts.

    Args:
        records: of one track and protocol. papers: results under the paper's protocol, as `read_papers` gives them.
    """
    lines = []
    for modality in dict.fromkeys(record.modality for record in records):
        own = {record.submission: record for record in records if record.modality == modality}
        trained = [record for record in own.values() if str(record.description.get("naive_twin", "")) in own]
        believed = [record for record in trained if not record.in_doubt]
        if believed:
            best = max(believed, key=lambda record: record.robust_accuracy(record.headline, balanced=True))
            naive = own[str(best.description["naive_twin"])]
            paper = papers.get(f"{naive.track}/{modality}/{naive.submission}")
            lines.append(" ".join(_modality(naive, best, len(trained), paper)))
    doubted: dict[str, list[Record]] = {}
    for record in records:
        if record.in_doubt:
            doubted.setdefault(record.submission, []).append(record)
    return "".join(f"- {line}\n" for line in [*lines, *map(_doubted, doubted.values())])


def _modality(naive: Record, best: Record, trained: int, paper: Paper | None) -> Iterator[str]:
    modality, epsilon, notes = get_modality(naive.modality), naive.headline, naive.split.get("notes", {})
    kept, left = _share(naive, naive.robust(epsilon)), _share(best, best.robust(epsilon))
    yield (
        f"**{modality.title.split(':')[0]}.** Right on {number(naive.clean_accuracy)} % of the images, the naive "
        f"`{naive.submission}` keeps at most {with_interval(kept)} % when every pixel may move by {epsilon}, "
        f"which is {' '.join(modality.step(epsilon, notes))};"
    )
    if NOISE in naive.attacks:
        yield f"noise of that size leaves it {number(naive.robust_accuracy(epsilon, NOISE))} %."
    right = np.sort(naive.minimal_epsilon[naive.clean_correct])
    half = float(right[len(right) // 2])
    if half <= float(naive.epsilons[-1]):
        unit = " ".join(modality.step(f"{half:.4f}", notes))
        yield f"Half of the images it gets right fall within {half:.4f}, {unit}."
    gain = paired_difference(best.robust(epsilon), naive.robust(epsilon), best.labels, best.patient_ids)
    cost = best.clean_accuracy - naive.clean_accuracy
    whom = f"The best of {trained} trained entries" if trained > 1 else "The trained entry"
    yield (
        f"{whom}, `{best.submission}`, keeps at most {with_interval(left)} %, {with_interval(gain)} points more: "
        f"{100 * left.value / best.clean_accuracy:.0f} % of its clean accuracy, which is "
        f"{number(abs(cost))} points {'above' if cost >= 0 else 'below'} the naive one's."
    )
    free = paper.result.summary(paper.record)["attacks"].get("pgd", {}).get(epsilon) if paper else None
    if paper and free and paper.result.belongs_to(paper.record):
        value = free["papers_protocol"]["value"]
        yield f"Attacked without labels, as the published code does, the naive one would read {number(value)} %."


def _doubted(records: Sequence[Record]) -> str:
    """One entry's records in doubt, with the reasons of the first: those of the others are alike, and on their pages."""
    reasons = "; ".join(flag.sentence.rstrip(".") for flag in _doubts(records[0]))
    titles = [get_modality(record.modality).title.split(":")[0] for record in records]
    first = f", on {titles[0]} because" if len(titles) > 1 else ""
    name = records[0].submission
    return f"**In doubt, and so not ranked:** `{name}` ({', '.join(titles)}){first}: {reasons}."


def _doubts(record: Record) -> list[Flag]:
    return [flag for flag in record.flags if flag.severity == "doubt"]


def _share(record: Record, right: np.ndarray) -> Estimate:
    return accuracy_interval(right, record.labels, record.patient_ids)
