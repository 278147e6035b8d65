"""The commands about other machines: cluster certificates, scheduler, worker; and the options that name a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from benchmark.cluster.farm import Farm

CERTIFICATES = click.option(
    "--certificates",
    type=click.Path(path_type=Path),
    envvar="ONCOROBUST_CERTIFICATES",
    help="Folder of TLS certificates; needed unless all stays on this machine. Or set ONCOROBUST_CERTIFICATES.",
)

ALL = (
    click.option(
        "--all", "everything", is_flag=True, help="Every submission, those with small weights first."
    ),
    click.option(
        "--budget",
        type=click.FloatRange(min=0, min_open=True),
        metavar="HOURS",
        help="With --all: begin nothing after so many hours; finished blocks are kept.",
    ),
    click.option("--summary", is_flag=True, help="With --all: only tell how far it is, from the files."),
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


def with_options(options: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """A decorator that gives a command further options, in their order."""

    def decorated(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


cluster_options = with_options(CLUSTER)
all_options = with_options(ALL)


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


def run_all_entries(
    farm: Farm,
    cluster: str | None,
    certificates: Path | None,
    limit: float,
    hours: float | None,
    only_summary: bool,
) -> None:
    """`oncorobust evaluate --all`: a line for each entry as it ends, then the summary."""
    from benchmark.cluster.crew import connected
    from benchmark.cluster.farm import run_farm, summary
    from benchmark.evaluation.engine import choose_device

    if not only_summary:
        where: AbstractContextManager[Any] = nullcontext()
        if cluster:
            where = connected(cluster, certificates, choose_device(farm.device).type, limit)
        with where as found:
            in_time = run_farm(farm, found, hours, click.echo)
        click.echo("" if in_time else "the budget is spent; the same command goes on from there")
    for line in summary(farm):
        click.echo(line)


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


@click.command()
@click.argument("submissions", nargs=-1, required=True)
@click.option("--modality", default="all", show_default=True, help="ct, mammogram, mri or all.")
@click.option(
    "--track", default="phantom", show_default=True, help="phantom, clinical, or a folder of images."
)
@click.option("--protocol", default="standard", show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--form", type=click.Choice(["array", "dask"]), default="array", show_default=True)
@click.option(
    "--tasks", type=click.IntRange(1), default=4, show_default=True, help="Shares of the blocks, or workers."
)
@click.option("--gpus", type=click.IntRange(0, 1), default=0, show_default=True, help="GPUs of each.")
@click.option(
    "--time", "limit", default="04:00:00", show_default=True, help="Time limit; a share goes on after it."
)
@click.option(
    "--sbatch", "lines", multiple=True, metavar="WORD", help="Further words for sbatch; may be repeated."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("slurm"), show_default=True)
@click.option("--dry-run", is_flag=True, help="Print the scripts and write nothing.")
@click.option("--submit", is_flag=True, help="Hand them to sbatch as well.")
def slurm(
    submissions: tuple[str, ...],
    modality: str,
    track: str,
    protocol: str,
    device: str,
    form: str,
    tasks: int,
    gpus: int,
    limit: str,
    lines: tuple[str, ...],
    out: Path,
    dry_run: bool,
    submit: bool,
) -> None:
    """Write sbatch scripts that evaluate SUBMISSIONS: an array of shares and their merge, or Dask's workers under srun.

    All machines share the cache (ONCOROBUST_CACHE), the submissions and the results.

    Example: oncorobust slurm vgg16-slim-naive --modality ct --tasks 4 --dry-run
    """
    from benchmark.cluster import slurm as scripts
    from benchmark.evaluation.entry import entries

    found = tuple(entry for name in submissions for entry in entries(modality, track, name))
    options = ("--track", track, "--protocol", protocol, "--device", device)
    request = scripts.Request(found, options, tasks, gpus, limit, out.resolve(), lines)
    made = (scripts.array_scripts if form == "array" else scripts.dask_scripts)(request)
    if dry_run:
        for name, text in made.items():
            click.echo(f"# {out / name}\n{text}")
        return
    paths = scripts.write_scripts(request, made)
    for path in paths:
        click.echo(f"wrote {path}")
    if submit:
        click.echo(f"submitted {' and then '.join(scripts.submit(paths))}")
        return
    click.echo(f"number=$(sbatch --parsable {paths[0]})")
    for path in paths[1:]:
        click.echo(f"sbatch --dependency=afterany:$number {path}")


@click.command()
@click.option(
    "--like", "name", default="vgg16-slim-naive", show_default=True, help="The submission that is measured."
)
@click.option("--modality", default="ct", show_default=True)
@click.option(
    "--track", default="phantom", show_default=True, help="phantom, clinical, or a folder of images."
)
@click.option("--protocol", default="standard", show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--entries", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--images", type=click.IntRange(1), help="Of each entry; as many as the track has unless given."
)
@click.option("--workers", type=click.IntRange(1), help="As many as this machine would start unless given.")
def plan(
    name: str,
    modality: str,
    track: str,
    protocol: str,
    device: str,
    entries: int,
    images: int | None,
    workers: int | None,
) -> None:
    """Measure one block and predict passes, hours and memory of so many entries that are like it.

    The next evaluation of that very entry tells how far its prediction was.

    Example: oncorobust plan --entries 200 --images 10000 --workers 64
    """
    from benchmark.cluster.forecast import described, keep, measure, predict

    measured = measure(name, modality, track, protocol, device)
    forecast = predict(measured, entries, images, workers)
    keep(measured, predict(measured, workers=workers))
    for line in described(measured, forecast):
        click.echo(line)
