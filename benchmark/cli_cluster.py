"""The commands about other machines: cluster certificates, scheduler, worker; and the options that name a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

CERTIFICATES = click.option(
    "--certificates",
    type=click.Path(path_type=Path),
    envvar="ONCOROBUST_CERTIFICATES",
    help="Folder of TLS certificates; needed unless all stays on this machine. Or set ONCOROBUST_CERTIFICATES.",
)

CLUSTER = (
    click.option(
        "--cluster",
        metavar="ADDRESS",
        help="Compute on a Dask cluster: tls://host:8786, @FILE with an address, or local:N for N workers here.",
    ),
    CERTIFICATES,
    click.option(
        "--block-limit",
        default=3600.0,
        show_default=True,
        metavar="SECONDS",
        help="A block that a cluster's worker has not finished by then is given to another.",
    ),
)


def cluster_options(command: Any) -> Any:
    """The options that say where a cluster is."""
    return with_options(command, CLUSTER)


def with_options(command: Any, options: Any) -> Any:
    """A command with further options, in their order."""
    for option in reversed(options):
        command = option(command)
    return command


@contextmanager
def crew_of(cluster: str | None, certificates: Path | None, limit: float, device: str) -> Iterator[Any]:
    """Who computes: a cluster where one is named, else this machine."""
    from benchmark.evaluation.engine import choose_device, here

    if cluster is None:
        yield here
        return
    from benchmark.cluster.crew import connected

    with connected(cluster, certificates, choose_device(device).type, limit) as found:
        yield found.run


@click.group()
def cluster() -> None:
    """A cluster for `oncorobust evaluate --cluster`: its certificates, its scheduler, its workers."""


@cluster.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--days", type=click.FloatRange(min=0, min_open=True), default=90, show_default=True)
def certificates(folder: Path, days: float) -> None:
    """Make the TLS certificates of one cluster in FOLDER. Who has its files can use the cluster, and nobody else.

    Example: oncorobust cluster certificates ~/cluster
    """
    from benchmark.cluster.certificates import expires, make_certificates

    made = make_certificates(folder.expanduser(), days)
    click.echo(
        f"wrote {made}, good until {expires(made):%Y-%m-%d %H:%M} UTC; give it to every machine, by a safe way"
    )


@cluster.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address that workers reach it at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8786, show_default=True, help="0: a free one.")
@click.option("--file", type=click.Path(path_type=Path), help="Write the address there, for --cluster @FILE.")
@CERTIFICATES
def scheduler(host: str, port: int, file: Path | None, certificates: Path | None) -> None:
    """Run the scheduler of a cluster.

    Example: oncorobust cluster scheduler --host 10.0.0.5 --certificates ~/cluster
    """
    from benchmark.cluster.serve import serve_scheduler

    serve_scheduler(host, port, certificates, file)


@cluster.command()
@click.argument("address")
@CERTIFICATES
@click.option(
    "--patience",
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a lost scheduler is looked for.",
)
def worker(address: str, certificates: Path | None, patience: float) -> None:
    """Compute blocks for the scheduler at ADDRESS, one at a time. One worker for each GPU, chosen by CUDA_VISIBLE_DEVICES.

    Example: oncorobust cluster worker tls://10.0.0.5:8786 --certificates ~/cluster
    """
    from benchmark.cluster.serve import serve_worker

    click.echo(f"worker ended: {serve_worker(address, certificates, patience)}")
