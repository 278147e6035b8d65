"""Where an entry is worst, on its page: its accuracy by what is known of the images, and the lowest of these."""

from __future__ import annotations

from benchmark.measures import Measures, comparable_groups
from leaderboard.group_words import group_words
from leaderboard.parts import Cell, Line, Numbers, share
from leaderboard.words import interval, percent


def groups_table(found: Measures) -> Numbers | None:
    """Every group; None where nothing is known of the images."""
    if not found.subgroups:
        return None
    return Numbers(
        f"Accuracy by what is known of the images, clean and in the worst case at ε = {found.headline}, in percent; "
        "balanced where a group has both classes.",
        ("group", "images", "patients", "clean", "worst case, at most"),
        tuple(
            Line(
                group_words(each),
                (Cell(f"{each.images:,}"), Cell(f"{each.patients:,}"), share(each.clean), share(each.robust)),
            )
            for each in found.subgroups
        ),
    )


def worst_group_words(found: Measures) -> str:
    """The lowest of the groups that can be compared, with its interval: the lowest of many is low by chance as well."""
    worst = found.worst_group
    if worst is None:
        return ""
    bounds = f" ({interval(worst.robust)})" if interval(worst.robust) else ""
    return (
        f"Worst group: {group_words(worst)}, balanced accuracy at most {percent(worst.robust.value)}{bounds}, "
        f"{worst.images:,} images of {worst.patients:,} patients; the lowest of {len(comparable_groups(found.subgroups))} "
        "groups, and the lowest of many is low by chance as well."
    )
