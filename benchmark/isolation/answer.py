"""What a worker does behind its walls: build the submission's model, then one question at a time.

This is where the submission's code runs. It can change anything here, and nothing that is here is believed.
"""

from __future__ import annotations

import importlib.util
import mmap
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.errors import SubmissionError
from benchmark.isolation import frames
from benchmark.isolation.frames import Header
from benchmark.isolation.talk import Harness
from benchmark.models.weights import load_weights
from benchmark.models.wrapper import Wrapped


def build(folder: str, order: dict[str, Any]) -> nn.Module:
    """Run `model.py`, call its `build(modality)` once for each weights file, and load them.

    Args:
        order: "modality", "files" of weights, "input" for `Wrapped` (None: nothing is done), "device".

    Raises:
        SubmissionError: there is no `build`, it gives no module, the weights do not fit, or it is not float32.
    """
    sys.path.append(folder)  # last: nothing of torch's can be shadowed by a name of its own
    spec = importlib.util.spec_from_file_location("model", Path(folder) / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["model"] = module
    spec.loader.exec_module(module)
    if not callable(getattr(module, "build", None)):
        raise SubmissionError(
            "model.py has no function build(modality); write one that returns the torch module"
        )
    models = [_one(module.build(order["modality"]), folder, name) for name in order["files"] or [None]]
    inner = (
        models[0] if order["input"] is None and len(models) == 1 else Wrapped(models, **order["input"] or {})
    )
    return inner.eval().requires_grad_(False).to(order["device"])


def _one(model: object, folder: str, weights: str | None) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise SubmissionError(
            f"build(modality) of model.py returned {type(model).__name__}, expected a torch module"
        )
    if weights is not None:
        last = any(_channels_last(parameter) for parameter in model.parameters())
        try:
            load_weights(model, Path(folder) / weights, "of model.py")
        except SubmissionError as error:
            raise SubmissionError(f"weights file {weights!r} {error}") from None
        if last:  # tensors take the place of those that `build` had laid out
            model = model.to(memory_format=torch.channels_last)
    other = sorted(
        {str(tensor.dtype) for tensor in model.state_dict().values() if tensor.is_floating_point()}
        - {"torch.float32"}
    )
    if other:
        raise SubmissionError(
            f"the model of model.py holds {', '.join(other)}; expected float32, call .float() on it"
        )
    return model


def _channels_last(tensor: Tensor) -> bool:
    return (
        tensor.ndim == 4
        and tensor.is_contiguous(memory_format=torch.channels_last)
        and not tensor.is_contiguous()
    )


def about(model: nn.Module) -> dict[str, object]:
    """What it says of itself: its parameters, and the layers that stay in training mode."""
    moody = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "training": sum(isinstance(layer, moody) and layer.training for layer in model.modules()),
    }


def serve(harness: Harness, model: nn.Module, block: mmap.mmap, order: dict[str, Any]) -> None:
    """Answer until the harness goes.

    Args:
        order: "gradients": whether any are given. "exact": no TF32, as for verdicts.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not order["exact"]
    whole = torch.frombuffer(block, dtype=torch.float32)
    images, gradients = whole[: frames.HALF // 4], whole[frames.HALF // 4 :]
    graph: tuple[int, Tensor, Tensor] | None = None
    while (asked := harness.question()) is not None:
        header, content = asked
        try:
            if header.kind == frames.REVERSE:
                if graph is None or graph[0] != header.number:
                    raise SubmissionError("the gradient of an image that was not asked about last")
                gradient = _reversed(graph, content)
                graph = None  # freed layer by layer on the way back, as at home: kept whole, it cost 4 to 9 % of the time
                gradients[: gradient.numel()].copy_(gradient.flatten())
                harness.say(Header(frames.GRADIENT, header.number))
                continue
            graph = x = logits = None  # its memory is free before more is taken
            shape = (header.images, 1, header.height, header.width)
            count = header.images * header.height * header.width
            x = (
                images[:count].detach().view(shape).to(order["device"])
            )  # until the next question nobody writes there
            followed = header.kind == frames.FOLLOWED and order["gradients"]
            with torch.set_grad_enabled(followed):
                logits = _checked(model(x.requires_grad_(followed)), header.images)
            led = header.kind == frames.FORWARD or logits.requires_grad
            kind = frames.LOGITS if led else frames.CONSTANT
            if logits.requires_grad:
                graph = header.number, x, logits
            answer = logits.detach().cpu().contiguous().numpy().tobytes()
            columns = logits.shape[1]
            harness.say(
                Header(kind, header.number, header.images, columns=columns, length=len(answer)), answer
            )
        except BaseException as error:
            graph = None
            harness.fail(error, header.number)


def _reversed(graph: tuple[int, Tensor, Tensor], content: bytes) -> Tensor:
    _, x, logits = graph
    upstream = torch.frombuffer(bytearray(content), dtype=torch.float32).view(logits.shape).to(logits.device)
    (gradient,) = torch.autograd.grad(logits, x, upstream, allow_unused=True)
    return torch.zeros(x.shape) if gradient is None else gradient.cpu()


def _checked(logits: object, count: int) -> Tensor:
    if not isinstance(logits, Tensor):
        raise SubmissionError(
            f"the model returned {type(logits).__name__}, expected a tensor of logits (N, 2) or (N, 1)"
        )
    if logits.ndim != 2 or logits.shape[0] != count or logits.shape[1] not in (1, 2):
        raise SubmissionError(
            f"the model returned shape {tuple(logits.shape)} for {count} images, expected ({count}, 2) = "
            "[no disease, disease] or (N, 1) where z > 0 means disease"
        )
    if logits.dtype != torch.float32:
        raise SubmissionError(f"the model returned {logits.dtype}, expected float32")
    return logits
