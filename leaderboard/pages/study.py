"""The study's page, and its numbers as files."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.evidence.variants import as_table
from leaderboard import paths
from leaderboard.csv_text import as_csv
from leaderboard.frame import File, Page
from leaderboard.source import Source
from leaderboard.study import study, study_lines


def pages(source: Source) -> Iterator[Page | File]:
    """study.html, where some track has a trained entry beside its naive twin."""
    found = study(source.tables, source.records, source.papers, source.trained)
    if found is None:
        return
    yield Page(
        paths.STUDY,
        "study.html.j2",
        found,
        title="The study – OncoRobust",
        description="What Joel et al. 2022 measured, measured again with true labels and a stronger battery.",
        label="study",
    )
    yield File("study.csv", as_csv(study_lines(source.tables, source.records, source.papers)))
    for each in found.modalities:
        if each.effects:
            yield File(each.effects.file, as_table(source.trained[f"{found.track}/{each.name}"]))
