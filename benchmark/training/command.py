"""Training to files: weights, a log with its picture, and the checksum that `submission.toml` states."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from math import isnan
from pathlib import Path
from typing import Any

import torch

from benchmark.data.split import Split
from benchmark.data.tracks import load_split, track_name
from benchmark.evaluation.engine import choose_device
from benchmark.files import replace_files, require_writable
from benchmark.training.checkpoint import keeper_for
from benchmark.training.course import Epoch
from benchmark.training.effort import epoch_passes
from benchmark.training.half import accuracies_of, halved
from benchmark.training.log import as_csv, as_line, as_svg
from benchmark.training.recipe import Recipe, read_recipe
from benchmark.training.train import train


def train_to_files(
    modality: str,
    recipe: str,
    architecture: str,
    seed: int,
    out: Path,
    say: Callable[[str], None] = lambda line: None,
    track: str = "phantom",
    device: str = "cpu",
    fresh: bool = False,
    half: bool = False,
) -> Iterator[str]:
    """Train on a track's train part and write `<modality>.safetensors`, `.log.csv` and `.log.svg` into `out`.

    Args:
        recipe: a name, or the path of a TOML file.
        say: told each epoch, and what is out of the ordinary, as it happens.
        track: as in `load_split`. device: "cpu", "cuda", "auto"; weights are the same every time on one kind.
        fresh: begin anew where an earlier run was interrupted.
        half: write the weights in float16. The training is the same; what is rounded is its result.

    Yields:
        Lines for the user: the best epoch with the accuracies of the weights in the file, the cost, the file, its sha256.

    Raises:
        ProtocolError: a recipe or device that cannot be used, a training that diverged, weights too large for
        float16 (what was trained is kept). SubmissionError: an architecture that cannot be trained.
        DataError: parts that cannot be used, files that cannot be written.
    """
    from safetensors.torch import save

    chosen, on = read_recipe(recipe, modality), choose_device(device)
    require_writable(out, "--out")
    training, validation = (load_split(modality, track=track, part=part) for part in ("train", "validation"))
    name = f"{track_name(track)}-{modality}-{chosen.name}-{architecture}-seed{seed}"
    keeper = keeper_for(name, identity(chosen, architecture, training, validation, seed, on), say)
    if fresh:
        keeper.remove()
    clock = Clock(chosen, len(training), len(validation))
    result = train(
        architecture,
        chosen,
        training,
        validation,
        seed,
        on,
        report=lambda epoch: say(as_line(epoch, chosen.epochs, clock.left(epoch))),
        say=say,
        keeper=keeper,
    )
    stored = halved(result.weights) if half else dict(result.weights)
    weights, best = save(stored), result.best
    path = out / f"{modality}.safetensors"
    title = f"{architecture} · {chosen.name} · {modality} · {training.name} · seed {seed}"
    replace_files(
        {
            path: weights,
            path.with_name(f"{modality}.log.csv"): as_csv(result.log),
            path.with_name(f"{modality}.log.svg"): as_svg(result.log, title),
        }
    )
    cost, told = clock.cost(), _told(best.validation_clean, best.validation_robust)
    if half:
        found = accuracies_of(stored, architecture, chosen, validation, seed, on)
        told = f"{_told(*found)} in float16 as in the file ({told} before rounding)"
    keeper.remove()
    yield f"best by validation: epoch {best.number}, {told}"
    yield cost
    yield f"wrote {path} ({len(weights) / 1e6:.1f} MB)"
    yield f'sha256 = ["{hashlib.sha256(weights).hexdigest()}"]'


def _told(clean: float, robust: float) -> str:
    return f"clean {clean:.3f}" + ("" if isnan(robust) else f", robust {robust:.3f}")


def identity(
    recipe: Recipe, architecture: str, training: Split, validation: Split, seed: int, device: torch.device
) -> dict[str, Any]:
    """Everything that the weights depend on, in a reader's words."""
    processor = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu()
    return {
        "recipe": recipe.digest,
        "architecture": architecture,
        "modality": training.modality,
        "training images": training.sha256,
        "validation images": validation.sha256,
        "seed": seed,
        "device": f"{device.type} {processor}",
        "PyTorch": str(torch.__version__),
    }


def _cpu() -> str:
    return torch.backends.cpu.get_cpu_capability()


class Clock:
    """How long a training takes, by what it has cost so far: an attacked epoch is worth many clean ones."""

    def __init__(self, recipe: Recipe, training: int, validation: int) -> None:
        self.ahead = [
            epoch_passes(recipe, number + 1, training, validation) for number in range(recipe.epochs)
        ]
        self.started = time.perf_counter()
        self.forward = self.backward = 0

    def left(self, epoch: Epoch) -> float:
        """Seconds until the last epoch has ended, told as one ends."""
        self.forward, self.backward = self.forward + epoch.forward, self.backward + epoch.backward
        pace = (time.perf_counter() - self.started) / self.forward
        return pace * sum(each.forward for each in self.ahead[epoch.number :])

    def cost(self) -> str:
        """A line on what this run has done; of a resumed training, since then."""
        seconds = time.perf_counter() - self.started
        return (
            f"{self.forward} images forward, {self.backward} backward in {seconds / 60:.1f} min: "
            f"{self.forward / seconds:.0f} a second"
        )
