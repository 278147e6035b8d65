"""`python -m leaderboard`: build the pages; `python -m leaderboard readme`: write the README's results."""

from __future__ import annotations

import sys

from benchmark.errors import BenchmarkError, ProtocolError
from benchmark.folders import ROOT, results_folder, site_folder
from leaderboard.build import build, read_records
from leaderboard.paper import read_papers
from leaderboard.readme import update_readme


def main(arguments: list[str]) -> int:
    """Do what is asked; 2 and a sentence when it cannot be done."""
    results = results_folder("phantom").parent
    try:
        match arguments:
            case []:
                print(build(results, site_folder()))
            case ["readme"]:
                records = [record for record in read_records(results)[0] if record.track == "phantom"]
                print(
                    "README.md changed"
                    if update_readme(ROOT / "README.md", records, read_papers(results, records))
                    else "README.md is up to date"
                )
            case _:
                raise ProtocolError(f"unknown request {' '.join(arguments)!r}; expected nothing, or: readme")
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
