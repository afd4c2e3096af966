"""The simulated benchmarks: definitions as data, their tables, and a run of ASHA on one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.backends.simulated.plugin import simulate
from tunewright.benchmarks.simulated import SurrogateBenchmarkDefinition
from tunewright.benchmarks.tables import simulated_benchmark, simulated_benchmark_names
from tunewright.blackbox import Description, Values
from tunewright.blackbox.repository import tables_home
from tunewright.blackbox.tables.stored import TableInfo, write_dataset, write_info
from tunewright.exceptions import SettingsError, TableError, UnknownNameError
from tunewright.journal import MemoryJournal
from tunewright.metric import Goal, Metric
from tunewright.schedulers.asha import ASHA, ASHASettings
from tunewright.searchers.model_free import RandomSearcher, RestrictedSearcher
from tunewright.space import Float, SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.tuner import Tuner

SPACE = SearchSpace({"lr": Float(1e-4, 1.0, log=True)})


def store(
    dataset: str = "d", *, name: str = "mine", levels: tuple[int, ...] = (1, 2, 3, 9), n_seeds: int = 2
) -> None:
    """A table of 20 configurations."""
    folder: Path = tables_home() / name
    folder.mkdir(parents=True)
    description = Description(
        name=name,
        dataset=dataset,
        space=SPACE,
        metrics=("accuracy", "elapsed"),
        elapsed="elapsed",
        levels=levels,
        resource="step",
        n_seeds=n_seeds,
    )
    elapsed = np.broadcast_to(np.array(levels, dtype=float), (20, n_seeds, len(levels)))
    values = np.stack([np.random.default_rng(0).random(elapsed.shape), elapsed], axis=-1)
    columns = {"lr": np.geomspace(1e-3, 0.1, 20).tolist()}
    files = {dataset: write_dataset(folder, description, columns, values, suffix=".npz")}
    write_info(folder, TableInfo(name=name, title="t", version=1, licence="l", datasets=files))


def define(**fields: object) -> SurrogateBenchmarkDefinition:
    given: dict[str, object] = {
        "name": "mine",
        "table": "mine",
        "dataset": "d",
        "metrics": (Metric("accuracy", Goal.MAXIMIZE),),
    }
    return SurrogateBenchmarkDefinition(**(given | fields))  # type: ignore[arg-type]


def test_a_definition_knows_what_its_table_says() -> None:
    store()
    benchmark = define()
    assert (benchmark.space, benchmark.max_resource, benchmark.resource_attr) == (SPACE, 9, "step")
    assert benchmark.description.values is Values.RECORDED
    assert define(surrogate="nearest").description.values is Values.SURROGATE
    assert define(resource_limit=3).max_resource == 3
    assert benchmark.candidates() is None


def test_trials_report_once_where_there_is_one_level() -> None:
    store(levels=(100,))
    assert define().max_resource is None
    simulation = simulate(define(restrict_configurations=True), seed=0)
    assert simulation.space is not None
    assert simulation.metrics[0].name == "accuracy"


def test_definitions_are_data() -> None:
    benchmark = define(
        search_space=SearchSpace({"lr": Float(0.1, 1.0), "epochs": 9}), points_to_evaluate=({"lr": 0.5},)
    )
    data = json.loads(json.dumps(benchmark.to_json()))
    assert SurrogateBenchmarkDefinition.from_json(data) == benchmark
    assert SurrogateBenchmarkDefinition.from_json(define().to_json()) == define()
    with pytest.raises(SettingsError, match="cannot be read"):
        SurrogateBenchmarkDefinition.from_json({"name": "x"})


def test_fields_are_checked_when_they_are_set() -> None:
    with pytest.raises(SettingsError, match="n_workers must be positive"):
        define(n_workers=0)
    with pytest.raises(SettingsError, match="needs a metric"):
        define(metrics=())
    with pytest.raises(UnknownNameError, match="Did you mean 'n_workers'"):
        define().replace(workers=3)
    assert define().replace(n_workers=9, surrogate=None) == define(n_workers=9)


def test_what_does_not_fit_the_table_is_named() -> None:
    store()
    with pytest.raises(UnknownNameError, match=r"metric of mine/d 'acuracy'.* Did you mean 'accuracy'"):
        _ = define(metrics=(Metric("acuracy"),)).space
    with pytest.raises(UnknownNameError, match="data set of the table mine 'e'"):
        _ = define(dataset="e").space
    with pytest.raises(SettingsError, match="lacks 'lr': mine/d has lr"):
        define(search_space=SearchSpace({"rate": Float(0.0, 1.0)})).blackbox()
    with pytest.raises(SettingsError, match="has 'rate', which the table has not"):
        define(search_space=SearchSpace({"rate": Float(0.0, 1.0), "lr": 0.1})).blackbox()
    with pytest.raises(SettingsError, match="table_seed must be from 0 to 1"):
        define(table_seed=2).blackbox()
    with pytest.raises(TableError, match=r"no table 'yours'"):
        _ = define(table="yours").max_resource


def test_only_recorded_configurations_of_the_search_space_are_candidates() -> None:
    store()
    every = define(restrict_configurations=True).candidates()
    assert every is not None
    assert len(every) == 20
    narrow = SearchSpace({"lr": Float(0.01, 1.0), "epochs": 9})
    some = define(restrict_configurations=True, search_space=narrow).candidates()
    assert some is not None
    assert len(some) == 10
    assert all(narrow.contains(config) for config in some)


def test_asha_runs_on_recorded_rows_and_on_a_surrogate() -> None:
    store()
    for benchmark in (define(restrict_configurations=True), define(surrogate="nearest")):
        simulation = simulate(benchmark, seed=1, config=SimulatedConfig(profile="ideal"))
        rows = benchmark.candidates()
        searcher = (
            RandomSearcher(simulation.space, seed=1)
            if rows is None
            else RestrictedSearcher(rows, space=simulation.space, seed=1)
        )
        scheduler = ASHA(searcher, ASHASettings(max_resource=9), metric=simulation.metrics[0], seed=1)
        history = Tuner(
            scheduler,
            simulation.backend,
            metrics=simulation.metrics,
            stop_when=MaxTrialsStarted(20),
            journal=MemoryJournal(),
        ).run()
        assert history.n_trials == 20
        assert {result.resource for _, result in history.results_since(0)} == {1, 2, 3, 9}


def test_digits_works_at_once() -> None:
    benchmark = simulated_benchmark("digits")
    simulation = simulate(benchmark, seed=0)
    assert benchmark.max_resource == 27
    assert simulation.description.note.startswith("surrogate values: curves of the nearest recorded")
    assert set(simulation.space.names) == {
        "n_units",
        "batch_size",
        "learning_rate",
        "weight_decay",
        "dropout",
    }


def test_names_of_the_field_are_known() -> None:
    names = simulated_benchmark_names()
    assert len(names) == len(set(names))
    assert {
        "nas201-cifar100",
        "fcnet-protein",
        "lcbench-Fashion-MNIST",
        "yahpo-lcbench-3945",
        "lemur-cifar10",
    } < set(names)
    assert len([name for name in names if name.startswith("lcbench-")]) == 34
    for name in names:
        assert simulated_benchmark(name).name == name


@pytest.mark.parametrize(
    ("name", "hours", "n_workers", "metric"),
    [
        ("nas201-cifar100", 6.0, 4, Metric("valid_error")),
        ("nas201-ImageNet16-120", 8.0, 8, Metric("valid_error")),
        ("fcnet-naval", 1.0, 4, Metric("valid_loss")),
        ("lcbench-airlines", 2.0, 4, Metric("val_accuracy", Goal.MAXIMIZE)),
        ("yahpo-lcbench-167200", 2.0, 4, Metric("val_accuracy", Goal.MAXIMIZE)),
        ("yahpo-nb301-CIFAR10", 12.0, 4, Metric("val_accuracy", Goal.MAXIMIZE)),
        ("yahpo-iaml_glmnet-1067", 0.05, 4, Metric("f1", Goal.MAXIMIZE)),
        ("lemur-coco", 10.0, 4, Metric("iou", Goal.MAXIMIZE)),
    ],
)
def test_times_and_workers_are_those_of_the_field(
    name: str, hours: float, n_workers: int, metric: Metric
) -> None:
    benchmark = simulated_benchmark(name)
    assert (benchmark.max_wallclock_time, benchmark.n_workers) == (pytest.approx(hours * 3600), n_workers)
    assert benchmark.metrics == (metric,)


def test_missing_tables_and_names_are_named() -> None:
    with pytest.raises(TableError, match="Get it with: tunewright tables add fcnet"):
        _ = simulated_benchmark("fcnet-protein").space
    with pytest.raises(UnknownNameError, match="Did you mean 'nas201-cifar100'"):
        simulated_benchmark("nas201-cifar1000")
    assert simulated_benchmark("digits", n_workers=100).n_workers == 100


def test_data_sets_that_are_here_have_benchmarks() -> None:
    store("5860-3", name="hpob")
    store("rbv2_svm-3", name="yahpo")
    assert simulated_benchmark("hpob-5860-3").restrict_configurations
    assert simulated_benchmark("yahpo-rbv2_svm-3").metrics == (Metric("acc", Goal.MAXIMIZE),)


def test_networks_have_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    store()
    monkeypatch.setattr("tunewright.benchmarks.simulated.TabularBlackbox", int)
    with pytest.raises(SettingsError, match="no recorded configurations: drop restrict_configurations"):
        define(restrict_configurations=True).candidates()
