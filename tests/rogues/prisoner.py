"""Hostile models for one worker each: the name given to `build` says what is tried.

Each answers with the gap +1 where it got what it wanted, and −1 where it did not. None of this runs in the harness.
"""

import contextlib
import ctypes
import fcntl
import gc
import glob
import mmap
import os
import pickle
import signal
import socket
import stat
import struct
import sys
import threading
import time

import torch
from torch import nn

LIBC = ctypes.CDLL(None, use_errno=True)
REPOSITORY, SECRET, PARENT = "@REPOSITORY@", "@SECRET@", int("@PARENT@")
HALF = 256 << 20


class Prisoner(nn.Module):
    def __init__(self, attempt):
        super().__init__()
        self.attempt = attempt

    def forward(self, images):
        try:
            got = self.attempt()
        except OSError:
            got = False
        gap = images.flatten(1).mean(1) * 0 + (1.0 if got else -1.0)
        return torch.stack((torch.zeros_like(gap), gap), 1)


def reads(*patterns):
    """Whether any such file can be opened."""

    def attempt():
        for pattern in patterns:
            for path in glob.glob(pattern, recursive=True) or [pattern]:
                with contextlib.suppress(OSError), open(path, "rb") as file:
                    file.read(16)
                    return True
        return False

    return attempt


def labels():
    found = reads(
        REPOSITORY + "/**/*.safetensors",
        "/libraries/*/benchmark/*",
        "/libraries/*/leaderboard/*",
        "/harness/**/data/**",
    )
    return found()


def environment():
    known = SECRET in str(os.environ)
    for path in ("/proc/1/environ", "/proc/self/environ", f"/proc/{PARENT}/environ", "/proc/1/cmdline"):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            known |= SECRET.encode() in file.read() or b"bwrap" in file.read()
    return known or bool(os.listdir("/proc"))


def connects(family, kind, address):
    def attempt():
        with socket.socket(family, kind) as made:
            made.settimeout(1)
            made.connect(address)
            return True

    return attempt


def dns():
    return bool(socket.getaddrinfo("example.org", 80))


def forks():
    child = os.fork()
    if child == 0:
        os._exit(0)
    return True


def executes():
    for program in ("/bin/sh", "/usr/bin/env", sys.executable or "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            os.posix_spawn(program, [program], {})
            return True
    os.execv(sys.executable or "/usr/bin/python3", ["python"])
    return True


def writes():
    folders = [
        "/",
        "/tmp",
        "/submission",
        "/harness",
        "/libraries/0",
        "/dev/shm",
        "/proc",
        "/usr/lib",
        "/sys",
        "/var/tmp",
    ]
    for folder in (*folders, os.path.expanduser("~"), REPOSITORY):
        with contextlib.suppress(OSError), open(os.path.join(folder, "mark"), "w") as file:
            file.write("here")
            return True
    return False


def fills_memory():
    held = []
    while True:
        held.append(bytearray(64 << 20))


def fills_disk():
    for name in ("memfd_create", "open"):
        with contextlib.suppress(OSError, AttributeError):
            made = (
                os.memfd_create("x") if name == "memfd_create" else os.open("/tmp", os.O_TMPFILE | os.O_RDWR)
            )
            os.write(made, b"x" * (1 << 20))
            return True
    return False


def spins():
    while True:
        pass


def sleeps():
    time.sleep(3600)


def starts_threads():
    for _ in range(4096):
        threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    return True


def kills():
    for victim in (PARENT, os.getppid(), 1, -1, 0):
        for how in (signal.SIGKILL, signal.SIGTERM):
            with contextlib.suppress(OSError):
                os.kill(victim, how)
                return True
    return False


def sibling():
    """Look for other processes and write into them."""
    local = ctypes.create_string_buffer(b"x" * 8)
    vector = struct.pack("PN", ctypes.addressof(local), 8)
    for pid in (*range(2, 400), PARENT):
        if LIBC.process_vm_writev(pid, vector, 1, vector, 1, 0) > 0 or LIBC.ptrace(16, pid, 0, 0) == 0:
            return True
        with contextlib.suppress(OSError), open(f"/proc/{pid}/mem", "rb"):
            return True
    return False


def calls():
    """Calls of the kernel that open another way: io_uring, bpf, userfaultfd, keyctl, memfd, namespaces, mounts."""
    for number in (425, 321, 323, 250, 319, 272, 308, 165, 166, 155, 101, 310, 311, 434, 438, 157, 317):
        if LIBC.syscall(number, 0, 0, 0, 0, 0, 0) >= 0:
            return True
    return LIBC.unshare(0x10000000) == 0 or (LIBC.setuid(0) == 0 and os.getuid() == 0)


def capabilities():
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(*[2**32 - 1] * 6)
    return LIBC.capset(header, data) == 0 or LIBC.mount(b"none", b"/proc", b"proc", 0, None) == 0


def link():
    """The descriptor of the socket to the harness."""
    for descriptor in range(3, 64):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket"):
                return descriptor
            continue
        with contextlib.suppress(OSError):
            if (os.fstat(descriptor).st_mode & 0o170000) == 0o140000:
                return descriptor
    raise OSError


def descriptors():
    """Anything open beside its socket, the shared block and three times nothing?"""
    kinds = []
    for descriptor in range(1024):
        with contextlib.suppress(OSError):
            found = os.fstat(descriptor)
            nothing = os.path.exists("/dev/null") and found.st_rdev == os.stat("/dev/null").st_rdev
            sealed = stat.S_ISREG(found.st_mode) and found.st_nlink == 0
            kinds += [
                "nothing"
                if nothing
                else "sealed"
                if sealed
                else "socket"
                if stat.S_ISSOCK(found.st_mode)
                else "?"
            ]
    return kinds.count("socket") != 1 or "?" in kinds or kinds.count("sealed") > 1


def locks():
    """A lock on a file that other workers see too would tell them something."""
    for path in (*glob.glob("/submission/*"), *glob.glob("/libraries/0/torch/*.py")):
        with open(path, "rb") as file:
            for lock in (
                lambda: fcntl.flock(file, fcntl.LOCK_SH),
                lambda: fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, 8),
            ):
                with contextlib.suppress(OSError):
                    lock()
                    return True
    return False


