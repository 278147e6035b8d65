"""Records on disk → the site on disk: one page, its stylesheet, and every table as CSV."""

from __future__ import annotations

import csv
import json
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmark.errors import DataError
from benchmark.evidence.variants import Trained, as_table
from benchmark.record import Record
from leaderboard.effects import read_effects
from leaderboard.evidence import best_known_cells, read_best_known
from leaderboard.pages import index_page, table_name
from leaderboard.paper import Paper, coverage_lines, paper_lines, read_papers
from leaderboard.runs import read_all_runs, runs_cells
from leaderboard.study import study, study_lines
from leaderboard.tables import Table, collect
from leaderboard.trainings import read_all_trainings, trainings_cells
from leaderboard.words import training_words

HERE = Path(__file__).parent
# Only a folder that carries this line in its index.html is ours to replace.
GENERATOR = '<meta name="generator" content="OncoRobust leaderboard">'


def build(results_root: Path, site: Path) -> Path:
    """Build the leaderboard from every record under a folder.

    Args:
        results_root: holds <track>/<modality>/<submission>.json.
        site: the folder to write; what an earlier build left there is replaced as a whole.

    Returns:
        The path of index.html.

    Raises:
        DataError: a record is damaged, records cannot be compared, or the site cannot be
            written; the old site is still there.
    """
    results_root, site = Path(results_root).resolve(), Path(site).resolve()
    _check_site(results_root, site)
    records, seconds = read_records(results_root)
    best, runs = read_best_known(results_root, records), read_all_runs(results_root, records)
    tables = collect(records, seconds, best, runs, read_all_trainings(results_root, records))
    papers, trained = read_papers(results_root, records), read_effects(results_root)
    files = _files(tables, records, papers, trained)
    try:
        _replace_folder(site, files)
    except OSError as error:
        raise DataError(
            f"cannot write the site {site}: {error.strerror or error}; the old one is as it was. "
            "Make its parent folder writable, or name another one (ONCOROBUST_SITE)"
        ) from None
    return site / "index.html"


def read_records(results_root: Path) -> tuple[list[Record], dict[str, float]]:
    """Every record under a folder, and what each took in seconds where that is known.

    Returns:
        The records, and seconds keyed "<track>/<modality>/<submission>".

    Raises:
        DataError: a record is damaged, or lies in a folder of another track or modality.
    """
    records, seconds = [], {}
    for path in sorted(Path(results_root).glob("*/*/*.json")):
        # Timings, second opinions and the like stand beside a record, with a second ending.
        if "." in path.stem:
            continue
        record = Record.load(path)
        home = f"{path.parent.parent.name}/{path.parent.name}/{path.stem}"
        if home != f"{record.track}/{record.modality}/{record.submission}":
            raise DataError(
                f"record {path} says that it is {record.track}/{record.modality}/{record.submission}; "
                "move it to that folder, or evaluate the submission again (pytest benchmark/ --fresh)"
            )
        records.append(record)
        took = _seconds(path.with_suffix(".times.json"))
        if took is not None:
            seconds[home] = took
    return records, seconds


def _seconds(path: Path) -> float | None:
    if not path.exists():
        return None
    try:
        took = json.loads(path.read_bytes()).get("seconds")
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(
            f"timings {path} are damaged ({error}); delete the file, it only tells costs"
        ) from None
    return float(took) if isinstance(took, int | float) and math.isfinite(took) else None


