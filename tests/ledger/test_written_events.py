"""The events that each action of the ledger leaves in the journal, field by field."""

from __future__ import annotations

import logging
from collections.abc import Collection

import pytest
from msgspec.structs import replace

from tunewright.events import (
    DropEvent,
    EndEvent,
    Event,
    PhaseEvent,
    ReportDecision,
    RequestEvent,
    ResultEvent,
    ServiceEvent,
    SessionEvent,
    StartEvent,
)
from tunewright.exceptions import IllegalTransitionError, SettingsError
from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.journal import MemoryJournal
from tunewright.ledger import Ledger, missing_metric, numbers_only
from tunewright.metric import Metric
from tunewright.requests import FiledRequest, StopTrial
from tunewright.trial import (
    CONTINUE,
    BackendSummary,
    Checkpoint,
    Decision,
    Ended,
    ExperimentStatus,
    PhaseChange,
    Reported,
    Result,
    Resume,
    Run,
    ServiceNotice,
    ServiceTrouble,
    Start,
    TrialStatus,
    Verdict,
)

CHECKPOINT = Checkpoint(trial_id=0, resource=3)


class Fixed(Scheduler):
    """Gives the verdict that stands for a resource, else CONTINUE without a reason."""

    def __init__(self, verdicts: dict[int, Verdict]) -> None:
        self.verdicts = verdicts

    def suggest(self, history: History) -> None:
        return None

    def on_trial_start(self, history: History, run: Run) -> None:
        pass

    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        return self.verdicts.get(result.resource, CONTINUE)

    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        pass

    def resumable(self, history: History) -> Collection[int]:
        return history.ids(TrialStatus.PAUSED)


def ledger_with(**verdicts: Verdict) -> tuple[Ledger, MemoryJournal]:
    journal = MemoryJournal()
    scheduler = Fixed({int(resource.removeprefix("at_")): verdict for resource, verdict in verdicts.items()})
    return Ledger(scheduler, journal, [Metric("loss")]), journal


def timeless(journal: MemoryJournal) -> list[Event]:
    """The journal's events without the real time, which must be there."""
    events = list(journal.events())
    assert all(isinstance(event.wall, float) and event.wall > 1e9 for event in events)
    return [replace(event, wall=0.0) for event in events]


def report(seq: int, resource: int, **more: object) -> Reported:
    fields = {"trial_id": 0, "attempt": 0, "retry": 0, "metrics": {"loss": 0.5}, "cost": 0.0, **more}
    return Reported(seq=seq, resource=resource, **fields)  # type: ignore[arg-type]


def result(seq: int, resource: int, decision: ReportDecision, **more: object) -> ResultEvent:
    fields = {
        "t": 0.0,
        "trial_id": 0,
        "attempt": 0,
        "retry": 0,
        "metrics": {"loss": 0.5},
        "reason": "",
        "cost": 0.0,
    }
    return ResultEvent(wall=0.0, seq=seq, resource=resource, decision=decision, **{**fields, **more})


def start(**more: object) -> StartEvent:
    fields = {
        "t": 0.0,
        "trial_id": 0,
        "attempt": 0,
        "config": {"lr": 0.1},
        "until": None,
        "from_checkpoint": None,
    }
    return StartEvent(wall=0.0, **{"note": {}, "suggest_time": 0.0, **fields, **more})


def end(status: TrialStatus, **more: object) -> EndEvent:
    fields = {"t": 0.0, "trial_id": 0, "attempt": 0, "error": "", "cost": 0.0, "checkpoint": None}
    return EndEvent(wall=0.0, status=status, **{**fields, **more})


