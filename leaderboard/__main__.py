"""`python -m leaderboard`: build the pages. With `readme`: write the README's results.

With `screenshots`: build them and take the README's pictures (needs chromium and playwright).
With `summaries`: write the summary of every record and of every result under the paper's protocol anew from its rows,
after the statistics have changed.
"""

from __future__ import annotations

import sys

from benchmark.errors import BenchmarkError, ProtocolError
from benchmark.folders import ROOT, results_folder, site_folder
from leaderboard.build import build, read_records
from leaderboard.paper import read_papers
from leaderboard.readme import update_readme
from leaderboard.screenshots import screenshots


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
            case ["screenshots"]:
                for path in screenshots(build(results, site_folder()).parent):
                    print(path)
            case ["summaries"]:
                records = read_records(results)[0]
                for record in records:
                    print(record.save(results / record.track / record.modality))
                for home, paper in read_papers(results, records).items():
                    if paper.result.belongs_to(paper.record):
                        print(paper.result.save(paper.record, results / f"{home}.json"))
            case _:
                raise ProtocolError(
                    f"unknown request {' '.join(arguments)!r}; expected nothing, or: readme, screenshots, summaries"
                )
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
