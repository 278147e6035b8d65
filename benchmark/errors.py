"""What can go wrong, sorted by who can mend it.

    BenchmarkError
    ├── DataError          images, labels, splits, records on disk
    ├── SubmissionError    a submission's folder, weights or model
    ├── ProtocolError      what was asked for cannot be asked
    ├── IsolationError     no sandbox for a submission that brings code
    └── ClusterError       other machines that cannot be reached, trusted or used

Each message says who, what came, what was expected and how to mend it. The
command line prints the sentence and exits with 2; a traceback is a bug of ours.
"""


class BenchmarkError(Exception):
    """Anything that a user, a submitter or a maintainer can mend."""


class DataError(BenchmarkError):
    """Images, labels, splits or records that cannot be used as they are."""


class SubmissionError(BenchmarkError):
    """A submission that does not keep the contract."""


class ProtocolError(BenchmarkError):
    """A request that names something unknown, or a record of another protocol."""


class IsolationError(BenchmarkError):
    """A submission brings code and there is no sandbox to run it in."""


class ClusterError(BenchmarkError):
    """Machines that cannot be reached, trusted or used."""
