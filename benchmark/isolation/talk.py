"""The worker's end of the conversation."""

from __future__ import annotations

import contextlib
import json
import mmap
import os

from benchmark.isolation import frames
from benchmark.isolation.frames import Header


class Harness:
    """Who asks, over the socket `descriptor`."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def question(self) -> tuple[Header, bytes] | None:
        """The next question with what followed it; None when the harness has gone."""
        header = frames.unpacked(self._read(frames.SIZE) or b"\0" * frames.SIZE)
        return (header, self._read(header.length)) if header else None

    def say(self, header: Header, content: bytes = b"") -> None:
        """One message."""
        rest = memoryview(header.packed() + content)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]

    def ready(self, about: dict[str, object]) -> None:
        """The model is built."""
        line = json.dumps(about).encode()
        self.say(Header(frames.READY, length=len(line)), line)

    def fail(self, error: BaseException, number: int = 0) -> None:
        """Something was raised; the harness gets the sentence, as far as it can still be told."""
        kind = type(error).__name__
        told = str(error) if kind in ("SubmissionError", "NoWalls") else f"{kind}: {error}"
        sentence = frames.plain(told).encode()[: frames.LONGEST]
        with contextlib.suppress(OSError):
            self.say(Header(frames.FAILED, number, length=len(sentence)), sentence)

    def _read(self, count: int) -> bytes:
        parts: list[bytes] = []
        while count and (part := os.read(self.descriptor, count)):
            parts.append(part)
            count -= len(part)
        return b"" if count else b"".join(parts)


def mapped(shared: int) -> mmap.mmap:
    """The shared block; its descriptor is closed."""
    block = mmap.mmap(shared, 2 * frames.HALF)
    os.close(shared)
    return block