def test_runs_and_their_reports() -> None:
    pause = Verdict(decision=Decision.PAUSE, reason="not among the best")
    ledger, journal = ledger_with(at_3=pause, at_2=Verdict(decision=Decision.CONTINUE, reason="promising"))
    run = ledger.begin(Start(config={"lr": 0.1}, until=3, note={"bracket": 1}), 1.0, 0.25)
    assert run == Run(trial_id=0, attempt=0, until=3)
    first = ledger.report(report(1, 1, cost=0.5), 2.0)
    assert first == (ReportDecision.CONTINUE, Result(metrics={"loss": 0.5}, resource=1, time=2.0), CONTINUE)
    ledger.report(report(2, 2), 2.5)
    paused = ledger.report(report(3, 3, retry=1), 3.0)
    assert paused == (ReportDecision.PAUSE, Result(metrics={"loss": 0.5}, resource=3, time=3.0), pause)
    late = ledger.report(report(4, 4, retry=1), 3.5)
    assert late == (ReportDecision.LATE, None, pause)
    status = ledger.end(Ended(trial_id=0, attempt=0, exit=0, cost=0.75, checkpoint=CHECKPOINT), 4.0)
    assert status is TrialStatus.PAUSED
    assert ledger.checkpoints == (CHECKPOINT,)
    run = ledger.begin(Resume(trial_id=0, until=9, note={"rung": 3}), 5.0)
    assert run == Run(trial_id=0, attempt=1, until=9, resume_from=3, from_checkpoint=CHECKPOINT)
    repeat = ledger.report(report(1, 3, attempt=1, cost=0.1), 6.0)
    assert repeat == (ReportDecision.REPEAT, None, CONTINUE)
    ledger.end(Ended(trial_id=0, attempt=1, exit=0), 7.0)
    assert ledger.checkpoints == (CHECKPOINT,)
    assert timeless(journal) == [
        start(t=1.0, until=3, note={"bracket": 1}, suggest_time=0.25),
        result(1, 1, ReportDecision.CONTINUE, t=2.0, cost=0.5),
        result(2, 2, ReportDecision.CONTINUE, t=2.5, reason="promising"),
        result(3, 3, ReportDecision.PAUSE, t=3.0, retry=1, reason="not among the best"),
        result(4, 4, ReportDecision.LATE, t=3.5, retry=1, reason="not among the best"),
        end(TrialStatus.PAUSED, t=4.0, cost=0.75, checkpoint=CHECKPOINT),
        start(t=5.0, attempt=1, until=9, from_checkpoint=CHECKPOINT, note={"rung": 3}),
        result(1, 3, ReportDecision.REPEAT, t=6.0, attempt=1, cost=0.1),
        end(TrialStatus.COMPLETED, t=7.0, attempt=1),
    ]


def test_a_clone_begins_with_its_parents_checkpoint() -> None:
    ledger, journal = ledger_with()
    run = ledger.begin(Start(config={"lr": 0.1}, from_checkpoint=CHECKPOINT), 0.0)
    assert run == Run(trial_id=0, attempt=0, resume_from=3, from_checkpoint=CHECKPOINT)
    assert timeless(journal) == [start(from_checkpoint=CHECKPOINT)]


def test_failures() -> None:
    ledger, journal = ledger_with()
    for n in range(4):
        ledger.begin(Start(config={"lr": float(n)}), 0.0)
    lacking = ledger.report(report(1, 1, metrics={"los": 1.0}), 1.0)
    assert lacking is not None
    why = "The script's report lacks the tuned metric 'loss'. Did you mean 'los'?"
    assert (lacking.decision, lacking.result) == (ReportDecision.INVALID, None)
    assert lacking.verdict == Verdict(decision=Decision.STOP, reason=why)
    assert ledger.end(Ended(trial_id=0, attempt=0, exit=0), 2.0) is TrialStatus.FAILED
    assert ledger.end(Ended(trial_id=1, attempt=0, exit=3), 2.0) is TrialStatus.FAILED
    assert ledger.end(Ended(trial_id=2, attempt=0, exit=3, error="boom"), 2.0) is TrialStatus.FAILED
    assert ledger.end(Ended(trial_id=3, attempt=0, exit=0, error="last line"), 2.0) is TrialStatus.FAILED
    without = (
        "The script ended without a single report. It should call tunewright.report(loss=...), "
        'or print lines of the form [tune-metric]: {"loss": 0.5}.'
    )
    assert timeless(journal)[4:] == [
        result(1, 1, ReportDecision.INVALID, t=1.0, metrics={"los": 1.0}, reason=why),
        end(TrialStatus.FAILED, t=2.0, error=why),
        end(TrialStatus.FAILED, t=2.0, trial_id=1, error="The script ended with exit code 3"),
        end(TrialStatus.FAILED, t=2.0, trial_id=2, error="boom"),
        end(TrialStatus.FAILED, t=2.0, trial_id=3, error=f"{without}\nlast line"),
    ]
    ledger.begin(Start(config={"lr": 9.0}), 3.0)
    ledger.end(Ended(trial_id=4, attempt=0, exit=0), 3.0)
    assert ledger.history.error(4) == without


