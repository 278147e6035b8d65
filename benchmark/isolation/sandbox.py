"""bubblewrap's command line: what a worker's world holds. And does it work on this machine?

The world: the interpreter with its libraries, the site-packages, the few files of ours that a worker reads, and the
submission's own files, all read-only. No network, no home, no environment, no other process, no capability but the
one that the zygote needs to part its workers from each other, and which they give up.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from benchmark.errors import IsolationError
from benchmark.isolation.choices import BUBBLEWRAP, CHOICES, NONE
from benchmark.isolation.filter import program
from benchmark.kernels import KERNELS

OURS = Path(__file__).resolve().parents[1]  # benchmark/
READ_INSIDE = ("__init__.py", "errors.py", "allocator.py", "robustbench_import.py", "isolation", "models")
DEVICES = Path("/dev")
HARNESS, SUBMISSION = "/harness", "/submission"
# What changes the last bits of a result, or names the GPU: the only settings of the harness that a worker is told.
TOLD = (*KERNELS, "CUDA_VISIBLE_DEVICES")
ALWAYS = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
}
MEND = (
    "Debian and Ubuntu: apt-get install bubblewrap libseccomp2; where user namespaces are forbidden, see 'Entries with "
    "code' in CONTRIBUTING.md; your own code on your own machine also runs with --isolation none, unverified and not ranked"
)


def environment() -> dict[str, str]:
    """All that a worker's environment holds."""
    return ALWAYS | {name: os.environ[name] for name in TOLD if name in os.environ}


def libraries() -> list[str]:
    """The folders of installed packages: those of this environment, and where torch lies if that is elsewhere."""
    found = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    for name in ("torch", "numpy", "safetensors"):
        spec = importlib.util.find_spec(name)
        if spec and spec.origin:
            found.append(str(Path(spec.origin).parents[1]))
    return list(dict.fromkeys(str(Path(each).resolve()) for each in found if Path(each).is_dir()))


def interpreter() -> str:
    """The file that is run: the one behind the links of a virtual environment."""
    return str(Path(sys.executable).resolve())


def inside(number: int) -> str:
    """Where the library folder of this number lies in the sandbox."""
    return f"/libraries/{number}"


def command(
    program: Sequence[str], submission: Path | None, files: Sequence[str], cuda: bool = False
) -> list[str]:
    """The command that runs `program` in the world described above.

    Args:
        program: words after the interpreter. submission: its folder; None: there is none.
        files: of the submission, relative to its folder. cuda: bind the devices of NVIDIA GPUs as well.
    """
    words = [
        str(shutil.which("bwrap")),
        "--unshare-all",
        "--unshare-user",
        "--uid",
        "65534",
        "--gid",
        "65534",
    ]
    words += ["--hostname", "worker", "--disable-userns", "--die-with-parent", "--new-session", "--clearenv"]
    words += ["--cap-drop", "ALL", "--cap-add", "CAP_SYS_ADMIN"]
    for name, value in environment().items():
        words += ["--setenv", name, value]
    words += _system()
    for number, folder in enumerate(libraries()):
        words += ["--ro-bind", folder, inside(number)]
        for ours in (
            "benchmark",
            "leaderboard",
        ):  # where we are installed, the labels of the test part lie here
            if (Path(folder) / ours).is_dir():
                words += ["--tmpfs", f"{inside(number)}/{ours}", "--remount-ro", f"{inside(number)}/{ours}"]
    for name in READ_INSIDE:
        words += ["--ro-bind", str(OURS / name), f"{HARNESS}/benchmark/{name}"]
    for name in files if submission else ():
        words += ["--ro-bind", str(submission / name) if submission else "", f"{SUBMISSION}/{name}"]
    words += [
        "--proc",
        "/proc",
        "--dev-bind",
        "/dev/null",
        "/dev/null",
        "--dev-bind",
        "/dev/urandom",
        "/dev/urandom",
    ]
    words += _devices() if cuda else ["--ro-bind", "/sys/devices/system/cpu", "/sys/devices/system/cpu"]
    return [*words, "--chdir", "/", "--remount-ro", "/", "--", interpreter(), *program]


def _system() -> Iterator[str]:
    """The interpreter, its standard library, and the system's shared libraries; no programs."""
    prefix = Path(sys.base_prefix).resolve()
    bound = [Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/lib32"), prefix / "lib", prefix / "lib64"]
    for folder in dict.fromkeys(folder for folder in bound if folder.is_dir() and not folder.is_symlink()):
        yield from ("--ro-bind", str(folder), str(folder))
    for name in ("/lib", "/lib64", "/lib32"):
        if Path(name).is_symlink():
            yield from ("--symlink", os.readlink(name), name)  # noqa: PTH115 - as it stands, not resolved
        elif Path(name).is_dir():
            yield from ("--ro-bind", name, name)
    yield from ("--ro-bind", interpreter(), interpreter())


def _devices() -> Iterator[str]:
    """NVIDIA's: `--dev-bind`, since `--bind` would forbid devices, and /sys, without which the driver does not start."""
    yield from ("--ro-bind", "/sys", "/sys")
    for device in sorted(DEVICES.glob("nvidia*")):
        if not device.is_dir():
            yield from ("--dev-bind", str(device), str(device))


def chosen(isolation: str) -> str:
    """How code is isolated here: "bubblewrap", or "none" where that was asked for by name.

    Args:
        isolation: a name of CHOICES. "auto" is what ONCOROBUST_ISOLATION says, and bubblewrap where it says nothing.

    Raises:
        IsolationError: no such way, or no sandbox works here; with the reason and how to mend it.
    """
    if isolation == "auto":
        isolation = os.environ.get("ONCOROBUST_ISOLATION") or "auto"
    if isolation not in CHOICES:
        raise IsolationError(
            f"isolation {isolation!r} is not available; expected one of {', '.join(CHOICES)}"
        )
    if isolation == NONE:
        if not hasattr(os, "memfd_create"):
            raise IsolationError("entries that bring code run on Linux only; enter it by architecture name")
        return NONE
    told = complaint()
    if told:
        raise IsolationError(f"there is no sandbox for the code of a submission: {told}. {MEND}")
    return BUBBLEWRAP


@lru_cache(maxsize=1)
def complaint() -> str:
    """Why no sandbox works here; nothing if one does: a worker was put behind its walls."""
    if not sys.platform.startswith("linux"):
        return f"there is none for {platform.system()}"
    if shutil.which("bwrap") is None:
        return "bubblewrap (bwrap) is not installed"
    try:
        program()
        from benchmark.isolation.zygote import try_walls

        try_walls()
    except IsolationError as error:
        return str(error)
    return ""


@lru_cache(maxsize=1)
def version() -> str:
    """Of bubblewrap, as it says it."""
    import subprocess

    done = subprocess.run(
        [str(shutil.which("bwrap")), "--version"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def described(how: str) -> str:
    """What a record says of it."""
    return (
        "none"
        if how == NONE
        else f"{version()}, seccomp, a fresh worker for the attacks of every block and another for its verdicts"
    )
