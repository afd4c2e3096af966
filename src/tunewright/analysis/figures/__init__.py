"""Figures of experiments: matplotlib objects without any window; ``figure.savefig("curves.pdf")`` writes one.

Colours are those of Okabe and Ito, which are distinguishable with any colour vision; lines differ in their markers as well.
"""

from __future__ import annotations

from tunewright.analysis.figures.compared import (
    plot_area,
    plot_attainment,
    plot_critical_difference,
    plot_curves,
    plot_findings,
    plot_ranks,
)
from tunewright.analysis.figures.single import (
    plot_history,
    plot_importance,
    plot_learning_curves,
    plot_parallel,
    plot_pareto,
    plot_slices,
    plot_workers,
)
from tunewright.analysis.figures.style import save

__all__ = [
    "plot_area",
    "plot_attainment",
    "plot_critical_difference",
    "plot_curves",
    "plot_findings",
    "plot_history",
    "plot_importance",
    "plot_learning_curves",
    "plot_parallel",
    "plot_pareto",
    "plot_ranks",
    "plot_slices",
    "plot_workers",
    "save",
]
