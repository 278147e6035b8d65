"""The commands `export` and `methods`: what the records say, for other programs and for a paper."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli_json import SUBMISSION, facts
from benchmark.modality import MODALITIES
from benchmark.protocol import PROTOCOLS


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("oncorobust-export"),
    show_default=True,
    help="Where to write.",
)
@click.option(
    "--track", default="phantom", show_default=True, help="phantom, clinical, or a folder of images."
)
def export(out: Path, track: str) -> None:
    """Write every figure of a track's records: tidy CSV, JSON, challengeR's CSV, and RobustBench's model_info.

    Example: oncorobust export --out /tmp/oncorobust-export
    """
    from benchmark.robustbench_bridge import write_model_info
    from leaderboard.export import export as write

    root, records = _records(track)
    paths = [*write(root, out, records), *write_model_info(records, root, out)]
    facts(records=len(records), files=[str(path) for path in paths])
    click.echo(f"{len(records)} records → {len(paths)} files in {out}")
    for path in paths:
        click.echo(f"  {path.relative_to(out)}")


@click.command()
@SUBMISSION
@click.option("--modality", type=click.Choice([*MODALITIES, "all"]), default="all", show_default=True)
@click.option(
    "--track", default="phantom", show_default=True, help="phantom, clinical, or a folder of images."
)
@click.option("--protocol", type=click.Choice(list(PROTOCOLS)), default="standard", show_default=True)
def methods(submission: str, modality: str, track: str, protocol: str) -> None:
    """Print the methods and results paragraphs of SUBMISSION's record, with versions and citations.

    Example: oncorobust methods vgg16-slim-pgd-at --modality ct
    """
    from benchmark.errors import DataError
    from benchmark.evaluation.entry import records_folder
    from benchmark.record import Record
    from leaderboard.methods import methods_text

    folder = records_folder(track, protocol)
    paths = [
        path
        for name in (MODALITIES if modality == "all" else [modality])
        if (path := folder / name / f"{submission}.json").exists()
    ]
    if not paths:
        raise DataError(
            f"no record of {submission!r} for {modality} under protocol {protocol} in {folder}; make one: "
            f"oncorobust evaluate {submission} --track {track} --protocol {protocol}"
        )
    click.echo("\n".join(methods_text(Record.load(path)) for path in paths), nl=False)


def _records(track: str) -> tuple[Path, list]:
    from benchmark.data.tracks import is_private, track_name
    from benchmark.errors import DataError
    from benchmark.folders import results_folder
    from leaderboard.build import read_records

    folder = results_folder(track_name(track), is_private(track))
    records = [record for record in read_records(folder.parent)[0] if record.track == folder.name]
    if not records:
        raise DataError(f"no records in {folder}; make some: oncorobust evaluate SUBMISSION --track {track}")
    return folder.parent, records
