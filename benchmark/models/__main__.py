"""What each architecture costs: `python -m benchmark.models` prints the table of submissions/README.md.

Milliseconds of processor time for an image, which other work on the machine changes little: one thread,
eval mode, frozen parameters, batches of images of 64 × 64 pixels, the faster layout, the fastest of
several passes. `bwd` is the gradient with respect to the images, which is what an attack asks for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import click
import torch
from torch import nn

from benchmark.allocator import keep_freed_memory
from benchmark.models import ARCHITECTURES, build
from benchmark.models.wrapper import Wrapped

SIDE = 64
LAYOUTS = (torch.channels_last, torch.contiguous_format)


@dataclass(frozen=True)
class Form:
    """An architecture and what `submission.toml` says beside it."""

    architecture: str
    options: dict[str, Any] = field(default_factory=dict)
    wrapper: dict[str, Any] = field(default_factory=dict)

    def model(self) -> nn.Module:
        """With fresh weights, as an evaluation sees it."""
        model = Wrapped([build(self.architecture, self.options)], **self.wrapper)
        return model.eval().requires_grad_(False)


VIT = {"img_size": 64, "patch_size": 8, "in_chans": 1, "embed_dim": 96, "depth": 6}
FORMS = (
    *(Form(name) for name in ARCHITECTURES),
    Form("timm:convnext_atto", {"in_chans": 1}),
    Form("timm:vit_tiny_patch16_224", VIT),
    Form("timm:vit_tiny_patch16_224", {}, {"channels": 3, "resize": 224}),
    Form("torchvision:resnet18", {}, {"channels": 3}),
    Form("torchvision:resnet50", {}, {"channels": 3, "resize": 224}),
    Form("robustbench:WideResNet-28-10", {}, {"channels": 3, "resize": 32}),
    Form("robustbench:PreActResNet-18", {}, {"channels": 3, "resize": 32}),
)


def parameters(model: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters())


def milliseconds(model: nn.Module, batch: int, passes: int, backward: bool) -> float:
    """Of processor time for one image: the fastest pass, in the faster layout."""
    images = torch.rand(batch, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    images.requires_grad_(backward)
    took = []
    for layout in LAYOUTS:
        model.to(memory_format=layout)
        for number in range(passes + 1):
            started = time.process_time()
            with torch.set_grad_enabled(backward):
                logits = model(images)
                if backward:
                    torch.autograd.grad(logits.sum(), images)
            if number:  # the first one warms up
                took.append(time.process_time() - started)
    return min(took) / batch * 1000


def told(settings: dict[str, Any]) -> str:
    """Settings as TOML writes them."""
    pairs = ", ".join(f"{key} = {value}" for key, value in settings.items())
    return f"`{{ {pairs} }}`" if pairs else ""


def lines(passes: int, batch: int) -> Iterator[str]:
    """The table, in Markdown, a line at a time."""
    yield "| architecture | architecture_options | [input] | parameters | MB, fp32 | ms fwd | ms fwd + bwd |"
    yield "|---|---|---|--:|--:|--:|--:|"
    for form in FORMS:
        model = form.model()
        count = parameters(model)
        small = count < 5e6 and form.wrapper.get("resize", 0) < 100
        times = [
            milliseconds(model, batch if small else 4, passes if small else 1, bwd) for bwd in (False, True)
        ]
        yield (
            f"| `{form.architecture}` | {told(form.options)} | {told(form.wrapper)} | {count:,} | "
            f"{count * 4 / 1e6:.1f} | {times[0]:.3g} | {times[1]:.3g} |"
        )


@click.command()
@click.option(
    "--passes", default=3, show_default=True, help="Timed passes in each layout; one of a large network."
)
@click.option("--batch", default=32, show_default=True, help="Images at once; four of a large network.")
def main(passes: int, batch: int) -> None:
    """Print name, parameters, size and milliseconds per image of each architecture, on one thread.

    Example: python -m benchmark.models
    """
    keep_freed_memory()
    torch.set_num_threads(1)
    for line in lines(passes, batch):
        click.echo(line)


if __name__ == "__main__":
    main()
