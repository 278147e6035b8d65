"""What a page must say of the track that its numbers come from."""

from __future__ import annotations

from leaderboard.groups import PUBLIC_TRACKS

PHANTOM = (
    "Phantom: these images are synthetic, drawn by a program. "
    "The numbers exercise the benchmark; they say nothing of patients."
)
PRIVATE = "Private: made from a folder of your own. Do not publish this page unless you may publish the data's results."


def track_warnings(track: str) -> tuple[str, ...]:
    """The sentences that stand above everything measured on a track."""
    if track == "phantom":
        return (PHANTOM,)
    return (PRIVATE,) if is_private(track) else ()


def is_private(track: str) -> bool:
    """Whether a track is somebody's own folder."""
    return track not in PUBLIC_TRACKS
