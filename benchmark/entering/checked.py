"""An entry on the machine of its authors: the contract, and what a pull request with it would be refused for."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.contract import check_submission
from benchmark.errors import SubmissionError
from benchmark.forge.newcomer import is_entered, known_to, refusals
from benchmark.submission import read_submission


def check_entry(submission: str, track: str | None = None, isolation: str = "auto") -> Iterator[str]:
    """As `check_submission`; and an entry that is not there yet is held to what the gate of a pull request asks.

    Yields:
        One line for each modality, where all keep the contract.

    Raises:
        SubmissionError: every complaint of both at once; of the contract alone where `submission.toml` cannot be read.
    """
    complaints = []
    try:
        yield from check_submission(submission, track, isolation)
    except SubmissionError as error:
        complaints.append(str(error))
    try:
        entry = read_submission(submission)
    except SubmissionError:
        raise SubmissionError("\n".join(complaints)) from None
    known = known_to(entry.folder)
    if not is_entered(entry.folder, known):
        complaints += [f"a pull request would be refused: {each}" for each in refusals(entry, known)]
    if complaints:
        raise SubmissionError("\n".join(complaints))
