"""What a worker puts around itself, in this order, before the submission's code is read.

Read inside of the sandbox, so it imports nothing but the standard library. Linux alone has these calls.
"""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Mapping
from pathlib import Path

CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 0x4000, 0x40000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 4, 22, 38, 47
SECCOMP_MODE_FILTER, CLEAR_ALL, CAPABILITIES_3 = 2, 4, 0x20080522


class NoWalls(Exception):  # noqa: N818 - a reason, not an error of ours
    """A wall cannot be put up here; nothing of the submission may be read."""


def hide() -> None:
    """No other process may look into this one, and it dies with the one that made it."""
    _call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)
    _call("prctl", PR_SET_PDEATHSIG, 9, 0, 0, 0)


def separate() -> None:
    """The next child is alone: the first process of a namespace of its own, and sees no /proc."""
    _call("unshare", CLONE_NEWPID | CLONE_NEWNS)
    _call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    cover = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
    _call("mount", b"none", b"/proc", b"tmpfs", cover, b"size=4k,mode=555")


def size() -> int:
    """Of this process, in bytes of addresses."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def limit(limits: Mapping[str, int], now: int) -> None:
    """No file, few descriptors and threads, so much processor time and so much memory more than there is now.

    Args:
        limits: "files", "threads", "seconds" of processor time, "memory" in bytes; no memory means no limit, since
            a GPU's driver reserves far more addresses than it uses.
        now: `size`, which cannot be asked any more behind `separate`.
    """
    if limits["memory"]:
        _lower(resource.RLIMIT_AS, now + limits["memory"])
    _lower(resource.RLIMIT_NOFILE, limits["files"])
    _lower(resource.RLIMIT_NPROC, limits["threads"])
    _lower(resource.RLIMIT_CPU, limits["seconds"])
    for none in (
        resource.RLIMIT_FSIZE,
        resource.RLIMIT_CORE,
        resource.RLIMIT_MEMLOCK,
        resource.RLIMIT_MSGQUEUE,
    ):
        _lower(none, 0)


def _lower(what: int, most: int) -> None:
    hard = resource.getrlimit(what)[1]
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (least, least))


def close_in(program: bytes) -> None:
    """No capability, no new privilege, and only the system calls that the filter leaves; then see that it holds.

    Raises:
        NoWalls: the kernel refuses, or a socket can still be made.
    """
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("prctl", PR_CAP_AMBIENT, CLEAR_ALL, 0, 0, 0)
    _call("capset", (ctypes.c_uint32 * 2)(CAPABILITIES_3, 0), (ctypes.c_uint32 * 6)())
    instructions = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("count", ctypes.c_ushort), ("at", ctypes.c_void_p))

    asked = Program(len(program) // 8, ctypes.addressof(instructions))
    _call("prctl", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(asked), 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.socket(1, 1, 0) != -1 or libc.fork() != -1 or os.getpid() != 1 or any(Path("/proc").iterdir()):
        raise NoWalls("a worker could still make a socket or a process, or see others")


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    wide = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    if getattr(libc, name)(*wide) != 0:
        raise NoWalls(f"{name} is refused here: {os.strerror(ctypes.get_errno())}")
