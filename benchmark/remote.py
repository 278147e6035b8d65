"""Files that are too large for the repository: where they may lie, and how they are fetched.

An address names its file for good: Hugging Face at a commit, or a record of Zenodo. What comes is counted, hashed and
only then believed; a file that was cut off goes on where it ended.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from benchmark.errors import SubmissionError
from benchmark.folders import cache_folder
from benchmark.progress import progress_bar

if TYPE_CHECKING:
    from requests import Response

HOSTS = {
    "Hugging Face at a commit": (
        r"https://huggingface\.co/[\w.-]+/[\w.-]+/resolve/[0-9a-f]{40}/[\w./-]+",
        "https://huggingface.co/OWNER/MODEL/resolve/COMMIT/ct.safetensors, COMMIT being all its 40 digits",
    ),
    "a record of Zenodo": (
        r"https://zenodo\.org/records/\d+/files/[\w.-]+(\?download=1)?",
        "https://zenodo.org/records/NUMBER/files/ct.safetensors",
    ),
}
# Where these send those who ask; whatever they send is held against the checksum.
SENT_TO = re.compile(r"https://([\w-]+\.)*(huggingface\.co|hf\.co|zenodo\.org)/")
# A commit that nobody can have: it stands in the address of a draft until somebody writes the true one.
NOWHERE = "0" * 40
SHA256 = "[0-9a-f]{64}"
LARGEST = 2_000_000_000  # bytes of one file
MB = 1 << 20
PATIENCE = 30.0  # seconds for an answer, and between two pieces
HOPS, TRIES = 5, 4


def address_complaint(url: str) -> str:
    """What is wrong with an address, with those that are taken; empty if nothing is."""
    if any(re.fullmatch(pattern, url) for pattern, _ in HOSTS.values()) and ".." not in url:
        return ""
    taken = "; ".join(f"{name}: {example}" for name, (_, example) in HOSTS.items())
    return f"must name a file that cannot change ({taken})"


def kept(sha256: str) -> Path:
    """Where a file of this checksum lies, or would lie, in the cache."""
    return cache_folder() / "weights" / f"{sha256}.safetensors"


def fetched(url: str, sha256: str) -> Path:
    """The file of this checksum, from the cache or from its address.

    Raises:
        SubmissionError: it cannot be had, is too large, is another file, or has no address yet.
    """
    from filelock import FileLock

    if not re.fullmatch(SHA256, sha256):  # it names a file of the cache
        raise SubmissionError(f"{sha256!r} is no sha256")
    path = kept(sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):  # several workers may want the same file at once
        if path.exists() and _sha256(path) == sha256:
            return path
        if NOWHERE in url:
            raise SubmissionError(
                "no address yet: upload the file to Hugging Face or Zenodo and write its address into 'urls' of "
                "submission.toml; to try it out here, put it beside submission.toml"
            )
        part = path.with_suffix(".part")
        _fetch(url, part)
        found = _sha256(part)
        if found != sha256:
            part.unlink()
            raise SubmissionError(
                f"{url} has sha256 {found}, submission.toml says {sha256}; state the checksum of the file that lies "
                "there, or upload the one that you mean"
            )
        part.replace(path)
    return path


def _fetch(url: str, part: Path) -> None:
    """Write what lies there to a file, going on after the bytes that it has."""
    import requests

    problem = ""
    for _ in range(TRIES):
        try:
            if _request(url, part):
                return
        except (requests.RequestException, OSError) as error:
            problem = _problem(error)
    raise SubmissionError(
        f"{url} cannot be fetched ({problem or 'it ends before its end'}); try again, what came is kept. Without a network "
        "put the file beside submission.toml"
    )


def _problem(error: Exception) -> str:
    """Why a request came to nothing, in a few words."""
    import requests

    if isinstance(error, requests.HTTPError):
        return f"its server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"its server did not answer within {PATIENCE:.0f} s"
    if isinstance(error, requests.ConnectionError):
        return "its server cannot be reached from here"
    return " ".join(str(error).split())[:200]


def _request(url: str, part: Path) -> bool:
    """One request; whether the file is whole after it."""
    begun = part.stat().st_size if part.exists() else 0
    with _answer(url, begun) as answer:
        if answer.status_code == 416:  # nothing follows what we have
            return True
        answer.raise_for_status()
        mode = "ab" if answer.status_code == 206 and _begins(answer) == begun else "wb"
        done = begun if mode == "ab" else 0
        length = answer.headers.get("Content-Length", "")
        whole = done + int(length) if length.isdecimal() else None
        _refuse_large(url, whole or 0)
        name = f"fetching {url.rpartition('/')[2]}, MB"
        with open(part, mode) as file, progress_bar(name, (whole or LARGEST) // MB) as advance:
            advance(done // MB)
            for piece in answer.iter_content(MB):
                done += len(piece)
                _refuse_large(url, done)
                file.write(piece)
                advance()
            file.flush()
            os.fsync(file.fileno())
    return whole is None or done >= whole


def _answer(url: str, begun: int) -> Response:
    """What the server says, wherever of its own hosts it sends us."""
    import requests

    wanted = {"Range": f"bytes={begun}-"} if begun else {}
    at = url
    for _ in range(HOPS):
        headers = {**wanted, "Accept-Encoding": "identity"}
        answer = requests.get(at, headers=headers, stream=True, timeout=PATIENCE, allow_redirects=False)
        if not answer.is_redirect:
            return answer
        answer.close()
        at = urljoin(at, answer.headers["Location"])
        if not SENT_TO.match(at):
            raise SubmissionError(
                f"{url} sends us on to {urlsplit(at).hostname}, which is none of its own hosts; name the file where it lies"
            )
    raise SubmissionError(f"{url} sends us on more than {HOPS} times; name the file where it lies")


def _begins(answer: Response) -> int | None:
    """The place of the first byte of a partial answer."""
    told = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(told[1]) if told else None


def _refuse_large(url: str, size: int) -> None:
    if size > LARGEST:
        raise SubmissionError(
            f"{url} has more than {LARGEST / 1e9:.0f} GB; allowed are {LARGEST / 1e9:.0f} GB a file"
        )


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
