"""What harness and worker say to each other: headers of one fixed size, plain float32, nothing that is unpickled.

Images and gradients lie in a block of shared memory, logits and upstream gradients follow their header on the socket.

    kind       from      what follows
    FORWARD    harness   images (n, 1, h, w) in the first half of the shared block; the answer is LOGITS
    FOLLOWED   harness   the same, and the worker keeps the graph for REVERSE
    REVERSE    harness   upstream gradient (n, c); the answer is GRADIENT
    READY      worker    a line about the model, as JSON; once, before anything is asked
    LOGITS     worker    (n, c) float32
    CONSTANT   worker    the same, where no gradient leads back to the images
    GRADIENT   worker    nothing: (n, 1, h, w) in the second half of the shared block
    FAILED     worker    a sentence
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

FORWARD, FOLLOWED, REVERSE, READY, LOGITS, CONSTANT, GRADIENT, FAILED = range(1, 9)
MAGIC = b"OncB"
# magic, kind, columns, number of the question, images, height, width, bytes that follow
_HEADER = struct.Struct("<4sHHIIIII")
SIZE = _HEADER.size
LONGEST = 4096  # bytes of a sentence or a line
HALF = (
    256 << 20
)  # bytes of shared memory for images, and as many for gradients; what is not touched costs nothing


@dataclass(frozen=True)
class Header:
    """One message's fixed part. `length` is how many bytes follow on the socket."""

    kind: int
    number: int = 0
    images: int = 0
    height: int = 0
    width: int = 0
    columns: int = 0
    length: int = 0

    def packed(self) -> bytes:
        """As it goes over the socket."""
        return _HEADER.pack(
            MAGIC,
            self.kind,
            self.columns,
            self.number,
            self.images,
            self.height,
            self.width,
            self.length,
        )

    @property
    def bytes_of_images(self) -> int:
        """Of images or gradients in a half of the shared block."""
        return 4 * self.images * self.height * self.width


def unpacked(content: bytes) -> Header | None:
    """A header as it came, or None where it is none."""
    magic, kind, columns, number, images, height, width, length = _HEADER.unpack(content)
    return Header(kind, number, images, height, width, columns, length) if magic == MAGIC else None


def plain(text: str, longest: int = 300) -> str:
    """A stranger's words on one line, without what a terminal or a build log would take for a command."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words.replace("::", ": :").replace("##[", "# #[")[:longest]
