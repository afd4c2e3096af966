"""A run's phases: only the transitions of the table, whatever listings and messages say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.backends.engine.job_service import JobOrder, JobState, JobStatus
from tunewright.backends.engine.run_meter import Overheads
from tunewright.backends.engine.tracked_run import TRANSITIONS, RunPhase, TrackedRun
from tunewright.exceptions import TunewrightError
from tunewright.runner.channel import EXITED, PAUSE, STOP, TERMINATED, UNTIL, End, Report
from tunewright.trial import Checkpoint, Run


def tracked(**run: Any) -> TrackedRun:
    order = JobOrder(run=Run(trial_id=0, attempt=0, **run), config={}, dollars_per_hour=3600.0)
    return TrackedRun(order, speed=1.0, overheads=Overheads())


def end(cause: str = EXITED) -> End:
    return End(cause, 0, "", 1.0, 1e9, None)


def status(state: JobState) -> JobStatus:
    return JobStatus(state=state, created=1e9)


def test_every_phase_has_its_transitions() -> None:
    assert TRANSITIONS.keys() == set(RunPhase)
    assert not TRANSITIONS[RunPhase.CLOSED]
    reached = {phase for following in TRANSITIONS.values() for phase in following}
    assert reached == set(RunPhase)


def test_a_run_from_queue_to_close() -> None:
    run = tracked()
    run.submit()
    run.begin(1e9, worker="job")
    run.report(0, 1, Report(1, 1, {}, 0.5, 1e9))
    run.take_end(0, end())
    assert run.phase is RunPhase.ENDING
    run.observe(status(JobState.COMPLETED))
    assert (run.phase, run.is_cut, run.is_silent) == (RunPhase.OVER, False, False)
    run.close()
    assert run.phase is RunPhase.CLOSED


@pytest.mark.parametrize("change", [TrackedRun.lose, TrackedRun.close, TrackedRun.requeue])
def test_a_closed_run_changes_no_more(change: Any) -> None:
    run = tracked()
    run.withdraw()
    run.close()
    if change is TrackedRun.close:
        run.close()
    else:
        with pytest.raises(TunewrightError, match="cannot go from closed"):
            change(run)


def test_a_refused_request_leaves_a_run_in_the_queue_and_a_lost_one_unconfirmed() -> None:
    run = tracked()
    run.submit()
    assert run.may_run
    run.requeue()
    assert (run.phase, run.may_run) == (RunPhase.QUEUED, False)


def test_a_restarted_job_has_not_ended() -> None:
    """An interrupted spot job said that it was terminated; then a newer retry reports under the job's name."""
    run = tracked()
    run.begin(1e9, worker="job")
    run.take_end(0, end(TERMINATED))
    run.restart(1)
    assert (run.phase, run.end) == (RunPhase.RUNNING, None)
    run.take_end(0, end(TERMINATED))
    assert run.end is None, "it is that of an older retry"
    assert [name.retry for name in run.names] == [0, 1]


def test_a_stale_listing_does_not_bring_a_job_back() -> None:
    run = tracked()
    run.begin(1e9)
    run.observe(status(JobState.FAILED))
    run.observe(status(JobState.RUNNING))
    assert run.is_over
    assert run.is_cut


def test_a_run_that_ended_before_it_was_taken_back_keeps_its_end() -> None:
    run = tracked()
    run.begin(1e9)
    run.ask(PAUSE)
    run.withdraw()
    assert run.is_silent
    run.take_end(0, end())
    assert (run.phase, run.is_silent) == (RunPhase.OVER, False)


def test_the_first_request_counts_and_is_sent_once() -> None:
    run = tracked()
    run.begin(1e9)
    run.ask(PAUSE)
    run.ask(STOP)
    assert (run.request, run.needs_request_sent, run.needs_force) == (PAUSE, True, True)
    run.request_sent()
    assert (run.needs_request_sent, run.needs_force) == (False, True)
    run.forced()
    assert not run.needs_force


def test_a_run_at_its_until_ends_by_itself() -> None:
    run = tracked(until=2)
    run.begin(1e9)
    run.ask(PAUSE)
    run.report(0, 1, Report(1, 2, {}, 0.5, 1e9))
    assert not run.needs_request_sent


def test_a_run_that_never_began_leaves_its_own_checkpoint() -> None:
    own = Checkpoint(trial_id=0, resource=3)
    order = JobOrder(run=Run(trial_id=0, attempt=1, from_checkpoint=own), config={})
    assert TrackedRun(order, speed=1.0, overheads=None).never_began().checkpoint == own
    other = JobOrder(run=Run(trial_id=1, attempt=0, from_checkpoint=own), config={})
    assert TrackedRun(other, speed=1.0, overheads=None).never_began().checkpoint is None


ACTIONS = {
    "report": lambda run: run.report(0, 1, Report(1, 1, {}, 0.5, 1e9)),
    "end": lambda run: run.take_end(0, end()),
    "terminated": lambda run: run.take_end(0, end(TERMINATED)),
    "restart": lambda run: run.restart(run.names[-1].retry + 1),
    "running": lambda run: run.observe(status(JobState.RUNNING)),
    "failed": lambda run: run.observe(status(JobState.FAILED)),
    "ask": lambda run: run.ask(STOP),
    "searched": lambda run: run.searched(),
}


@given(st.lists(st.sampled_from(sorted(ACTIONS))))
def test_no_order_of_listings_and_messages_is_illegal(actions: list[str]) -> None:
    """A run with a job takes them all; once its job has ended, it stays so."""
    run = tracked()
    run.begin(1e9, worker="job")
    was_over = False
    for action in actions:
        ACTIONS[action](run)
        assert run.is_over >= was_over
        was_over = run.is_over
    phases = [change.name for change in run.take_changes() if change.retry == run.names[-1].retry]
    assert len(phases) == len(set(phases))


@pytest.mark.parametrize(("n_instances", "is_sent"), [(1, False), (2, True)])
@pytest.mark.parametrize("has_end", [False, True])
def test_at_until_only_further_instances_need_the_request(
    n_instances: int, is_sent: bool, has_end: bool
) -> None:
    order = JobOrder(run=Run(trial_id=0, attempt=0, until=1), config={}, n_instances=n_instances)
    run = TrackedRun(order, speed=1.0, overheads=Overheads())
    run.submit()
    run.begin(1e9, worker="job")
    run.report(0, 1, Report(1, 1, {}, 0.5, 1e9))
    if has_end:
        run.take_end(0, end(UNTIL))
    run.ask(PAUSE)
    assert run.needs_request_sent is is_sent
    run.request_sent()
    assert not run.needs_request_sent
