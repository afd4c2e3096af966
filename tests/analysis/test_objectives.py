"""Several objectives: attainment surfaces, Pareto sets and hypervolume over seeds, and their figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunewright.analysis import (
    attainment_surface,
    hypervolume_curves,
    load,
    paired_tests,
    pareto_sets,
    probability_of_improvement,
)
from tunewright.analysis.charts import LineChart
from tunewright.analysis.figures import plot_attainment, plot_pareto
from tunewright.analysis.one_run import one_run
from tunewright.analysis.report import compare, comparison_page
from tunewright.cli import main
from tunewright.events import Header, decode_line
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.journal import FileJournal
from tunewright.storage import ExperimentFolder

TWO = [{"name": "loss", "goal": "min"}, {"name": "speed", "goal": "max"}]


@pytest.fixture
def stored(store, tunewright_home: Path) -> list[ExperimentFolder]:  # type: ignore[no-untyped-def]
    """Two setups, seven seeds, each of six reports of a loss (low) and a speed (high); B is better in both."""
    rng = np.random.default_rng(0)
    folders: list[ExperimentFolder] = []
    for method, gain in (("A", 0.0), ("B", 0.3)):
        for seed in range(7):
            benchmark = {"name": "toy", "metrics": TWO, "n_workers": 4}
            folder = store([], method=method, seed=seed, benchmark="toy", status=None)
            metadata = {**folder.metadata(), "benchmark": benchmark}
            folder.write_metadata(metadata)
            journal = FileJournal(folder.journal_path)
            for trial, (x, y) in enumerate(rng.random((6, 2)).tolist()):
                report(journal, trial, {"loss": 1.0 - gain * x, "speed": y + gain})
            add(journal, {"kind": "session", "t": 10.0, "wall": 0.0, "event": "end", "outcome": "stopped"})
            journal.close()
            folders.append(folder)
    return folders


def add(journal: FileJournal, line: Mapping[str, Any]) -> None:
    event = decode_line(json.dumps(line).encode())
    assert not isinstance(event, Header)
    journal.append(event)


def report(journal: FileJournal, trial: int, metrics: dict[str, float]) -> None:
    at = {"t": float(trial + 1), "wall": 0.0, "trial_id": trial, "attempt": 0}
    start = {"config": {"lr": 0.5, "width": 2}, "until": None, "from_checkpoint": None, "note": {}}
    add(journal, {"kind": "start", **at, **start, "suggest_time": 0.0})
    result = {"retry": 0, "seq": 1, "resource": 1, "metrics": metrics}
    add(journal, {"kind": "result", **at, **result, "decision": "continue", "reason": "", "cost": 0.0})
    add(journal, {"kind": "end", **at, "status": "completed", "error": "", "cost": 0.0, "checkpoint": None})


def test_a_surface_is_what_so_many_runs_attain() -> None:
    runs = [np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]), np.array([[0.5, 0.5]])]
    assert attainment_surface(runs).tolist() == [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]
    assert attainment_surface(runs, 1.0).tolist() == [[0.5, 1.0], [1.0, 0.5]]
    nothing = np.empty((0, 2))
    assert attainment_surface([runs[1], nothing], 0.5).tolist() == [[0.5, 0.5]]
    assert not len(attainment_surface([runs[1], nothing], 1.0))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.61, 1.0])
def test_surfaces_of_random_runs_are_exact(share: float) -> None:
    runs = [np.random.default_rng(seed).random((5, 2)) for seed in range(5)]
    needed = int(np.ceil(share * 5))

    def attaining(point: np.ndarray) -> int:
        return sum(bool((run <= point).all(axis=1).any()) for run in runs)

    surface = attainment_surface(runs, share)
    assert len(surface)
    for corner in surface:
        assert attaining(corner) >= needed
        assert all(attaining(corner - step) < needed for step in ([1e-9, 0.0], [0.0, 1e-9]))
    moocore = pytest.importorskip("moocore")
    points = np.concatenate([np.column_stack([run, np.full(5, n)]) for n, run in enumerate(runs, start=1)])
    theirs = moocore.eaf(points[:, :2], sets=points[:, 2], percentiles=[100 * needed / 5])[:, :2]
    assert np.allclose(surface, theirs[np.argsort(theirs[:, 0])])


def test_what_has_no_surface_is_refused() -> None:
    for runs, share, why in (
        ([], 0.5, "two objectives"),
        ([np.zeros((1, 3))], 0.5, "two objectives"),
        ([np.zeros((1, 2))], 0.0, "above 0"),
    ):
        with pytest.raises(SettingsError, match=why):
            attainment_surface(runs, share)


@pytest.mark.usefixtures("stored")
def test_runs_with_several_objectives_are_compared_by_hypervolume() -> None:
    results = load("t")
    curves = hypervolume_curves(results, "toy")
    volumes = -curves.setups["B"].losses
    assert np.nanmax(volumes) <= 1.0
    assert (np.diff(volumes[:, -20:], axis=1) >= 0).all()
    (test,) = paired_tests(curves)
    assert test.better == "B"
    assert probability_of_improvement([curves], "B", "A").probability > 0.9
    exact = hypervolume_curves(results, "toy", reference=[1.0, 0.0])
    sets = pareto_sets(results, "toy")
    only = sets.setups["A"][0]
    assert sets.display(only)[:, 1].min() > 0
    assert -exact.setups["B"].losses[:, -1].min() > 0
    for wrong, error in (({"reference": [1.0]}, SettingsError), ({"metrics": ["loss"]}, SettingsError)):
        with pytest.raises(error):
            hypervolume_curves(results, "toy", **wrong)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="speed"):
        pareto_sets(results, "toy", metrics=["loss", "sped"])


def test_pages_and_plots_show_several_objectives(
    stored: list[ExperimentFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    results = load("t")
    page = comparison_page(compare(results), title="t")
    (chart,) = next(section.charts for section in page.sections if section.title == "Attainment")
    assert isinstance(chart, LineChart)
    assert all(line.x and line.dots and line.area for line in chart.panels[0].lines)
    assert "hypervolume" in repr(page)
    figure = plot_attainment([pareto_sets(results, "toy")])
    assert figure.axes[0].get_xlabel() == "loss (lower is better)"
    assert figure.axes[0].get_ylabel() == "speed (higher is better)"
    assert "Pareto set" in plot_pareto(one_run(stored[0])).legends[0].get_texts()[1].get_text()
    with pytest.raises(SystemExit) as exited:
        main(["plot", str(stored[0].path), "--figure", "pareto", "--out", str(tmp_path)])
    assert not exited.value.code
    assert "-pareto.png" in capsys.readouterr().out
