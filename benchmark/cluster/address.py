"""Where a cluster is: `local:4`, `tls://host:8786`, or `@FILE` that holds an address."""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmark.errors import ClusterError

EXAMPLES = "local:4, tls://host:8786, or @FILE that a scheduler writes its address to"


@dataclass(frozen=True)
class Local:
    """So many workers on this machine, for this command alone."""

    workers: int


@dataclass(frozen=True)
class Remote:
    """A scheduler that somebody started."""

    scheme: str
    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether nothing leaves this machine."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_address(text: str, patience: float = 60.0) -> Local | Remote:
    """What a person typed.

    Args:
        patience: seconds that an `@FILE` is waited for.

    Raises:
        ClusterError: it is no address; or an unencrypted one of another machine.
    """
    if text.startswith("@"):
        text = _from_file(Path(text[1:]).expanduser(), patience)
    if text.startswith("local:"):
        count = text.removeprefix("local:")
        if not count.isdecimal() or int(count) < 1:
            raise ClusterError(f"local:N needs a number of workers from 1 on (got {text!r})")
        return Local(int(count))
    return parse_remote(text)


def parse_remote(text: str) -> Remote:
    """An address of a scheduler; without a scheme it is tls://, on this machine tcp://.

    Raises:
        ClusterError: as `parse_address`.
    """
    scheme, _, rest = text.rpartition("://")
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or not port or scheme not in ("", "tls", "tcp") or parts.path or parts.username:
        raise ClusterError(f"{text!r} is no address of a cluster; expected {EXAMPLES}")
    found = Remote(scheme or ("tcp" if is_loopback(host) else "tls"), host, port)
    if found.scheme == "tcp" and not found.loopback:
        raise ClusterError(
            f"{found} is not encrypted: whoever reads along sees the images, and whoever speaks there runs code on every "
            f"worker; make certificates (oncorobust cluster certificates FOLDER), start the scheduler and the workers "
            f"with --certificates FOLDER, and use tls://{host}:{port}"
        )
    return found


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, seen from itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _from_file(path: Path, patience: float) -> str:
    end = time.monotonic() + patience
    while True:
        try:
            if text := path.read_text("utf-8").strip():
                return text
        except FileNotFoundError:
            pass
        except (OSError, UnicodeDecodeError) as error:
            raise ClusterError(f"the address file {path} cannot be read: {error}") from None
        if time.monotonic() > end:
            raise ClusterError(
                f"the address file {path} did not appear within {patience:.0f} s; does its scheduler run? "
                "It is the file that `oncorobust cluster scheduler --file` writes"
            )
        time.sleep(0.2)
