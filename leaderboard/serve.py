"""A look at the site over HTTP, from this machine alone, for what browsers do only there; the site needs no server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmark.errors import DataError


class _Quiet(SimpleHTTPRequestHandler):
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".xml": "application/atom+xml"}

    def log_message(self, *words: Any) -> None:
        """Nothing: a line for each file would bury the address."""


@contextmanager
def serving(site: Path, port: int) -> Iterator[ThreadingHTTPServer]:
    """Serve a folder at 127.0.0.1 while the context lasts.

    Args:
        port: 0 takes any that is free; `server_port` of what is given says which.

    Raises:
        DataError: the port is taken.
    """
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=str(site)))
    except OSError as error:
        raise DataError(
            f"cannot serve at port {port}: {error.strerror or error}; take another one (--port 0 takes any)"
        ) from None
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def wait() -> None:
    """Until Ctrl-C."""
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