def test_a_dropped_checkpoint() -> None:
    ledger, journal = ledger_with(at_3=Verdict(decision=Decision.PAUSE, reason=""))
    ledger.begin(Start(config={"lr": 0.1}), 0.0)
    ledger.report(report(1, 3), 1.0)
    ledger.end(Ended(trial_id=0, attempt=0, exit=0, checkpoint=CHECKPOINT), 2.0)
    ledger.drop(Checkpoint(trial_id=0, resource=1), 2.5)
    assert ledger.history.checkpoint(0) == CHECKPOINT, "another one than the newest"
    assert ledger.checkpoints == (CHECKPOINT,)
    ledger.drop(CHECKPOINT, 3.0)
    assert ledger.checkpoints == ()
    assert ledger.history.checkpoint(0) is None
    ledger.forget(CHECKPOINT)  # once more is no error
    assert timeless(journal)[3:] == [
        DropEvent(t=2.5, wall=0.0, trial_id=0, resource=1),
        DropEvent(t=3.0, wall=0.0, trial_id=0, resource=3),
    ]
    assert ledger.begin(Resume(trial_id=0), 4.0).from_checkpoint is None


def test_requests_to_stop() -> None:
    ledger, journal = ledger_with()
    ledger.begin(Start(config={"lr": 0.1}), 0.0)
    ledger.begin(Start(config={"lr": 0.2}), 0.0)
    ledger.end(Ended(trial_id=1, attempt=0, exit=1), 0.5)
    asked = [(0, 1.0), (0, 2.0), (1, 2.0), (2, 2.0)]
    for number, (trial_id, now) in enumerate(asked):
        ledger.request(FiledRequest(str(number), StopTrial(trial_id=trial_id)), now)
    assert ledger.history.decision(0) is None
    written = [event for event in timeless(journal)[3:] if isinstance(event, RequestEvent)]
    assert [(event.trial_id, event.t) for event in written] == asked
    assert {event.action for event in written} == {"stop_trial"}
    assert [(event.done, event.reason) for event in written] == [
        ("stop_trial", ""),
        ("", "The run of trial 0 is ending already"),
        ("", "Trial 1 is failed"),
        ("", "There is no trial 2"),
    ]


def test_sessions_and_phases() -> None:
    ledger, journal = ledger_with()
    ledger.begin_session(0.5, 17, "here")
    ledger.begin(Start(config={"lr": 0.1}), 1.0)
    before = ledger.history.n_results
    ledger.phase(PhaseChange(trial_id=0, attempt=0, retry=2, worker="job-1", name="training", warm=True), 2.0)
    assert ledger.history.n_results == before
    ledger.end_session(3.0, ExperimentStatus.COMPLETED, BackendSummary(jobs=3, cost=1.5))
    events = timeless(journal)
    assert events[0] == SessionEvent(t=0.5, wall=0.0, event="begin", pid=17, host="here")
    assert events[2] == PhaseEvent(
        t=2.0, wall=0.0, trial_id=0, attempt=0, retry=2, worker="job-1", name="training", warm=True
    )
    last = events[3]
    assert isinstance(last, SessionEvent)
    assert (last.t, last.event, last.outcome) == (3.0, "end", ExperimentStatus.COMPLETED)
    assert last.summary is not None
    assert (last.summary["jobs"], last.summary["cost"]) == (3, 1.5)
    assert last.is_end
    assert not events[0].is_end


