"""Experiments, limits and backend choices as data."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tunewright.backends.local.config import LocalConfig
from tunewright.backends.plugin import BackendConfig, backend_from_json, backend_to_json, find_backend
from tunewright.backends.sagemaker import JobSettings
from tunewright.backends.sagemaker.config import SageMakerConfig
from tunewright.backends.simulated import SimulatedBackend
from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks import Benchmark, RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment, Limits, announce_choices, method
from tunewright.interfaces import Scheduler, StopDecision
from tunewright.journal import MemoryJournal
from tunewright.methods import build_scheduler
from tunewright.state import replay_history
from tunewright.storage import ExperimentFolder
from tunewright.trial import Start
from tunewright.tuner import Tuner
from tunewright.types import Config, Json

Make = Callable[..., Experiment]


def test_an_experiment_survives_json(experiment: Make) -> None:
    original = experiment(
        method=method("ASHA", rung_levels=[1]),
        label="A",
        backend=SageMakerConfig(endpoint="embedded", warm_pool=True),
        settings={"eta": 4},
        seed=3,
        random_seed=5,
        seed_per_benchmark=True,
        limits=Limits(max_wallclock_time=9.0, max_cost=1.5),
        delete_checkpoints=True,
    )
    data = json.loads(json.dumps(original.to_json()))
    again = Experiment.from_json({**data, "experiment": "name", "other": 1})
    assert again.to_json() == original.to_json()
    assert again.limits == original.limits
    assert again.backend == original.backend


def test_data_that_are_no_experiment_are_refused(experiment: Make) -> None:
    data = experiment().to_json()
    for wrong in (
        {**data, "schema": 99},
        {"schema": 1},
        {"schema": 1, "backend": {"kind": "local"}, "benchmark": {}},
        {**data, "limits": {"max": 1}},
        {**data, "limits": 3},
    ):
        with pytest.raises(SettingsError):
            Experiment.from_json(wrong)


def build(benchmark: Benchmark, seed: int, settings: Mapping[str, Json]) -> Scheduler:
    """A method of a user's own."""
    raise NotImplementedError


def test_a_users_function_is_named_and_not_executed(experiment: Make) -> None:
    data = experiment(method=build).to_json()
    assert data["method"].endswith("test_experiment:build")
    with pytest.raises(SettingsError, match="--resume"):
        Experiment.from_json(data)


def test_the_identity_is_that_of_the_cell(experiment: Make) -> None:
    identity = experiment().identity()
    assert experiment(tag="other", limits=Limits(max_num_trials=99)).identity() == identity
    for other in (
        experiment(seed=1),
        experiment(random_seed=1),
        experiment(seed_per_benchmark=True),
        experiment(label="RS2"),
        experiment(settings={"eta": 4}),
        experiment(backend=SageMakerConfig()),
        experiment(benchmark=experiment().benchmark.replace(n_workers=3)),
    ):
        assert other.identity() != identity


