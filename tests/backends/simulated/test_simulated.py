from __future__ import annotations

import math

import pytest

from tunewright.backends.simulated import Delays, SimulatedBackend, SimulatedConfig
from tunewright.exceptions import BackendError, SettingsError
from tunewright.trial import Checkpoint, Decision, Ended, OpenRun, Reported, Run, Verdict

CONFIG = SimulatedConfig(dollars_per_hour=3600.0)
DELAYS = Delays(start=1.0, report=0.25, completion=0.5, stop=2.0)


def train(config, resource):
    if resource == config.get("fail_at"):
        raise ValueError("out of memory")
    return {"loss": config["x"] / resource}, config.get("seconds", 10.0)


def backend(**more) -> SimulatedBackend:
    given = {"n_workers": 2, "max_resource": 3, "config": CONFIG, "delays": DELAYS, **more}
    backend = SimulatedBackend(train, **given)
    backend.attach(())
    return backend


def events(backend: SimulatedBackend) -> list[tuple]:
    """(time, trial, attempt, resource or "end") until nothing runs."""
    found = []
    while got := backend.wait(math.inf):
        (event,) = got
        what = event.resource if isinstance(event, Reported) else "end"
        found.append((backend.clock.now(), event.trial_id, event.attempt, what))
    return found


def start(backend: SimulatedBackend, trial_id: int = 0, *, attempt: int = 0, until=None, **config) -> None:
    backend.start(Run(trial_id=trial_id, attempt=attempt, until=until), {"x": 1.0, **config})


def test_times_are_sums_of_the_delays() -> None:
    simulated = backend()
    start(simulated)
    assert events(simulated) == [
        (11.25, 0, 0, 1),
        (21.25, 0, 0, 2),
        (31.25, 0, 0, 3),
        (31.75, 0, 0, "end"),
    ]


def test_ties_are_in_order_of_trial() -> None:
    simulated = backend(n_workers=3)
    for trial_id in (2, 0, 1):
        start(simulated, trial_id)
    assert [trial for _, trial, _, what in events(simulated) if what == 2] == [0, 1, 2]


def test_the_end_comes_after_a_report_of_the_same_instant() -> None:
    simulated = backend(delays=Delays(completion=0.0, stop=0.0))
    start(simulated, until=1)
    assert isinstance(simulated.wait(math.inf)[0], Reported)
    simulated.pause(0)
    (ended,) = simulated.wait(0.0)
    assert isinstance(ended, Ended)
    assert ended.checkpoint == Checkpoint(trial_id=0, resource=1)
    assert events(simulated) == []


def test_what_a_script_reports_before_a_stop_takes_effect_arrives() -> None:
    simulated = backend(max_resource=100)
    start(simulated, seconds=0.75)
    simulated.wait(math.inf)
    assert simulated.clock.now() == 2.0
    simulated.stop(0)
    assert events(simulated) == [(2.75, 0, 0, 2), (3.5, 0, 0, 3), (4.0, 0, 0, "end")]


def test_the_scripts_own_end_comes_before_a_later_stop() -> None:
    simulated = backend(max_resource=1)
    start(simulated)
    simulated.wait(math.inf)
    simulated.stop(0)
    assert events(simulated) == [(11.75, 0, 0, "end")]


def test_only_the_first_of_two_stops_counts() -> None:
    simulated = backend()
    start(simulated)
    simulated.pause(0)
    simulated.wait(1.5)
    simulated.stop(0)
    assert events(simulated) == [(2.0, 0, 0, "end")]


def test_events_of_an_ended_attempt_do_not_disturb_the_next() -> None:
    simulated = backend()
    start(simulated)
    simulated.wait(math.inf)
    simulated.pause(0)
    (ended,) = simulated.wait(math.inf)
    run = Run(trial_id=0, attempt=1, until=2, resume_from=1, from_checkpoint=ended.checkpoint)
    simulated.start(run, {"x": 1.0})
    assert events(simulated) == [(24.5, 0, 1, 2), (25.0, 0, 1, "end")]


def test_waiting_moves_the_clock_by_the_timeout_at_most() -> None:
    simulated = backend()
    start(simulated)
    assert simulated.wait(5.0) == ()
    assert simulated.clock.now() == 5.0
    assert simulated.wait(0.0) == ()
    assert simulated.clock.now() == 5.0
    (event,) = simulated.wait(6.25)
    assert event.trial_id == 0
    assert simulated.clock.now() == 11.25


def test_waiting_for_ever_for_nothing_returns_at_once() -> None:
    simulated = backend()
    assert simulated.wait(math.inf) == ()
    assert simulated.clock.now() == 0.0


def test_costs_and_seconds_count_running_runs() -> None:
    simulated = backend()
    start(simulated)
    start(simulated, 1)
    (report,) = simulated.wait(math.inf)
    assert report.cost == pytest.approx(11.25)
    summary = simulated.summary()
    assert (summary.jobs, summary.billable_seconds) == (2, pytest.approx(22.5))
    assert summary.cost == pytest.approx(22.5)
    simulated.stop(1)
    events(simulated)
    assert simulated.summary().cost == pytest.approx(31.75 + 13.25)


