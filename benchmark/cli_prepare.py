"""The commands `oncorobust data prepare …`. Each calls one function; this file only reads and prints."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from benchmark.data.collection import COLLECTIONS
from benchmark.data.manifest import PARTS
from benchmark.modality import MODALITIES

PART = click.Choice(list(PARTS))
FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def prepare() -> None:
    """Make splits of downloaded files: the frozen ones of a public collection, or private ones of your own images.

    What is read is kept, so an interrupted run goes on where it stopped. Exit code 0: all is there, and as published;
    3: prepared, but something that was expected is missing or differs; 2: nothing could be prepared.
    """


def _prepare_command(collection: str) -> click.Command:
    """`prepare COLLECTION`, which is the same for all of them."""

    @click.option("--source", type=FOLDER, required=True, help="The download, in any layout.")
    @click.option("--part", "parts", type=PART, multiple=True, help="Only this part; may be given again.")
    @click.option(
        "--manifest", type=FILE, help="Another manifest than the frozen one: that of a phantom tree."
    )
    @click.option("--fresh", is_flag=True, help="Read again also what has been read.")
    def command(source: Path, parts: tuple[str, ...], manifest: Path | None, fresh: bool) -> None:
        from benchmark.data.collection import get_collection
        from benchmark.data.manifest import read_manifest, shipped_manifest
        from benchmark.data.prepared.prepare import prepare

        chosen = read_manifest(manifest) if manifest else shipped_manifest(collection)
        done = prepare(get_collection(collection), source, chosen, parts or PARTS, fresh)
        for line in done.lines():
            click.echo(line)
        sys.exit(done.exit_code)

    help_text = (
        f"Make the frozen splits of {collection} from its downloaded files.\n\n"
        f"Example: oncorobust data prepare {collection} --source /data/{collection}"
    )
    return click.command(collection, help=help_text)(command)


for _collection in COLLECTIONS:
    prepare.add_command(_prepare_command(_collection))


@prepare.command("folder")
@click.option(
    "--source", type=FOLDER, required=True, help="The folder that the table's files are named from."
)
@click.option(
    "--table", type=FILE, required=True, help="CSV: file, label, patient_id, optional part and box."
)
@click.option("--modality", type=click.Choice(list(MODALITIES)), required=True)
@click.option(
    "--window",
    required=True,
    help="What becomes 0 and 1: -1000,400 in stored values, or 1%,99% of each file's own.",
)
@click.option("--size", type=int, help="Pixels a side; as the clinical splits have them unless given.")
@click.option(
    "--name", default="own", show_default=True, help="Of the track; let it say nothing of the place."
)
@click.option("--out", type=FOLDER, help="Where the splits go; the private part of the cache unless given.")
def prepare_own(
    source: Path, table: Path, modality: str, window: str, size: int | None, name: str, out: Path | None
) -> None:
    """Make private splits of your own DICOM, PNG, TIFF or NumPy images. Nothing of them enters the repository.

    Example: oncorobust data prepare folder --source /data/own --table own.csv --modality ct --window=-1000,400
    """
    from benchmark.data.folder import prepare_folder
    from benchmark.data.folder.cut import Window

    done = prepare_folder(source, table, modality, Window.parse(window), size, name, out)
    for part, split in done.splits.items():
        click.echo(f"{part}: {len(split)} images of {split.patients} patients")
    for item in done.left_out:
        click.echo(f"left out: {item.what} {item.reason}")
    click.echo(f"evaluate with --track {done.folder}")
    sys.exit(done.exit_code)
