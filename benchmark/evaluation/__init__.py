"""Split × model × protocol → Record: the trust boundary."""

from benchmark.evaluation.engine import evaluate
from benchmark.evaluation.verify import verify

__all__ = ["evaluate", "verify"]
