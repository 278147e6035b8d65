"""Tables → their downloads: one line for each entry, and one for each entry and ε; as CSV and as JSON."""

from __future__ import annotations

import json
from typing import Any

from benchmark.measures import positive_words
from leaderboard.evidence import best_known_cells
from leaderboard.met import split_attacks
from leaderboard.runs import runs_cells
from leaderboard.tables import Table
from leaderboard.trainings import trainings_cells
from leaderboard.words import training_words

CURVE = (
    "worst_case_balanced",
    "worst_case_balanced_low",
    "worst_case_balanced_high",
    "noise_control_balanced",
    "missed_disease",
)


def table_lines(table: Table) -> list[list[Any]]:
    """The table as the lines of a CSV, its header first; shares in [0, 1]."""
    alone, late = split_attacks(table.protocol)
    shares = ["clean", "clean_balanced", "worst_case", "worst_case_balanced"]
    header = ["rank", "unranked_because", "submission", "title", "training", "architecture"]
    header += [f"{share}{end}" for share in shares for end in ("", "_low", "_high")]
    header += [f"{name}_robust" for name in alone]
    header += [f"{name}_{what}_at_{epsilon}" for name, epsilon in late for what in ("asked", "broken")]
    header += ["missed_disease_clean", "missed_disease", "false_alarms", "median_minimal_epsilon"]
    header += ["forward", "backward", "seconds", "flags", "best_known", "best_known_balanced"]
    header += ["run_by", "run_again_by_maintainer", "differing_verdicts", "trainings"]
    header += [f"{share}_{end}_of_trainings" for share in shares[2:] for end in ("mean", "sd")]
    header += [f"{share}{end}" for share in ("sensitivity", "specificity") for end in ("", "_low", "_high")]
    header += [
        "area_over_epsilon",
        "rank_last",
        "to_leader",
        "to_leader_low",
        "to_leader_high",
        "to_leader_p",
    ]
    header += ["positive_means"]
    positive = positive_words(table.modality.name, table.track)
    lines: list[list[Any]] = [header]
    for row in table.rows:
        told = row.description
        text = [told.get("title", ""), training_words(told.get("training")), told.get("architecture", "")]
        line: list[Any] = [row.rank, row.unranked_because, row.submission, *text]
        for estimate in (row.clean, row.balanced_clean, row.worst, row.balanced):
            line += [estimate.value, estimate.low, estimate.high]
        line += [row.by_attack[name] for name in alone]
        met = {(each.attack, each.epsilon): [each.asked, each.broken] for each in row.survivors}
        line += [count for place in late for count in met[place]]
        line += [row.missed_clean, row.missed, row.false_alarms, row.median_epsilon]
        line += [row.forward, row.backward, row.seconds]
        line += ["; ".join(f"{flag.severity}: {flag.id}" for flag in row.flags)]
        line += [*best_known_cells(row.best_known), *runs_cells(row.runs)]
        line += trainings_cells(row.trainings, table.protocol["headline"])
        for share in (row.sensitivity, row.specificity):
            line += [share.value, share.low, share.high] if share else [None, None, None]
        rank, leader = row.standing.rank, row.standing.against_leader
        line += [row.area, rank.last if rank else None]
        gap = leader.difference if leader else None
        line += [gap.value, gap.low, gap.high, leader.p_adjusted] if gap and leader else [None] * 4
        line += [positive]
        lines.append(line)
    return lines


def curve_lines(table: Table) -> list[list[Any]]:
    """Balanced accuracy and missed disease of each entry at each ε as the lines of a CSV, its header first."""
    lines: list[list[Any]] = [["submission", "epsilon", *CURVE]]
    lines += [
        [
            row.submission,
            point.epsilon,
            point.worst,
            *(point.bounds or (None, None)),
            point.noise,
            point.missed,
        ]
        for row in table.rows
        for point in row.curve
    ]
    return lines


def table_json(table: Table) -> str:
    """Both together, with what was measured, on which images, and under which protocol."""
    header, *lines = table_lines(table)
    _, *points = curve_lines(table)
    curves: dict[str, list[dict[str, Any]]] = {}
    for name, epsilon, *values in points:
        curves.setdefault(name, []).append({"epsilon": epsilon, **dict(zip(CURVE, values, strict=True))})
    body = {
        "track": table.track,
        "modality": table.modality.name,
        "protocol": dict(table.protocol),
        "positive_means": positive_words(table.modality.name, table.track),
        "images": table.images,
        "patients": table.patients,
        "split": {"name": table.split.get("name", ""), "sha256": table.split.get("sha256", "")},
        "interval": 0.95,
        "entries": [
            {
                **dict(zip(header, line, strict=True)),
                "curve": curves[line[header.index("submission")]],
            }
            for line in lines
        ],
    }
    return json.dumps(_finite(body), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """JSON knows no infinity: the median of images that nothing broke is left empty."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return None
    return value
