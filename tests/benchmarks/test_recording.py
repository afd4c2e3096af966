"""Own experiments recorded as tables, and tuned again in simulated time."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.recording import ELAPSED, record_table
from tunewright.benchmarks.simulated import SurrogateBenchmarkDefinition
from tunewright.benchmarks.tables import simulated_benchmark, simulated_benchmark_names
from tunewright.blackbox import TabularBlackbox, Values, get_blackbox
from tunewright.blackbox.repository import table_info, verify_table
from tunewright.cli import main
from tunewright.exceptions import SettingsError, TableError, UnknownNameError
from tunewright.experiments import Experiment, Limits, Outcome, method, run_experiment
from tunewright.metric import Goal, Metric
from tunewright.space import Categorical, Domain, Ordinal, SearchSpace

VALUES: dict[str, list[Any]] = {
    "n_units": [16, 64],
    "batch_size": [8, 32],
    "learning_rate": [0.001, 0.01],
    "weight_decay": [1e-5],
    "dropout": [0.0],
}
DOMAINS: dict[str, Domain | Any] = {
    name: Ordinal(values) if len(values) > 1 else values[0] for name, values in VALUES.items()
}


def tune(
    benchmark: SurrogateBenchmarkDefinition, name: str, *, tag: str = "own", profile: str = "ideal", seed: int = 0,
    **limits: int,
) -> Outcome:  # fmt: skip
    return run_experiment(
        Experiment(
            tag=tag,
            benchmark=benchmark,
            method=method(name),
            label=name,
            seed=seed,
            backend=SimulatedConfig(profile=profile),  # type: ignore[arg-type]
            limits=Limits(**limits),
        )
    )


def digits(**changes: Any) -> SurrogateBenchmarkDefinition:
    return simulated_benchmark("digits", **changes)


def finite() -> SurrogateBenchmarkDefinition:
    """Eight configurations of digits, all of them from one recorded seed."""
    return digits(search_space=SearchSpace(DOMAINS), table_seed=0)


def test_a_finite_space_that_was_tried_whole_is_recorded_exactly() -> None:
    tune(finite(), "Grid")
    (found,) = record_table(["own"], "mine")
    assert found.n_configs == 8
    assert found.benchmark.surrogate is None
    assert (found.description.values, found.description.note) == (Values.RECORDED, "")
    verify_table("mine")
    table, original = get_blackbox("mine"), finite().blackbox()
    assert isinstance(table, TabularBlackbox)
    places = [original.metric_index(name) for name in ("accuracy", "loss", "elapsed_time")]
    own = [table.metric_index(name) for name in ("accuracy", "loss", ELAPSED)]
    for values in product(*VALUES.values()):
        config = dict(zip(VALUES, values, strict=True))
        curve, recorded = original.curve(config)[:, places], table.curve(config)[:, own]
        np.testing.assert_allclose(recorded, curve, rtol=1e-5, atol=1e-4)


def test_the_benchmark_is_tuned_like_any_other() -> None:
    first = tune(finite(), "Grid")
    record_table([first.folder.name], "mine")
    assert simulated_benchmark_names()[-1] == "mine-digits"
    again = tune(simulated_benchmark("mine-digits"), "RandomSearch", tag="again", max_num_trials=8)
    assert again.best is not None
    assert first.best is not None
    assert again.best.value == pytest.approx(first.best.value, abs=1e-6)
    assert again.metadata.benchmark.n_workers == 4
    assert simulated_benchmark("mine-digits", n_workers=2).n_workers == 2
    with pytest.raises(UnknownNameError, match="Did you mean 'mine-digits'"):
        simulated_benchmark("mine-digit")


def test_the_ends_of_trials_that_were_cut_off_are_predicted_and_labelled() -> None:
    outcome = tune(digits(), "ASHA", max_num_trials=30)
    n_cut = outcome.counts["paused"]
    (found,) = record_table(["own"], "mine")
    assert found.benchmark.surrogate == "nearest"
    assert found.description.values is Values.SURROGATE
    assert f"the ends of {n_cut} of 30 curves are predicted" in found.description.note
    table = get_blackbox("mine")
    assert isinstance(table, TabularBlackbox)
    accuracy = table.metric_index("accuracy")
    for trial in outcome.trials:
        row = table.values[table.row({name: trial.config[name] for name in table.space.names}), 0]
        results = outcome.history.results(trial.id)
        recorded = [result.metrics["accuracy"] for result in results]
        assert row[: len(results), accuracy].tolist() == pytest.approx(recorded, abs=1e-6)
        assert np.isfinite(row).all()
        assert (row[:, accuracy] <= 1.1).all()
        assert (np.diff(row[:, table.elapsed_index]) >= 0).all()


def test_predicted_ends_are_near_those_of_whole_runs() -> None:
    """The mean error of the last accuracy is below that of taking the last known value."""
    asha = tune(digits(table_seed=0), "ASHA", max_num_trials=40)
    record_table(["own"], "mine")
    table, original = get_blackbox("mine"), digits().blackbox()
    predicted: list[float] = []
    kept: list[float] = []
    for trial in asha.trials:
        last = asha.history.last(trial.id)
        if last is None or last.resource == 27:
            continue
        truth = original.evaluate(trial.config)["accuracy"]
        predicted.append(abs(table.evaluate(trial.config)["accuracy"] - truth))
        kept.append(abs(last.metrics["accuracy"] - truth))
    assert len(predicted) > 20
    assert np.mean(predicted) < 0.9 * np.mean(kept)


def test_times_are_those_of_training_without_starts() -> None:
    """Starts of 130 s per run are left out."""
    tune(digits(table_seed=0), "ASHA", profile="sagemaker", max_num_trials=9)
    (found,) = record_table(["own"], "mine")
    table, original = get_blackbox("mine"), digits().blackbox()
    assert isinstance(table, TabularBlackbox)
    for config in table.configs:
        longest = original.evaluate(config)["elapsed_time"]
        assert table.evaluate(config, 1)[ELAPSED] < longest + 10
    assert found.benchmark.max_wallclock_time is not None
    assert found.benchmark.max_wallclock_time > 130


def test_repeated_configurations_are_recorded_seeds() -> None:
    for seed in range(2):
        tune(finite().replace(table_seed=seed), "Grid", seed=seed)
    (found,) = record_table(["own"], "mine")
    assert (found.n_configs, found.description.n_seeds) == (8, 2)
    table, original = get_blackbox("mine"), finite().blackbox()
    config = {name: values[0] for name, values in VALUES.items()}
    for seed in range(2):
        mine = table.evaluate(config, seed=seed)["accuracy"]
        assert mine == pytest.approx(original.evaluate(config, seed=seed)["accuracy"], abs=1e-6)


def test_a_table_keeps_its_other_data_sets_and_names_of_others_are_refused() -> None:
    tune(finite(), "Grid")
    record_table(["own"], "mine")
    tune(finite().replace(name="other"), "Grid", tag="more")
    record_table(["more"], "mine")
    assert list(table_info("mine").datasets) == ["digits", "other"]
    assert {"mine-digits", "mine-other"} <= set(simulated_benchmark_names())
    for taken in ("digits", "fcnet"):
        with pytest.raises(SettingsError, match="is the name of another table"):
            record_table(["own"], taken)


def test_what_cannot_be_recorded_is_named() -> None:
    with pytest.raises(SettingsError, match="nothing"):
        record_table(["nothing"], "mine")
    tune(finite(), "Grid")
    other = SearchSpace({**DOMAINS, "dropout": Categorical([0.0, 0.5])})
    tune(finite().replace(search_space=other), "RandomSearch", max_num_trials=2)
    with pytest.raises(SettingsError, match="on digits differ in their search space"):
        record_table(["own"], "mine")
    tune(finite(), "Grid", tag="b")
    tune(finite().replace(metrics=(Metric("loss", Goal.MINIMIZE),)), "Grid", tag="b")
    with pytest.raises(SettingsError, match="on digits differ in their metrics"):
        record_table(["b"], "mine")
    with pytest.raises(TableError, match="There is no table 'mine'"):
        table_info("mine")


def test_the_command_says_what_was_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    tune(finite(), "Grid")
    with pytest.raises(SystemExit) as exited:
        main(["tables", "record", "own", "--name", "mine"])
    out = capsys.readouterr().out
    assert not exited.value.code
    assert "mine-digits: 8 of 8 configurations, exact" in out
    with pytest.raises(SystemExit):
        main(["tables", "info", "mine", "--verify"])
    assert "mine: own experiments: own" in capsys.readouterr().out
    with pytest.raises(SystemExit) as exited:
        main(["tables", "record"])
    assert exited.value.code == 2
