"""What callbacks say and write, fed by an experiment without a backend."""

from __future__ import annotations

import csv
import io
import json
import math
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tunewright.asktell import AskTell
from tunewright.callbacks import (
    Incumbent,
    PlainProgress,
    ProgressFacts,
    RemoveUnneededCheckpoints,
    ResultsTable,
    results_csv,
)
from tunewright.callbacks.account import AccountFile, read_account
from tunewright.callbacks.live import MAX_ROWS, FittedTable, LiveProgress, trials_table
from tunewright.callbacks.results import write_results
from tunewright.events import Event
from tunewright.exceptions import JournalError
from tunewright.formatting import config_text, duration, remaining_text, share_done, status_text
from tunewright.interfaces import Callback
from tunewright.journal import FileJournal, read_events
from tunewright.metric import Constraint, Goal, Metric
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import Categorical, Float, SearchSpace
from tunewright.state import State, replay_history
from tunewright.testing.histories import add_result, begin_trial
from tunewright.trial import KNOWN, BackendSummary, Checkpoint, ExperimentStatus, Run, TrialStatus

SCORE = Metric("score", Goal.MAXIMIZE)
SPACE = SearchSpace({"x": Float(0.0, 1.0), "epochs": 3})
SUMMARY = BackendSummary(
    jobs=3,
    warm_starts=2,
    calls={"CreateTrainingJob": 3},
    billable_seconds=90.0,
    pool_idle_seconds=30.0,
    cost=0.25,
    prices="table, us-east-1, 2026-09-27",
)


