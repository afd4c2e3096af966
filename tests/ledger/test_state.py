"""History as a sequence of events makes it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tunewright.events import (
    DropEvent,
    EndEvent,
    Event,
    ReportDecision,
    RequestEvent,
    ResultEvent,
    StartEvent,
)
from tunewright.exceptions import IllegalTransitionError, JournalError
from tunewright.state import State, replay_history, with_fit
from tunewright.trial import Checkpoint, Decision, OpenRun, Result, Run, Trial, TrialStatus, Verdict

FIRST = StartEvent(
    t=1.0,
    wall=0.0,
    trial_id=0,
    attempt=0,
    config={"lr": 0.1},
    until=3,
    from_checkpoint=None,
    note={"bracket": 0},
    suggest_time=0.0,
)
REPORT = ResultEvent(
    t=2.0,
    wall=0.0,
    trial_id=0,
    attempt=0,
    retry=0,
    seq=1,
    resource=1,
    metrics={"loss": 0.5},
    decision=ReportDecision.CONTINUE,
    reason="",
    cost=0.5,
)
CHECKPOINT = Checkpoint(trial_id=0, resource=3)
PAUSED = EndEvent(
    t=5.0,
    wall=0.0,
    trial_id=0,
    attempt=0,
    status=TrialStatus.PAUSED,
    error="",
    cost=1.5,
    checkpoint=CHECKPOINT,
)


def state_of(*events: Event) -> State:
    state = State()
    for event in events:
        state.apply(event)
    return state


def test_nothing_has_happened() -> None:
    state = State()
    assert (state.n_trials, state.n_runs, state.n_results, state.cost, state.time) == (0, 0, 0, 0.0, 0.0)
    assert list(state.runs) == list(state.open_runs()) == list(state.results_since(0)) == []
    assert not state.contains({"lr": 0.1})
    assert state.current(0, 0) is None


def test_a_trial_that_runs() -> None:
    state = state_of(FIRST)
    run = Run(trial_id=0, attempt=0, until=3)
    assert state.trial(0) == Trial(id=0, config={"lr": 0.1})
    assert state.status(0) is TrialStatus.RUNNING
    assert list(state.ids(TrialStatus.RUNNING)) == [0]
    assert list(state.ids(TrialStatus.PAUSED)) == []
    assert (state.run(0), list(state.runs), state.until(0)) == (run, [run], 3)
    assert (state.note(0), state.note(0, 0)) == ({"bracket": 0}, {"bracket": 0})
    assert (state.last(0), state.decision(0), state.checkpoint(0), state.error(0)) == (None, None, None, "")
    assert state.contains({"lr": 0.1})
    assert not state.contains({"lr": 0.2})
    assert state.current(0, 0) is state.record(0)
    assert state.current(0, 1) is None
    assert state.current(1, 0) is None
    assert list(state.open_runs()) == [
        OpenRun(
            run=run,
            config={"lr": 0.1},
            started_at=1.0,
            started_wall=FIRST.wall,
            retry=0,
            seen=0,
            seen_resource=0,
            verdict=None,
            verdict_at=None,
        )
    ]


def test_reports() -> None:
    state = state_of(
        FIRST,
        REPORT,
        replace(REPORT, t=3.0, seq=2, resource=2, cost=0.25, metrics={"loss": 0.4}),
        replace(REPORT, t=3.5, retry=1, seq=1, resource=2, decision=ReportDecision.REPEAT, cost=1.0),
    )
    first = Result(metrics={"loss": 0.5}, resource=1, time=2.0)
    second = Result(metrics={"loss": 0.4}, resource=2, time=3.0)
    assert list(state.results(0)) == [first, second]
    assert state.last(0) == second
    assert state.decision(0) is Decision.CONTINUE
    assert list(state.results_since(0)) == [(0, first), (0, second)]
    assert list(state.results_since(1)) == [(0, second)]
    assert (state.n_results, state.cost, state.time) == (2, 1.0, 3.5)
    (run,) = state.open_runs()
    assert (run.retry, run.seen, run.seen_resource, run.config) == (1, 1, 2, {"lr": 0.1})
    assert (run.verdict, run.verdict_at) == (None, None)


def test_a_pause_and_what_comes_after_it() -> None:
    pause = replace(REPORT, t=3.0, seq=2, resource=3, decision=ReportDecision.PAUSE, reason="enough")
    late = replace(REPORT, t=4.0, seq=3, resource=4, metrics={"loss": 0.1}, decision=ReportDecision.LATE)
    state = state_of(FIRST, REPORT, pause, late)
    (run,) = state.open_runs()
    assert (run.verdict, run.verdict_at) == (Verdict(decision=Decision.PAUSE, reason="enough"), 3.0)
    assert (run.seen, run.seen_resource) == (3, 3)
    assert state.decision(0) is Decision.PAUSE
    assert list(state.late(0)) == [Result(metrics={"loss": 0.1}, resource=4, time=4.0)]
    assert state.n_results == 2

    state.apply(PAUSED)
    assert state.status(0) is TrialStatus.PAUSED
    assert list(state.ids(TrialStatus.PAUSED)) == [0]
    assert list(state.ids(TrialStatus.RUNNING)) == []
    assert (state.checkpoint(0), state.cost, list(state.open_runs())) == (CHECKPOINT, 1.5, [])
    assert state.current(0, 0) is None

    state.apply(
        replace(FIRST, t=6.0, attempt=1, until=None, from_checkpoint=CHECKPOINT, note={"rung": 3}, config={})
    )
    second = Run(trial_id=0, attempt=1, resume_from=3, from_checkpoint=CHECKPOINT)
    assert (state.run(0), state.until(0), list(state.runs)[1:]) == (second, None, [second])
    assert (state.note(0), state.note(0, 0), state.note(0, 1)) == ({"rung": 3}, {"bracket": 0}, {"rung": 3})
    assert (state.n_trials, state.n_runs) == (1, 2)
    assert state.trial(0).config == {"lr": 0.1}
    assert list(state.open_runs()) == [
        OpenRun(
            run=second,
            config={"lr": 0.1},
            started_at=6.0,
            retry=0,
            seen=0,
            seen_resource=3,
            verdict=None,
            verdict_at=None,
        )
    ]
    state.apply(replace(REPORT, t=7.0, attempt=1, resource=4, cost=0.25))
    assert state.cost == 1.75, "the cost of a run begins anew"
    state.apply(replace(PAUSED, t=8.0, attempt=1, status=TrialStatus.COMPLETED, cost=0.0, checkpoint=None))
    assert (state.checkpoint(0), state.cost, state.time) == (CHECKPOINT, 1.75, 8.0)


def test_a_run_that_is_ended_as_failed() -> None:
    state = state_of(FIRST, replace(REPORT, decision=ReportDecision.INVALID, reason="no loss"))
    (run,) = state.open_runs()
    assert (run.verdict, run.verdict_at) == (Verdict(decision=Decision.STOP, reason="no loss"), 2.0)
    assert state.record(0).invalid == "no loss"
    assert (state.n_results, list(state.late(0)), state.decision(0)) == (0, [], None)
    state.apply(replace(PAUSED, status=TrialStatus.FAILED, error="no loss", checkpoint=None))
    assert (state.status(0), state.error(0), state.checkpoint(0)) == (TrialStatus.FAILED, "no loss", None)


def test_a_new_run_forgets_why_the_last_one_was_ended() -> None:
    pause = replace(REPORT, decision=ReportDecision.PAUSE)
    state = state_of(FIRST, pause, PAUSED)
    state.record(0).invalid = "left over"
    state.apply(replace(FIRST, t=6.0, attempt=1))
    record = state.record(0)
    assert (record.invalid, record.pending, record.pending_at, record.seen, record.cost_of_run) == (
        "",
        None,
        None,
        {},
        0.0,
    )


def test_several_trials_keep_apart() -> None:
    second = replace(FIRST, trial_id=1, config={"lr": 0.2})
    state = state_of(
        FIRST,
        second,
        replace(REPORT, trial_id=1, cost=0.25),
        replace(REPORT, t=0.5, cost=0.5, decision=ReportDecision.STOP),
    )
    assert [index for index, _ in state.results_since(0)] == [1, 0]
    assert (state.cost, state.time) == (0.75, 2.0)
    assert [run.run.trial_id for run in state.open_runs()] == [0, 1]
    assert (state.decision(0), state.decision(1)) == (Decision.STOP, Decision.CONTINUE)
    assert state.contains({"lr": 0.2})


def test_a_dropped_checkpoint_is_gone_unless_there_is_a_newer_one() -> None:
    state = state_of(FIRST, replace(REPORT, decision=ReportDecision.PAUSE), PAUSED)
    state.apply(DropEvent(t=6.0, wall=0.0, trial_id=0, resource=1))
    assert state.checkpoint(0) == CHECKPOINT
    state.apply(DropEvent(t=6.0, wall=0.0, trial_id=0, resource=3))
    assert state.checkpoint(0) is None


@pytest.mark.parametrize(
    ("done", "trial_id", "is_ended"),
    [("stop_trial", 0, True), ("", 0, False), ("other", 0, False), ("stop_trial", None, False)],
)
def test_a_request_ends_a_run_if_it_was_carried_out(done: str, trial_id: int | None, is_ended: bool) -> None:
    request = RequestEvent(
        t=4.0, wall=0.0, action="stop_trial", trial_id=trial_id, arguments={}, done=done, reason="slow"
    )
    (run,) = state_of(FIRST, request).open_runs()
    stop = (Verdict(decision=Decision.STOP, reason="slow"), 4.0)
    assert (run.verdict, run.verdict_at) == (stop if is_ended else (None, None))


def test_events_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"^trial 1 begins, and the next one is 0$"):
        state_of(replace(FIRST, trial_id=1))
    state = state_of(FIRST, replace(PAUSED, status=TrialStatus.COMPLETED))
    with pytest.raises(IllegalTransitionError) as refused:
        state.apply(replace(FIRST, attempt=1))
    expected = IllegalTransitionError(0, TrialStatus.COMPLETED, TrialStatus.RUNNING)
    assert str(refused.value) == str(expected)
    with pytest.raises(JournalError) as damaged:
        with_fit(state.apply, replace(FIRST, t=7.0, attempt=1))
    assert str(damaged.value) == (
        f"A journal line of kind 'start', at 7.0 s, does not fit: {expected!r}. The file was changed or damaged: "
        "restore it from a copy, or keep the lines before this one and resume (tunewright repair)"
    )
    assert isinstance(damaged.value.__cause__, IllegalTransitionError)


def test_history_is_what_the_events_say() -> None:
    history = replay_history([FIRST, REPORT])
    assert (history.n_trials, history.n_results, history.cost) == (1, 1, 0.5)
