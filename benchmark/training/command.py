"""Training to files: weights, a log, and the checksum that `submission.toml` states."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmark.data.tracks import load_split
from benchmark.files import replace_file, require_writable
from benchmark.training.recipe import read_recipe
from benchmark.training.train import Epoch, train


def train_to_files(
    modality: str,
    recipe: str,
    architecture: str,
    seed: int,
    out: Path,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[str]:
    """Train on the phantom track and write `<modality>.safetensors` and `<modality>.log.csv` into `out`.

    Yields:
        Lines for the user: the best epoch, the file, its sha256.

    Raises:
        ProtocolError: unknown recipe. SubmissionError: unknown architecture. DataError: `out` cannot be written.
    """
    from safetensors.torch import save

    chosen = read_recipe(recipe)
    require_writable(out, "--out")

    def report(epoch: Epoch) -> None:
        say(
            f"epoch {epoch.number}/{chosen.epochs}  loss {epoch.loss:.3f}  "
            f"validation clean {epoch.validation_clean:.3f}  robust {epoch.validation_robust:.3f}"
        )

    result = train(
        architecture,
        chosen,
        load_split(modality, part="train"),
        load_split(modality, part="validation"),
        seed,
        report=report,
    )
    weights = save(dict(result.weights))
    path = out / f"{modality}.safetensors"
    replace_file(path, weights)
    replace_file(path.with_name(f"{modality}.log.csv"), _log(result.log))
    best = result.best
    yield (
        f"best by validation: epoch {best.number}, "
        f"clean {best.validation_clean:.3f}, robust {best.validation_robust:.3f}"
    )
    yield f"wrote {path} ({len(weights) / 1e6:.1f} MB)"
    yield f'sha256 = ["{hashlib.sha256(weights).hexdigest()}"]'


def _log(log: tuple[Epoch, ...]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["epoch", "loss", "validation_clean", "validation_robust"])
    for epoch in log:
        writer.writerow(
            [
                epoch.number,
                *(f"{x:.4f}" for x in (epoch.loss, epoch.validation_clean, epoch.validation_robust)),
            ]
        )
    return text.getvalue().encode()