def signals():
    """By other calls than kill: to a thread, to a group, through a descriptor that tells its owner, by a timer."""
    for number, *words in (
        (200, 1, 9),
        (234, 1, 1, 9),
        (129, 1, 9, 0),
        (424, 3, 9, 0, 0),
        (37, 1),
        (222, 0, 0, 0),
        (62, -1, 9),
    ):
        if LIBC.syscall(number, *words) >= 0:
            return True
    return LIBC.fcntl(link(), 8, PARENT) == 0 or LIBC.prctl(1, 0) == 0 or LIBC.prctl(4, 1) == 0


def memory_of_itself():
    """Its own memory through a file, where a page that is not to be written could be written all the same."""
    for path in ("/proc/self/mem", "/proc/self/exe", "/proc/1/mem", "/proc/thread-self/mem"):
        with contextlib.suppress(OSError), open(path, "r+b"):
            return True
    return False


def truncates():
    """The shared block, which would end the harness with SIGBUS."""
    for descriptor in range(3, 1024):
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 4096)
            return True
    for block in shared_blocks():
        with contextlib.suppress(Exception):
            block.resize(4096)
            return True
    return False


def pickles():
    """A pickle beside the code, and one that runs a program."""
    with contextlib.suppress(Exception):
        torch.load("/submission/weights.pt", weights_only=False)
        return True
    return pickle.loads(b"cos\nsystem\n(S'true'\ntR.") == 0


def names_the_machine():
    return os.uname().nodename != "worker"


def floods():
    """A hundred megabytes to whoever reads its output."""
    for descriptor in (1, 2):
        for _ in range(100):
            os.write(descriptor, b"::error::x\n" * 100_000)
    return False


