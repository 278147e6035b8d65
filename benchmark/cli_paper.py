"""The command `oncorobust paper`: the published attacks without labels, beside our numbers."""

from __future__ import annotations

import click

from benchmark.cli_evaluate import entries_of
from benchmark.cli_json import SUBMISSION
from benchmark.modality import MODALITIES
from benchmark.protocol import PROTOCOLS


@click.command()
@SUBMISSION
@click.option("--modality", type=click.Choice([*MODALITIES, "all"]), default="all", show_default=True)
@click.option("--track", default="phantom", show_default=True, help="phantom, or a folder of images.")
@click.option("--protocol", type=click.Choice(list(PROTOCOLS)), default="standard", show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--fresh", is_flag=True, help="Run also where there is a current result.")
def paper(submission: str, modality: str, track: str, protocol: str, device: str, fresh: bool) -> None:
    """Attack SUBMISSION as Joel et al. 2022 did, without true labels, and set that number beside ours. Never ranked.

    Needs the entry's record. Finished blocks are kept, so an interrupted run goes on where it stopped.

    Example: oncorobust paper vgg16-slim-naive --modality ct
    """
    from benchmark.evaluation.paper_entry import run_paper_entry
    from leaderboard.paper import paper_text

    for name, each in entries_of(submission, modality, track):
        result, record, path = run_paper_entry(name, each, track, protocol, fresh, device)
        click.echo(paper_text(result, record))
        click.echo(f"wrote {path}")