def test_events_of_the_service_change_nothing() -> None:
    ledger, journal = ledger_with()
    ledger.begin(Start(config={"lr": 0.1}), 1.0)
    notice = ServiceNotice(name=ServiceTrouble.INTERRUPTED, text="taken back", trial_id=0)
    ledger.service(notice, 2.0)
    ledger.report(report(1, 1), 3.0)
    assert timeless(journal)[1] == ServiceEvent(
        t=2.0, wall=0.0, name="interrupted", trial_id=0, text="taken back"
    )
    again = Ledger(Fixed({}), journal, [Metric("loss")])
    assert again.replay() == 3.0
    assert again.history.n_results == ledger.history.n_results == 1
    assert again.history.run(0) == ledger.history.run(0)


def test_a_run_that_cannot_begin_leaves_no_event() -> None:
    ledger, journal = ledger_with()
    ledger.begin(Start(config={"lr": 0.1}), 0.0)
    with pytest.raises(IllegalTransitionError) as refused:
        ledger.begin(Resume(trial_id=0), 1.0)
    expected = IllegalTransitionError(0, TrialStatus.RUNNING, TrialStatus.RUNNING)
    assert str(refused.value) == str(expected)
    assert len(timeless(journal)) == 1
    with pytest.raises(SettingsError, match=r"^At least one metric is needed: what should be tuned\?$"):
        Ledger(Fixed({}), journal, [])


def test_a_changed_method_is_one_warning_with_both_decisions(caplog: pytest.LogCaptureFixture) -> None:
    ledger, journal = ledger_with(at_1=Verdict(decision=Decision.PAUSE, reason="x"))
    ledger.begin(Start(config={"lr": 0.1}), 0.0)
    ledger.report(report(1, 1), 1.0)
    ledger.end(Ended(trial_id=0, attempt=0, exit=0), 2.0)
    same, _ = ledger_with(at_1=Verdict(decision=Decision.PAUSE, reason="y"))
    other, _ = ledger_with()
    with caplog.at_level(logging.WARNING):
        same._journal = other._journal = journal
        same.replay()
        assert not caplog.records
        other.replay()
    (message,) = (record.getMessage() for record in caplog.records)
    assert message == (
        "The scheduler says continue to a report of trial 0, the journal says pause: was the method changed? The "
        "journal wins."
    )


def test_numbers_of_a_report() -> None:
    warnings: list[tuple[str, str]] = []
    found = numbers_only(
        {"a": 1.5, "b": 2, "c": True, "d": "x" * 100, "e": 3.0},
        lambda key, text: warnings.append((key, text)),
    )
    assert found == {"a": 1.5, "b": 2.0, "e": 3.0}
    assert all(type(value) is float for value in found.values())
    assert warnings == [
        ("c", "The reported 'c' is True, not a number: it is left out"),
        ("d", f"The reported 'd' is '{'x' * 59}, not a number: it is left out"),
    ]


def test_the_metric_that_a_report_lacks() -> None:
    metrics = [Metric("loss"), Metric("time")]
    assert missing_metric(metrics, {"loss": 1.0, "time": 2.0}, {}) == ""
    assert missing_metric(metrics, {"loss": 1.0}, {"loss": 1.0, "time": "x" * 99}) == (
        f"The script reported 'time' as '{'x' * 59}, which is not a number"
    )
    near = missing_metric(metrics, {"loss": 1.0}, {"loss": 1.0, "st_time": 1.0})
    assert near == "The script's report lacks the tuned metric 'time'. Known: loss."


def test_a_warning_is_given_once_for_each_name(caplog: pytest.LogCaptureFixture) -> None:
    ledger, _ = ledger_with()
    ledger.begin(Start(config={"lr": 0.1}), 0.0)
    with caplog.at_level(logging.WARNING):
        for seq in (1, 2):
            ledger.report(report(seq, seq, metrics={"loss": 1.0, "a": "x", "b": None}), 1.0)
    assert [record.getMessage() for record in caplog.records] == [
        "The reported 'a' is 'x', not a number: it is left out",
        "The reported 'b' is None, not a number: it is left out",
    ]
