"""The harness's end of one worker: questions, answers, time-outs, and how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
import weakref
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from benchmark.errors import SubmissionError
from benchmark.isolation import frames
from benchmark.isolation.frames import Header


@dataclass(frozen=True)
class Limits:
    """What a worker may use. memory: bytes beyond what torch takes; 0: no limit. seconds: of processor time.

    build, answer: seconds by the clock for the model to be built, and for one question.
    """

    memory: int = min(8 << 30, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
    seconds: int = 12 * 3600
    files: int = 128
    threads: int = 256
    build: float = 120.0
    answer: float = 120.0


class Worker:
    """One model in a process of its own. `about` is what it says of itself; it ends with this object."""

    def __init__(self, asked: socket.socket, life: socket.socket, block: Tensor, limits: Limits) -> None:
        self.asked, self.life, self.limits = asked, life, limits
        self.images, self.gradients = block[: frames.HALF // 4], block[frames.HALF // 4 :]
        self._end = weakref.finalize(self, _let_go, asked, life)
        header, content = self.answer(limits.build, "while its model was built", 0)
        try:
            told = json.loads(content) if header.kind == frames.READY else None
        except (ValueError, RecursionError):  # no JSON, or a thousand brackets of it
            told = None
        if not isinstance(told, dict):
            raise self.broken("sent what is no answer, while its model was built")
        self.about: dict[str, Any] = told

    def ask(self, header: Header, content: bytes = b"") -> tuple[Header, bytes]:
        """Send one question and wait for its answer, whatever that is.

        Raises:
            SubmissionError: it ended, took too long, or answered with what is no frame.
        """
        told = f"when it was asked about {header.images} images"
        deadline = time.monotonic() + self.limits.answer
        rest = memoryview(header.packed() + content)
        try:
            while rest:
                self._wait(deadline)
                rest = rest[self.asked.send(rest) :]
        except TimeoutError:
            raise self.broken(f"did not listen for {self.limits.answer:g} s, {told}") from None
        except OSError:
            raise self.broken(f"{self.ended()} {told}") from None
        return self.answer(self.limits.answer, told, header.images)

    def answer(self, seconds: float, told: str, images: int) -> tuple[Header, bytes]:
        """Wait for one message about so many images, `seconds` by the clock at most."""
        deadline = time.monotonic() + seconds
        try:
            header = frames.unpacked(self._read(frames.SIZE, deadline))
            if header is None or header.length > max(frames.LONGEST, 8 * images):
                raise self.broken(f"sent what is no answer, {told}")
            content = self._read(header.length, deadline)
        except TimeoutError:
            raise self.broken(f"gave no answer within {seconds:g} s, {told}") from None
        except (EOFError, OSError):
            raise self.broken(f"{self.ended()} {told}") from None
        if header.kind == frames.FAILED:
            raise SubmissionError(frames.plain(content.decode(errors="replace")))
        return header, content

    def broken(self, told: str) -> SubmissionError:
        """End it; why nothing more can be asked."""
        self.close()
        return SubmissionError(f"the worker with the submission's code {told}")

    def ended(self) -> str:
        """How it came to its end, in words."""
        status = _let_go(self.asked, self.life)
        if len(status) != 4:
            return frames.plain(status.decode(errors="replace")) or "ended"
        code = os.waitstatus_to_exitcode(int.from_bytes(status, "little"))
        if code >= 0:
            return f"ended with code {code}"
        why = ", most likely for want of memory or processor time" if -code == signal.SIGKILL else ""
        return f"was killed by {signal.Signals(-code).name}{why}"

    def close(self) -> None:
        """End it; returns when it has ended."""
        self._end()

    def _wait(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.asked.settimeout(left)

    def _read(self, count: int, deadline: float) -> bytes:
        parts: list[bytes] = []
        while count:
            self._wait(deadline)
            part = self.asked.recv(min(count, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def _let_go(asked: socket.socket, life: socket.socket) -> bytes:
    """Tell the keeper to end its worker, and wait for what it says of the end."""
    status = b""
    with contextlib.suppress(OSError):
        life.settimeout(5)
        life.shutdown(socket.SHUT_WR)
        status = life.recv(frames.LONGEST)
        while life.recv(frames.LONGEST):
            pass
    asked.close()
    life.close()
    return status