def _files(
    tables: Sequence[Table],
    records: Sequence[Record],
    papers: Mapping[str, Paper],
    trained: Mapping[str, Sequence[Trained]],
) -> dict[str, str]:
    """Name → content of every file of the site."""
    # Escaping is set by hand: select_autoescape does not know names that end in .html.j2.
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found = study(tables, records, papers, trained)
    page = index_page(tables, papers, found is not None)
    files = {
        "index.html": environment.get_template("index.html.j2").render(page=page),
        "style.css": (HERE / "static" / "style.css").read_text(encoding="utf-8"),
    }
    if found:
        files["study.html"] = environment.get_template("study.html.j2").render(page=page, study=found)
        files["study.csv"] = _csv(study_lines(tables, records, papers))
        for each in found.modalities:
            if each.effects:
                files[each.effects.file] = as_table(trained[f"{found.track}/{each.name}"])
    for table in tables:
        files[f"{table_name(table)}.csv"] = _csv(_table_lines(table))
        files[f"{table_name(table)}-curves.csv"] = _csv(_curve_lines(table))
        if len(lines := paper_lines(table, papers)) > 1:
            files[f"{table_name(table)}-paper.csv"] = _csv(lines)
            files[f"{table_name(table)}-coverage.csv"] = _csv(coverage_lines(table, papers))
    return files


def _table_lines(table: Table) -> list[list[Any]]:
    attacks = [spec["name"] for spec in table.protocol["attacks"]]
    shares = ["clean", "worst_case", "worst_case_balanced"]
    header = ["rank", "unranked_because", "submission", "title", "training", "architecture"]
    header += [f"{share}{end}" for share in shares for end in ("", "_low", "_high")]
    header += [f"{name}_robust" for name in attacks]
    header += ["missed_disease_clean", "missed_disease", "false_alarms", "median_minimal_epsilon"]
    header += ["forward", "backward", "seconds", "flags", "best_known", "best_known_balanced"]
    header += ["run_by", "run_again_by_maintainer", "differing_verdicts", "trainings"]
    header += [f"{share}_{end}_of_trainings" for share in shares[1:] for end in ("mean", "sd")]
    lines: list[list[Any]] = [header]
    for row in table.rows:
        told = row.description
        text = [told.get("title", ""), training_words(told.get("training")), told.get("architecture", "")]
        line: list[Any] = [row.rank, row.unranked_because, row.submission, *text]
        for estimate in (row.clean, row.worst, row.balanced):
            line += [estimate.value, estimate.low, estimate.high]
        line += [row.by_attack[name] for name in attacks]
        line += [row.missed_clean, row.missed, row.false_alarms, row.median_epsilon]
        line += [row.forward, row.backward, row.seconds]
        line += ["; ".join(f"{flag.severity}: {flag.id}" for flag in row.flags)]
        line += [*best_known_cells(row.best_known), *runs_cells(row.runs)]
        line += trainings_cells(row.trainings, table.protocol["headline"])
        lines.append(line)
    return lines


def _curve_lines(table: Table) -> list[list[Any]]:
    lines: list[list[Any]] = [["submission", "epsilon", "worst_case_balanced", "noise_control_balanced"]]
    lines += [
        [row.submission, point.epsilon, point.worst, point.noise] for row in table.rows for point in row.curve
    ]
    return lines


def _csv(lines: Sequence[Sequence[Any]]) -> str:
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows([_cell(value) for value in line] for line in lines)
    return out.getvalue()


def _cell(value: Any) -> Any:
    """A number in six digits; text so that no spreadsheet takes it for a formula."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value


def _check_site(results_root: Path, site: Path) -> None:
    """Refuse a folder whose replacement would take somebody's files with it."""
    if results_root.is_relative_to(site):
        raise DataError(
            f"the site {site} holds the records {results_root}; name a folder of its own for the site"
        )
    if not site.exists() or (site.is_dir() and not any(site.iterdir())):
        return
    index = site / "index.html"
    if not index.is_file() or GENERATOR not in index.read_text(encoding="utf-8", errors="replace"):
        raise DataError(
            f"{site} is not a site that this command built; name an empty or a new folder for the site"
        )


def _replace_folder(site: Path, files: dict[str, str]) -> None:
    """Write everything beside the old site, then put it in its place."""
    site.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=site.parent, prefix=f".{site.name}."))
    try:
        new, old = work / "new", work / "old"
        new.mkdir()
        for name, content in files.items():
            (new / name).write_text(content, encoding="utf-8", newline="\n")
        if site.exists():
            site.replace(old)
        try:
            new.replace(site)
        except OSError:
            if old.exists():
                old.replace(site)
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
