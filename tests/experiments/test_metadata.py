"""Metadata of stored experiments, those of version 0.1 included."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tunewright import experiments
from tunewright.backends.sagemaker.config import SageMakerConfig
from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.codec import from_json, to_json
from tunewright.exceptions import SettingsError
from tunewright.experiments import (
    Experiment,
    Limits,
    MethodSpec,
    method,
    method_names,
    resume_experiment,
    run_experiment,
)
from tunewright.experiments.experiment import identity_of
from tunewright.experiments.run import as_begun
from tunewright.journal import canonical_hash, read_header
from tunewright.metadata import metadata_from, read_metadata
from tunewright.methods import find_method
from tunewright.metric import Constraint, Goal, Metric
from tunewright.seeding import effective_seed
from tunewright.storage import ExperimentFolder

OLD = Path(__file__).parent / "fixtures_0_1"
KINDS = sorted(path.stem for path in OLD.glob("*.json"))
HASH_OF_120_RESULTS = "2e757664d46e83864efa6bc3dcd6183cf02dc709146282b6873dca90984114da"
"""Canonical hash of the interrupted experiment, run to its end by version 0.1."""


def old(kind: str) -> dict[str, Any]:
    return json.loads((OLD / f"{kind}.json").read_text())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "function"])
def test_experiments_of_0_1_are_read_and_keep_their_values(kind: str) -> None:
    stored = old(kind)
    experiment = Experiment.from_json(stored)
    again = json.loads(json.dumps(experiment.to_json()))
    for key in ("limits", "method", "settings"):
        assert json.dumps(again[key]) == json.dumps(stored[key]), key
    script = stored["backend"].get("script", {})
    for key in stored["benchmark"].keys() - script.keys():
        assert again["benchmark"][key] == stored["benchmark"][key], key
    assert {**stored, **again}.keys() - {"callbacks"} == stored.keys()
    assert bool(experiment.callbacks) == stored["tensorboard"]
    assert Experiment.from_json(again) == experiment
    assert experiment.identity() == identity_of(stored) == identity_of(again)


def test_training_jobs_of_0_1_keep_their_image() -> None:
    assert Experiment.from_json(old("sagemaker")).backend == SageMakerConfig(
        endpoint="aws",
        region="eu-west-1",
        instance_type="ml.g5.xlarge,ml.g4dn.xlarge",
        execution="jobs",
        warm_pool=True,
        spot=True,
        max_run=7200,
        tags={"team": "x"},
        framework_version="2.6",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_of_0_1_have_a_type(kind: str) -> None:
    record = metadata_from(old(kind), ExperimentFolder(OLD))
    assert record.metrics[0] == Metric(*(("accuracy", "max") if "table" in old(kind) else ("score", "max")))
    assert record.space.names
    assert record.resource == "epoch"
    assert record.effective_seed == record.seed + record.random_seed
    assert record.identity == old(kind)["identity"]
    assert (record.clock == "simulated") == ("table" in old(kind))


def test_the_parts_of_metadata() -> None:
    def of(kind: str) -> Any:
        return metadata_from(old(kind), ExperimentFolder(OLD))

    assert of("local").seed == 3
    assert of("local").effective_seed == 7
    assert of("simulated").values == "surrogate"
    assert of("local").values == "measured"
    assert of("simulated").limits.max_wallclock_time == 900
    assert of("sagemaker").backend_name == of("workers").backend_name == "sagemaker"
    assert of("auto").chosen["method"] == "HyperTune"
    assert of("warm_start").evaluations.trials == 3
    assert of("constrained").bounds == (Constraint("seconds", 3.0),)
    assert of("function").method == "my_methods:own"
    assert [metric.goal for metric in of("two_metrics").metrics] == [Goal.MAXIMIZE, Goal.MINIMIZE]


@pytest.mark.parametrize(
    "change",
    [
        {"benchmark": None},
        {"benchmark": {"name": "toy", "metrics": []}},
        {"benchmark": {"name": "toy", "metrics": [{"name": "x", "goal": "most"}]}},
        {"seed": "0"},
    ],
)
def test_damaged_metadata_are_named(change: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"metadata.json was not written by this version"):
        metadata_from({**old("local"), **change}, ExperimentFolder(OLD))


def test_an_experiment_of_0_1_goes_on_with_its_random_numbers(tunewright_home: Path) -> None:
    """It has a master seed, which version 0.1 added to the seed."""
    place = tunewright_home / "experiments" / "old" / "old-ASHA-digits-3-20261128-185555-1aae"
    shutil.copytree(OLD / "interrupted", place)
    folder = ExperimentFolder(place)
    header = read_header(folder.journal_path)
    stored = Experiment.from_json(folder.metadata())
    outcome = resume_experiment(folder, replace(stored, limits=Limits(max_num_evaluations=120)))
    assert outcome.history.n_results == 120
    assert canonical_hash(folder.journal_path) == HASH_OF_120_RESULTS
    assert read_header(folder.journal_path) == header
    assert read_metadata(folder).effective_seed == 8
    anew = run_experiment(replace(stored, limits=Limits(max_num_trials=3)))
    assert anew.history.trial(2) != outcome.history.trial(2)


def test_no_cell_has_the_random_numbers_of_another() -> None:
    seeds = [
        effective_seed(seed, master)
        for seed, master in itertools.product(range(30), (0, 1, 2, 3, 29, 2**31 - 1, 10**9))
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert [effective_seed(seed, 0) for seed in (0, 1, 29)] == [0, 1, 29]
    cells = itertools.product(range(30), (0, 1, 10**9), ("digits", "digits2", "segment"))
    mixed = [effective_seed(seed, master, benchmark) for seed, master, benchmark in cells]
    assert len({*mixed, *seeds}) == len(mixed) + len(seeds)
    assert effective_seed(3, 0, "digits") == 3896312573804304941, "the same on every machine"


def test_the_effective_seed_is_stored(experiment: Callable[..., Experiment]) -> None:
    cell = experiment(seed=3, random_seed=1, limits=Limits(max_num_trials=1))
    assert replace(cell, seed=4).effective_seed == effective_seed(4, 1)
    outcome = run_experiment(cell)
    header = read_header(outcome.folder.journal_path)
    assert header.effective_seed == outcome.metadata.effective_seed == cell.effective_seed
    again = resume_experiment(outcome.folder, replace(cell, limits=Limits(max_num_trials=2)))
    assert again.metadata.effective_seed == cell.effective_seed


def table_cell(**changes: Any) -> Experiment:
    fields: dict[str, Any] = {
        "tag": "t",
        "benchmark": simulated_benchmark("digits"),
        "method": method("ASHA", brackets=2),
        "label": "ASHA",
        "backend": SimulatedConfig(),
        "limits": Limits(max_num_evaluations=5),
    }
    return Experiment(**{**fields, **changes})


def test_an_experiment_keeps_the_defaults_that_it_began_with() -> None:
    cell = table_cell(settings={"grace_period": 3})
    folder = run_experiment(cell).folder
    header = read_header(folder.journal_path)
    assert header.resolved is not None
    assert header.resolved == {**find_method("ASHA").resolved({}), "brackets": 2, "grace_period": 3}
    assert header.table is not None
    assert header.table.startswith("digits ")
    text = folder.journal_path.read_text()
    assert '"eta":3' in text.splitlines()[0]
    folder.journal_path.write_text(text.replace('"eta":3', '"eta":4', 1))  # as if 4 had been the default then
    begun = as_begun(folder, cell)
    assert begun.built_method() == (MethodSpec(name="ASHA", settings={**header.resolved, "eta": 4}), {})
    again = resume_experiment(folder, replace(cell, limits=Limits(max_num_evaluations=9)))
    assert again.metadata.method == {"name": "ASHA", "settings": {"brackets": 2}}


def test_a_setting_that_the_header_lacks_has_the_default_of_0_1() -> None:
    cell = table_cell()
    folder = run_experiment(cell).folder
    text = folder.journal_path.read_text()
    assert '"shared_rungs":true' in text.splitlines()[0]
    folder.journal_path.write_text(text.replace(',"shared_rungs":true', "", 1))
    begun = as_begun(folder, cell)
    assert isinstance(begun.method, MethodSpec)
    assert begun.method.settings["shared_rungs"] is True


def test_an_experiment_of_0_1_keeps_the_defaults_of_0_1(tunewright_home: Path) -> None:
    place = tunewright_home / "experiments" / "old" / "old-ASHA-digits-3-20261128-185555-1aae"
    shutil.copytree(OLD / "interrupted", place)
    folder = ExperimentFolder(place)
    begun = as_begun(folder, Experiment.from_json(folder.metadata()))
    assert isinstance(begun.method, MethodSpec)
    assert begun.method.settings == {
        "kind": "promotion",
        "grace_period": 1,
        "eta": 3,
        "brackets": 1,
        "rung_levels": None,
        "shared_rungs": True,
        "cost": None,
    }


def test_the_defaults_of_0_1_can_be_built() -> None:
    stored = json.loads((Path(experiments.__file__).parent / "defaults_0_1.json").read_text())
    assert stored.keys() <= set(method_names())
    for name, settings in stored.items():
        find_method(name).make_settings(settings)


def test_a_changed_table_is_refused() -> None:
    cell = table_cell()
    folder = run_experiment(cell).folder
    metadata = folder.metadata()
    folder.write_metadata({**metadata, "table": {**metadata["table"], "digest": "other"}})
    with pytest.raises(SettingsError, match=r"The table of digits was changed .*checksum other, now "):
        resume_experiment(folder, cell)


def test_records_that_cannot_be_read_name_the_field() -> None:
    assert to_json(Limits(max_wallclock_time=60))["max_wallclock_time"] == 60
    for data, message in (
        ({"max_fail": 1}, "unknown field 'max_fail'"),
        ({"max_failures": "three"}, "max_failures"),
        ({"max_failures": -1}, "max_failures must be >= 0"),
        (3, "Expected `object`"),
    ):
        with pytest.raises(SettingsError, match=f"The stored limits cannot be read: .*{message}"):
            from_json(Limits, data, "limits")


def test_tpe_within_an_older_experiment_stays_kde() -> None:
    cell = table_cell(method=method("MedianStopping", around="TPE"))
    folder = run_experiment(cell).folder
    begun = as_begun(folder, cell)
    assert isinstance(begun.method, MethodSpec)
    assert begun.method.settings["around"] == "TPE"
    text = folder.journal_path.read_text()
    head, rest = text.split("\n", 1)
    header = json.loads(head)
    del header["inner"], header["resolved"]  # as version 0.1 wrote it
    folder.journal_path.write_text(json.dumps(header) + "\n" + rest)
    begun = as_begun(folder, cell)
    assert isinstance(begun.method, MethodSpec)
    assert begun.method.settings["around"] == "KDE"
