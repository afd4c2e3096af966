"""Analysis of stored experiments: nothing here runs or changes one.

From results to conclusions::

    results = load("first")                      # a tag, names, paths; also folders of Syne Tune
    digits = curves(results, "digits")           # best-so-far losses: setups x seeds x times
    band = aggregate(digits.setups["ASHA"].losses)
    paired_tests(digits)                         # seed by seed, corrected for their number

Figures are in `tunewright.analysis.figures`, the HTML page in `tunewright.analysis.report`.
"""

from __future__ import annotations

from tunewright.analysis.aggregate import Aggregate, Band, aggregate, bootstrap, iqm
from tunewright.analysis.columns import Columns, Totals
from tunewright.analysis.comparison import (
    FinalRegret,
    Ranks,
    TimeToTarget,
    anytime_area,
    final_regrets,
    mean_ranks,
    normalised_regret,
    target_of,
    times_to_target,
)
from tunewright.analysis.curves import (
    Curves,
    Scale,
    SetupCurves,
    Steps,
    all_curves,
    best_so_far,
    curves,
    equal_setups,
    scale_of,
)
from tunewright.analysis.load import load
from tunewright.analysis.objectives import (
    ParetoSets,
    attainment_surface,
    hypervolume,
    hypervolume_curve,
    hypervolume_curves,
    losses_of,
    objectives_of,
    pareto_mask,
    pareto_sets,
)
from tunewright.analysis.results import ExperimentInfo, Results, Where
from tunewright.analysis.significance import (
    CriticalDifference,
    Improvement,
    Over,
    PairedTest,
    critical_difference,
    overall_tests,
    paired_tests,
    probability_of_improvement,
)

__all__ = [
    "Aggregate",
    "Band",
    "Columns",
    "CriticalDifference",
    "Curves",
    "ExperimentInfo",
    "FinalRegret",
    "Improvement",
    "Over",
    "PairedTest",
    "ParetoSets",
    "Ranks",
    "Results",
    "Scale",
    "SetupCurves",
    "Steps",
    "TimeToTarget",
    "Totals",
    "Where",
    "aggregate",
    "all_curves",
    "anytime_area",
    "attainment_surface",
    "best_so_far",
    "bootstrap",
    "critical_difference",
    "curves",
    "equal_setups",
    "final_regrets",
    "hypervolume",
    "hypervolume_curve",
    "hypervolume_curves",
    "iqm",
    "load",
    "losses_of",
    "mean_ranks",
    "normalised_regret",
    "objectives_of",
    "overall_tests",
    "paired_tests",
    "pareto_mask",
    "pareto_sets",
    "probability_of_improvement",
    "scale_of",
    "target_of",
    "times_to_target",
]