def facts(**changes: object) -> ProgressFacts:
    fields = {
        "title": "RS on toy, seed 0",
        "metric": SCORE,
        "space": SPACE,
        "n_workers": 2,
        "max_time": 60.0,
        "resource": "epoch",
        "path": "/home/x/toy",
        "name": "toy-1",
    }
    return ProgressFacts(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Four trials: one completed, one whose score is NaN, one failed, one running."""
    path = tmp_path / "journal.jsonl"
    file = FileJournal(path)
    tuning = AskTell(FIFO(RandomSearcher(SPACE, seed=0)), metric=[SCORE], journal=file)
    trials = [tuning.ask() for _ in range(4)]
    first, second, third, _ = [trial for trial in trials if trial is not None]
    for epoch, score in enumerate((0.2, 0.9, 0.8), start=1):
        tuning.tell(first, {"score": score, "loss": 1 - score}, resource=epoch)
    tuning.complete(first)
    tuning.tell(second, {"score": math.nan}, resource=1)
    tuning.fail(third, "exit 1\nMemoryError: no more")
    file.close()
    return path


def play(callback: Callback, journal: Path, outcome: ExperimentStatus = ExperimentStatus.COMPLETED) -> None:
    """Call every hook, in an order in which the Tuner could."""
    history = replay_history(read_events(journal))
    callback.on_experiment_start(replay_history([]))
    callback.on_trial_start(history, Run(trial_id=0, attempt=0))
    callback.on_trial_start(history, Run(trial_id=0, attempt=1, resume_from=2))
    callback.on_wait(
        history, 12.0, BackendSummary(cost=0.1, notices=("waiting for capacity",), prices="table")
    )
    callback.on_wait(history, 13.0, BackendSummary(cost=0.1, notices=("waiting for capacity",)))
    callback.on_trial_end(history, 0, TrialStatus.COMPLETED)
    callback.on_trial_end(history, 2, TrialStatus.FAILED)
    callback.on_experiment_end(history, outcome, SUMMARY)


def test_the_incumbent_looks_at_each_result_once(journal: Path) -> None:
    history = replay_history(read_events(journal))
    incumbent = Incumbent(SCORE)
    assert math.isnan(incumbent.value)
    assert incumbent.update(history)
    assert (incumbent.trial_id, incumbent.value) == (0, 0.9)
    assert not incumbent.update(history)
    least = Incumbent(Metric("score"))
    least.update(history)
    assert least.value == 0.2


def test_the_end_says_that_no_trial_was_trained_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    file = FileJournal(path)
    tuning = AskTell(FIFO(RandomSearcher(SPACE, seed=0)), metric=[SCORE], journal=file)
    trial = tuning.ask()
    assert trial is not None
    tuning.tell(trial, {"score": 0.2}, resource=3)
    file.close()

    def end(status: ExperimentStatus, **changes: object) -> str:
        lines: list[str] = []
        PlainProgress(facts(**changes), lines.append).on_experiment_end(
            replay_history(read_events(path)), status, BackendSummary()
        )
        return "\n".join(lines)

    text = end(ExperimentStatus.COMPLETED, max_resource=9)
    assert "No trial came to the end of its training: epoch 3 of 9 at most" in text
    assert "Retrain: tunewright best toy-1 --retrain" in text
    for status, most in (("completed", 3), ("completed", None), ("interrupted", 9)):
        assert "Retrain" not in end(ExperimentStatus(status), max_resource=most)


def test_lines_tell_the_whole_story(journal: Path) -> None:
    lines: list[str] = []
    play(PlainProgress(facts(), lines.append), journal)
    text = "\n".join(lines)
    assert "RS on toy, seed 0: 2 workers" in text
    assert "Trial 0 starts: x=0.5" in text
    assert "Trial 0 goes on after epoch 2" in text
    assert "Trial 0 completed at epoch 3: score 0.8 (best: score 0.9 (highest; trial 0, epoch 2))" in text
    assert "Trial 2 failed:\n    exit 1\n    MemoryError: no more" in text
    assert text.count("waiting for capacity") == 1
    line = "12 s of 60 s, 2 of 2 workers busy, 4 trials (2 running, 1 completed, 1 failed), $0.10 estimated cost (table)"
    assert line in text
    assert "Trials:  4 (1 completed, 2 stopped, 1 failed), 4 results" in text
    assert "3 training jobs, 2 of them on warm instances, 90 billed seconds, 30 idle" in text
    assert "/home/x/toy" in text
    assert "tunewright show toy-1" in text
    assert "tunewright resume" not in text


def test_quiet_lines_leave_out_single_runs_but_not_failures(journal: Path) -> None:
    lines: list[str] = []
    play(
        PlainProgress(facts(is_estimate=True, max_time=None), lines.append, is_verbose=False),
        journal,
        ExperimentStatus.INTERRUPTED,
    )
    text = "\n".join(lines)
    assert "Trial 0" not in text
    assert "Trial 2 failed" in text
    assert "tunewright resume toy-1" in text
    assert "on AWS it would cost $0.25 (table, us-east-1, 2026-09-27)" in text


def test_an_experiment_without_results_has_no_best() -> None:
    lines: list[str] = []
    progress = PlainProgress(facts(), lines.append)
    progress.on_wait(replay_history([]), 1.0, BackendSummary())
    progress.on_experiment_end(replay_history([]), ExperimentStatus.STOPPED, BackendSummary())
    assert "no trials yet; best: -" in lines[0]
    assert "Best:    -" in lines[1]
    assert "Trials:  0, 0 results" in lines[1]


def test_the_table_shows_trials_and_leaves_the_result(journal: Path) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, color_system=None)
    play(LiveProgress(facts(), console), journal)
    text = screen.getvalue()
    assert "* 0  completed" in text
    assert "MemoryError: no more" in text
    assert text.count("waiting for capacity") == 1
    assert text.rstrip().endswith("Show:    tunewright show toy-1")


def test_the_best_configuration_is_wrapped_at_blanks() -> None:
    space = SearchSpace({name: Float(0.0, 1.0) for name in ("learning_rate", "batch_share", "momentum")})
    tuning = AskTell(FIFO(RandomSearcher(space, seed=0)), metric=[SCORE])
    trial = tuning.ask()
    assert trial is not None
    tuning.tell(trial, {"score": 0.5}, resource=1)
    screen = io.StringIO()
    live = LiveProgress(
        facts(space=space), Console(file=screen, force_terminal=True, width=50, color_system=None)
    )
    live.on_experiment_start(tuning.history)
    live.on_experiment_end(tuning.history, ExperimentStatus.COMPLETED, BackendSummary())
    for indent in (6, 9):  # in the table, and at the end
        own = [line for line in screen.getvalue().splitlines() if len(line) - len(line.lstrip()) == indent]
        assert len(own) > 1
        assert " ".join(line.strip() for line in own) == config_text(trial.config, space)


def test_what_is_done_is_told_by_the_nearest_limit() -> None:
    tuning = AskTell(FIFO(RandomSearcher(SPACE, seed=0)), metric=[SCORE])
    for _ in range(4):
        asked = tuning.ask()
        assert asked is not None
        tuning.tell(asked, {"score": 0.5}, resource=1)
        tuning.complete(asked)
    tuning.ask()
    history = tuning.history
    assert share_done(facts(max_time=None), history, 30.0, 0.0) is None
    assert share_done(facts(), history, 30.0, 0.0) == 0.5
    assert share_done(facts(max_trials=5), history, 30.0, 0.0) == 0.8
    assert share_done(facts(max_results=40, max_cost=2.0), history, 3.0, 0.5) == 0.25
    assert share_done(facts(), history, 99.0, 0.0) == 1.0
    five = facts(max_time=None, max_trials=5)
    status = "40 s, 1 of 2 workers busy, 5 of 5 trials (1 running, 4 completed)"
    assert status_text(five, history, 40.0, 0.0) == status
    assert remaining_text(five, history, 40.0, 0.0) == "80 %, about 10 s to go"
    assert remaining_text(facts(max_time=None), history, 40.0, 0.0) == ""


def test_known_results_are_no_part_of_what_is_done() -> None:
    history = State()
    known = begin_trial(history, {"x": 0.5}, note={KNOWN: 1})
    assert share_done(facts(max_trials=4, max_results=4), history, 0.0, 0.0) == 0.0
    add_result(history, known, {"score": 0.5}, resource=1)
    trained = begin_trial(history, {"x": 0.6})
    assert share_done(facts(max_trials=4, max_results=4), history, 0.0, 0.0) == 0.0
    add_result(history, trained, {"score": 0.6}, resource=1)
    assert share_done(facts(max_trials=4, max_results=4), history, 0.0, 0.0) == 0.25


def test_the_table_is_never_longer_than_a_screen() -> None:
    tuning = AskTell(FIFO(RandomSearcher(SPACE, seed=0)), metric=[SCORE])
    for _ in range(3 * MAX_ROWS):
        asked = tuning.ask()
        assert asked is not None
        tuning.tell(asked, {"score": 0.5}, resource=1)
        tuning.complete(asked)
    assert trials_table(facts(), tuning.history, {0}).row_count == MAX_ROWS


@pytest.mark.parametrize("width", [25, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("wraps_last", [False, True])
def test_a_table_fits_any_width_and_cuts_configurations_only(width: int, wraps_last: bool) -> None:
    rows = [
        (str(i), "completed", f"0.9{i}", " ".join(f"name_{k}=0.12345" for k in range(6))) for i in range(3)
    ]
    headings = ("trial", "status", "accuracy", "configuration")
    screen = io.StringIO()
    console = Console(file=screen, width=width, color_system=None)
    console.print(FittedTable(headings, rows, wraps_last=wraps_last, right={0, 2}))
    text = screen.getvalue()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert text.count("completed") == 3
    assert all(f"0.9{i}" in text for i in range(3))
    if wraps_last or width in (25, 200):
        assert text.count("name_5=0.12345") == 3
    elif width < 120:
        assert text.count("…\n") == 3


def test_the_table_of_results_has_the_known_columns(journal: Path, tmp_path: Path) -> None:
    path = tmp_path / "results.csv.zip"
    play(ResultsTable(journal, path), journal)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["results.csv"]
        text = archive.read("results.csv").decode()
    assert text == results_csv(read_events(journal))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == [
        *("trial_id", "resource", "score", "loss", "config_x", "config_epochs"),
        *("st_decision", "st_status", "st_tuner_time"),
    ]
    assert [(row["trial_id"], row["resource"], row["st_status"]) for row in rows] == [
        *(("0", str(epoch), "completed") for epoch in (1, 2, 3)),
        ("1", "1", "running"),
    ]
    assert rows[3]["score"] == "nan"
    assert rows[3]["loss"] == ""
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_the_table_is_written_while_results_come(journal: Path, tmp_path: Path) -> None:
    path = tmp_path / "results.csv.zip"
    history = replay_history(read_events(journal))
    table = ResultsTable(journal, path)
    table.on_wait(replay_history([]), 0.0, BackendSummary())
    assert not path.exists()
    table.on_wait(history, 1.0, BackendSummary())
    written = path.stat().st_mtime_ns
    table.on_wait(history, 2.0, BackendSummary())
    assert path.stat().st_mtime_ns == written


def test_accounts_of_sessions_add_up(journal: Path, tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    assert read_account(path) == {}
    killed = AccountFile(path)
    killed.on_experiment_start(replay_history([]))
    killed.on_wait(replay_history([]), 1.0, SUMMARY)
    killed.on_wait(replay_history([]), 1.1, replace(SUMMARY, cost=99))  # too soon after the last
    play(AccountFile(path), journal)
    account = read_account(path)
    assert account["jobs"] == 6
    assert account["cost"] == pytest.approx(0.5)
    assert account["calls"] == {"CreateTrainingJob": 6}
    path.write_text("{")
    assert read_account(path) == {}
    assert json.dumps(account)


def test_a_started_job_is_accounted_at_once(tmp_path: Path) -> None:
    account = AccountFile(tmp_path / "account.json")
    for jobs in (1, 2):
        account.on_wait(replay_history([]), 1.0, BackendSummary(jobs=jobs))
        assert read_account(tmp_path / "account.json")["jobs"] == jobs


def test_totals_replace_what_earlier_sessions_wrote(journal: Path, tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    for _ in range(2):
        account = AccountFile(path)
        account.on_experiment_start(replay_history([]))
        account.on_wait(replay_history([]), 1.0, replace(SUMMARY, is_total=True))
    account = read_account(path)
    assert (account["jobs"], account["cost"]) == (SUMMARY.jobs, SUMMARY.cost)
    assert account["calls"] == {name: 2 * n for name, n in SUMMARY.calls.items()}


def test_every_unneeded_checkpoint_goes() -> None:
    unneeded = [Checkpoint(trial_id=0, resource=1), Checkpoint(trial_id=0, resource=3)]
    assert list(RemoveUnneededCheckpoints().select_unneeded(replay_history([]), unneeded)) == unneeded


@pytest.mark.parametrize(
    ("seconds", "text"), [(9.6, "10 s"), (99.4, "99 s"), (120, "2:00"), (11103, "3:05:03")]
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_several_metrics_show_what_no_other_dominates(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = Metric("seconds")
    both = facts(others=(seconds,))
    tuning = AskTell(FIFO(RandomSearcher(SPACE, seed=0)), [SCORE, seconds])
    said: list[str] = []
    progress = PlainProgress(both, said.append)
    assert tuning.pareto() == []
    progress.on_wait(tuning.history, 1.0, SUMMARY)
    assert said[-1].endswith("best: -")
    for score, time in ((0.9, 5.0), (0.8, 6.0), (0.7, 2.0), (0.95, math.inf), (0.9, 5.0)):
        asked = tuning.ask()
        assert asked is not None
        tuning.tell(asked, {"score": score, "seconds": time}, resource=1)
        tuning.complete(asked)
        progress.on_trial_end(tuning.history, asked.trial_id, TrialStatus.COMPLETED)
    assert "score 0.8, seconds 6 (best: 1 result that no other dominates)" in said[2]
    progress.on_experiment_end(tuning.history, ExperimentStatus.COMPLETED, SUMMARY)
    best = said[-1].partition("Best:")[2]
    assert best.startswith(
        "    2 results that no other dominates\n         score 0.9, seconds 5 (trial 0, epoch 1): x="
    )
    assert "score 0.7, seconds 2 (trial 2, epoch 1)" in best
    assert "trial 4" not in best
    assert [(point.trial_id, dict(point.values)) for point in tuning.pareto()] == [
        (0, {"score": 0.9, "seconds": 5.0}),
        (2, {"score": 0.7, "seconds": 2.0}),
    ]
    console = Console(width=100, color_system=None)
    console.print(trials_table(both, tuning.history, {0, 2}))
    shown = capsys.readouterr().out
    assert "score" in shown
    assert "seconds" in shown
    assert "* 2" in shown
    assert "* 1" not in shown


def test_with_constraints_only_results_that_keep_them_are_best(capsys: pytest.CaptureFixture[str]) -> None:
    both = facts(others=(Metric("seconds"),), constraints=(Constraint("memory", 8.0),))
    tuning = AskTell(FIFO(RandomSearcher(SPACE, seed=0)), metric=both.metrics)
    said: list[str] = []
    for score, time, memory in ((0.99, 1.0, 9.0), (0.9, 5.0, 8.0), (0.8, 6.0, 1.0), (0.7, 4.0, math.nan)):
        asked = tuning.ask()
        assert asked is not None
        tuning.tell(asked, {"score": score, "seconds": time, "memory": memory}, resource=1)
    PlainProgress(both, said.append).on_experiment_end(tuning.history, ExperimentStatus.COMPLETED, SUMMARY)
    best = said[-1].partition("Best:")[2]
    assert "1 result that no other dominates\n         score 0.9, seconds 5 (trial 1" in best
    for hopeless in (
        facts(constraints=(Constraint("memory", -1.0),)),
        replace(both, constraints=(Constraint("memory", -1.0),)),
    ):
        PlainProgress(hopeless, said.append).on_experiment_end(
            tuning.history, ExperimentStatus.COMPLETED, SUMMARY
        )
        assert "Best:    - (no result keeps to memory<=-1)" in said[-1]
    console = Console(width=120, color_system=None)
    console.print(trials_table(both, tuning.history, {1}))
    shown = capsys.readouterr().out
    assert "memory<=8" in shown
    assert "9 !" in shown
    assert "8 !" not in shown


def test_a_table_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "results.csv.zip"

    def damaged() -> Iterator[Event]:
        raise JournalError("damaged")
        yield

    with pytest.raises(JournalError):
        write_results(path, damaged())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["[1, 2]", "3", "null", "{", '"x"'])
def test_an_account_that_is_damaged_is_begun_anew(tmp_path: Path, content: str) -> None:
    path = tmp_path / "account.json"
    path.write_text(content)
    assert read_account(path) == {}


def test_the_live_table_shows_brackets_as_they_are() -> None:
    space = SearchSpace({"layer": Categorical(["[relu]", "[/]"]), "x": Float(0.0, 1.0)})
    metric = Metric("[loss]")
    tuning = AskTell(FIFO(RandomSearcher(space, seed=0)), metric=[metric])
    for _ in range(8):
        tuning.ask()
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, color_system=None)
    live = LiveProgress(
        facts(title="ASHA[/] on [red]toy", path="/tmp/[/x]/e", metric=metric, space=space), console
    )
    live.on_experiment_start(tuning.history)
    live.on_experiment_end(tuning.history, ExperimentStatus.STOPPED, BackendSummary())
    text = screen.getvalue()
    for shown in ("ASHA[/] on [red]toy", "/tmp/[/x]/e", "[loss]", "layer=[relu]", "layer=[/]"):
        assert shown in text
