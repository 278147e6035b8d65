"""What `submission.toml` says of the model, held against the model and its code."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator

import torch
from torch import nn

from benchmark.submission import Submission

# What code may import without asking, beside its own files.
FREE = {"torch", "torchvision", "timm", "numpy", "scipy", "safetensors", "benchmark"}


def package_complaints(submission: Submission) -> Iterator[str]:
    """Imports of the code that are neither free nor asked for; and packages asked for that are not here.

    The code is read, not run. What it imports by other ways fails in the sandbox, where such packages are missing.
    """
    asked: set[str] = set(submission.file.packages)
    for name in sorted(asked):
        if importlib.util.find_spec(name) is None:
            yield f"it asks for the package {name!r}, which is not installed here: pip install 'oncorobust[entries]'"
    own = {name.partition("/")[0].removesuffix(".py") for name in submission.code}
    known = FREE | own | asked | set(sys.stdlib_module_names)
    for name in submission.code:
        foreign = sorted(_imported((submission.folder / name).read_text("utf-8", "replace")) - known)
        if foreign:
            yield (
                f"{name} imports {', '.join(foreign)}; allowed are {', '.join(sorted(FREE))} and in 'packages' "
                "(einops, monai)"
            )


def syntax_complaints(submission: Submission) -> Iterator[str]:
    """Files of code that are no Python, with the line. Read, not run."""
    for name in submission.code:
        try:
            ast.parse((submission.folder / name).read_bytes(), name)
        except (SyntaxError, ValueError) as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            told = error.msg if isinstance(error, SyntaxError) else error
            yield f"{name}{line}: {type(error).__name__}, {told}; correct it, python -m py_compile {name} tries it"
        except (RecursionError, MemoryError, OSError):
            continue  # building the model tells it


def _imported(source: str) -> set[str]:
    """The packages that a file imports by name; none where it is no Python, which building the model tells better."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def output_complaint(model: nn.Module, submission: Submission, size: int) -> str:
    """Whether the model gives as many logits as it is said to; empty if it does."""
    said = submission.file.output.logits
    if said is None:
        return ""
    with torch.no_grad():
        found = model(torch.zeros(1, 1, size, size)).shape[1]
    if found == said:
        return ""
    return f"[output] says logits = {said} and the model gives {found}; correct one of them"
