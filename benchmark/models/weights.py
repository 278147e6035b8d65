"""Weights into a model: every tensor must find its place, and what does not is told in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor, nn

from benchmark.errors import SubmissionError

SHOWN = 3  # names of tensors in a sentence, of each kind


def load_weights(model: nn.Module, path: Path, architecture: str) -> None:
    """Read a safetensors file into a model; half precision becomes the model's own float32.

    Tensors of the right dtype stay mapped to their file, so that several processes share one copy of a
    large model; those stored in half precision are copies of each process.

    Raises:
        SubmissionError: it is no safetensors file, or its tensors are not the model's.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        brought = load_file(path)
    except (SafetensorError, ValueError) as error:
        raise SubmissionError(
            f"is not a readable safetensors file ({error}); save it with safetensors.torch.save_file"
        ) from None
    wanted = model.state_dict()
    told = _misfit(wanted, brought)
    if told:
        raise SubmissionError(f"does not fit architecture {architecture!r}: it {told}")
    model.load_state_dict(
        {name: tensor.to(wanted[name].dtype) for name, tensor in brought.items()}, strict=True, assign=True
    )


@contextmanager
def undrawn() -> Iterator[None]:
    """Networks that are made herein keep whatever lies in memory for weights: a file brings theirs.

    Drawing takes most of the time that it takes to make a large network, and code that is isolated makes its own for
    every block. Only what `torch.nn.init` draws is left out.
    """
    names = [name for name in dir(nn.init) if name.endswith("_") and not name.startswith("_")]
    drawing = {name: getattr(nn.init, name) for name in names}
    try:
        for name in drawing:
            setattr(nn.init, name, _left)
        yield
    finally:
        for name, function in drawing.items():
            setattr(nn.init, name, function)


def _left(tensor: Tensor, *_: object, **__: object) -> Tensor:
    return tensor


def _misfit(wanted: Mapping[str, Tensor], brought: Mapping[str, Tensor]) -> str:
    """What does not fit, or nothing."""
    prefix = _prefix(wanted, brought)
    if prefix:
        return (
            f"has {prefix!r} before every name; save the state_dict of the network inside, which has it not"
        )
    lacking = [name for name in wanted if name not in brought]
    foreign = [name for name in brought if name not in wanted]
    shapes, whole = [], []
    for name in wanted.keys() & brought.keys():
        own, other = wanted[name], brought[name]
        if own.shape != other.shape:
            shapes.append(f"{name} is {tuple(other.shape)}, expected {tuple(own.shape)}")
        if own.is_floating_point() and not other.is_floating_point():
            whole.append(name)
    parts = [
        f"{kind} {_listed(found)}"
        for kind, found in (
            ("lacks", lacking),
            ("brings what the architecture has not:", foreign),
            ("has a size mismatch:", shapes),
            ("stores integers where fractions are expected:", whole),
        )
        if found
    ]
    if not parts:
        return ""
    if any(_of_colour(wanted[name], brought[name]) for name in wanted.keys() & brought.keys()):
        parts.append(
            "was trained on images of three channels: in_chans = 3 in 'architecture_options' if the architecture is timm's "
            "(new-submission: --option in_chans=3), and channels = 3 in [input]"
        )
    return f"{'; it '.join(parts)}; correct 'architecture_options', or save the state_dict of this very architecture"


def _of_colour(own: Tensor, other: Tensor) -> bool:
    """Whether a convolution brought takes three channels where the model's takes one."""
    return own.ndim == other.ndim == 4 and (own.shape[1], other.shape[1]) == (1, 3)


def _prefix(wanted: Mapping[str, Tensor], brought: Mapping[str, Tensor]) -> str:
    """What torch.compile, DataParallel or a wrapper put before all names, where nothing else is wrong."""
    first = next(iter(wanted))
    for name in brought:
        if name.endswith(f".{first}"):
            prefix = name.removesuffix(first)
            if {prefix + each for each in wanted} == set(brought):
                return prefix
    return ""


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(sorted(names)[:SHOWN]) + more
