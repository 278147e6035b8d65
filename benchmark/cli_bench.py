"""The command `bench`: what our engine costs beside other attack codes."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.modality import MODALITIES

WHAT = ("compare", "overhead", "growth")


@click.command()
@click.argument("submissions", nargs=-1)
@click.option("--modality", type=click.Choice(list(MODALITIES)), default="ct", show_default=True)
@click.option("--track", default="phantom", show_default=True, help="phantom, or a folder of images.")
@click.option(
    "--images", type=click.IntRange(1), default=50, show_default=True, help="First images, by whole patients."
)
@click.option("--small", is_flag=True, help="A fifth of the starts, steps and queries.")
@click.option("--what", type=click.Choice(WHAT), multiple=True, help="All three where none is named.")
@click.option("--question", multiple=True, help="pgd, worst-case or paper; all where none is named.")
@click.option(
    "--side",
    type=click.IntRange(32),
    multiple=True,
    default=(32, 64, 128),
    show_default=True,
    help="Image sizes (growth).",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for bench.md and bench.json.")
def bench(
    submissions: tuple[str, ...],
    modality: str,
    track: str,
    images: int,
    small: bool,
    what: tuple[str, ...],
    question: tuple[str, ...],
    side: tuple[int, ...],
    out: Path | None,
) -> None:
    """Compare our engine with torchattacks, AutoAttack and ART on SUBMISSIONS, in one thread.

    The same model, images, ε and parameters for all, those of protocol standard; where the seconds go; how they grow
    with images (twice and four times as many), ε and pixels. ART is the extra `bench`. Takes about ten minutes for
    each submission and question.

    Example: oncorobust bench vgg16-slim-naive vgg16-slim-pgd-at --images 50 --out /tmp/bench
    """
    from benchmark.bench.run import run_bench

    report = run_bench(submissions, modality, track, images, small, what or WHAT, question, side)
    click.echo(report.markdown())
    if out is not None:
        from benchmark.files import replace_files

        files = {out / "bench.md": report.markdown().encode(), out / "bench.json": report.json().encode()}
        replace_files(files)
        for path in files:
            click.echo(f"wrote {path}")
