"""Running experiments and plans on the local backend."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.events import SessionEvent
from tunewright.exceptions import ExperimentFailedError, SettingsError
from tunewright.experiments import (
    Experiment,
    Limits,
    load_outcome,
    method,
    resume_experiment,
    run_experiment,
    run_plan,
)
from tunewright.experiments.run import JOURNAL_VARIABLE
from tunewright.journal import FileJournal, canonical_hash, last_outcome
from tunewright.storage import create_experiment, experiments
from tunewright.trial import ExperimentStatus

Make = Callable[..., Experiment]


def test_an_experiment_leaves_everything_in_its_folder(experiment: Make) -> None:
    outcome = run_experiment(experiment(method=method("ASHA"), label="ASHA", limits=Limits(max_num_trials=4)))
    assert outcome.status == "completed"
    assert {path.name for path in outcome.path.iterdir()} >= {
        *("metadata.json", "journal.jsonl", "results.csv.zip", "account.json", "trials")
    }
    assert outcome.path.name.startswith("t-ASHA-toy-0-")
    assert [trial.id for trial in outcome.trials] == [0, 1, 2, 3]
    assert outcome.best is not None
    assert outcome.best.value == max(
        result.metrics["score"] for trial in outcome.trials for result in outcome.history.results(trial.id)
    )
    metadata = outcome.folder.metadata()
    assert metadata["clock"] == "wall"
    assert metadata["versions"]["tunewright"]


def test_the_environment_names_the_function_that_opens_journals(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_journals.py").write_text(
        "from msgspec.structs import replace\n\nfrom tunewright.journal import FileJournal\n\n\n"
        "def opened(folder, header, *, is_simulated):\n"
        "    return FileJournal(folder.journal_path, replace(header, table=f'simulated: {is_simulated}'))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(JOURNAL_VARIABLE, "own_journals:opened")
    outcome = run_experiment(experiment())
    header = json.loads(outcome.folder.journal_path.read_text().splitlines()[0])
    assert header["table"] == "simulated: False"


def test_what_is_shown_has_the_promised_keys(experiment: Make) -> None:
    shown = run_experiment(experiment()).to_json()
    assert list(shown) == [
        *("experiment", "status", "benchmark", "method", "seed", "metric", "goal", "best", "trials"),
        *("num_results", "wallclock_time", "suggest_time"),
    ]
    assert shown["trials"] == {"completed": 2, "stopped": 0, "paused": 0, "failed": 0}
    assert list(shown["best"]) == ["trial_id", "value", "resource", "config"]
    assert shown["num_results"] == 4
    assert json.loads(json.dumps(shown)) == shown


def test_nothing_is_left_of_an_experiment_that_cannot_run(experiment: Make, tunewright_home: Path) -> None:
    with pytest.raises(SettingsError):
        run_experiment(experiment(limits=Limits()))
    assert not tunewright_home.exists()


def test_too_many_failures_keep_what_was_observed(experiment: Make, toy: RealBenchmarkDefinition) -> None:
    script = Path(toy.script)
    script.write_text(script.read_text().replace('"score"', '"scroe"'))
    with pytest.raises(ExperimentFailedError, match="Did you mean 'scroe'"):
        run_experiment(experiment(limits=Limits(max_num_trials=5, max_failures=0)))
    outcome = load_outcome(next(iter(experiments("t"))))
    assert outcome.status == "failed"
    assert outcome.best is None
    assert outcome.to_json()["best"] is None
    assert outcome.to_json()["trials"]["failed"] >= 1


def test_an_experiment_goes_on_with_more_trials(experiment: Make) -> None:
    cell = experiment()
    begun = run_experiment(cell)
    outcome = resume_experiment(begun.folder, replace(cell, limits=Limits(max_num_trials=3)))
    assert outcome.history.n_trials == 3
    assert outcome.folder.metadata()["limits"]["max_num_trials"] == 3
    assert outcome.folder.metadata()["identity"] == cell.identity()
    again = resume_experiment(begun.folder)
    assert canonical_hash(again.folder.journal_path) == canonical_hash(outcome.folder.journal_path)


def test_an_interrupted_session_counts_its_trials_as_stopped(experiment: Make) -> None:
    folder = run_experiment(experiment()).folder
    lines = folder.journal_path.read_text().splitlines(keepends=True)
    end = next(i for i, line in enumerate(lines) if '"kind":"end"' in line)
    folder.journal_path.write_text("".join(lines[:end]))
    outcome = load_outcome(folder)
    assert outcome.status == "interrupted"
    assert outcome.counts["stopped"] == outcome.history.n_trials
    with_lock = FileJournal(folder.journal_path)
    assert load_outcome(folder).status == "running"
    assert load_outcome(folder).counts["running"] == outcome.history.n_trials
    with_lock.close()


def test_folders_of_others_are_refused(experiment: Make) -> None:
    folder = create_experiment("t")
    folder.write_metadata({})
    with pytest.raises(SettingsError, match="not written by this version"):
        load_outcome(folder)


def test_a_plan_skips_what_is_finished_and_continues_what_was_cut(experiment: Make) -> None:
    said: list[str] = []
    plan = [experiment(seed=seed) for seed in (0, 1)]
    first = run_plan(plan, say=said.append)
    assert said == []
    names = {result.outcome.folder.name for result in first if result.outcome}
    cut = first[1].outcome
    assert cut is not None
    lines = cut.folder.journal_path.read_text().splitlines(keepends=True)
    cut.folder.journal_path.write_text("".join(lines[:-1]))

    again = run_plan(plan, resume=True, say=said.append)
    assert said[0] == f"Finished already: {first[0].outcome.folder.name}"  # type: ignore[union-attr]
    assert said[1].startswith(f"Continuing {cut.folder.name} (interrupted")
    assert {result.outcome.folder.name for result in again if result.outcome} == names


def test_without_resume_everything_runs_anew_and_a_line_says_what_is_there(experiment: Make) -> None:
    said: list[str] = []
    cell = experiment()
    folder = run_experiment(cell).folder
    lines = folder.journal_path.read_text().splitlines(keepends=True)
    folder.journal_path.write_text("".join(lines[:-1]))
    result = run_plan([cell], say=said.append)[0]
    assert result.outcome is not None
    assert result.outcome.folder != folder
    assert said == [f"Interrupted before, and continued with --resume: {folder.name}. This run begins anew."]


def test_a_cell_that_runs_elsewhere_is_left_alone(experiment: Make) -> None:
    said: list[str] = []
    folder = run_experiment(experiment()).folder
    journal = FileJournal(folder.journal_path)
    run_plan([experiment()], resume=True, say=said.append)
    journal.close()
    assert said == [f"Running already, in another process: {folder.name}"]


def test_a_cell_that_fails_does_not_keep_the_others_from_running(
    experiment: Make, toy: RealBenchmarkDefinition, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no data')")
    bad = experiment(
        benchmark=toy.replace(script=str(broken)), limits=Limits(max_num_trials=1, max_failures=0)
    )
    results = run_plan([bad, experiment()])
    assert isinstance(results[0].error, ExperimentFailedError)
    assert "no data" in str(results[0].error)
    assert results[1].outcome is not None
    with pytest.raises(SettingsError):
        run_plan([experiment(), experiment(limits=Limits())])


def test_damaged_metadata_of_others_do_not_matter(experiment: Make) -> None:
    (create_experiment("t").metadata_path).write_text("{")
    assert run_plan([experiment()], resume=True)[0].outcome is not None


@pytest.mark.usefixtures("tunewright_home")
def test_an_experiment_whose_last_line_is_damaged_was_interrupted() -> None:
    folder = create_experiment("t")
    journal = FileJournal(folder.journal_path)
    journal.append(SessionEvent(t=0.0, wall=0.0, event="end", outcome=ExperimentStatus.STOPPED))
    journal.close()
    whole = folder.journal_path.read_bytes()
    assert last_outcome(folder.journal_path) == "stopped"
    for last in (b'{"kind":"\xff"}\n', b"[1]\n", b"\0\0\n", b'{"kind":"session"'):
        folder.journal_path.write_bytes(whole + last)
        assert last_outcome(folder.journal_path) == "interrupted"


@pytest.mark.usefixtures("tunewright_home")
@pytest.mark.parametrize("benchmark", ["toy", {}, {"metrics": []}, None])
def test_metadata_that_lack_something_are_told(benchmark: object) -> None:
    folder = create_experiment("t")
    folder.metadata_path.write_text(
        json.dumps({"benchmark": benchmark, "label": "RS", "seed": 0, "backend": {"name": "local"}})
    )
    with pytest.raises(SettingsError, match="was not written by this version"):
        load_outcome(folder)
