"""`python -m leaderboard`: build the pages from the committed records."""

from __future__ import annotations

import sys

from benchmark.errors import BenchmarkError
from benchmark.folders import results_folder, site_folder
from leaderboard.build import build


def main() -> int:
    """Build the site and print where it is; 2 and a sentence when it cannot be built."""
    try:
        print(build(results_folder("phantom").parent, site_folder()))
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
