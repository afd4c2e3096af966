"""Plans: cells, validation, and what counts as finished or running elsewhere."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.exceptions import SettingsError, UnfitError
from tunewright.experiments import (
    Experiment,
    ExperimentPlan,
    Limits,
    method,
    run_experiment,
    run_plan,
)
from tunewright.experiments.remote_marker import RemoteMarker, write_marker
from tunewright.journal import FileJournal
from tunewright.metadata import read_metadata
from tunewright.metric import Metric
from tunewright.state import replay_history
from tunewright.storage import experiments

Make = Callable[..., Experiment]


def table(**changes: Any) -> Experiment:
    fields: dict[str, Any] = {
        "tag": "t",
        "benchmark": simulated_benchmark("digits"),
        "method": method("RandomSearch"),
        "label": "RS",
        "backend": SimulatedConfig(),
        "limits": Limits(max_num_evaluations=12),
    }
    return Experiment(**{**fields, **changes})


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many schedulers were built, by label."""
    counts: Counter[str] = Counter()
    build = Experiment.build_scheduler

    def counted(self: Experiment, *arguments: Any) -> Any:
        counts[self.label] += 1
        return build(self, *arguments)

    monkeypatch.setattr(Experiment, "build_scheduler", counted)
    return counts


def test_a_product_is_ordered_by_seed(experiment: Make) -> None:
    one = experiment()
    other = one.benchmark.replace(name="other")
    methods = {"RS": method("RandomSearch"), "ASHA": method("ASHA")}
    plan = ExperimentPlan.product(one, methods=methods, benchmarks=[one.benchmark, other], seeds=range(2))
    assert [(cell.seed, cell.benchmark.name, cell.label) for cell in plan] == [
        (seed, name, label) for seed in (0, 1) for name in ("toy", "other") for label in ("RS", "ASHA")
    ]
    assert plan[1].method == methods["ASHA"]
    assert {cell.limits for cell in plan} == {one.limits}
    assert len(plan) == 8


def first_config(cell: Experiment) -> object:
    start = cell.build_scheduler().suggest(replay_history([]))
    return start.config if start else None


def test_a_seed_draws_other_configurations_on_each_benchmark_of_a_plan(tunewright_home: Path) -> None:
    """Otherwise thirty pairs of six benchmarks and five seeds would hold five draws."""
    one = table()
    methods = {"RS": method("RandomSearch"), "ASHA": method("ASHA")}
    benchmarks = [one.benchmark.replace(name=name, points_to_evaluate=()) for name in ("first", "second")]

    def plan(**changes: Any) -> ExperimentPlan:
        return ExperimentPlan.product(one, methods=methods, benchmarks=benchmarks, seeds=(0, 1), **changes)

    drawn = [(cell.seed, cell.benchmark.name, first_config(cell)) for cell in plan()]
    assert len({str(config) for _, _, config in drawn}) == 4, "one draw for each seed and benchmark"
    assert drawn[0] == drawn[1], "which all methods share"
    alone = ExperimentPlan.product(one, methods=methods, benchmarks=benchmarks[1:], seeds=(0, 1))
    assert alone[0] == plan()[2], "whatever else is in the plan"
    unmixed = plan(seed_per_benchmark=False)
    assert [cell.effective_seed for cell in unmixed] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_a_plan_draws_as_the_experiments_of_its_tag(tunewright_home: Path) -> None:
    """Experiments of version 0.1 and of ``tune`` do not mix the benchmark into the seed, and keep their partners."""

    def plan() -> ExperimentPlan:
        methods = {"RS": one.method, "ASHA": method("ASHA")}
        return ExperimentPlan.product(one, methods=methods, benchmarks=[one.benchmark], seeds=(0, 1))

    one = table()
    stored = run_experiment(one)
    results = run_plan(plan(), resume=True)
    assert results[0].folder == stored.folder
    assert [result.is_skipped for result in results] == [True, False, False, False]
    assert [read_metadata(cell.folder).effective_seed for cell in results if cell.folder] == [0, 0, 1, 1]
    one = replace(one, tag="new")
    first, again = (run_plan(plan(), resume=True) for _ in range(2))
    assert [result.folder for result in again] == [result.folder for result in first]
    seeds = [read_metadata(folder).effective_seed for folder in experiments("new")]
    assert len(seeds) == 4
    assert len(set(seeds) - {0, 1}) == 2


def test_validation_builds_a_scheduler_for_each_kind_of_cell_once(
    experiment: Make, built: Counter[str]
) -> None:
    cells = [
        experiment(label=label, method=method(name), seed=seed)
        for seed in range(5)
        for label, name in (("RS", "RandomSearch"), ("ASHA", "ASHA"))
    ]
    plan = ExperimentPlan(tuple(cells)).validated()
    assert built == {"RS": 1, "ASHA": 1}
    assert plan.validated() is plan
    assert plan.map(lambda cell: replace(cell, tag="u")).validated().cells[0].tag == "u"
    assert built == {"RS": 1, "ASHA": 1}


