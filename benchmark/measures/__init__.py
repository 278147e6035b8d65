"""Records → every figure, as frozen dataclasses: of one entry (`measure`), and of all entries of a table (`board`)."""

from benchmark.measures.boards import Board, Standing, Versus, board
from benchmark.measures.constant import exact_if_constant
from benchmark.measures.entry import Accuracy, Measures, measure
from benchmark.measures.subgroups import Subgroup, comparable_groups
from benchmark.measures.survivors import SURVIVORS, Met, attacks_alone, met_survivors
from benchmark.measures.wording import positive_words
from benchmark.statistics.agreement import Agreement
from benchmark.statistics.confidence import BINS, SPECIFICITY, SURE, Confidence, Threshold
from benchmark.statistics.ranks import Rank

__all__ = [
    "BINS",
    "SPECIFICITY",
    "SURE",
    "SURVIVORS",
    "Accuracy",
    "Agreement",
    "Board",
    "Confidence",
    "Measures",
    "Met",
    "Rank",
    "Standing",
    "Subgroup",
    "Threshold",
    "Versus",
    "attacks_alone",
    "board",
    "comparable_groups",
    "exact_if_constant",
    "measure",
    "met_survivors",
    "positive_words",
]
