"""The commands `verify`, `external`, `transfer`, `trainings`, `show-images`: is a record right, what stands beside it."""

from __future__ import annotations

from pathlib import Path

import click

from benchmark.cli_evaluate import ISOLATION
from benchmark.cli_json import SUBMISSION
from benchmark.modality import MODALITIES
from benchmark.protocol import PROTOCOLS

track_option = click.option(
    "--track", default="phantom", show_default=True, help="phantom, or a folder of images."
)
protocol_option = click.option(
    "--protocol", type=click.Choice(list(PROTOCOLS)), default="standard", show_default=True
)
device_option = click.option("--device", default="auto", show_default=True)


@click.command()
@click.argument("record", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--track", default="", help="The folder of images, where the record's track is no name.")
@click.option("--blocks", type=click.IntRange(0), default=1, show_default=True, help="Drawn at random.")
@device_option
@ISOLATION
def verify(record: Path, track: str, blocks: int, device: str, isolation: str) -> None:
    """Recompute what follows from RECORD's own rows, compare its checksums, and evaluate some of its blocks again.

    Example: oncorobust verify leaderboard/results/phantom/ct/constant.json
    """
    from benchmark.evaluation.recheck import verify_record

    for line in verify_record(record, track, blocks, device, isolation):
        click.echo(line)


@click.command()
@SUBMISSION
@click.option("--modality", type=click.Choice(list(MODALITIES)), required=True)
@track_option
@protocol_option
@device_option
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True)
def external(
    submission: str, modality: str, track: str, protocol: str, device: str, files: tuple[Path, ...]
) -> None:
    """Judge adversarial images that someone sent, and credit what they break of SUBMISSION.

    FILES are safetensors with images (n, 1, H, W) float32 inside the ball at the headline ε, and the metadata
    image_ids (a JSON list), name and link. The verdicts go beside the record.

    Example: oncorobust external vgg16-slim-naive --modality ct sent.safetensors
    """
    from benchmark.evaluation.evidence import add_files

    for line in add_files(submission, modality, files, track, protocol, device):
        click.echo(line)


@click.command()
@click.option("--modality", type=click.Choice([*MODALITIES, "all"]), default="all", show_default=True)
@track_option
@protocol_option
@device_option
def transfer(modality: str, track: str, protocol: str, device: str) -> None:
    """Judge each entry's adversarial images on every other entry of the same split. Forward passes only.

    Example: oncorobust transfer --modality ct
    """
    from benchmark.evaluation.evidence import transfer_lines

    for name in MODALITIES if modality == "all" else [modality]:
        for line in transfer_lines(name, track, protocol, device):
            click.echo(line)


@click.command()
@SUBMISSION
@click.option("--modality", type=click.Choice([*MODALITIES, "all"]), default="all", show_default=True)
@track_option
@protocol_option
@device_option
@click.option("--fresh", is_flag=True, help="Evaluate also what is there and current.")
def trainings(submission: str, modality: str, track: str, protocol: str, device: str, fresh: bool) -> None:
    """Evaluate the weights of SUBMISSION from further training seeds, and tell how its numbers spread.

    They are the [[weights]] with training_seed = 1, 2, … of submission.toml. The whole battery runs on each, under the
    protocol of the entry's record, which stays and alone is ranked; what comes of it goes beside the record. Finished
    blocks are kept, so an interrupted run goes on where it stopped; what is there and current is verified.

    Example: oncorobust trainings vgg16-slim-pgd-at --modality ct
    """
    from benchmark.evaluation.trainings import trainings_lines

    for line in trainings_lines(submission, modality, track, protocol, fresh, device):
        click.echo(line)


@click.command("show-images")
@click.argument("submissions", nargs=-1)
@click.option("--modality", type=click.Choice([*MODALITIES, "all"]), default="all", show_default=True)
@track_option
@protocol_option
@device_option
@click.option("--private-thumbnails", is_flag=True, help="Show also private images.")
def show_images(
    submissions: tuple[str, ...],
    modality: str,
    track: str,
    protocol: str,
    device: str,
    private_thumbnails: bool,
) -> None:
    """Make the pictures of the images page: the most and least fragile images of a split, as they are and attacked.

    Of SUBMISSIONS; without any, of the leader, its naive twin and the next best. The attack runs again and must give the
    margins of the record. The PNGs go beside the records.

    Example: oncorobust show-images vgg16-slim-naive --modality ct
    """
    from benchmark.evaluation.pictures import show_images as lines

    for name in MODALITIES if modality == "all" else [modality]:
        for line in lines(submissions, name, track, protocol, device, private_thumbnails):
            click.echo(line)