def test_what_cannot_run_is_refused_before_anything_starts(experiment: Make, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Seeds"):
        experiment(seed=-1)
    with pytest.raises(SettingsError, match="Nothing would end RS"):
        experiment(limits=Limits()).build_scheduler()
    with pytest.raises(SettingsError, match="no training script"):
        experiment(benchmark=experiment().benchmark.replace(script=str(tmp_path / "no.py"))).build_scheduler()
    experiment(limits=Limits(), method=method("GridSearch")).build_scheduler()


def test_the_master_seed_changes_all_cells(experiment: Make) -> None:
    def first(**changes: int) -> object:
        benchmark = experiment().benchmark.replace(points_to_evaluate=())
        start = experiment(benchmark=benchmark, **changes).build_scheduler().suggest(replay_history([]))
        return start.config if start else None

    assert first(seed=3) == first(seed=3)
    assert first(seed=3) != first(seed=3, random_seed=10)
    assert first(seed=3, random_seed=10) != first(seed=13), "cells of other plans are not repeated"


def test_limits_end_an_experiment(experiment: Make) -> None:
    history = replay_history([])
    assert Limits().criterion().check(history, 1e9) is StopDecision.CONTINUE
    limits = Limits(max_wallclock_time=10.0, max_num_trials=5, max_num_evaluations=7, max_cost=0.5)
    assert limits.criterion().check(history, 9.0) is StopDecision.CONTINUE
    assert limits.criterion().check(history, 10.0) is StopDecision.STOP
    assert limits.replace(max_wallclock_time=None, max_failures=9).max_wallclock_time == 10.0
    assert limits.replace(max_failures=0).max_failures == 0
    for wrong in ({"max_failures": -1}, {"max_num_trials": 0}, {"max_wallclock_time": -5.0}):
        with pytest.raises(SettingsError):
            Limits(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "config",
    [
        LocalConfig(gpus=(0, 2)),
        SageMakerConfig(endpoint="aws", tags={"a": "b"}, request_template={"VpcConfig": {"Subnets": ["s"]}}),
        SimulatedConfig(profile="sagemaker", keep_alive=600),
    ],
)
def test_backend_configs_survive_json(config: BackendConfig) -> None:
    assert backend_from_json(json.loads(json.dumps(backend_to_json(config)))) == config


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "name no backend"),
        ({"name": "locl"}, "Did you mean 'local'"),
        ({"name": "local", "config": {"gpu": [1]}}, "Did you mean 'gpus'"),
        ({"name": "local", "config": {"gpus": "all"}}, "gpus"),
        ({"name": "local", "config": {"num_gpus_per_trial": 0}}, "num_gpus_per_trial=0"),
        ({"name": "sagemaker", "config": {"execution": "job"}}, "execution"),
        ({"name": "sagemaker", "config": {"subnets": "a"}}, "--security_group_ids"),
    ],
)
def test_backend_configs_that_cannot_work_are_refused(data: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        backend_from_json(data)


def test_a_dry_run_shows_the_first_request(experiment: Make) -> None:
    config = SageMakerConfig(endpoint="embedded", warm_pool=True, instance_type="ml.m5.large")
    cell = experiment(method=method("ASHA"), backend=config)
    first = cell.build_scheduler().suggest(replay_history([]))
    assert isinstance(first, Start)
    request = json.loads(cell.plugin.dry_run(config, cell.context(), first))
    with pytest.raises(SettingsError, match="local backend sends none"):
        find_backend("local").dry_run(LocalConfig(), cell.context(), first)
    assert request["ResourceConfig"]["InstanceType"] == "ml.m5.large"
    assert request["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 600
    assert request["HyperParameters"]["x"] == "0.5"
    assert json.loads(request["Environment"]["TUNEWRIGHT_RUN"])["until"] == 1


def test_sagemaker_takes_the_benchmarks_instance_where_none_is_given(experiment: Make) -> None:
    benchmark = experiment().benchmark
    assert JobSettings(benchmark=benchmark, config=SageMakerConfig()).instance_type.startswith("ml.")
    there = benchmark.replace(instance_type="ml.g4dn.xlarge")
    assert JobSettings(benchmark=there, config=SageMakerConfig()).instance_type == "ml.g4dn.xlarge"
    with pytest.raises(SettingsError, match="instance_type"):
        JobSettings(benchmark=benchmark, config=SageMakerConfig(instance_type="c5"))


def test_a_backend_that_cannot_be_reached_says_so(experiment: Make, tmp_path: Path) -> None:
    config = SageMakerConfig(endpoint="http://127.0.0.1:9", region="us-east-1")
    cell = experiment(backend=config)
    with pytest.raises(Exception, match=r"127\.0\.0\.1:9|credentials"):
        cell.plugin.build(config, cell.context(ExperimentFolder(tmp_path)))


@pytest.mark.parametrize(
    ("limits", "needed"),
    [
        ({"max_num_trials": 6}, 7),
        ({"max_num_trials": 7}, None),
        ({"max_num_evaluations": 15}, 16),
        ({"max_num_evaluations": 16}, None),
        ({"max_num_trials": 2, "finish": 1}, None),
        ({"max_wallclock_time": 1.0}, None),
    ],
)
def test_limits_that_no_full_run_fits_into_are_known_before(
    experiment: Make, toy: RealBenchmarkDefinition, limits: dict[str, int], needed: int | None
) -> None:
    """The rungs are 1, 3 and 9."""
    benchmark = toy.replace(max_resource=27)
    said = experiment(benchmark=benchmark, method=method("ASHA"), limits=Limits(**limits)).out_of_reach()
    ((name, most), *_) = limits.items()
    place = f"full run (27), which needs {needed} at least if trials report at 1, 3, 9"
    assert said == (f"{name}={most} ends it before a {place}" if needed else "")


@pytest.mark.parametrize(("n_trials", "highest"), [(6, 9), (7, 27)])
def test_the_least_number_of_trials_of_a_full_run_is_exact(
    toy: RealBenchmarkDefinition, n_trials: int, highest: int
) -> None:
    """In the best case each trial is better than all before: the last of the least number is promoted to the end."""
    quality = itertools.count()
    seen: dict[float, int] = {}

    def train(config: Config, epoch: int) -> tuple[dict[str, float], float]:
        rank = seen[config["x"]] if config["x"] in seen else seen.setdefault(config["x"], next(quality))
        return {"score": float(rank)}, 1.0

    benchmark = toy.replace(max_resource=27)
    history = Tuner(
        build_scheduler(method("ASHA"), benchmark, 0, {}),
        SimulatedBackend(train, n_workers=1, max_resource=27),
        metrics=benchmark.metrics,
        stop_when=Limits(max_num_trials=n_trials).criterion(),
        journal=MemoryJournal(),
    ).run()
    assert max(result.resource for _, result in history.results_since(0)) == highest


def test_other_methods_may_reach_a_full_run(experiment: Make, toy: RealBenchmarkDefinition) -> None:
    benchmark, few = toy.replace(max_resource=27), Limits(max_num_trials=2)
    for spec in (
        method("RandomSearch"),
        method("ASHA", kind="stopping"),
        method("HyperTune"),
        method("PASHA"),
    ):
        assert experiment(benchmark=benchmark, method=spec, limits=few).out_of_reach() == ""


def test_what_is_out_of_reach_is_said_before_it_starts(
    experiment: Make, toy: RealBenchmarkDefinition
) -> None:
    lines: list[str] = []
    cell = experiment(benchmark=toy.replace(max_resource=27), method=method("BOHB"), label="BOHB")
    announce_choices([cell, cell], lines.append)
    assert len(lines) == 1
    assert lines[0].startswith(
        "toy, BOHB: max_num_trials=2 ends it before a full run (27), which needs 7 at least"
    )
    assert "--finish 1" in lines[0]
