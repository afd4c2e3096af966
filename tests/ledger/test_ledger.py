"""The meanings of DESIGN section 3, one by one, at the ledger."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection

import pytest
from msgspec.structs import replace

from tunewright.events import EndEvent, Event, ReportDecision, RequestEvent, ResultEvent, StartEvent
from tunewright.exceptions import IllegalTransitionError, JournalError, SettingsError
from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.journal import MemoryJournal
from tunewright.ledger import Ledger
from tunewright.metric import Metric
from tunewright.requests import FiledRequest, StopTrial
from tunewright.state import replay_history
from tunewright.trial import (
    Checkpoint,
    Decision,
    Ended,
    Reported,
    Result,
    Resume,
    Run,
    Start,
    TrialStatus,
    Verdict,
)

LOSS = Metric("loss")


class Scripted(Scheduler):
    """Says what it is told to say at given resources, and writes down every call."""

    def __init__(self, verdicts: dict[int, Decision] | None = None) -> None:
        self.verdicts = verdicts or {}
        self.calls: list[tuple[object, ...]] = []

    def suggest(self, history: History) -> None:
        return None

    def on_trial_start(self, history: History, run: Run) -> None:
        self.calls.append(("start", run, dict(history.note(run.trial_id)), history.n_runs))

    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        assert history.last(trial_id) is result
        self.calls.append(("result", trial_id, result.resource))
        return Verdict(
            decision=self.verdicts.get(result.resource, Decision.CONTINUE), reason=f"at {result.resource}"
        )

    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        assert history.status(trial_id) is status
        self.calls.append(("end", trial_id, status))

    def resumable(self, history: History) -> Collection[int]:
        return history.ids(TrialStatus.PAUSED)


def ledger(verdicts: dict[int, Decision] | None = None) -> tuple[Ledger, Scripted, MemoryJournal]:
    scheduler, journal = Scripted(verdicts), MemoryJournal()
    return Ledger(scheduler, journal, [LOSS]), scheduler, journal


def reported(
    seq: int, resource: int, *, trial: int = 0, attempt: int = 0, retry: int = 0, **more: object
) -> Reported:
    metrics = more.pop("metrics", {"loss": 1.0 / resource})
    return Reported(
        trial_id=trial,
        attempt=attempt,
        retry=retry,
        seq=seq,
        resource=resource,
        metrics=metrics,
        **more,  # type: ignore[arg-type]
    )


def ended(code: int = 0, *, trial: int = 0, attempt: int = 0, **more: object) -> Ended:
    return Ended(trial_id=trial, attempt=attempt, exit=code, **more)  # type: ignore[arg-type]


def test_a_run_is_begun_numbered_noted_and_journaled_before_the_handler() -> None:
    books, scheduler, journal = ledger()
    run = books.begin(Start(config={"lr": 0.1}, until=3, note={"bracket": 1}), now=2.0, suggest_time=0.5)
    assert run == Run(trial_id=0, attempt=0, until=3)
    assert scheduler.calls == [("start", run, {"bracket": 1}, 1)]
    (event,) = journal.events()
    assert event == StartEvent(
        t=2.0,
        wall=event.wall,
        trial_id=0,
        attempt=0,
        config={"lr": 0.1},
        until=3,
        from_checkpoint=None,
        note={"bracket": 1},
        suggest_time=0.5,
    )


def test_a_report_counts_once_and_only_above_the_highest_resource() -> None:
    books, scheduler, _ = ledger()
    books.begin(Start(config={"lr": 0.1}), 0.0)
    first = books.report(reported(1, 1), 1.0)
    assert first is not None
    assert first.decision is ReportDecision.CONTINUE
    assert books.report(reported(1, 1), 2.0) is None, "redelivered: silently skipped"
    repeat = books.report(reported(1, 1, retry=1, cost=0.5), 3.0)
    assert repeat is not None
    assert repeat.decision is ReportDecision.REPEAT
    assert books.history.cost == 0.5, "the cost of a repeat counts"
    assert books.history.n_results == 1
    jumped = books.report(reported(2, 9, retry=1), 4.0)
    assert jumped is not None
    assert jumped.decision is ReportDecision.CONTINUE
    assert [r.resource for r in books.history.results(0)] == [1, 9]
    assert scheduler.calls[1:] == [("result", 0, 1), ("result", 0, 9)]


def test_events_of_an_older_attempt_are_dropped() -> None:
    books, _, _ = ledger({1: Decision.PAUSE})
    books.begin(Start(config={"lr": 0.1}, until=1), 0.0)
    books.report(reported(1, 1), 1.0)
    assert books.end(ended(checkpoint=Checkpoint(trial_id=0, resource=1)), 2.0) is TrialStatus.PAUSED
    books.begin(Resume(trial_id=0, until=3), 3.0)
    assert books.report(reported(2, 2), 4.0) is None
    assert books.end(ended(1), 4.0) is None, "an end of attempt 0 does not end attempt 1"
    assert books.history.status(0) is TrialStatus.RUNNING
    assert books.report(reported(1, 2, trial=7), 4.0) is None
    assert books.end(ended(trial=7), 4.0) is None


def test_a_resumed_run_starts_from_the_newest_checkpoint_or_from_scratch() -> None:
    books, _, _ = ledger({1: Decision.PAUSE, 3: Decision.PAUSE})
    books.begin(Start(config={"lr": 0.1}, until=1), 0.0)
    books.report(reported(1, 1), 1.0)
    books.end(ended(checkpoint=Checkpoint(trial_id=0, resource=1)), 2.0)
    run = books.begin(Resume(trial_id=0, until=3), 3.0)
    assert (run.attempt, run.resume_from, run.from_checkpoint) == (1, 1, Checkpoint(trial_id=0, resource=1))
    books.report(reported(1, 3, attempt=1), 4.0)
    books.end(ended(attempt=1), 5.0)
    assert books.begin(Resume(trial_id=0), 6.0).resume_from == 1, "the second run left no newer one"

    fresh, _, _ = ledger({1: Decision.PAUSE})
    fresh.begin(Start(config={"lr": 0.1}), 0.0)
    fresh.report(reported(1, 1), 1.0)
    fresh.end(ended(), 2.0)
    assert fresh.begin(Resume(trial_id=0), 3.0).resume_from == 0


def test_only_a_paused_trial_is_resumed() -> None:
    books, _, _ = ledger()
    books.begin(Start(config={"lr": 0.1}), 0.0)
    with pytest.raises(IllegalTransitionError):
        books.begin(Resume(trial_id=0), 1.0)


@pytest.mark.parametrize(
    ("verdict", "exit_code", "status"),
    [
        (Decision.PAUSE, 0, TrialStatus.PAUSED),
        (Decision.PAUSE, 143, TrialStatus.PAUSED),
        (Decision.STOP, 0, TrialStatus.STOPPED),
        (Decision.STOP, 1, TrialStatus.STOPPED),
        (Decision.CONTINUE, 0, TrialStatus.COMPLETED),
        (Decision.CONTINUE, 3, TrialStatus.FAILED),
    ],
)
def test_the_verdict_decides_how_a_trial_ends(verdict: Decision, exit_code: int, status: TrialStatus) -> None:
    books, scheduler, _ = ledger({1: verdict})
    books.begin(Start(config={"lr": 0.1}), 0.0)
    books.report(reported(1, 1), 1.0)
    assert books.end(ended(exit_code, error="log" if exit_code else ""), 2.0) is status
    assert scheduler.calls[-1] == ("end", 0, status)
    assert bool(books.history.error(0)) == (status is TrialStatus.FAILED)


def test_a_report_after_the_verdict_is_late_and_not_judged() -> None:
    books, scheduler, journal = ledger({1: Decision.STOP})
    books.begin(Start(config={"lr": 0.1}), 0.0)
    books.report(reported(1, 1), 1.0)
    late = books.report(reported(2, 2), 2.0)
    assert late is not None
    assert late.decision is ReportDecision.LATE
    assert [r.resource for r in books.history.late(0)] == [2]
    assert [r.resource for r in books.history.results(0)] == [1]
    assert scheduler.calls[-1] == ("result", 0, 1)
    assert [event.decision for event in journal.events() if isinstance(event, ResultEvent)] == [
        "stop",
        "late",
    ]


def test_exit_0_without_a_result_is_a_failure() -> None:
    books, _, _ = ledger()
    books.begin(Start(config={"lr": 0.1}), 0.0)
    assert books.end(ended(error="last log line"), 1.0) is TrialStatus.FAILED
    assert "without a single report" in books.history.error(0)
    assert "last log line" in books.history.error(0)


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        ({"los": 0.5, "st_worker_time": 1.0}, "Did you mean 'los'"),
        ({"loss": "low"}, "not a number"),
        ({"loss": None}, "not a number"),
        ({"loss": True}, "not a number"),
        ({}, "lacks the tuned metric 'loss'"),
    ],
)
def test_a_report_without_the_metric_fails_the_trial(metrics: dict[str, object], says: str) -> None:
    books, scheduler, _ = ledger()
    books.begin(Start(config={"lr": 0.1}), 0.0)
    handled = books.report(reported(1, 1, metrics=metrics), 1.0)
    assert handled is not None
    assert handled.decision is ReportDecision.INVALID
    assert handled.verdict.decision is Decision.STOP
    assert ("result", 0, 1) not in scheduler.calls
    assert books.end(ended(143), 2.0) is TrialStatus.FAILED
    assert says in books.history.error(0)


def test_what_is_no_number_is_left_out_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    books, _, _ = ledger()
    books.begin(Start(config={"lr": 0.1}), 0.0)
    with caplog.at_level(logging.WARNING):
        for seq in (1, 2):
            books.report(reported(seq, seq, metrics={"loss": 1, "note": "fine", "ok": True}), 1.0)
    assert books.history.results(0)[0].metrics == {"loss": 1.0}
    assert sum("note" in r.getMessage() for r in caplog.records) == 1


def test_nan_is_kept_and_judged() -> None:
    books, _, _ = ledger()
    books.begin(Start(config={"lr": 0.1}), 0.0)
    handled = books.report(reported(1, 1, metrics={"loss": math.nan}), 1.0)
    assert handled is not None
    assert handled.decision is ReportDecision.CONTINUE
    assert math.isnan(books.history.results(0)[0].metrics["loss"])


def history_facts(history: History) -> object:
    return [
        (
            history.trial(i),
            history.status(i),
            repr(history.results(i)),
            repr(history.late(i)),
            history.decision(i),
            history.error(i),
            history.run(i),
            history.note(i),
        )
        for i in range(history.n_trials)
    ] + [history.cost, list(history.runs), repr(history.results_since(0))]


def eventful() -> tuple[Ledger, Scripted, MemoryJournal]:
    books, scheduler, journal = ledger({3: Decision.PAUSE, 5: Decision.STOP})
    books.begin_session(0.0, 1, "host")
    for n in range(4):
        books.begin(Start(config={"lr": 0.1 * n}, until=3, note={"n": n}), float(n))
    books.report(reported(1, 1, cost=0.25), 4.0)
    books.report(reported(1, 1, retry=1), 4.5)
    books.report(reported(2, 3, retry=1, cost=0.5), 5.0)
    books.report(reported(1, 1, trial=1, metrics={"loss": math.nan}), 5.5)
    books.report(reported(2, 5, trial=1), 6.0)
    books.report(reported(3, 6, trial=1), 6.5)
    books.report(reported(1, 1, trial=2, metrics={"lost": 1.0}), 7.0)
    books.end(ended(checkpoint=Checkpoint(trial_id=0, resource=3), cost=0.75), 7.5)
    books.end(ended(1, trial=2), 8.0)
    books.begin(Resume(trial_id=0, until=9), 8.5)
    books.report(reported(1, 4, attempt=1), 9.0)
    return books, scheduler, journal


def test_replay_gives_back_history_and_the_schedulers_state() -> None:
    books, scheduler, journal = eventful()
    again = Scripted(scheduler.verdicts)
    resumed = Ledger(again, journal, [LOSS])
    assert resumed.replay() == 9.0
    assert history_facts(resumed.history) == history_facts(books.history)
    assert again.calls == scheduler.calls
    assert resumed.open_runs() == books.open_runs()
    assert resumed.checkpoints == books.checkpoints
    assert history_facts(replay_history(journal.events())) == history_facts(books.history)


def test_open_runs_tell_a_backend_where_each_run_stands() -> None:
    books, _, _ = eventful()
    first, second, third = books.open_runs()
    assert (first.run.trial_id, first.run.attempt, first.seen, first.seen_resource) == (0, 1, 1, 4)
    assert (first.started_at, first.verdict) == (8.5, None)
    assert (second.run.trial_id, second.seen) == (1, 3)
    assert second.verdict is not None
    assert (second.verdict.decision, second.verdict_at) == (Decision.STOP, 6.0)
    assert (third.run.trial_id, third.seen) == (3, 0)


def test_redelivery_after_a_replay_is_skipped() -> None:
    _, scheduler, journal = eventful()
    resumed = Ledger(Scripted(scheduler.verdicts), journal, [LOSS])
    resumed.replay()
    assert resumed.report(reported(1, 4, attempt=1), 10.0) is None
    handled = resumed.report(reported(2, 5, attempt=1), 10.0)
    assert handled is not None
    assert handled.decision is ReportDecision.STOP


def test_a_changed_method_is_warned_of_once_and_the_journal_wins(caplog: pytest.LogCaptureFixture) -> None:
    books, _, journal = eventful()
    other = Ledger(Scripted({}), journal, [LOSS])
    with caplog.at_level(logging.WARNING):
        other.replay()
    assert sum("the journal says" in r.getMessage() for r in caplog.records) == 1
    assert history_facts(other.history) == history_facts(books.history)


START = StartEvent(
    t=0.0,
    wall=0.0,
    trial_id=0,
    attempt=0,
    config={},
    until=None,
    from_checkpoint=None,
    note={},
    suggest_time=0.0,
)
END = EndEvent(
    t=1.0, wall=0.0, trial_id=0, attempt=0, status=TrialStatus.COMPLETED, error="", cost=0.0, checkpoint=None
)


@pytest.mark.parametrize(
    "events", [[END], [START, START], [START, END, END], [START, END, replace(START, attempt=1)]]
)
def test_events_that_do_not_fit_are_one_clear_error(events: list[Event]) -> None:
    with pytest.raises(JournalError, match="does not fit"):
        replay_history(events)


def test_a_removed_checkpoint_is_off_the_list() -> None:
    books, _, _ = eventful()
    (checkpoint,) = books.checkpoints
    books.forget(checkpoint)
    assert books.checkpoints == ()


def test_a_metric_is_needed() -> None:
    with pytest.raises(SettingsError, match="metric"):
        Ledger(Scripted(), MemoryJournal(), [])


def test_a_request_to_stop_a_trial_is_journaled_and_replayed() -> None:
    books, _, journal = ledger()
    books.begin(Start(config={"lr": 0.1}), 0.0)
    answers = [
        books.request(FiledRequest("1", StopTrial(trial_id=0, reason="too slow")), 1.0),
        books.request(FiledRequest("2", StopTrial(trial_id=0)), 1.5),
        books.request(FiledRequest("3", StopTrial(trial_id=7)), 1.5),
    ]
    assert [answer.reason for answer in answers] == [
        "too slow",
        "The run of trial 0 is ending already",
        "There is no trial 7",
    ]
    resumed = Ledger(Scripted(), journal, [LOSS])
    resumed.replay()
    for one in (books, resumed):
        (run,) = one.open_runs()
        assert run.verdict == Verdict(decision=Decision.STOP, reason="too slow")
        assert run.verdict_at == 1.0
    assert [event.done for event in journal.events() if isinstance(event, RequestEvent)] == [
        "stop_trial",
        "",
        "",
    ]
    assert books.end(ended(143), 2.0) is TrialStatus.STOPPED
