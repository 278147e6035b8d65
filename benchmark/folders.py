"""Where things are kept: what ships with the package, what is cached, what is committed."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def home() -> Path:
    """The folder that submissions/ and leaderboard/ lie in: the clone, or, where a wheel is installed, where we stand."""
    return ROOT if (ROOT / "pyproject.toml").is_file() else Path.cwd()


def cache_folder() -> Path:
    """Prepared splits, unfinished blocks, adversarial images. Moved by ONCOROBUST_CACHE."""
    named = os.environ.get("ONCOROBUST_CACHE")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("oncorobust")


def submissions_folder() -> Path:
    """The folder whose sub-folders are the entries. Moved by ONCOROBUST_SUBMISSIONS."""
    named = os.environ.get("ONCOROBUST_SUBMISSIONS")
    return Path(named).expanduser() if named else home() / "submissions"


def attacks_folder() -> Path:
    """Adversarial images that were sent, as <entry>/<modality>/*.safetensors. Moved by ONCOROBUST_ATTACKS."""
    named = os.environ.get("ONCOROBUST_ATTACKS")
    return Path(named).expanduser() if named else submissions_folder() / "attacks"


def results_folder(track: str, private: bool = False, protocol: str = "") -> Path:
    """Where the records of a track are written. Moved by ONCOROBUST_RESULTS.

    A private track's records go to the cache, outside the repository; those of an unranked protocol in a
    folder of its own.
    """
    if private:
        return cache_folder() / "private" / (f"results-{protocol}" if protocol else "results") / track
    named = os.environ.get("ONCOROBUST_RESULTS")
    base = Path(named).expanduser() if named else home() / "leaderboard" / "results"
    return base / track


def site_address() -> str:
    """Where the pages will stand, with a slash at the end; empty where nobody says. Told by ONCOROBUST_ADDRESS."""
    named = os.environ.get("ONCOROBUST_ADDRESS", "").strip()
    return f"{named.rstrip('/')}/" if named.startswith(("https://", "http://")) else ""


def site_folder(private: bool = False) -> Path:
    """Where the pages are built. Moved by ONCOROBUST_SITE."""
    if private:
        return cache_folder() / "private" / "site"
    named = os.environ.get("ONCOROBUST_SITE")
    return Path(named).expanduser() if named else home() / "leaderboard" / "site"
