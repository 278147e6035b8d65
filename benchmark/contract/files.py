"""What may lie in a submission's folder: nothing that a program could run, load or obey without being asked."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from benchmark.isolation import frames

LARGEST_FILE = 4_000_000  # bytes of a file in the repository, each
NAMED = r"[A-Za-z0-9._+-]{1,100}"  # what a terminal, a build log and every file system show as it is
PICKLES = {".pkl", ".pickle", ".pt", ".bin", ".ckpt", ".joblib", ".npy", ".npz", ".h5"}
PROGRAMS = {".so", ".dylib", ".dll", ".pyd", ".exe", ".pyc", ".sh", ".bat"}
OBEYED = {
    "conftest.py": "pytest",
    "sitecustomize.py": "Python",
    "usercustomize.py": "Python",
    "setup.py": "pip",
    "setup.cfg": "pytest and pip",
    "pyproject.toml": "pytest and pip",
    "pytest.ini": "pytest",
    "tox.ini": "pytest",
    "noxfile.py": "nox",
    "Makefile": "make",
}
TAKEN = {
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "scipy",
    "safetensors",
    "benchmark",
    "leaderboard",
    "pytest",
}
BEGINS = {b"\x7fELF": "a program", b"MZ": "a program", b"\x80\x02": "a pickle", b"\x80\x03": "a pickle"}
BEGINS |= {
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"PK\x03\x04": "an archive, as torch.save writes",
}


def file_complaints(
    folder: Path, largest: int = LARGEST_FILE, elsewhere: Collection[str] = ()
) -> Iterator[str]:
    """Every file that may not be there, each with what to do.

    Args:
        elsewhere: names of weights that have an address; such a file may be of any size here, where it is tried out.
    """
    for path in sorted(folder.rglob("*")):
        name = frames.plain(ascii(str(path.relative_to(folder)))[1:-1])
        if not re.fullmatch(NAMED, path.name):
            yield f"{name} has a name of other characters than letters, digits, '.', '_', '-' and '+'; rename it"
        if path.is_symlink():
            yield f"{name} is a link, which could lead out of the folder; put the file itself there"
        elif path.is_file() and "__pycache__" not in path.parts:
            told = _of_name(path) or _of_content(path)
            if told:
                yield f"{name} {told}"
            elif path.stat().st_size > largest and str(path.relative_to(folder)) not in elsewhere:
                yield too_large(name, path.stat().st_size, largest)
        elif not path.is_dir() and not path.is_file():
            yield f"{name} is no ordinary file, but a pipe, socket or device; remove it"


def too_large(name: str, size: int, largest: int = LARGEST_FILE) -> str:
    """That a file is too large for the repository, and both ways on."""
    return (
        f"{name} has {size / 1e6:.1f} MB, allowed are {largest / 1e6:.0f} MB; store float16 (oncorobust convert --half), or "
        "upload it and give its 'urls' in [[weights]]; then it may lie here for trying out"
    )


def _of_name(path: Path) -> str:
    if path.name in OBEYED:
        return f"would be obeyed by {OBEYED[path.name]}; remove it"
    if path.suffix == ".pth" or path.suffix in PICKLES:
        return "may hold a pickle, which runs code when it is read; save weights with safetensors.torch.save_file"
    if path.suffix in PROGRAMS:
        return "is a program; a submission may bring Python and safetensors alone"
    if path.suffix == ".py" and path.stem in TAKEN | set(sys.stdlib_module_names):
        return f"has the name of the module {path.stem!r}; rename it"
    return ""


def _of_content(path: Path) -> str:
    with open(path, "rb") as file:
        start = file.read(4)
    kind = next((kind for magic, kind in BEGINS.items() if start.startswith(magic)), "")
    return (
        f"is {kind}, whatever its name says; remove it, or save weights with safetensors.torch.save_file"
        if kind
        else ""
    )