def bellows():
    """A frame that says it is about very many images, so that a long answer would be due, and goes on for ever."""
    os.write(link(), struct.pack("<4sHHIIIII", b"OncB", 5, 2, 2, HALF // 4, 16, 16, 8 * (HALF // 4)))
    while True:
        os.write(link(), b"\0" * (1 << 20))


def babbles():
    os.write(link(), b"not a frame at all, and longer than one " * 3)
    time.sleep(5)


def shouts():
    """A header that promises two gigabytes."""
    os.write(link(), struct.pack("<4sHHIIIII", b"OncB", 5, 2, 1, 2**31, 16, 16, 2**31))
    time.sleep(5)


def foretells():
    """A well-formed answer to the next question, sent before it is asked."""
    for number in range(2, 4):
        os.write(link(), struct.pack("<4sHHIIIII", b"OncB", 5, 2, number, 8, 0, 0, 64) + b"\0" * 64)
    return False


def shared_blocks():
    """The memory that it shares with the harness."""
    blocks = [found for found in gc.get_objects() if isinstance(found, mmap.mmap)]
    frames = sys._getframe()
    while not blocks and frames is not None:
        blocks += [value for value in frames.f_locals.values() if isinstance(value, mmap.mmap)]
        frames = frames.f_back
    return blocks


class Scribbles(nn.Module):
    """Gives a gradient of ones, and goes on writing 7 over it for ever."""

    def forward(self, images):
        blocks = shared_blocks()
        if not blocks:
            raise RuntimeError("no shared block was found")
        with contextlib.suppress(Exception):
            blocks[0].resize(4096)
        sevens = torch.full((64, 1), 7.0).numpy().tobytes()

        def scribble():
            while True:
                blocks[0][HALF : HALF + len(sevens)] = sevens

        threading.Thread(target=scribble, daemon=True).start()
        gap = images.flatten(1).sum(1)
        return torch.stack((torch.zeros_like(gap), gap), 1)


def prints():
    for text in ("::error::taken over", "##[set-output name=x]y", "::add-mask::1"):
        print(text)
        print(text, file=sys.stderr)
        with contextlib.suppress(OSError):
            os.write(1, text.encode())
            os.write(2, text.encode())
    raise ValueError("first\n::error::taken over\n##[error]taken over \x1b[31mred\x1b[0m " + "x" * 5000)


def changes_torch():
    torch.isfinite = lambda x: torch.ones_like(x, dtype=torch.bool)
    torch.Tensor.__sub__ = lambda a, b: a
    import benchmark.isolation.frames as frames

    frames.SIZE = 1
    return False


def leaves():
    os._exit(7)


def crashes():
    ctypes.string_at(0)


def quits():
    raise SystemExit("::error::goodbye")


class Wrong(nn.Module):
    """What it answers is not what is asked for."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, images):
        gap = images.flatten(1).sum(1)
        answers = {
            "nan": lambda: torch.stack((gap, gap * torch.nan), 1),
            "three": lambda: torch.stack((gap, gap, gap), 1),
            "fewer": lambda: torch.stack((gap, gap), 1)[1:],
            "double": lambda: torch.stack((gap, gap), 1).double(),
            "list": lambda: [1, 2],
            "infinite-gradient": lambda: torch.stack((gap * 0, (gap - gap).abs().sqrt()), 1),
        }
        return answers[self.kind]()


UNIX = socket.AF_UNIX
ATTEMPTS = {
    "labels": labels,
    "environment": environment,
    "host files": reads("/etc/passwd", "/etc/shadow", "/root/.ssh/*", "/home/*/*", "/var/log/*", "/run/*"),
    "tcp": connects(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 1)),
    "udp": connects(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 53)),
    "unix": connects(UNIX, socket.SOCK_STREAM, "/run/systemd/private"),
    "dns": dns,
    "fork": forks,
    "exec": executes,
    "write": writes,
    "disk": fills_disk,
    "memory": fills_memory,
    "spin": spins,
    "sleep": sleeps,
    "threads": starts_threads,
    "kill": kills,
    "sibling": sibling,
    "calls": calls,
    "capabilities": capabilities,
    "descriptors": descriptors,
    "locks": locks,
    "signals": signals,
    "memory of itself": memory_of_itself,
    "truncate": truncates,
    "pickle": pickles,
    "machine": names_the_machine,
    "flood": floods,
    "bellow": bellows,
    "babble": babbles,
    "shout": shouts,
    "foretell": foretells,
    "print": prints,
    "torch": changes_torch,
    "leave": leaves,
    "crash": crashes,
    "quit": quits,
}


def brackets():
    """Says that it is ready in a thousand brackets."""
    line = b"[" * 4000
    os.write(link(), struct.pack("<4sHHIIIII", b"OncB", 4, 0, 0, 0, 0, 0, len(line)) + line)
    time.sleep(5)


def boasts():
    """Has more parameters than anybody could print."""
    line = b'{"parameters": ' + b"9" * 4000 + b"}"
    os.write(link(), struct.pack("<4sHHIIIII", b"OncB", 4, 0, 0, 0, 0, 0, len(line)) + line)


def build(modality):
    if modality in ("brackets", "boast"):
        {"brackets": brackets, "boast": boasts}[modality]()
        modality = "flood"
    if modality == "scribble":
        return Scribbles()
    if modality.startswith("wrong "):
        return Wrong(modality.removeprefix("wrong "))
    return Prisoner(ATTEMPTS[modality])
