"""Methods on tables of which only recorded configurations may be suggested."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.backends.simulated.plugin import simulate
from tunewright.benchmarks.simulated import SurrogateBenchmarkDefinition
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.journal import MemoryJournal
from tunewright.methods import build_scheduler, find_method, method, method_names
from tunewright.metric import Metric
from tunewright.stopping import MaxTrialsStarted
from tunewright.testing.histories import earlier_evaluations
from tunewright.tuner import Tuner
from tunewright.types import Json

OWN_CONFIGURATIONS = {"CMAES", "DEHB", "GridSearch", "PB2", "PBT"}
"""Methods that make configurations which no list holds."""
EARLY: dict[str, dict[str, Json]] = {
    "REA": {"population_size": 4},
    "BORE": {"n_initial": 10, "n_trees": 3},
    "ASHABORE": {"n_initial": 10, "n_trees": 3},
    "CQR": {"n_initial": 10, "n_trees": 3},
    "ASHACQR": {"n_initial": 10, "n_trees": 3},
}
"""Settings with which a model or a population decides about the last few trials, and is fitted quickly."""


def restricted() -> SurrogateBenchmarkDefinition:
    return simulated_benchmark("digits", restrict_configurations=True, n_workers=2)


def built(name: str, benchmark: SurrogateBenchmarkDefinition) -> Scheduler:
    known = earlier_evaluations(benchmark.space) if find_method(name).needs_evaluations else None
    return build_scheduler(method(name, **EARLY.get(name, {})), benchmark, 0, {}, known)


def run(name: str, benchmark: SurrogateBenchmarkDefinition, n_trials: int = 12) -> History:
    return Tuner(
        built(name, benchmark),
        simulate(benchmark, seed=0, config=SimulatedConfig(profile="ideal")).backend,
        metrics=benchmark.metrics,
        stop_when=MaxTrialsStarted(n_trials),
        journal=MemoryJournal(),
    ).run()


@pytest.mark.parametrize("name", [n for n in method_names() if n not in OWN_CONFIGURATIONS])
def test_methods_suggest_rows_of_the_table_only(name: str) -> None:
    benchmark = restricted()
    try:
        built(name, benchmark)
    except SettingsError:  # a method of several objectives
        benchmark = replace(benchmark, metrics=(*benchmark.metrics, Metric("elapsed_time")))
    history = run(name, benchmark)
    rows = {benchmark.space.key(config) for config in benchmark.candidates() or ()}
    tried = [benchmark.space.key(history.trial(trial).config) for trial in range(history.n_trials)]
    assert len(tried) == 12
    assert set(tried) <= rows


@pytest.mark.parametrize("name", sorted(OWN_CONFIGURATIONS))
def test_methods_that_make_configurations_refuse_a_table_that_allows_only_its_own(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} .* cannot keep to .* drop restrict_configurations"):
        built(name, restricted())
