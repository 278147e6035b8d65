"""The system calls that a worker is left with, as a program for the kernel. All others do not exist for it."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from typing import Any

from benchmark.errors import IsolationError

# Reading files, memory, threads, time, and the socket that it has. No way to make a socket, a process or a signal.
ALLOWED = [
    "read",
    "pread64",
    "readv",
    "write",
    "writev",
    "close",
    "close_range",
    "lseek",
    "open",
    "openat",
    "stat",
    "lstat",
    "fstat",
    "newfstatat",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getdents64",
    "getcwd",
    "statfs",
    "fstatfs",
    "mmap",
    "munmap",
    "mprotect",
    "mremap",
    "madvise",
    "brk",
    "futex",
    "rseq",
    "set_robust_list",
    "get_robust_list",
    "set_tid_address",
    "membarrier",
    "sched_yield",
    "sched_getaffinity",
    "getcpu",
    "getpid",
    "gettid",
    "getppid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getrlimit",
    "getrusage",
    "sysinfo",
    "uname",
    "getrandom",
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "time",
    "times",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "restart_syscall",
    "arch_prctl",
    "exit",
    "exit_group",
]
# What the driver of an NVIDIA GPU asks besides.
FOR_CUDA = [
    "ioctl",
    "memfd_create",
    "ftruncate",
    "eventfd2",
    "pipe2",
    "dup",
    "dup3",
    "sched_setaffinity",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getparam",
    "sched_getscheduler",
    "mlock",
    "munlock",
    "mbind",
    "get_mempolicy",
    "set_mempolicy",
]
# Of fcntl: copies and flags of its own descriptors. A lock on a file would be seen in other workers.
F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC = 0, 1, 2, 3, 4, 1030
CLONE_THREAD, PR_SET_NAME = 0x00010000, 15
NO_SUCH_CALL = 38  # ENOSYS: libraries go on without what is not there


@lru_cache(maxsize=2)
def program(cuda: bool = False) -> bytes:
    """The filter as BPF, for the machine that this runs on.

    Raises:
        IsolationError: libseccomp is not installed.
    """
    try:
        import pyseccomp as seccomp
    except (ImportError, RuntimeError, OSError) as error:
        raise IsolationError(
            f"the filter of system calls cannot be made ({error}); install it: apt-get install libseccomp2, "
            "pip install pyseccomp"
        ) from None
    rules = seccomp.SyscallFilter(seccomp.ERRNO(NO_SUCH_CALL))
    for name in [*ALLOWED, *(FOR_CUDA if cuda else ())]:
        _add(seccomp, rules, name)
    _add(seccomp, rules, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, CLONE_THREAD, CLONE_THREAD))
    _add(seccomp, rules, "prctl", seccomp.Arg(0, seccomp.EQ, PR_SET_NAME))
    _add(seccomp, rules, "prlimit64", seccomp.Arg(2, seccomp.EQ, 0))
    for asked in (F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC):
        _add(seccomp, rules, "fcntl", seccomp.Arg(1, seccomp.EQ, asked))
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def _add(seccomp: Any, rules: Any, name: str, *arguments: Any) -> None:
    """Allow a call, if this machine knows it."""
    if seccomp.resolve_syscall(seccomp.system_arch(), name) >= 0:
        rules.add_rule(seccomp.ALLOW, name, *arguments)
