"""Pages and figures that must not mislead: names of any kind, constraints, unequal ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tunewright.analysis import load
from tunewright.analysis.figures import (
    plot_curves,
    plot_learning_curves,
    plot_parallel,
    plot_workers,
    save,
)
from tunewright.analysis.one_run import one_run
from tunewright.analysis.report import compare, comparison_page
from tunewright.storage import ExperimentFolder

pytest.importorskip("matplotlib")
Store = Callable[..., ExperimentFolder]


@pytest.mark.parametrize("name", [r"$\frac$", "_hidden", "a$b$c"])
def test_names_are_shown_letter_by_letter(store: Store, tmp_path: Path, name: str) -> None:
    """Dollar signs would begin a formula, and a leading underscore would leave a setup out of the legend."""
    folder = store([(i + 1.0, 0.5) for i in range(12)], method=name, benchmark=name, metric=name)
    store([(1, 0.4)], method="B", benchmark=name, metric=name)
    comparison = compare(load("t"))
    page = comparison_page(comparison, title=name)
    assert page.title == f"Comparison: {name}"
    assert [chart.kind for section in page.sections for chart in section.charts] == [
        "lines",
        "ranks",
        "lines",
        "intervals",
    ]
    figure = plot_curves([part.curves for part in comparison.benchmarks])
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 2
    run = one_run(folder)
    for number, plot in enumerate((plot_learning_curves, plot_workers, plot_parallel)):
        save(plot(run), tmp_path / f"{number}.svg")


def test_the_best_seed_is_that_of_the_compared_time(store: Store) -> None:
    store([(1, 0.5), (2, 0.4)], method="A", end=5)
    store([(1, 0.6), (50, 0.1)], method="B", end=60)
    rows = {row.label: row for row in compare(load("t")).benchmarks[0].rows}
    assert (rows["A"].best, rows["B"].best) == (0.4, 0.6)


def test_a_figure_calls_best_what_keeps_the_constraints(store: Store) -> None:
    folder = store([(1, 0.5), (2, 0.1), (3, 0.4)], constraints=["loss>=0.3"])
    run = one_run(folder)
    assert run.losses().tolist() == [0.5, np.inf, 0.4]
    labels = plot_learning_curves(run).axes[0].get_legend_handles_labels()[1]
    assert "trial 2 (best)" in labels
    nothing = one_run(store([(1, np.nan), (2, 0.1)], constraints=["loss>=0.3"]))
    assert "best" not in "".join(plot_learning_curves(nothing).axes[0].get_legend_handles_labels()[1])
