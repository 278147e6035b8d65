"""Everything that turns per-image results into numbers with error bars.

Patients, not images, are the unit: a patient's images are drawn together or not at
all (cluster bootstrap). Below 20 patients there is no interval and no rank.

    shares.py      accuracies and their intervals         bootstrap.py   the resamples
    comparison.py  a board of entries, all at once        ranks.py       rank intervals, ties
    agreement.py   McNemar, by the image                  power.py       what a split can show
    roc.py         AUROC, DeLong, Obuchowski              confidence.py  Brier, calibration, thresholds
    curve.py       area under accuracy over ε             patients.py    design effect, effective number
"""

from benchmark.statistics.bootstrap import RESAMPLES, SEED
from benchmark.statistics.curve import area_weights
from benchmark.statistics.estimate import MINIMUM_PATIENTS, Estimate
from benchmark.statistics.shares import (
    accuracy_interval,
    accuracy_intervals,
    balanced_accuracy,
    mean_intervals,
    paired_difference,
    share_interval,
    wilson,
)

__all__ = [
    "MINIMUM_PATIENTS",
    "RESAMPLES",
    "SEED",
    "Estimate",
    "accuracy_interval",
    "accuracy_intervals",
    "area_weights",
    "balanced_accuracy",
    "mean_intervals",
    "paired_difference",
    "share_interval",
    "wilson",
]
