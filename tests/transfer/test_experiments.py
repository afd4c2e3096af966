"""Experiments that learn from stored ones: through the API, the launcher, and after the stored ones are gone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment, Limits, method, run_plan
from tunewright.experiments.run import resume_experiment, run_experiment
from tunewright.experiments.warm_start import FILE
from tunewright.journal import canonical_hash, read_header
from tunewright.launchers import hpo_main_simulated
from tunewright.storage import experiments

DIGITS = simulated_benchmark("digits")


def cell(
    name: str, *, tag: str = "new", n: int = 8, warm_start: tuple[str, ...] = ("earlier",)
) -> Experiment:
    return Experiment(
        tag=tag,
        benchmark=DIGITS,
        method=method(name),
        label=name,
        backend=SimulatedConfig(),
        limits=Limits(max_num_trials=n),
        warm_start=warm_start,
    )


def store_earlier() -> None:
    run_experiment(cell("RandomSearch", tag="earlier", n=10, warm_start=()))


@pytest.mark.parametrize("name", ["TransferGP", "RUSH", "RandomSearch"])
def test_a_resume_needs_no_other_experiment(tunewright_home: Path, name: str) -> None:
    store_earlier()
    undisturbed = run_experiment(cell(name))
    cut = run_experiment(replace(cell(name), limits=Limits(max_num_evaluations=6)))
    shutil.rmtree(tunewright_home / "experiments" / "earlier")
    header = read_header(cut.folder.journal_path)
    assert header.evaluations == cut.folder.metadata()["evaluations"]
    resumed = resume_experiment(cut.folder, cell(name))
    assert canonical_hash(resumed.folder.journal_path) == canonical_hash(undisturbed.folder.journal_path)
    kept = resumed.path / FILE
    kept.write_text(kept.read_text().replace('"losses": [', '"losses": [0.5, '))
    with pytest.raises(SettingsError, match="was changed since the experiment began"):
        resume_experiment(resumed.folder)
    kept.unlink()
    with pytest.raises(SettingsError, match="the experiment learned from it"):
        resume_experiment(resumed.folder)


def test_other_methods_begin_with_what_did_best() -> None:
    store_earlier()
    (folder,) = experiments("earlier")
    outcome = run_experiment(cell("RandomSearch", n=1))
    best = resume_experiment(folder).best
    assert best is not None
    assert outcome.trials[0].config == best.config


def test_cells_in_processes_know_as_much() -> None:
    store_earlier()
    done = run_plan([cell("ZeroShot"), cell("BoundingBox", n=5)], n_processes=2)
    assert [one.error for one in done] == [None, None]
    again = run_plan([cell("ZeroShot")], n_processes=1, resume=True)
    assert again[0].is_skipped
    assert run_experiment(cell("ZeroShot")).trials[0] == run_experiment(cell("ZeroShot")).trials[0]


def test_mistakes_are_named() -> None:
    with pytest.raises(SettingsError, match="is the tag of this very experiment"):
        cell("RUSH", tag="earlier")
    with pytest.raises(SettingsError, match=r"--warm_start my-tag is the tag of this very experiment"):
        cell("RUSH", tag="my_tag", warm_start=("../my_tag", "my-tag"))
    with pytest.raises(SettingsError, match="RUSH learns from earlier experiments: give --warm_start"):
        cell("RUSH", warm_start=()).build_scheduler()
    with pytest.raises(SettingsError, match="Unknown tag or experiment 'earlier'"):
        cell("RUSH").build_scheduler()
    assert not list(experiments("new"))


def test_experiments_without_it_keep_their_identity() -> None:
    plain = cell("RandomSearch", warm_start=())
    assert "warm_start" not in plain.to_json()
    assert cell("RandomSearch").identity() != plain.identity()
    assert Experiment.from_json(json.loads(json.dumps(cell("RUSH").to_json()))) == cell("RUSH")


def test_the_launcher_takes_tags(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    store_earlier()
    line = "--experiment_tag new --warm_start earlier --max_num_trials 3 --n_jobs 1"
    monkeypatch.setattr("sys.argv", ["hpo_main.py", *line.split()])
    with pytest.raises(SystemExit) as exited:
        hpo_main_simulated.main({"RUSH": method("RUSH")}, {"digits": DIGITS})
    assert exited.value.code == 0, capsys.readouterr()
    (folder,) = experiments("new")
    assert folder.metadata()["warm_start"] == ["earlier"]


def test_the_example_runs(run_example: Callable[[str], CompletedProcess[str]]) -> None:
    done = run_example("transfer")
    assert "Earlier experiments: not known, so the default is taken: decay" in done.stderr
    assert done.stdout.startswith("Best(trial_id=")
    assert FILE in {path.name for folder in experiments("transfer-fine") for path in folder.path.iterdir()}
    assert not [folder for folder in experiments("transfer-coarse") if (folder.path / FILE).exists()]