def test_a_failure_is_an_end_with_the_cause() -> None:
    simulated = backend()
    start(simulated, fail_at=2)
    simulated.wait(math.inf)
    (ended,) = simulated.wait(math.inf)
    assert simulated.clock.now() == 11.75
    assert ended.exit == 1
    assert "out of memory" in ended.error


def test_a_stopped_script_never_comes_to_its_failure() -> None:
    simulated = backend(delays=Delays(completion=9.0))
    start(simulated, fail_at=1)
    simulated.stop(0)
    (ended,) = simulated.wait(math.inf)
    assert (ended.exit, ended.error, ended.checkpoint) == (0, "", None)


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_times_that_cannot_be_fail_the_run(seconds: float) -> None:
    simulated = backend()
    start(simulated, seconds=seconds)
    (ended,) = simulated.wait(math.inf)
    assert ended.exit == 1
    assert str(seconds) in ended.error


def test_without_checkpoints_a_resumed_trial_begins_anew() -> None:
    simulated = backend(config=SimulatedConfig(support_checkpointing=False))
    start(simulated, until=2)
    assert [what for *_, what in events(simulated)] == [1, 2, "end"]
    start(simulated, attempt=1, until=3)
    assert [what for *_, what in events(simulated)] == [1, 2, 3, "end"]


def test_a_clone_begins_from_the_checkpoint_of_another_trial() -> None:
    simulated = backend()
    source = Checkpoint(trial_id=7, resource=2)
    simulated.start(Run(trial_id=8, attempt=0, resume_from=2, from_checkpoint=source), {"x": 1.0})
    simulated.stop(8)
    (ended,) = simulated.wait(math.inf)
    assert ended.checkpoint is None  # it has not written one of its own
    simulated.start(Run(trial_id=9, attempt=0, resume_from=2, from_checkpoint=source), {"x": 1.0})
    assert [what for *_, what in events(simulated)] == [3, "end"]


def test_a_resumed_run_that_was_stopped_at_once_keeps_its_old_checkpoint() -> None:
    simulated = backend()
    source = Checkpoint(trial_id=0, resource=2)
    simulated.start(Run(trial_id=0, attempt=1, resume_from=2, from_checkpoint=source), {"x": 1.0})
    simulated.stop(0)
    (ended,) = simulated.wait(math.inf)
    assert ended.checkpoint == source


def test_reports_hold_the_resource_where_it_has_a_name() -> None:
    for name, expected in (("step", {"step": 1, "loss": 1.0}), ("", {"loss": 1.0})):
        simulated = backend(resource_attr=name)
        start(simulated)
        (report,) = simulated.wait(math.inf)
        assert (report.metrics, report.resource) == (expected, 1)


def test_no_worker_runs_two_trials_and_no_trial_on_two_workers() -> None:
    simulated = backend(n_workers=1)
    start(simulated)
    with pytest.raises(BackendError, match="busy"):
        start(simulated, 1)
    simulated = backend(n_workers=2)
    start(simulated)
    with pytest.raises(BackendError, match="Trial 0 is running"):
        start(simulated, attempt=1)


@pytest.mark.parametrize("wrong", [{"n_workers": 0}, {"max_resource": 0}])
def test_settings_of_the_backend(wrong: dict) -> None:
    with pytest.raises(SettingsError, match="=0"):
        backend(**wrong)


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_settings_of_the_world(value: float) -> None:
    with pytest.raises(SettingsError, match="The delay stop="):
        Delays(stop=value)
    with pytest.raises(SettingsError, match="dollars_per_hour="):
        SimulatedConfig(dollars_per_hour=value)


@pytest.mark.parametrize("decision", [None, Decision.PAUSE])
@pytest.mark.parametrize("n_before", range(5))
def test_attached_runs_have_the_same_events_to_the_last_bit(decision, n_before: int) -> None:
    def begun() -> SimulatedBackend:
        simulated = backend(max_resource=7)
        simulated.wait(0.1)
        start(simulated, 0, seconds=0.1)
        simulated.wait(0.2)
        start(simulated, 1, seconds=1 / 3)
        return simulated

    def play(simulated: SimulatedBackend, n: int) -> list:
        return [event for _ in range(n) for event in simulated.wait(math.inf)]

    def judge(simulated: SimulatedBackend) -> None:
        if decision is not None:
            simulated.pause(1)

    undisturbed = begun()
    play(undisturbed, n_before)
    judge(undisturbed)

    killed = begun()
    before = play(killed, n_before)
    judged_at = killed.clock.now()
    resumed = SimulatedBackend(train, n_workers=2, max_resource=7, config=CONFIG, delays=DELAYS)
    resumed.clock.resume_at(judged_at)
    resumed.attach(
        [
            OpenRun(
                run=Run(trial_id=trial_id, attempt=0),
                config={"x": 1.0, "seconds": seconds},
                started_at=started_at,
                seen=sum(event.trial_id == trial_id for event in before),
                verdict=Verdict(decision=decision) if decision and trial_id == 1 else None,
                verdict_at=judged_at if decision and trial_id == 1 else None,
            )
            for trial_id, seconds, started_at in ((0, 0.1, 0.1), (1, 1 / 3, 0.1 + 0.2))
        ]
    )
    assert events(resumed) == events(undisturbed)
