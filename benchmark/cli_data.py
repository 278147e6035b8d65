"""The commands `oncorobust data …`. Each calls one function; this file only reads and prints."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from benchmark.cli_prepare import FILE, FOLDER, PART, prepare
from benchmark.data.collection import COLLECTIONS
from benchmark.data.manifest import PARTS
from benchmark.modality import MODALITIES

FORMS = {
    "lidc": "lidc-idri",
    "lidc-segmentations": "lidc-idri",
    "cbis-ddsm": "cbis-ddsm",
    "mets-to-brain": "mets-to-brain",
}
COLLECTION = click.Choice(list(COLLECTIONS))


@click.group()
def data() -> None:
    """Splits: get them, prepare them, verify them, and see how far shortcuts get on them."""


data.add_command(prepare)


@data.command()
def status() -> None:
    """What of the clinical track is prepared here, what is missing, how to get it, and its licences.

    Example: oncorobust data status
    """
    from benchmark.data.prepared.status import status

    for line in status():
        click.echo(line)


@data.command()
@click.argument("collection", type=COLLECTION)
@click.option("--to", "folder", type=FOLDER, required=True, help="Where the files go; tens of gigabytes.")
@click.option("--part", "parts", type=PART, multiple=True, help="Only this part; may be given again.")
def download(collection: str, folder: Path, parts: tuple[str, ...]) -> None:
    """Fetch the series that a collection's manifest names from the Imaging Data Commons.

    Example: oncorobust data download lidc-idri --to /data/lidc --part test
    """
    from benchmark.data.collection import get_collection
    from benchmark.data.manifest import shipped_manifest
    from benchmark.data.prepared.download import download

    count = download(shipped_manifest(collection), folder, parts or PARTS)
    click.echo(f"{count} series in {folder}")
    if besides := get_collection(collection).SOURCE.get("besides"):
        click.echo(f"put into the same folder: {besides}")
    only = "".join(f" --part {part}" for part in parts)
    click.echo(f"then: oncorobust data prepare {collection} --source {folder}{only}")


@data.command()
@click.option(
    "--as", "form", type=click.Choice(list(FORMS)), required=True, help="The collection to imitate."
)
@click.option(
    "--part", type=PART, help="Write this part of the phantom track instead of drawing; 5 MB a mammogram."
)
@click.option(
    "--images", type=click.IntRange(min=2), help="How many to draw; of a part, the first whole patients."
)
@click.argument("folder", type=FOLDER)
def phantom(form: str, part: str | None, images: int | None, folder: Path) -> None:
    """Write synthetic images into FOLDER as a collection is delivered, quirks included, to rehearse without a download.

    Example: oncorobust data phantom --as cbis-ddsm /tmp/cbis
    """
    from importlib import import_module

    from benchmark.data.collection import get_collection
    from benchmark.data.prepared.rehearsal import FILE as MANIFEST
    from benchmark.data.prepared.rehearsal import rehearsal_manifest
    from benchmark.data.tracks import load_split

    module = import_module(f"benchmark.data.phantom.as_{form.replace('-', '_')}")
    collection = get_collection(FORMS[form])
    made = "drawn by the phantom generator"
    if part:
        split = load_split(collection.MODALITY, "phantom", part)
        module.write_split(folder, split.first_patients(images), progress=True)
        made = f"images of the split {split.name}"
    else:
        module.write_tree(folder, progress=True, **({"images": images} if images else {}))
    manifest = rehearsal_manifest(collection, folder, made, part)
    for name, sizes in manifest.sizes().items():
        click.echo(f"  {name:10} {sizes['images']} images of {sizes['patients']} phantom patients")
    click.echo(
        f"then: oncorobust data prepare {FORMS[form]} --source {folder} --manifest {folder / MANIFEST}"
    )


@data.command()
@click.argument("what", metavar="[COLLECTION|FOLDER]", required=False)
def verify(what: str | None) -> None:
    """Read prepared splits again and compare every checksum; exit code 3 where one differs.

    Those of a COLLECTION, of all collections that are prepared, or of any FOLDER of splits, such as a rehearsal's.

    Example: oncorobust data verify lidc-idri
    """
    from benchmark.data.manifest import shipped_manifest, shipped_manifests
    from benchmark.data.prepared.lock import prepared_folder, verify_folder

    if what in COLLECTIONS:
        folders = [prepared_folder(shipped_manifest(what))]
    elif what:
        folders = [Path(what)]
    else:
        every = {manifest.name: prepared_folder(manifest) for manifest in shipped_manifests().values()}
        for name in [name for name, folder in every.items() if not folder.is_dir()]:
            click.echo(f"{name}: not prepared")
        folders = [folder for folder in every.values() if folder.is_dir()]
    wrong = 0
    for folder in folders:
        name, images, complaints = verify_folder(folder)
        click.echo(f"{name}: {images} images, {len(complaints)} complaints")
        for line in complaints:
            click.echo(f"  {line}")
        wrong += len(complaints)
    sys.exit(3 if wrong else 0)


@data.command()
@click.argument("collection", type=COLLECTION)
@click.option("--out", type=FILE, required=True, help="The file to write.")
def pack(collection: str, out: Path) -> None:
    """Write the prepared test part of COLLECTION, with its licence and checksums, into one file.

    Example: oncorobust data pack lidc-idri --out lidc-idri-1-test.zip
    """
    from benchmark.data.manifest import shipped_manifest
    from benchmark.data.prepared.pack import pack

    click.echo(f"sha256 {pack(shipped_manifest(collection), out)}  {out}")


@data.command("import")
@click.argument("file", type=FILE)
def import_command(file: Path) -> None:
    """Verify what `pack` wrote and put it where an evaluation finds it.

    Example: oncorobust data import lidc-idri-1-test.zip
    """
    from benchmark.data.prepared.pack import import_pack

    manifest, lock = import_pack(file)
    click.echo(f"{manifest.name}: {lock.parts['test'].images} images; evaluate with --track clinical")


@data.command("audit")
@click.option("--modality", type=click.Choice([*MODALITIES, "all"]), default="all", show_default=True)
@click.option(
    "--track", default="phantom", show_default=True, help="phantom, clinical, or a folder of splits."
)
def audit_command(modality: str, track: str) -> None:
    """Look for what makes a figure on a track worthless: overlaps, copies, odd images, shortcuts.

    Example: oncorobust data audit --modality ct
    """
    from benchmark.data.audit.text import audit_lines

    for name in MODALITIES if modality == "all" else [modality]:
        for line in audit_lines(name, track):
            click.echo(line)


@data.command("describe")
@click.option("--modality", type=click.Choice([*MODALITIES, "all"]), default="all", show_default=True)
@click.option(
    "--track", default="phantom", show_default=True, help="phantom, clinical, or a folder of splits."
)
@click.option("--private-thumbnails", is_flag=True, help="Make a sheet also of private images.")
def describe_command(modality: str, track: str, private_thumbnails: bool) -> None:
    """Write what the data page tells of a track beside its records: parts, audit, noise, a sheet of thumbnails.

    Example: oncorobust data describe --modality ct
    """
    from benchmark.data.audit.describe import describe_lines

    for name in MODALITIES if modality == "all" else [modality]:
        for line in describe_lines(name, track, private_thumbnails):
            click.echo(line)


@data.command("show")
@click.option("--modality", type=click.Choice(list(MODALITIES)), required=True)
@click.option("--track", default="phantom", show_default=True, help="phantom, clinical, or a folder.")
@click.option("--part", type=PART, default="test", show_default=True)
@click.option("--out", type=FILE, required=True, help="The PNG to write.")
@click.option("--private-thumbnails", is_flag=True, help="Show also private images.")
def show_command(modality: str, track: str, part: str, out: Path, private_thumbnails: bool) -> None:
    """Write a sheet of images of a split, by class, with a scale in the modality's unit.

    Example: oncorobust data show --modality ct --out sheet.png
    """
    from benchmark.data.audit.show import show_track

    click.echo(f"wrote {show_track(modality, track, part, out, private_thumbnails)}")


@data.command("export")
@click.option("--track", type=FOLDER, required=True, help="The folder of private splits that was evaluated.")
@click.option("--aggregates", type=FILE, required=True, help="The .json or .csv file to write.")
def export_command(track: Path, aggregates: Path) -> None:
    """Write figures of private records that may be passed on: no ids, and nothing about fewer than ten patients.

    Example: oncorobust data export --track /data/own --aggregates own.json
    """
    from benchmark.data.private.aggregates import private_records, write_aggregates
    from benchmark.data.tracks import track_name
    from benchmark.folders import results_folder

    export = write_aggregates(
        private_records(results_folder(track_name(str(track)), private=True)), aggregates
    )
    click.echo(f"wrote {len(export.figures)} figures to {aggregates}; {export.left_out} left out")


@data.command("draw-test")
@click.argument("modality", type=click.Choice(list(MODALITIES)))
@click.option("--audit", is_flag=True, help="Audit the part that is there.")
def draw_test(modality: str, audit: bool) -> None:
    """Draw the phantom test part of a new generator version, once, from a seed nobody has used.

    With --audit the part stays as it was drawn; its noise and what its audit finds are written into its notes anew.

    Example: oncorobust data draw-test ct
    """
    from benchmark.data.phantom import audit_test_part, draw_test_part
    from benchmark.data.split import Split

    path = audit_test_part(modality) if audit else draw_test_part(modality)
    click.echo(f"wrote {path}\nsha256 of the split {Split.load(path).sha256}")
