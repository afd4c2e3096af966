"""The header of a journal says with which defaults an experiment began; a resume goes on with these."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.events import decode_mapping
from tunewright.experiments import (
    Experiment,
    Limits,
    method,
    resume_experiment,
    run_experiment,
)
from tunewright.experiments.run import as_begun
from tunewright.journal import canonical_hash, read_header
from tunewright.methods import MethodSpec, find_method
from tunewright.storage import ExperimentFolder

pytestmark = pytest.mark.usefixtures("tunewright_home")


def cell(name: str = "ASHA", n: int = 30, **settings: str | float) -> Experiment:
    return Experiment(
        tag="t",
        benchmark=simulated_benchmark("digits"),
        method=method(name, **settings),
        label=name,
        backend=SimulatedConfig(profile="ideal"),
        limits=Limits(max_num_evaluations=n),
    )


def change_header(folder: ExperimentFolder, **changes: object) -> None:
    first, _, rest = folder.journal_path.read_bytes().partition(b"\n")
    header = json.dumps({**decode_mapping(first), **changes}, separators=(",", ":")).encode()
    folder.journal_path.write_bytes(header + b"\n" + rest)


def test_the_header_has_all_settings_the_seed_and_the_table() -> None:
    folder = run_experiment(replace(cell(eta=2), seed=3, random_seed=1)).folder
    header = read_header(folder.journal_path)
    assert header is not None
    assert header.resolved is not None
    assert header.resolved["eta"] == 2
    assert {"kind", "grace_period"} <= header.resolved.keys()
    assert header.settings == {}
    assert header.effective_seed == replace(cell(), seed=3, random_seed=1).effective_seed
    assert header.table is not None
    assert header.table.startswith("digits ")


def test_auto_stores_the_settings_of_the_method_that_it_chose() -> None:
    header = read_header(run_experiment(cell("auto")).folder.journal_path)
    assert header is not None
    assert header.resolved


@pytest.mark.parametrize("name", ["ASHA", "auto"])
def test_a_resume_has_the_defaults_of_the_beginning(name: str) -> None:
    undisturbed = run_experiment(cell(name, 60)).folder
    folder = run_experiment(cell(name, 25)).folder
    assert resume_experiment(folder, cell(name, 60)).history.n_results == 60
    assert canonical_hash(folder.journal_path) == canonical_hash(undisturbed.journal_path)


def test_a_default_that_has_changed_since_does_not_matter() -> None:
    """Reduction factor 2 stands for an earlier default: only the header says so."""
    undisturbed = run_experiment(cell(eta=2, n=80)).folder
    folder = run_experiment(cell(eta=2, n=25)).folder
    metadata = folder.metadata()
    folder.write_metadata({**metadata, "method": {"name": "ASHA", "settings": {}}})
    resume_experiment(folder, replace(cell(n=80)))
    assert canonical_hash(folder.journal_path) == canonical_hash(undisturbed.journal_path)


def test_a_contained_method_keeps_its_defaults_too() -> None:
    folder = run_experiment(cell("MedianStopping", around="ASHA")).folder
    header = read_header(folder.journal_path)
    assert header is not None
    assert header.inner == {"ASHA": find_method("ASHA").resolved({})}


def test_a_default_of_a_contained_method_that_has_changed_since_does_not_matter() -> None:
    """Only the header says that the grace period was 3."""
    settings = {"grace_period": 3}
    experiment = cell("PatienceStopping", 80, around="ASHA")
    spec = experiment.method
    assert isinstance(spec, MethodSpec)
    changed = experiment.with_method(replace(spec, inner={"ASHA": settings}))
    undisturbed = run_experiment(changed).folder
    folder = run_experiment(replace(changed, limits=Limits(max_num_evaluations=25))).folder
    header = read_header(folder.journal_path)
    assert header is not None
    assert (header.inner or {})["ASHA"]["grace_period"] == 3
    resume_experiment(folder, experiment)
    assert canonical_hash(folder.journal_path) == canonical_hash(undisturbed.journal_path)


def test_a_method_contained_in_an_experiment_of_0_1_has_the_defaults_of_0_1() -> None:
    folder = run_experiment(cell("MedianStopping", around="REA")).folder
    change_header(folder, inner=None, resolved=None)
    begun = as_begun(folder, Experiment.from_json(folder.metadata()))
    assert isinstance(begun.method, MethodSpec)
    assert begun.method.inner["REA"] == {"population_size": 100, "sample_size": 10}


def test_a_contained_auto_keeps_its_choice() -> None:
    experiment = cell("MedianStopping", 60, around="auto")
    spec = experiment.method
    assert isinstance(spec, MethodSpec)
    earlier = experiment.with_method(replace(spec, inner={"auto": {"with_rungs": "hypertune"}}))
    undisturbed = run_experiment(earlier).folder
    folder = run_experiment(replace(earlier, limits=Limits(max_num_evaluations=25))).folder
    header = read_header(folder.journal_path)
    assert header is not None
    assert header.inner is not None
    assert header.inner.keys() == {"auto", "HyperTune"}
    assert header.inner["HyperTune"]["model"] == "joint"
    resume_experiment(folder, experiment)
    assert canonical_hash(folder.journal_path) == canonical_hash(undisturbed.journal_path)


@pytest.mark.parametrize(
    ("inner", "choice"),
    [(None, "hypertune"), ({"auto": {}}, "adaptive"), ({"auto": {"with_rungs": "hypertune"}}, "hypertune")],
    ids=["0.1", "without settings", "stored"],
)
def test_a_contained_auto_of_an_earlier_experiment_takes_the_choice_of_its_time(
    inner: dict[str, dict[str, str]] | None, choice: str
) -> None:
    folder = run_experiment(cell("MedianStopping", 10, around="auto")).folder
    change_header(folder, inner=inner, resolved=None)
    begun = as_begun(folder, Experiment.from_json(folder.metadata()))
    assert isinstance(begun.method, MethodSpec)
    assert begun.method.inner["auto"] == {"with_rungs": choice, "for_many": "kde"}


def test_a_setting_that_the_header_of_a_contained_method_lacks_has_the_default_of_0_1() -> None:
    folder = run_experiment(cell("MedianStopping", 10, around="REA")).folder
    change_header(folder, inner={"REA": {"population_size": 7}})
    begun = as_begun(folder, Experiment.from_json(folder.metadata()))
    assert isinstance(begun.method, MethodSpec)
    assert begun.method.inner["REA"] == {"population_size": 7, "sample_size": 10}


def resolved_of(experiment: Experiment) -> dict[str, object]:
    header = read_header(run_experiment(experiment).folder.journal_path)
    assert header is not None
    return dict(header.resolved or {})


@pytest.mark.parametrize(
    ("limits", "size"),
    [
        (Limits(max_num_trials=300), 30),
        (Limits(max_num_trials=20), 10),
        (Limits(max_num_trials=5000, max_wallclock_time=100), 100),
        (Limits(max_wallclock_time=100), None),
    ],
    ids=["a tenth", "few", "many", "unknown"],
)
def test_the_population_follows_the_number_of_trials(limits: Limits, size: int | None) -> None:
    assert resolved_of(replace(cell("REA"), limits=limits))["population_size"] == size
    assert resolved_of(replace(cell("REA", population_size=7), limits=limits))["population_size"] == 7


def test_a_population_keeps_its_size_if_more_trials_are_allowed_later() -> None:
    shorter, longer = (replace(cell("REA"), limits=Limits(max_num_trials=n)) for n in (15, 400))
    folder = run_experiment(shorter).folder
    begun = as_begun(folder, longer)
    assert isinstance(begun.method, MethodSpec)
    assert begun.built_method()[0].settings["population_size"] == 10  # type: ignore[union-attr]


def test_settings_that_are_given_win_over_defaults_of_the_beginning() -> None:
    folder = run_experiment(cell(n=25)).folder
    change_header(folder, resolved={"eta": 4})
    undisturbed = run_experiment(cell(eta=3, n=80)).folder
    resume_experiment(folder, cell(eta=3, n=80))
    assert canonical_hash(folder.journal_path) == canonical_hash(undisturbed.journal_path)
