"""How much memory an evaluation takes, all processes together, for growing numbers of large images."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import psutil

SECONDS = 0.05  # between two looks
CHILD = "import pathlib, sys; from benchmark.bench.memory import evaluate_noise; evaluate_noise(pathlib.Path(sys.argv[1]))"
TOML = """
name = "probe"
title = "Fresh weights, to see how much memory they take"
authors = ["OncoRobust"]
licence = "Apache-2.0"
architecture = "{architecture}"
[training]
kind = "none"
[[weights]]
modality = "ct"
trained_on = "phantom"
files = ["ct.safetensors"]
sha256 = ["{sha256}"]
"""


@dataclass(frozen=True)
class Memory:
    """gigabytes: the largest sum of anonymous memory of the process and its workers. ended: it was not stopped."""

    architecture: str
    images: int
    side: int
    gigabytes: float
    seconds: float
    ended: bool

    @property
    def line(self) -> str:
        """As the command prints it."""
        return (
            f"{self.architecture:12} {self.images:6} images of {self.side} × {self.side}: "
            f"{self.gigabytes:.2f} GB of anonymous memory, {self.seconds:.0f} s"
            + ("" if self.ended else ", then stopped")
        )


def memory(architecture: str, images: int, side: int, minutes: float = 60.0) -> Memory:
    """Evaluate fresh weights in a process of their own and watch its memory and its workers'.

    One step at one ε is asked: what is held does not hang on the number of steps. The images are noise, written to a
    file that the evaluation maps.

    Args:
        minutes: after which the evaluation is stopped; what it held until then is told.
    """
    with tempfile.TemporaryDirectory(prefix="oncorobust-memory-") as folder:
        here = Path(folder)
        write_noise(here / "ct-test.safetensors", images, side)
        _write_submission(here / "submissions" / "probe", architecture)
        environment = os.environ | {
            "ONCOROBUST_CACHE": str(here / "cache"),
            "ONCOROBUST_SUBMISSIONS": str(here / "submissions"),
        }
        started = time.perf_counter()
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(here)], env=environment)
        peak, ended = 0.0, True
        while child.poll() is None:
            peak = max(peak, anonymous(child.pid))
            time.sleep(SECONDS)
            if ended and time.perf_counter() - started > 60 * minutes:
                ended = False
                for process in _family(child.pid):
                    process.kill()
        if ended and child.returncode:
            raise subprocess.CalledProcessError(child.returncode, child.args)
        return Memory(architecture, images, side, peak, time.perf_counter() - started, ended)


def anonymous(process: int) -> float:
    """Gigabytes of memory without a file behind it, of a process and its descendants (RssAnon of /proc, Linux)."""
    return sum(_anonymous_of(member.pid) for member in _family(process))


def _family(process: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(process)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:  # it has ended
        return []


def _anonymous_of(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith("RssAnon")), 0.0)


def write_noise(path: Path, images: int, side: int) -> None:
    """A split of noise, a hundred images in memory at a time."""
    from benchmark.data.split import FORMAT
    from benchmark.data.split_file import write_split_file

    def noise() -> Iterator[np.ndarray]:
        random = np.random.default_rng(0)
        for start in range(0, images, 100):
            yield random.integers(20000, 45000, (min(100, images - start), 1, side, side), np.uint16)

    header = {
        "format": FORMAT,
        "modality": "ct",
        "name": "noise",
        "track": "noise",
        "part": "test",
        "patient_ids": [f"patient-{number // 2}" for number in range(images)],
        "image_ids": [f"image-{number}" for number in range(images)],
    }
    write_split_file(path, header, (images, 1, side, side), noise, np.arange(images) % 2)


def _write_submission(folder: Path, architecture: str) -> None:
    from safetensors.torch import save_file

    from benchmark.models import build

    folder.mkdir(parents=True)
    save_file(build(architecture, {}).state_dict(), folder / "ct.safetensors")
    sha256 = hashlib.sha256((folder / "ct.safetensors").read_bytes()).hexdigest()
    (folder / "submission.toml").write_text(
        TOML.format(architecture=architecture, sha256=sha256), encoding="utf-8"
    )


def evaluate_noise(folder: Path) -> None:
    """What the watched process does."""
    from benchmark import evaluate, load_submission
    from benchmark.data.tracks import load_split
    from benchmark.protocol import FGSM, Protocol

    # Its first images only: health checks that ask every model thousands of times hold no more memory than these.
    protocol = Protocol("one-step", 1, ("0.004",), "0.004", (FGSM,), ranked=False, images=10**9)
    split = load_split("ct", str(folder))
    evaluate(load_submission("probe", "ct"), split, protocol, progress=False)


@click.command()
@click.argument("architecture")
@click.argument("images", type=click.IntRange(1), nargs=-1, required=True)
@click.option("--side", type=click.IntRange(32), default=224, show_default=True, help="In pixels.")
@click.option(
    "--minutes", type=float, default=60.0, show_default=True, help="Stop after so long, for each number."
)
def main(architecture: str, images: tuple[int, ...], side: int, minutes: float) -> None:
    """Print the memory that an evaluation of ARCHITECTURE takes, for each number of IMAGES.

    Example: python -m benchmark.bench.memory vgg16 100 1000 10000
    """
    for number in images:
        click.echo(memory(architecture, number, side, minutes).line)


if __name__ == "__main__":
    main()