def test_cells_of_one_name_that_differ_are_all_validated(experiment: Make) -> None:
    with pytest.raises(SettingsError, match="Nothing would end RS"):
        ExperimentPlan((experiment(), experiment(limits=Limits()))).validated()


def test_each_cell_of_a_plan_builds_its_scheduler_once_more(built: Counter[str]) -> None:
    run_plan([table(seed=seed) for seed in range(3)])
    assert built == {"RS": 1 + 3}


def test_methods_that_do_not_fit_are_left_out_where_that_is_wanted(experiment: Make) -> None:
    fits = experiment()
    two = (*fits.benchmark.metrics, Metric("seconds"))
    unfit = experiment(method=method("ASHA"), label="ASHA", benchmark=fits.benchmark.replace(metrics=two))
    said: list[str] = []
    plan = ExperimentPlan((unfit, fits, replace(unfit, seed=1))).validated(skip=said.append)
    assert plan.cells == (fits,)
    assert plan.evaluations == (None,)
    assert len(said) == 1
    assert said[0].startswith("Left out on toy: ASHA, as each ")
    with pytest.raises(UnfitError):
        ExperimentPlan((unfit, fits)).validated()
    with pytest.raises(UnfitError):
        ExperimentPlan((unfit,)).validated(skip=said.append)


def test_only_simulated_cells_run_in_processes(experiment: Make, tunewright_home: Path) -> None:
    with pytest.raises(SettingsError, match="RS on toy is not simulated"):
        run_plan([experiment()], n_processes=2)
    assert not (tunewright_home / "experiments").exists()


@pytest.mark.parametrize("n_processes", [None, 1])
def test_here_and_in_processes_the_same_cells_are_left_alone(n_processes: int | None) -> None:
    """Finished ones, one that another process works on, and one that a tuning job worked on at the last look."""
    cells = [table(seed=seed) for seed in range(4)]
    first = run_plan(cells[:3], say=lambda line: None)
    held, remote = first[1].folder, first[2].folder
    assert held is not None
    assert remote is not None
    lines = remote.journal_path.read_text().splitlines(keepends=True)
    remote.journal_path.write_text("".join(lines[:-1]))
    write_marker(remote.path, RemoteMarker(tag="t", name="RS-0", state="running", looked_at=time.time()))
    lines = held.journal_path.read_text().splitlines(keepends=True)
    held.journal_path.write_text("".join(lines[:-1]))
    said: list[str] = []
    journal = FileJournal(held.journal_path)
    try:
        again = run_plan(cells, resume=True, n_processes=n_processes, say=said.append)
    finally:
        journal.close()
    assert [(str(result.status), result.is_skipped) for result in again] == [
        ("stopped", True),
        ("running", True),
        ("running elsewhere", True),
        ("stopped", False),
    ]
    assert [result.folder for result in again[:3]] == [result.folder for result in first]
    if n_processes is None:
        assert [line.split(":")[0] for line in said] == [
            "Finished already",
            "Running already, in another process",
            "Running already, in a tuning job",
        ]


@pytest.mark.parametrize("n_processes", [None, 1])
def test_progress_counts_what_is_skipped_and_what_runs(n_processes: int | None) -> None:
    run_experiment(table())
    seen: list[tuple[int, int]] = []
    cells = [table(seed=seed) for seed in range(3)]
    results = run_plan(
        cells,
        resume=True,
        n_processes=n_processes,
        look=lambda progress: seen.append((len(progress.results), progress.n_failed)),
        say=lambda line: None,
    )
    assert seen[0] == (1, 0)
    assert seen[-1] == (3, 0)
    assert [result.is_skipped for result in results] == [True, False, False]
    assert all(result.n_results >= 12 for result in results[1:])
    assert results[1].outcome is not None
    assert results[1].outcome.history.n_results == results[1].n_results


def test_simulated_cells_are_exported_where_asked_for() -> None:
    (result,) = run_plan([table()], export=True)
    assert result.folder is not None
    assert result.folder.results_path.exists()


def test_many_interrupted_cells_are_counted(tunewright_home: Path) -> None:
    cells = [table(seed=seed) for seed in range(10)]
    run_plan(cells)
    for folder in experiments("t"):
        lines = folder.journal_path.read_text().splitlines(keepends=True)
        folder.journal_path.write_text("".join(lines[:-1]))
        assert json.loads(lines[0])["kind"] == "experiment"
    said: list[str] = []
    run_plan(cells[:10], say=said.append)
    assert "and 2 more. This run begins anew." in said[0]
